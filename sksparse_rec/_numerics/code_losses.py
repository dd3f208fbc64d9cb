"""Losses of k-sparse codes, with their gradients written out."""

import torch

from sksparse_rec._numerics.products_dense import multiply

# Codes and reconstructions below this length count as zeros: they have no direction,
# so no gradient either.
TINY = 1e-8


def cosine_loss(Y, X, weights):
    """Return ``Σ wₗ mean(1 − cos(x, yₗ))`` over levels, and its gradient.

    Parameters
    ----------
    Y : tensor of shape (n_levels, n_rows, n_features)
        Reconstructions.
    X : tensor of shape (n_rows, n_features)
        Rows of unit length, or of zeros, which have no gradient.
    weights : sequence of float

    Returns
    -------
    loss : scalar tensor
    dY : tensor of the shape of ``Y``
    cosines : tensor of shape (n_levels, n_rows)
    """
    norms = _lengths(Y)
    cosines = (Y * X).sum(dim=2, keepdim=True) / norms
    # Filled on the device: nothing is copied there.
    weights = torch.stack([Y.new_full((1, 1), w / len(X)) for w in weights])
    loss = (weights * (1 - cosines)).sum()
    scale = weights / norms
    return loss, Y * (cosines / norms * scale) - X * scale, cosines.squeeze(2)


def neighbor_loss(kernels, columns, values, n_components, X, temperature, half=False):
    """Return the loss of neighbourhoods in the sparse space, and its gradient.

    Every row of the batch spreads a unit of attention over the others by a softmax of
    the cosines, of the vectors and of the codes; the loss is the mean divergence

        KL(softmax(⟨xᵢ, xⱼ⟩ / τ) ‖ softmax(⟨ŝᵢ, ŝⱼ⟩ / τ)),    j ≠ i,  ŝ = s / ‖s‖.

    Parameters
    ----------
    kernels : module
        ``codes_torch`` or ``codes_numba``.
    columns, values : tensors of shape (n_rows, n_nonzero)
        The codes.
    n_components : int
    X : tensor of shape (n_rows, n_features)
        Unit rows.
    temperature : float
    half : bool
        Multiply the vectors in bfloat16.

    Returns
    -------
    loss : scalar tensor
    gradient : tensor of shape (n_rows, n_nonzero)
        For ``values``.

    Notes
    -----
    O(n_rows² × n_features) time for the vectors, O(n_rows² × n_nonzero² /
    n_components) for the codes; O(n_rows²) memory.
    """
    n_rows = len(X)
    norms = _lengths(values)
    units = values / norms
    target = _log_attention(multiply(X, X.T, half), temperature)
    found = _log_attention(kernels.products(columns, units, n_components), temperature)
    weights = target.exp()
    gap = target.sub_(found)
    # There is no weight on the diagonals, which may be -inf in both.
    gap.fill_diagonal_(0)
    loss = (weights * gap).sum() / n_rows
    dP = found.exp_().sub_(weights).div_(temperature * n_rows)
    gradient = kernels.products_adjoint(columns, units, n_components, dP + dP.T)
    along = (gradient * units).sum(dim=1, keepdim=True)
    return loss, (gradient - along * units) / norms


def _lengths(rows):
    norms = rows.norm(dim=-1, keepdim=True)
    return torch.where(norms > TINY, norms, torch.inf)


def _log_attention(P, temperature):
    P = P / temperature
    # Not -inf, which would make a row of nothing else NaN.
    P.fill_diagonal_(torch.finfo(P.dtype).min)
    return torch.log_softmax(P, dim=1)
