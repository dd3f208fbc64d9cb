"""Inverted indexes: for every column of a sparse matrix its rows, strongest first."""

from typing import NamedTuple

import numpy as np

from sksparse_rec._sparse import row_indices


class InvertedIndex(NamedTuple):
    """Rows and values of every column, one column after the other.

    Column ``j`` has the entries from ``starts[j]`` to ``starts[j + 1]``.
    """

    rows: np.ndarray
    values: np.ndarray
    starts: np.ndarray

    def of(self, column):
        """Return copies of the rows of a column and of their values."""
        part = slice(self.starts[column], self.starts[column + 1])
        return self.rows[part].copy(), self.values[part].copy()


def invert(X):
    """Return the inverted index of a CSR matrix.

    Entries of a column are sorted by descending absolute value, ties by row.
    O(nnz log nnz) time, O(nnz) memory.
    """
    rows = row_indices(X)
    order = np.lexsort((rows, -np.abs(X.data), X.indices))
    counts = np.bincount(X.indices, minlength=X.shape[1])
    starts = np.concatenate([[0], np.cumsum(counts)])
    return InvertedIndex(rows[order], X.data[order], starts)
