"""Helpers for CSR matrices: numpy and scipy only."""

import itertools
import json
import mmap

import numpy as np
import scipy.sparse as sp

# Entries of a temporary block.
BLOCK_ENTRIES = 1 << 20
# Entries that are hashed at once.
HASH_ENTRIES = 1 << 22


def is_mapped(X):
    """Tell whether an array, or a matrix of compressed rows, has its entries in a file.

    scipy and numpy keep views of the ``np.memmap`` that they are given, so the bases
    say so.
    """
    for array in (X.data, X.indices) if sp.issparse(X) else (X,):
        while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
            array = array.base
        if isinstance(array, np.memmap | mmap.mmap):
            return True
    return False


def extremes(values):
    """Return the smallest and the largest value of an array, (0, 0) for an empty one.

    Read once, in blocks, as the values may be in a file; NaN makes both NaN.
    """
    if values.size == 0:
        return 0, 0
    step = max(1, BLOCK_ENTRIES // max(1, values[0].size))
    blocks = [values[start : start + step] for start in range(0, len(values), step)]
    pairs = [(block.min(), block.max()) for block in blocks]
    return np.min([low for low, _ in pairs]), np.max([high for _, high in pairs])


def row_ranges(X, n_entries):
    """Cut the rows of a CSR matrix into ranges of at most ``n_entries`` entries.

    Returns
    -------
    ranges : list of slice
        A row that is longer has a range of its own.
    """
    bounds = [0]
    while bounds[-1] < X.shape[0]:
        limit = min(int(X.indptr[bounds[-1]]) + n_entries, X.nnz)
        # A limit of another dtype would have the search convert all of indptr.
        limit = X.indptr.dtype.type(limit)
        last = int(np.searchsorted(X.indptr, limit, side="right")) - 1
        bounds.append(max(last, bounds[-1] + 1))
    return [slice(*pair) for pair in itertools.pairwise(bounds)]


def hash_matrix(digest, X):
    """Add a CSR matrix to a digest of ``hashlib``, reading it once, in pieces.

    The dtype of its indices does not count.
    """
    digest.update(json.dumps([list(map(int, X.shape)), str(X.dtype)]).encode())
    for array, dtype in ((X.indptr, np.int64), (X.indices, np.int64), (X.data, None)):
        for start in range(0, len(array), HASH_ENTRIES):
            chunk = array[start : start + HASH_ENTRIES]
            digest.update(np.ascontiguousarray(chunk, dtype=dtype).data)


def scale_columns(X, weights):
    """Return a CSR matrix with its columns times ``weights``; None changes nothing.

    In float64, as values near the end of float32 would leave it.
    """
    if weights is None:
        return X
    data = X.data * weights[X.indices].astype(np.float64)
    return sp.csr_array((data, X.indices, X.indptr), X.shape)


def scale_rows(X, factors):
    """Return a CSR matrix with its rows times ``factors``."""
    data = X.data * factors[row_indices(X)]
    return sp.csr_array((data, X.indices, X.indptr), X.shape)


def top_columns(values, k):
    """Return the columns of each row's ``k`` largest values, ascending.

    Ties go to the lower column. Shape (n_rows, min(k, n_columns)).
    """
    n_rows, n_columns = values.shape
    if k >= n_columns:
        return np.tile(np.arange(n_columns), (n_rows, 1))
    threshold = np.partition(values, n_columns - k, axis=1)[:, [n_columns - k]]
    is_top = values > threshold
    # Columns tied at the threshold fill the list up from the left.
    tied = values == threshold
    n_missing = k - is_top.sum(axis=1, keepdims=True)
    is_top |= tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= n_missing)
    return np.nonzero(is_top)[1].reshape(n_rows, k)


def row_indices(X):
    """Return the row of every stored entry of a CSR matrix, int64 of shape (nnz,)."""
    return np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))


def rows_at(X, rows):
    """Copy rows of a CSR matrix, given by position and in that order."""
    if not is_mapped(X):
        return X[rows]
    # A file is read from front to back.
    order = np.argsort(rows, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return X[np.asarray(rows)[order]][place]


def places_in_rows(X, rows):
    """Return the place of every stored entry in its row, from 0, int64 of shape (nnz,).

    ``rows`` is what ``row_indices`` returns.
    """
    return np.arange(X.nnz) - X.indptr[rows]


def look_up(known, asked):
    """Look values up in an ascending array.

    Returns
    -------
    positions : ndarray of int64
        Where the values are, or where they would have to be inserted.
    is_known : ndarray of bool
        Whether they are there.
    """
    positions = np.searchsorted(known, asked)
    is_known = np.zeros(len(asked), dtype=bool)
    inside = positions < len(known)
    is_known[inside] = known[positions[inside]] == asked[inside]
    return positions, is_known


def normalize_rows(X):
    """Return a CSR array with rows of unit Euclidean length.

    Rows without entries stay empty. The pattern is shared with ``X``.
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
    O(nnz + n_rows × n_nonzero × log n_nonzero) in time, O(nnz) in memory.
    """
    magnitude = np.abs(X.data)
    lengths = np.diff(X.indptr)
    threshold = np.repeat(_nth_largest(magnitude, X.indptr, n_nonzero), lengths)
    # Ties at the threshold are all there still; only these few entries are sorted.
    entries = np.flatnonzero(magnitude >= threshold)
    rows = row_indices(X)[entries]
    order = np.lexsort((X.indices[entries], -magnitude[entries], rows))
    first = np.searchsorted(rows, np.arange(X.shape[0]))
    rank = np.arange(len(entries)) - first[rows]
    kept = np.sort(entries[order[rank < n_nonzero]])
    lengths = np.minimum(lengths, n_nonzero)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(X.indptr.dtype)
    return sp.csr_array((X.data[kept], X.indices[kept], indptr), shape=X.shape)


def _nth_largest(values, indptr, n):
    """Return the n-th largest of the values of each CSR row, or -inf where fewer."""
    lengths = np.diff(indptr)
    nth = np.full(len(lengths), -np.inf)
    long = np.flatnonzero(lengths > n)
    # Rows of similar length share a padded block.
    long = long[np.argsort(lengths[long], kind="stable")]
    step = max(1, BLOCK_ENTRIES // max(1, int(lengths.max(initial=0))))
    for start in range(0, len(long), step):
        rows = long[start : start + step]
        width = lengths[rows].max()
        inside = np.arange(width) < lengths[rows, None]
        block = np.full(inside.shape, -np.inf)
        place = (indptr[rows, None] + np.arange(width))[inside]
        block[inside] = values[place]
        nth[rows] = np.partition(block, width - n, axis=1)[:, width - n]
    return nth
