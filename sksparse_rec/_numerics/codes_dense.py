"""Products of k-sparse codes by way of dense matrices, for accelerators.

The functions have the names, arguments and results of ``codes_torch``. A code becomes a
row of n_components, most of it zeros: on a GPU that product takes less time than
launching an operation for every place of the codes, and it sums in a fixed order, which
additions at random do not. Memory is n_levels × n_rows × n_components.
"""

import itertools

import torch

from sksparse_rec._numerics.codes_torch import (
    as_matrix,
    products,
    products_adjoint,
    select,
    step_,
    sums_of_levels,
)

__all__ = [
    "decode",
    "decode_adjoint",
    "descend_",
    "products",
    "products_adjoint",
    "select",
]


def decode(columns, values, decoder, levels):
    """Return ``s D`` for every level, shape (n_levels, n_rows, n_features)."""
    S = _by_level(columns, values, levels, len(decoder))
    parts = S.flatten(0, 1) @ decoder
    return parts.view(*S.shape[:2], -1).cumsum(dim=0)


def decode_adjoint(columns, decoder, levels, dY):
    """Return the gradient of ``decode`` for the values."""
    dS = (sums_of_levels(dY).flatten(0, 1) @ decoder.T).view(*dY.shape[:2], -1)
    parts = [
        dS[level].gather(1, columns[:, first:last].long())
        for level, (first, last) in enumerate(_beginnings(levels))
    ]
    return torch.cat(parts, dim=1)


def descend_(state, codes, levels, dY, dvalues, X, learning_rate):
    """Take a step along the gradients of decoder, encoder and intercept, in place."""
    columns, values = codes
    m = len(state.decoder)
    S = _by_level(columns, values, levels, m).flatten(0, 1)
    dD = S.T @ sums_of_levels(dY).flatten(0, 1)
    dS = as_matrix(columns, dvalues, m)
    step_(state, dD, dS.T @ X, dS.sum(dim=0), learning_rate)


def _by_level(columns, values, levels, n_components):
    """Return the entries that each level adds, (n_levels, n_rows, n_components)."""
    S = values.new_zeros(len(levels), len(values), n_components)
    for level, (first, last) in enumerate(_beginnings(levels)):
        at = columns[:, first:last].long()
        S[level].scatter_(1, at, values[:, first:last])
    return S


def _beginnings(levels):
    return itertools.pairwise([0, *levels])
