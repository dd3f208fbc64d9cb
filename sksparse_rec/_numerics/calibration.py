"""From scores to probabilities: a slope and an intercept for every item.

Unit rows forget how popular an item is, and training scores its own users too well.
For a user with profile ``u = xA`` let ``z_i = (⟨u, a_i⟩ − x_i) / ‖u‖`` be the score of
item ``i`` without its own share. The line

    P(x_i > 0) ≈ s_i z_i + b_i

is the ridge regression over users, its slope drawn towards the one that all items
share. Only users with two items and more count: without its own share a single item is
left with nothing to be scored by. One factor for all slopes comes from users that were
not trained on: where scores say nothing beyond popularity it is near zero, and ``b_i``
is the popularity.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch

from sksparse_rec._sparse import row_indices, row_ranges

# Bounds the blocks of profiles, and of items times latents.
BLOCK_ENTRIES = 1 << 22
# Strength of the common slope, in users of average variance, as a share of all users.
PRIOR_SHARE = 1.0


class Moments(NamedTuple):
    """Sums over users, for every item: of z, z², x and xz, with x of zeros and ones.

    ``n_users`` are those with two items and more, which alone are in the sums.
    """

    n_users: int
    z: np.ndarray
    zz: np.ndarray
    x: np.ndarray
    xz: np.ndarray

    def centred(self):
        """Return means of z and x, the covariance and the variance of z."""
        n_users = max(1, self.n_users)
        z, x = self.z / n_users, self.x / n_users
        return (
            z,
            x,
            self.xz / n_users - z * x,
            np.maximum(self.zz / n_users - z**2, 0),
        )


def calibrate(X, X_held_out, embeddings):
    """Return the slopes and intercepts of all items.

    Parameters
    ----------
    X, X_held_out : csr_array of shape (n_users, n_items)
        Users that were trained on, and others.
    embeddings : csr_array of shape (n_items, n_components)

    Returns
    -------
    slopes, intercepts : ndarray of shape (n_items,), float32
        Slopes are not negative, and zero without a user held out that has two items.
    """
    z, x, covariance, variance = moments(X, embeddings).centred()
    if not variance.any():
        return np.zeros(len(x), np.float32), x.astype(np.float32)
    common = covariance.sum() / variance.sum()
    prior = PRIOR_SHARE * variance.mean()
    slopes = np.maximum((covariance + common * prior) / (variance + prior), 0)
    slopes *= _held_out_factor(moments(X_held_out, embeddings), slopes, z, x)
    intercepts = x - slopes * z
    return slopes.astype(np.float32), intercepts.astype(np.float32)


def _held_out_factor(held_out, slopes, z, x):
    """Return the factor of all slopes that is best for other users, at least 0.

    The line of an item goes through its means ``z`` and ``x`` in training.
    """
    n = held_out.n_users
    along = held_out.xz - z * held_out.x - x * held_out.z + n * z * x
    square = held_out.zz - 2 * z * held_out.z + n * z**2
    denominator = (slopes**2 * square).sum()
    return max(0.0, (slopes * along).sum() / denominator) if denominator > 0 else 0.0


def moments(X, embeddings):
    """Return the ``Moments`` of some users, in blocks of them.

    With unit profiles ``û`` the score is ``⟨û, a_i⟩`` less what the item adds itself,
    so sums over all users need ``Σ û`` and ``Σ ûᵀû`` only, and the rest is done at the
    interactions: O(nnz(X) n_nonzero + n_users m² + n_items n_nonzero m) time. The
    middle term is torch's, with as many threads as that has.
    """
    A = embeddings.astype(np.float64)
    n_items, m = A.shape
    n_users, total = 0, np.zeros(m)
    gram = torch.zeros(m, m, dtype=torch.float64)
    # One, and zero for the items that have no embedding.
    squared_lengths = A.multiply(A).sum(axis=1)
    own, own_square, cross, count, xz = np.zeros((5, n_items))
    limit = max(1, BLOCK_ENTRIES // m)
    for rows in _user_blocks(X, limit):
        block = sp.csr_array(X[rows])
        block = block[np.diff(block.indptr) > 1]
        n_users += block.shape[0]
        U = (block.astype(np.float64) @ A).toarray()
        norms = np.linalg.norm(U, axis=1)
        scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
        U *= scale[:, None]
        total += U.sum(axis=0)
        # numpy would take the threads of BLAS, which n_jobs does not reach.
        profiles = torch.from_numpy(U)
        gram += profiles.T @ profiles
        users, items = row_indices(block), block.indices
        share = block.data * scale[users] * squared_lengths[items]
        score = _at_interactions(U, A, users, items)
        for sums, values in (
            (own, share),
            (own_square, share**2),
            (cross, share * score),
            (count, None),
            (xz, score - share),
        ):
            sums += np.bincount(items, weights=values, minlength=n_items)
    squares = _squares(A, gram.numpy(), limit)
    z = A @ total - own
    return Moments(n_users, z, squares - 2 * cross + own_square, count, xz)


def _squares(A, gram, limit):
    """Return ``a_i G a_iᵀ`` for every row of ``A``, in blocks of them."""
    blocks = [A[start : start + limit] for start in range(0, A.shape[0], limit)]
    return np.concatenate([block.multiply(block @ gram).sum(1) for block in blocks])


def _user_blocks(X, limit):
    """Yield slices of at most ``limit`` users and bounded interactions."""
    for rows in row_ranges(X, BLOCK_ENTRIES):
        for start in range(rows.start, rows.stop, limit):
            yield slice(start, min(start + limit, rows.stop))


def _at_interactions(U, A, users, items):
    """Return ``⟨û_u, a_i⟩`` for pairs of a user and an item."""
    scores = np.zeros(len(users))
    step = max(1, BLOCK_ENTRIES // max(1, int(np.diff(A.indptr).max(initial=0))))
    for start in range(0, len(users), step):
        part = slice(start, start + step)
        rows = A[items[part]]
        products = rows.data * U[users[part][row_indices(rows)], rows.indices]
        scores[part] = np.bincount(
            row_indices(rows), weights=products, minlength=rows.shape[0]
        )
    return scores
