"""Rivals that need no library of their own: popularity, EASE and truncated SVD."""

import numpy as np
import scipy.sparse as sp
import torch
from _ranking import best_unseen, choose, mean_ndcg
from sklearn.decomposition import TruncatedSVD

from sksparse_rec import top_items
from sksparse_rec._sparse import keep_top_per_row
from sksparse_rec.retrieval import search

L2_GRID = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
# The penalty is chosen on at most so many items, the most popular ones.
MAX_TUNING_ITEMS = 10_000
COLUMNS_PER_BLOCK = 1024
ROWS_TO_PRUNE = 256
POWER_ITERATIONS = 7
AXES = ("columns", "rows")


class Popularity:
    """The most popular items that the user has not seen."""

    def prepare(self, data):
        """Nothing is chosen before training."""

    def fit(self, data):
        """Rank the items; equally popular ones by index."""
        counts = item_counts(data.train)
        self.scores = np.empty(counts.size, dtype=np.float32)
        self.scores[np.argsort(-counts, kind="stable")] = -np.arange(counts.size)

    def answers(self, history, k):
        """Yield the lists of the one model."""
        ids = best_unseen(
            lambda block: np.tile(self.scores, (len(block), 1)), history, k
        )
        yield {"size": 1, "is_sparse": False, "values_per_item": 1}, ids

    def describe(self):
        """Return nothing to record."""
        return {}


class EASE:
    """Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.

    The Gram matrix is inverted by its Cholesky factor in float32, which takes two dense
    matrices of n_items x n_items at a time.
    """

    def __init__(self):
        self.l2 = L2_GRID[-2]

    def prepare(self, data):
        """Choose the penalty on validation users taken from the training users."""
        self.l2, self.validation_scores = choose(
            L2_GRID, self._try, with_popular_items(data)
        )
        del self.precision

    def _try(self, l2, data):
        self.l2 = l2
        self.fit(data)
        return self._recommend(data.history, 100)

    def fit(self, data):
        """Invert the penalised Gram matrix."""
        n_items = data.train.shape[1]
        P = np.zeros((n_items, n_items), dtype=np.float32, order="F")
        columns = sp.csc_matrix(data.train)
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

    def answers(self, history, k):
        """Yield the lists of the one model."""
        n_items = len(self.weights)
        facts = {"size": n_items, "is_sparse": False, "values_per_item": n_items}
        yield facts, self._recommend(history, k)

    def _recommend(self, history, k):
        # The diagonal of EASE is zero; here it is not, which only touches seen items.
        # The transpose of the symmetric matrix is in the order that scipy wants.
        def score(block):
            return (history[block] @ self.precision.T) * self.weights

        return best_unseen(score, history, k)

    def describe(self):
        """Describe what was chosen."""
        return {"l2": self.l2, "validation_scores": self.validation_scores}


class PrunedEASE(EASE):
    """EASE of which every item keeps the largest weights.

    Item j keeps either the weights by which others speak for it, column j of EASE's
    matrix, or those by which it speaks for others, row j: whichever is better on
    validation users, for each level by itself. An item keeps an index and a value of
    each, so the bytes are those of a sparse embedding with as many non-zeros.
    """

    def __init__(self, levels):
        super().__init__()
        self.levels = sorted(levels, reverse=True)
        self.axes = dict.fromkeys(self.levels, AXES[0])

    def prepare(self, data):
        """Choose the penalty, and then what is kept at every level."""
        super().prepare(data)
        data = with_popular_items(data)
        trial = data.for_validation()
        self.fit(trial)
        scores = {}
        for axis in AXES:
            self.axes = dict.fromkeys(self.levels, axis)
            for level, ids in self._pruned_lists(trial.history, 100):
                scores[level, axis] = mean_ndcg(data.validation[2], ids)
        self.axes = {
            level: max(AXES, key=lambda axis: scores[level, axis])
            for level in self.levels
        }
        del self.precision

    def fit(self, data):
        """Solve once; pruning takes no training."""
        super().fit(data)
        self.counts = item_counts(data.train)

    def answers(self, history, k):
        """Yield the lists of EASE, and then of every level."""
        for facts, ids in super().answers(history, k):
            yield {"family": "ease", **facts}, ids
        for level, ids in self._pruned_lists(history, k):
            facts = {"size": level, "is_sparse": True, "values_per_item": level}
            yield {**facts, "axis": self.axes[level]}, ids

    def _pruned_lists(self, history, k):
        for axis in set(self.axes.values()):
            levels = [level for level in self.levels if self.axes[level] == axis]
            kept = largest_weights(self.precision, self.weights, levels[0], axis)
            for level in levels:
                kept = keep_top_per_row(kept, level)
                columns = sp.csr_array(kept.T) if axis == "rows" else kept
                R = search(
                    history, columns, k, popularity=self.counts, excluded=[history]
                )
                yield level, top_items(R)[0]


class SVD:
    """Truncated SVD of the interactions: the leading singular vectors of any number."""

    def __init__(self, sizes, seed):
        self.sizes, self.seed = sorted(sizes, reverse=True), seed

    def prepare(self, data):
        """Nothing is chosen before training."""

    def fit(self, data):
        """Factorise once; the first dimensions are the smaller models."""
        n_components = min(self.sizes[0], min(data.train.shape) - 1)
        svd = TruncatedSVD(
            n_components, n_iter=POWER_ITERATIONS, random_state=self.seed
        )
        self.factors = svd.fit(data.train).components_.T.astype(np.float32)
        self.counts = item_counts(data.train)

    def answers(self, history, k):
        """Yield the lists of every size."""
        for size in self.sizes:
            if size <= self.factors.shape[1]:
                A = sp.csr_array(self.factors[:, :size])
                R = search(
                    history,
                    A,
                    k,
                    encoder=lambda rows, A=A: rows @ A,
                    popularity=self.counts,
                    excluded=[history],
                )
                facts = {"size": size, "is_sparse": False, "values_per_item": size}
                yield facts, top_items(R)[0]

    def describe(self):
        """Return nothing to record."""
        return {}


def item_counts(X):
    """Return the number of users of every item."""
    return np.bincount(X.indices, minlength=X.shape[1])


def with_popular_items(data):
    """Return data whose validation parts have the most popular items only."""
    order = np.argsort(-item_counts(data.train), kind="stable")
    items = np.sort(order[:MAX_TUNING_ITEMS])
    parts = tuple(sp.csr_matrix(part[:, items]) for part in data.validation)
    return data._replace(validation=parts)


def largest_weights(precision, weights, n_kept, axis):
    """Return the largest |weights| of every item in EASE's matrix ``B``.

    Parameters
    ----------
    precision : ndarray of shape (n_items, n_items)
        Symmetric.
    weights : ndarray of shape (n_items,)
        ``B[i, j] = precision[i, j] * weights[j]``, and zero on the diagonal.
    n_kept : int
    axis : {"columns", "rows"}

    Returns
    -------
    csr_array of shape (n_items, n_items), float32
        Rows of ``B`` or of its transpose.
    """
    n_items = len(weights)
    blocks = []
    for start in range(0, n_items, ROWS_TO_PRUNE):
        items = np.arange(start, min(start + ROWS_TO_PRUNE, n_items))
        scale = weights[items, None] if axis == "columns" else weights
        block = precision[:, items].T * scale
        block[np.arange(len(items)), items] = 0
        blocks.append(keep_top_per_row(sp.csr_array(block), n_kept))
    return sp.vstack(blocks, format="csr")
