"""Inverted indexes: for every column of a sparse matrix its rows, strongest first."""

from typing import NamedTuple

import numpy as np

from sksparse_rec._sparse import row_indices
from sksparse_rec.segments._assignment import activations_of


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


class Partition(NamedTuple):
    """Groups of items that nobody is in twice.

    Attributes
    ----------
    labels : ndarray of shape (n_items,), int64
        The segment of every item, -1 for none.
    first_pairs : ndarray of shape (n_segments,), int64
        The pair of latent and sign that gives each segment its id.
    members : InvertedIndex
        Items of every segment with their activations, the strongest first.
    """

    labels: np.ndarray
    first_pairs: np.ndarray
    members: InvertedIndex


def invert_members(unit, labels, pair_segments, n_segments):
    """Return the members of every segment, by how much they use its latents.

    Parameters
    ----------
    unit : csr_array of shape (n_items, n_components)
        What ``unit_rows`` returns.
    labels : ndarray of shape (n_items,), int64
    pair_segments : ndarray of shape (2 * n_components,), int64
    n_segments : int
    """
    activations = activations_of(unit, pair_segments, n_segments)
    activations.data[activations.indices != labels[row_indices(activations)]] = 0
    activations.eliminate_zeros()
    return invert(activations)
