"""Which rows are nearest, before and after compression: exact, in bounded memory."""

import numpy as np
import scipy.sparse as sp
from sklearn import get_config

from sksparse_rec._sparse import normalize_rows, top_columns

# Rows of a block that are ranked together.
PIECE = 2048


def row_blocks(n_rows, row_bytes):
    """Cut rows into ranges whose temporaries fit scikit-learn's ``working_memory``."""
    n = max(1, int(get_config()["working_memory"] * 2**20 / row_bytes))
    return [slice(start, min(start + n, n_rows)) for start in range(0, n_rows, n)]


def take_rows(X, rows):
    """Return rows of an array, CSR matrix or DataFrame, which stays what it is."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return X[rows]


def unit_rows(X, name="X", start=0):
    """Return rows of unit length, CSR or dense, float32 or float64; zeros stay zeros.

    Raises
    ------
    ValueError
        If a value is NaN or infinite: with ``name`` and the row, counted from
        ``start``.
    """
    X = sp.csr_array(X) if sp.issparse(X) else np.asarray(X)
    X = X.astype(np.result_type(X.dtype, np.float32), copy=False)
    values = X.data if sp.issparse(X) else X
    if not np.isfinite(values).all():
        bad = sp.coo_array(X)
        at = np.flatnonzero(~np.isfinite(bad.data))[0]
        place = f"{name}[{start + bad.row[at]}, {bad.col[at]}]"
        raise ValueError(
            f"Input contains NaN or infinity: {place} is {bad.data[at]}. Such a row "
            "has no neighbours; leave it out"
        )
    if sp.issparse(X):
        return normalize_rows(X)
    # Two steps, as the squares of large values overflow.
    for norm in (lambda X: np.abs(X).max(axis=1), lambda X: np.linalg.norm(X, axis=1)):
        length = norm(X)[:, None]
        X = X / np.where(length > 0, length, 1)
    return X


def cosines(Q, X):
    """Return the products of unit rows, a dense (n_queries, n_rows)."""
    product = Q @ X.T
    return product.toarray() if sp.issparse(product) else product


class NearestRows:
    """The ``k`` most similar rows of each query, over blocks of rows in order.

    Parameters
    ----------
    n_queries, k : int
    excluded : ndarray of shape (n_queries,) or None, default=None
        A row that is none of a query's neighbours: itself.

    Attributes
    ----------
    ids : ndarray of shape (n_queries, k)
        Positions of the rows, ascending. Ties go to the lower position.
    """

    def __init__(self, n_queries, k, excluded=None):
        self.k = k
        self.excluded = excluded
        self.ids = np.empty((n_queries, 0), dtype=np.int64)
        self.similarity = np.empty((n_queries, 0), dtype=np.float32)

    def update(self, similarity, start):
        """Take in a block of similarities, which is written to; O(its size)."""
        if self.excluded is not None:
            stop = start + similarity.shape[1]
            inside = (self.excluded >= start) & (self.excluded < stop)
            similarity[inside, self.excluded[inside] - start] = -np.inf
        # In pieces, as few of a later piece are better than what is there already.
        step = max(PIECE, 2 * self.k)
        for first in range(0, similarity.shape[1], step):
            self._merge(similarity[:, first : first + step], start + first)

    def _merge(self, similarity, start):
        ids = np.arange(start, start + similarity.shape[1])
        ids = np.broadcast_to(ids, similarity.shape)
        if self.ids.shape[1] == self.k:
            # Equals come too late.
            better = similarity > self.similarity.min(axis=1, keepdims=True)
            ids, similarity = left_aligned(better, ids, similarity)
        ids = np.hstack([self.ids, ids])
        similarity = np.hstack([self.similarity, similarity])
        kept = top_columns(similarity, self.k)
        self.ids = np.take_along_axis(ids, kept, axis=1)
        self.similarity = np.take_along_axis(similarity, kept, axis=1)


def left_aligned(mask, ids, values):
    """Move the entries of a mask to the left of their rows, in their order.

    Returns ids and values, with 0 and -inf where a row has fewer than others.
    """
    lengths = mask.sum(axis=1)
    inside = np.arange(lengths.max(initial=0)) < lengths[:, None]
    moved = (
        np.zeros(inside.shape, ids.dtype),
        np.full(inside.shape, -np.inf, values.dtype),
    )
    for target, source in zip(moved, (ids, values), strict=True):
        target[inside] = source[mask]
    return moved


def recall(ids, true_ids):
    """Return the mean share of the true neighbours found; ids are distinct in a row."""
    n_rows = len(true_ids)
    # Ids of different rows are kept apart, so that one look-up serves all rows.
    offset = max(ids.max(), true_ids.max()) + 1
    shift = offset * np.arange(n_rows)[:, None]
    return float(np.isin(true_ids + shift, ids + shift).mean())
