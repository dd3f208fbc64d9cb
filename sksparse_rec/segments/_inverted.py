"""Inverted indexes: for every column of a sparse matrix its rows, strongest first."""

from typing import NamedTuple

import numpy as np

from sksparse_rec._sparse import row_indices
from sksparse_rec.segments._assignment import entry_pairs


class InvertedIndex(NamedTuple):
    """Rows and values of every column, one column after the other, by ascending row.

    Column ``j`` has the entries from ``starts[j]`` to ``starts[j + 1]``. They are
    sorted when somebody asks: most columns are never asked for.
    """

    rows: np.ndarray
    values: np.ndarray
    starts: np.ndarray

    def of(self, column):
        """Return the rows of a column and their values.

        By descending absolute value, ties by row.
        """
        part = slice(self.starts[column], self.starts[column + 1])
        rows, values = self.rows[part], self.values[part]
        order = np.argsort(-np.abs(values), kind="stable")
        return rows[order].astype(np.int64), values[order]


def invert(X):
    """Return the inverted index of a CSR matrix, in O(nnz) time and memory."""
    X = X.tocsc()
    return InvertedIndex(X.indices, X.data, X.indptr)


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

    Returns
    -------
    members : InvertedIndex
        Values are sums of the absolute values of the unit rows over the pairs of the
        segment.
    """
    rows = row_indices(unit)
    is_own = pair_segments[entry_pairs(unit)] == labels[rows]
    strengths = np.bincount(
        rows[is_own], weights=np.abs(unit.data[is_own]), minlength=len(labels)
    )
    return group_members(labels, strengths, n_segments)


def group_members(labels, strengths, n_segments):
    """Return the members of every segment with their strengths, InvertedIndex.

    Parameters
    ----------
    labels : ndarray of shape (n_items,), int64
    strengths : ndarray of shape (n_items,), float64
    n_segments : int
    """
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] >= 0]
    starts = np.searchsorted(labels[order], np.arange(n_segments + 1))
    return InvertedIndex(order, strengths[order], starts)
