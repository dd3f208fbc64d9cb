"""Helpers for CSR matrices: numpy and scipy only."""

import numpy as np
import scipy.sparse as sp


def row_indices(X):
    """Return the row of every stored entry of a CSR matrix, int64 of shape (nnz,)."""
    return np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))


def normalize_rows(X):
    """Return a copy of a CSR array with rows of unit Euclidean length.

    Rows without entries stay empty.
    """
    squares = np.bincount(
        row_indices(X), weights=np.square(X.data, dtype=float), minlength=X.shape[0]
    )
    scale = 1.0 / np.sqrt(np.where(squares > 0, squares, 1.0))
    # In float64, as the scale of tiny rows overflows float32.
    dtype = np.result_type(X.data.dtype, np.float32)
    data = (X.data * np.repeat(scale, np.diff(X.indptr))).astype(dtype)
    return sp.csr_array((data, X.indices, X.indptr), shape=X.shape)


def keep_top_per_row(X, n_nonzero):
    """Keep each row's ``n_nonzero`` entries of largest absolute value.

    Ties go to the lower column, so the result does not depend on the stored order.
    O(nnz log nnz) in time, O(nnz) in memory.
    """
    rows = row_indices(X)
    order = np.lexsort((X.indices, -np.abs(X.data), rows))
    rank = np.arange(X.nnz) - np.repeat(X.indptr[:-1], np.diff(X.indptr))
    kept = np.sort(order[rank < n_nonzero])
    lengths = np.minimum(np.diff(X.indptr), n_nonzero)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(X.indptr.dtype)
    return sp.csr_array((X.data[kept], X.indices[kept], indptr), shape=X.shape)
