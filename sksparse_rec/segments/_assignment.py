"""Which items make a segment.

A *pair* is a latent and a sign, written as one number: ``2 * latent`` for positive
values and ``2 * latent + 1`` for negative ones. Items of one dominant pair are a
*group*; a segment is one group or several that were merged.
"""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import keep_top_per_row, normalize_rows, row_indices


def entry_pairs(X):
    """Return the pair of every stored entry of a CSR matrix, int64 of shape (nnz,)."""
    return 2 * X.indices.astype(np.int64) + (X.data < 0)


def pair_latents(pairs):
    """Return the latents of pairs and their signs, +1 or -1, both int64."""
    return pairs // 2, 1 - 2 * (pairs % 2)


def pairs_of(latents, signs):
    """Return the pairs of latents and signs; the inverse of ``pair_latents``."""
    return 2 * latents + (signs < 0)


def dominant_pairs(X):
    """Return the pair of each row's largest absolute value, -1 for a row of zeros.

    Ties go to the lower latent. O(nnz) time.
    """
    top = keep_top_per_row(X, 1)
    pairs = np.full(X.shape[0], -1, dtype=np.int64)
    pairs[row_indices(top)] = entry_pairs(top)
    return pairs


def unit_rows(X):
    """Return the rows of a CSR matrix scaled to unit length, float64.

    Squares of rows whose values are all tiny, or all huge, would leave the floats, so
    rows are divided by their largest absolute value first.
    """
    filled = np.flatnonzero(np.diff(X.indptr))
    largest = np.ones(X.shape[0])
    if len(filled):
        largest[filled] = np.maximum.reduceat(np.abs(X.data), X.indptr[filled])
    data = X.data / np.repeat(largest, np.diff(X.indptr))
    return normalize_rows(sp.csr_array((data, X.indices, X.indptr), shape=X.shape))


def sum_by_label(X, labels, n_labels):
    """Return the sums of the rows of each label, CSR of shape (n_labels, n_columns).

    Rows with label -1 count nowhere.
    """
    members = np.flatnonzero(labels >= 0)
    ones = np.ones(len(members))
    shape = n_labels, X.shape[0]
    sums = sp.csr_array((ones, (labels[members], members)), shape=shape) @ X
    sums.sort_indices()
    return sums


def mean_directions(unit, labels, n_labels):
    """Return the mean of the unit rows of each label, scaled to unit length.

    Parameters
    ----------
    unit : csr_array of shape (n_items, n_components), float64
        What ``unit_rows`` returns.
    labels : ndarray of shape (n_items,), int64
        From 0 to ``n_labels - 1``; items with -1 count nowhere.
    n_labels : int

    Returns
    -------
    directions : csr_array of shape (n_labels, n_components), float64
        Empty rows for labels without items, and where opposite items cancel.
    """
    sums = sum_by_label(unit, labels, n_labels)
    sums.eliminate_zeros()
    return normalize_rows(sums)


def segments_of_pairs(pairs, clusters, sizes, min_size, n_pairs):
    """Return the segment of every pair, -1 for none, and the segments' first pairs.

    Parameters
    ----------
    pairs, sizes : ndarray of shape (n_groups,), int64
        The groups: ascending pairs, and how many items each has.
    clusters : ndarray of shape (n_groups,), int64
        Groups of the same number are merged.
    min_size : int
        Clusters of fewer items are no segments.
    n_pairs : int
        Of all pairs, with items or not.

    Returns
    -------
    pair_segments : ndarray of shape (n_pairs,), int64
        Segments are numbered by descending size, ties by the first pair.
    first_pairs : ndarray of shape (n_segments,), int64
        The pair of the largest group of each segment, the lower one of a tie.
    """
    pair_segments = np.full(n_pairs, -1, dtype=np.int64)
    if not len(pairs):
        return pair_segments, np.empty(0, dtype=np.int64)
    _, clusters = np.unique(clusters, return_inverse=True)
    totals = np.bincount(clusters, weights=sizes).astype(np.int64)
    # The first group of each cluster, in the order of clusters.
    order = np.lexsort((pairs, -sizes, clusters))
    _, starts = np.unique(clusters[order], return_index=True)
    first = pairs[order[starts]]
    kept = np.flatnonzero(totals >= min_size)
    kept = kept[np.lexsort((first[kept], -totals[kept]))]
    segments = np.full(len(totals), -1, dtype=np.int64)
    segments[kept] = np.arange(len(kept))
    pair_segments[pairs] = segments[clusters]
    return pair_segments, first[kept]


def labels_of(pairs, pair_segments):
    """Return the segments of dominant pairs, -1 for none."""
    # The last entry is that of rows of zeros, whose pair is -1.
    return np.append(pair_segments, -1)[pairs]


def memberships_of(X, pair_segments, n_segments, n_latents):
    """Return the share of every segment in each row.

    A row's ``n_latents`` largest absolute values count, each for the segment of its
    pair; those of no segment are left out, and the rest is divided by its sum.

    Returns
    -------
    memberships : csr_array of shape (n_rows, n_segments), dtype of ``X``
        Canonical; rows sum to 1 or are empty.
    """
    top = keep_top_per_row(X, n_latents)
    rows, segments = row_indices(top), pair_segments[entry_pairs(top)]
    is_in = segments >= 0
    rows, segments, values = rows[is_in], segments[is_in], np.abs(top.data[is_in])
    largest = np.zeros(X.shape[0])
    np.maximum.at(largest, rows, values)
    shares = values / largest[rows]
    totals = np.bincount(rows, weights=shares, minlength=X.shape[0])
    shape = X.shape[0], n_segments
    memberships = sp.csr_array((shares / totals[rows], (rows, segments)), shape=shape)
    return memberships.astype(X.dtype, copy=False)
