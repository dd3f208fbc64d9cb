"""Items and the segments whose embeddings are nearest to theirs."""

import numpy as np
import scipy.sparse as sp
from sklearn import get_config

from sksparse_rec._sparse import top_columns
from sksparse_rec.segments._assignment import unit_rows
from sksparse_rec.segments._merging import fast_to_multiply

# float64 arrays of as many entries as there are cosines at once.
COPIES = 4


def assign_nearest(X, directions, first_pairs, min_size):
    """Put items to the nearest segment, and give up segments that few are left in.

    Parameters
    ----------
    X : csr_array of shape (n_items, n_components)
    directions : csr_array of shape (n_segments, n_components)
        Unit rows.
    first_pairs : ndarray of shape (n_segments,), int64
        Break ties: the lower pair comes first.
    min_size : int
        Items of a segment that has fewer go to the nearest of the others.

    Returns
    -------
    labels : ndarray of shape (n_items,), int64
        -1 for items that no segment has anything in common with.
    cosines : ndarray of shape (n_items,), float64
        With the segment of the item.
    left : ndarray of bool of shape (n_segments,)
        The segments that still are.
    """
    left = np.ones(len(first_pairs), dtype=bool)
    labels, cosines = nearest_segment(X, directions, first_pairs)
    while True:
        sizes = np.bincount(labels[labels >= 0], minlength=len(left))
        small = left & (sizes < min_size)
        if not small.any():
            return labels, cosines, left
        left &= ~small
        # The nearest of the others stay so when one is given up.
        lost = np.flatnonzero(np.append(small, False)[labels])
        known = np.flatnonzero(left)
        again, cosines[lost] = nearest_segment(
            X[lost], directions[known], first_pairs[known]
        )
        labels[lost] = np.append(known, -1)[again]


def nearest_segment(X, directions, first_pairs):
    """Return the segment that is nearest to every item, and its cosine.

    Parameters
    ----------
    X : csr_array of shape (n_items, n_components)
    directions : csr_array of shape (n_segments, n_components)
        Unit rows.
    first_pairs : ndarray of shape (n_segments,), int64
        Break ties: the lower pair comes first.

    Returns
    -------
    labels : ndarray of shape (n_items,), int64
        -1 where no cosine is positive.
    cosines : ndarray of shape (n_items,), float64
        0 where there is no segment.
    """
    labels = np.full(X.shape[0], -1, dtype=np.int64)
    cosines = np.zeros(X.shape[0])
    order = np.argsort(first_pairs)
    for rows, block in _cosines(X, directions, order):
        best = block.argmax(axis=1)
        cosines[rows] = block[np.arange(len(best)), best].clip(0, None)
        labels[rows] = np.where(cosines[rows] > 0, order[best], -1)
    return labels, cosines


def nearest_shares(X, directions, first_pairs, n_nearest):
    """Return the cosines of the nearest segments of every item, as shares.

    Parameters
    ----------
    X, directions, first_pairs
        As in `nearest_segment`.
    n_nearest : int
        Segments of an item, at most; those with positive cosines count.

    Returns
    -------
    shares : csr_array of shape (n_items, n_segments), dtype of ``X``
        Canonical; rows sum to 1 or are empty.
    """
    order = np.argsort(first_pairs)
    lengths, columns, values = [np.zeros(1, dtype=np.int64)], [], []
    for _, block in _cosines(X, directions, order):
        top = top_columns(block, n_nearest)
        found = np.take_along_axis(block, top, axis=1).clip(0, None)
        totals = found.sum(axis=1, keepdims=True)
        found /= np.where(totals > 0, totals, 1)
        is_in = found > 0
        lengths.append(is_in.sum(axis=1))
        columns.append(order[top[is_in]])
        values.append(found[is_in].astype(X.dtype))
    if not columns:
        return sp.csr_array((X.shape[0], len(order)), dtype=X.dtype)
    parts = np.concatenate(values), np.concatenate(columns)
    starts = np.cumsum(np.concatenate(lengths))
    shares = sp.csr_array((*parts, starts), shape=(X.shape[0], len(order)))
    shares.sort_indices()
    return shares


def _cosines(X, directions, order):
    """Yield slices of rows, and their cosines with the segments in that order."""
    n_segments = len(order)
    if n_segments == 0:
        return
    table = fast_to_multiply(sp.csr_array(directions[order], dtype=np.float64)).T
    budget = get_config()["working_memory"] * 2**20
    step = max(1, int(budget / (8 * COPIES * n_segments)))
    for start in range(0, X.shape[0], step):
        rows = slice(start, start + step)
        block = unit_rows(X[rows]) @ table
        yield rows, block.toarray() if sp.issparse(block) else block
