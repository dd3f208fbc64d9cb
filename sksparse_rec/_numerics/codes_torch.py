"""Products of k-sparse codes in plain torch, on any device.

A batch of codes is two tensors of shape (n_rows, width): ``columns``, the active
latents of every row, and ``values``. Entries come in descending magnitude, so that the
code of a smaller ``k`` is the beginning of the row: ``levels`` are ascending lengths of
such beginnings, the last of them ``width``. Nothing of n_rows × n_components is made
but the activations that ``select`` reads. ``codes_numba`` has the same functions for
the CPU.
"""

import itertools

import torch
from torch.nn.functional import embedding_bag


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
        With their sign.
    """
    if positive:
        activations = activations.clamp(min=0)
    columns = activations.abs().topk(width, dim=1).indices
    return columns.int(), activations.gather(1, columns)


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


def decode_adjoint(columns, values, decoder, levels, dY):
    """Return the gradients of ``decode`` for the values and for the decoder.

    ``dY`` is the gradient for its result. Only the active entries are read.
    """
    decoder = decoder.detach().requires_grad_()
    values = values.detach().requires_grad_()
    with torch.enable_grad():
        Y = decode(columns, values, decoder, levels)
    return torch.autograd.grad(Y, (values, decoder), dY)


def encode_adjoint(columns, dvalues, X, n_components):
    """Return the gradients of ``values = E x + b`` for ``E`` and ``b``."""
    dE = X.new_zeros(n_components, X.shape[1])
    # A place at a time: all entries' shares at once are width times the batch.
    for place in range(columns.shape[1]):
        dE.index_add_(0, columns[:, place], dvalues[:, place, None] * X)
    db = X.new_zeros(n_components)
    return dE, db.index_add_(0, columns.reshape(-1), dvalues.reshape(-1))


def products(columns, values, n_components):
    """Return ``S Sᵀ``, shape (n_rows, n_rows)."""
    S = _dense(columns, values, n_components)
    return S @ S.T


def products_adjoint(columns, values, n_components, dP):
    """Return ``dP S`` at the entries of ``S``, for a symmetric ``dP``."""
    S = _dense(columns, values, n_components)
    return (dP @ S).gather(1, columns.long())


def _dense(columns, values, n_components):
    S = values.new_zeros(len(values), n_components)
    return S.scatter_(1, columns.long(), values)
