"""Rivals in closed form: popularity and EASE."""

import numpy as np
import scipy.sparse as sp
import torch

from sksparse_rec.metrics import ndcg_at_k
from sksparse_rec.model_selection import holdout_split

L2_GRID = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
VALIDATION_SHARE = 0.05
# A twentieth of a small data set would choose by chance: at least so many users, but no
# more than one in five.
MIN_VALIDATION_USERS = 100
# The penalty is chosen on at most so many items, the most popular ones.
MAX_TUNING_ITEMS = 10_000
USERS_PER_BLOCK = 256
COLUMNS_PER_BLOCK = 1024


class Popularity:
    """The most popular items that the user has not seen."""

    def prepare(self, train):
        """Nothing is chosen before training."""

    def fit(self, train):
        """Rank the items; equally popular ones by index."""
        counts = np.bincount(train.indices, minlength=train.shape[1])
        self.scores = np.empty(counts.size, dtype=np.float32)
        self.scores[np.argsort(-counts, kind="stable")] = -np.arange(counts.size)

    def recommend(self, history, k):
        """Return item indices of shape (n_users, k), best first."""
        return best_unseen(
            lambda block: np.tile(self.scores, (len(block), 1)), history, k
        )

    def describe(self):
        """Describe what the model stores for an item."""
        return {"is_sparse": False, "values_per_item": 1}


class EASE:
    """Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.

    The Gram matrix is inverted by its Cholesky factor in float32, which takes two dense
    matrices of n_items x n_items at a time.
    """

    def __init__(self, seed):
        self.seed = seed
        self.l2 = L2_GRID[-2]

    def prepare(self, train):
        """Choose the penalty on validation users taken from the training users."""
        rng = np.random.default_rng(self.seed)
        counts = np.bincount(train.indices, minlength=train.shape[1])
        items = np.sort(np.argsort(-counts, kind="stable")[:MAX_TUNING_ITEMS])
        n_users = train.shape[0]
        order = rng.permutation(n_users)
        n_validation = max(
            round(VALIDATION_SHARE * n_users), min(MIN_VALIDATION_USERS, n_users // 5)
        )
        X = sp.csr_matrix(train[:, items])
        history, targets = holdout_split(
            X[order[:n_validation]], random_state=self.seed
        )
        scores = {}
        for l2 in L2_GRID:
            self.l2 = l2
            self.fit(X[order[n_validation:]])
            scores[l2] = ndcg_at_k(targets, self.recommend(history, 100))
        self.l2 = max(scores, key=scores.get)
        del self.precision
        self.validation_scores = scores

    def fit(self, train):
        """Invert the penalised Gram matrix."""
        n_items = train.shape[1]
        P = np.zeros((n_items, n_items), dtype=np.float32, order="F")
        columns = sp.csc_matrix(train)
        transposed = sp.csr_matrix(columns.T)
        for start in range(0, n_items, COLUMNS_PER_BLOCK):
            block = slice(start, start + COLUMNS_PER_BLOCK)
            P[:, block] = (transposed @ columns[:, block]).toarray(order="F")
        P[np.diag_indices(n_items)] += self.l2
        # torch's LAPACK: scipy's crashes at the size of gowalla. P is symmetric.
        factor = torch.linalg.cholesky(torch.from_numpy(P.T))
        del P
        self.precision = torch.cholesky_inverse(factor).numpy().T
        self.weights = -1 / self.precision.diagonal()

    def recommend(self, history, k):
        """Return item indices of shape (n_users, k), best first."""

        # The diagonal of EASE is zero; here it is not, which only touches seen items.
        # The transpose of the symmetric matrix is in the order that scipy wants.
        def score(block):
            return (history[block] @ self.precision.T) * self.weights

        return best_unseen(score, history, k)

    def describe(self):
        """Describe what the model stores for an item."""
        return {
            "is_sparse": False,
            "values_per_item": self.precision.shape[0],
            "l2": self.l2,
            "validation_scores": {
                f"{l2:g}": score for l2, score in self.validation_scores.items()
            },
        }


def best_unseen(score, history, k):
    """Rank the unseen items of every user.

    Parameters
    ----------
    score : callable
        ``score(users)`` gives scores of shape (len(users), n_items).
    history : CSR
        Seen items.
    k : int
        Length of the lists.

    Returns
    -------
    ndarray of shape (n_users, k), int64
        Item indices, best first, padded with -1.
    """
    n_users, n_items = history.shape
    k = min(k, n_items)
    ids = np.empty((n_users, k), dtype=np.int64)
    for start in range(0, n_users, USERS_PER_BLOCK):
        users = np.arange(start, min(start + USERS_PER_BLOCK, n_users))
        scores = np.array(score(users))
        seen = history[users].tocoo()
        scores[seen.row, seen.col] = -np.inf
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        top.sort(axis=1)
        values = np.take_along_axis(scores, top, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        top = np.take_along_axis(top, order, axis=1)
        top[np.isneginf(np.take_along_axis(values, order, axis=1))] = -1
        ids[users] = top
    return ids
