"""The losses of ELSA, with their gradients written out.

Both compare the direction of a user's interactions ``x`` with that of the prediction
``y``; the average over users of

    ‖ x/‖x‖ − y/‖y‖ ‖²  =  2 − 2 cos(x, y)

is minimised. ``gram_loss`` and ``direct_loss`` predict ``y = xAAᵀ − x``, in two ways of
different cost, and ``relu_loss`` its positive part.
A user whose ``x`` or ``y`` is zero has loss 2 and no gradient.
"""

import torch

from sksparse_rec._numerics.products_dense import multiply
from sksparse_rec._numerics.products_torch import is_defined, safe_norms
from sksparse_rec._numerics.rows import products_of

# Users whose scores are held at once: n_items × USER_BLOCK floats.
USER_BLOCK = 256


def gram_loss(batch, A):
    """Loss of ``y = xAAᵀ − x`` over the whole catalogue, without making ``y``.

    With ``u = xA`` and ``G = AᵀA``

        ⟨x, y⟩ = ‖u‖² − ‖x‖²,      ‖y‖² = u G uᵀ − 2‖u‖² + ‖x‖²,

    so a step costs O(nnz(X) n_nonzero + n_users m² + n_items n_nonzero²), whatever
    n_users × n_items is. Wide rows are multiplied as dense ones, in O(n_items m²).

    Parameters
    ----------
    batch : Batch
        The users.
    A : DenseRows or SparseRows
        Item embeddings with unit rows.

    Returns
    -------
    loss : tensor, scalar
        Mean over the users of the batch.
    gradient : tensor of the shape of ``A.values``
        With respect to the (unit-length) rows of ``A``.
    """
    U, G = A.profiles(batch), A.gram()
    UG = multiply(U, G, A.half)
    x_squared = _sum_by_user(batch, batch.values.square())
    cosine, dU, W = products_of(U).cosines_(U, UG, x_squared)
    H = multiply(U.T, W, A.half)
    gradient = A.gram_adjoint(H)
    A.profiles_adjoint(batch, dU, gradient)
    return (2 - 2 * cosine).mean(), gradient


def direct_loss(batch, A):
    """Loss of ``y = xAAᵀ − x``, from the scores themselves; see ``relu_loss``."""
    return _loss_of_scores(batch, A, clip=False)


def relu_loss(batch, A):
    """Loss of ``y = relu(xAAᵀ − x)``, in blocks of users.

    Costs O(n_users n_items n_nonzero) and n_items × ``USER_BLOCK`` floats of memory.
    Parameters and returns are those of ``gram_loss``.
    """
    return _loss_of_scores(batch, A, clip=True)


LOSSES = {"gram": gram_loss, "direct": direct_loss, "relu": relu_loss}

# Multiplications a nanosecond, measured on two cores: of dense matrices, of pairs of
# entries, and of entries with rows of scores.
DENSE_RATE, PAIR_RATE, SCORE_RATE = 75, 1, 7


def cheaper_linear_loss(n_users, n_items, n_components, n_nonzero):
    """Return the name of the cheaper one of the two ways to the linear loss.

    The scores are for small catalogues with many components.
    """
    gram = 2 * n_users * n_components**2 / DENSE_RATE
    pairs = n_items * n_nonzero**2 / PAIR_RATE
    gram += min(pairs, 2 * n_items * n_components**2 / DENSE_RATE)
    rate = SCORE_RATE if n_nonzero < n_components else DENSE_RATE
    direct = 3 * n_users * n_items * n_nonzero / rate
    return "direct" if direct < gram else "gram"


def _loss_of_scores(batch, A, *, clip):
    U = A.profiles(batch)
    dU = torch.empty_like(U)
    gradient = torch.zeros_like(A.values)
    loss = U.new_zeros(())
    for start in range(0, batch.n_users, USER_BLOCK):
        stop = min(start + USER_BLOCK, batch.n_users)
        block = _user_block(batch, start, stop)
        UT = U[start:stop].T.contiguous()
        cosine, dYT = _score_gradient(block, A.scores(UT), batch.n_users, clip=clip)
        loss += (2 - 2 * cosine).sum()
        share, dUT = A.scores_adjoint(UT, dYT)
        gradient += share
        dU[start:stop] = dUT.T
    A.profiles_adjoint(batch, dU, gradient)
    return loss / batch.n_users, gradient


def _score_gradient(block, YT, n_users, *, clip):
    """Cosines of a block, and the gradient of the mean loss at its scores.

    ``YT`` (n_items, n_block) holds ``xAAᵀ`` and is overwritten by the gradient.
    """
    place = (block.items, block.users)
    YT[place] -= block.values
    if clip:
        YT.relu_()
    chosen = YT[place]
    x_squared = _sum_by_user(block, block.values.square())
    y_squared = YT.square().sum(dim=0)
    # Less than this is the rounding of a prediction of zero.
    smallest = (64 * torch.finfo(YT.dtype).eps) ** 2 * x_squared
    defined = is_defined(x_squared, y_squared, smallest)
    x_norm, y_norm = safe_norms(x_squared, y_squared, defined)
    dot = _sum_by_user(block, block.values * chosen)
    cosine = torch.where(defined, dot / (x_norm * y_norm), 0)
    factor = defined.to(YT.dtype) * (-2.0 / n_users)
    # d cosine / dy = x / (‖x‖‖y‖) − cosine y / ‖y‖², of the relu where y > 0.
    YT *= -factor * cosine / y_norm.square()
    along_x = (factor / (x_norm * y_norm))[block.users] * block.values
    YT[place] += torch.where(chosen > 0, along_x, 0) if clip else along_x
    return cosine, YT


def _user_block(batch, start, stop):
    inside = torch.searchsorted(
        batch.users, torch.tensor([start, stop], device=batch.users.device)
    )
    entries = slice(int(inside[0]), int(inside[1]))
    return batch._replace(
        users=batch.users[entries] - start,
        items=batch.items[entries],
        values=batch.values[entries],
        n_users=stop - start,
    )


def _sum_by_user(batch, values):
    return values.new_zeros(batch.n_users).index_add_(0, batch.users, values)
