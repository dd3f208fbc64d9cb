"""Products of k-sparse codes in plain torch, on any device.

A batch of codes is two tensors of shape (n_rows, width): ``columns``, the active
latents of every row, and ``values``. Entries come in descending magnitude, so that the
code of a smaller ``k`` is the beginning of the row: ``levels`` are ascending lengths of
such beginnings, the last of them ``width``. Nothing of n_rows × n_components is made
but the activations that ``select`` reads. ``codes_numba`` has the same functions for
the CPU, and ``codes_dense`` for accelerators.
"""

import bisect
import itertools

import torch
from torch.nn.functional import embedding_bag

from sksparse_rec._numerics.products_torch import tangent_, unit_rows


def select(activations, width, positive):
    """Return the ``width`` entries of largest magnitude of every row, largest first.

    Parameters
    ----------
    activations : tensor of shape (n_rows, n_components)
    width : int
    positive : bool
        Negative activations count as zero.

    Returns
    -------
    columns : tensor of shape (n_rows, width), int32
    values : tensor of shape (n_rows, width)
        With their sign; float32 where the activations are bfloat16.

    Notes
    -----
    Which of equal magnitudes is last to be chosen depends on the device; compiled, it
    is that of the lowest column.
    """
    if positive:
        activations = activations.clamp(min=0)
    columns = activations.abs().topk(width, dim=1).indices
    values = activations.gather(1, columns)
    # What was multiplied in bfloat16 goes on in float32.
    return columns.int(), values.float() if values.dtype == torch.bfloat16 else values


def decode(columns, values, decoder, levels):
    """Return ``s D`` for every level, shape (n_levels, n_rows, n_features)."""
    parts = [
        _decode(columns[:, first:last], values[:, first:last].contiguous(), decoder)
        for first, last in itertools.pairwise([0, *levels])
    ]
    return torch.stack(parts).cumsum(dim=0)


def _decode(columns, values, decoder):
    if columns.shape[1] == 0:
        # A level may repeat, and embedding_bag refuses rows of no entries.
        return values.new_zeros(len(values), decoder.shape[1])
    return embedding_bag(columns, decoder, per_sample_weights=values, mode="sum")


def decode_adjoint(columns, decoder, levels, dY):
    """Return the gradient of ``decode`` for the values.

    ``dY`` is the gradient for its result. Only the active entries are read.
    """
    values = decoder.new_zeros(columns.shape).requires_grad_()
    with torch.enable_grad():
        Y = decode(columns, values, decoder, levels)
    return torch.autograd.grad(Y, values, dY)[0]


def descend_(state, codes, levels, dY, dvalues, X, learning_rate):
    """Take a step along the gradients of decoder, encoder and intercept, in place.

    The decoder's gradient is projected on the tangent of its unit rows before its
    optimizer sees it, and its rows are of unit length after the step.

    Parameters
    ----------
    state : Autoencoder
    codes : tuple of tensors
        ``columns`` and ``values``.
    levels : sequence of int
    dY, dvalues : tensors
        Gradients for what ``decode`` returned, and all of those for the values.
    X : tensor of shape (n_rows, n_features)
    learning_rate : float
    """
    columns, values = codes
    dD, dE = torch.zeros_like(state.decoder), torch.zeros_like(state.decoder)
    db = torch.zeros_like(state.intercept)
    db.index_add_(0, columns.reshape(-1), dvalues.reshape(-1))
    sums = sums_of_levels(dY)
    # A place at a time: all entries' shares at once are width times the batch.
    for place in range(columns.shape[1]):
        level = bisect.bisect_right(levels, place)
        at = columns[:, place]
        dD.index_add_(0, at, values[:, place, None] * sums[level])
        dE.index_add_(0, at, dvalues[:, place, None] * X)
    step_(state, dD, dE, db, learning_rate)


def sums_of_levels(dY):
    """Return what the entries that a level adds have a share in.

    An entry is part of its own level and of all longer ones.
    """
    return dY.flip(0).cumsum(0).flip(0)


def step_(state, dD, dE, db, learning_rate):
    """Take a step along given gradients, which are used up; see ``descend_``."""
    D, optimizers = state.decoder, state.optimizers
    if state.encoder is None:
        dD += dE
    else:
        optimizers["encoder"].step_(state.encoder, dE, learning_rate)
    optimizers["intercept"].step_(state.intercept, db, learning_rate)
    norms = D.new_ones(len(D), 1)
    optimizers["decoder"].step_(D, tangent_(dD, D, norms), learning_rate)
    D.copy_(unit_rows(D)[0])


def products(columns, values, n_components):
    """Return ``S Sᵀ``, shape (n_rows, n_rows)."""
    S = as_matrix(columns, values, n_components)
    return S @ S.T


def products_adjoint(columns, values, n_components, dP):
    """Return ``dP S`` at the entries of ``S``, for a symmetric ``dP``."""
    S = as_matrix(columns, values, n_components)
    return (dP @ S).gather(1, columns.long())


def as_matrix(columns, values, n_components):
    """Return codes with all of their zeros, shape (n_rows, n_components)."""
    S = values.new_zeros(len(values), n_components)
    return S.scatter_(1, columns.long(), values)
