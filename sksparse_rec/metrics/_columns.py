"""Ranks and cosines of the columns of a sparse matrix, without making it dense."""

import numpy as np
import scipy.sparse as sp
from sklearn import get_config
from sklearn.utils import gen_batches

from sksparse_rec._sparse import normalize_rows, row_indices

# A matrix with more entries than this share is multiplied faster as a dense one.
DENSE = 0.1
# Bytes of an entry of a product, with the temporaries that find the pairs in it.
BYTES_PER_PAIR = 40
ROUNDING = 1e-12


def column_ranks(X):
    """Return ranks of values in their columns, as differences to that of a zero.

    Ranks go from 1 for the lowest of the ``n_rows`` values; those of equal values are
    the mean of their places. Sparse columns have one large block of equal values, the
    zeros, whose rank is what the other ranks are compared with.

    Parameters
    ----------
    X : csc_array of shape (n_rows, n_columns)
        Without duplicates and explicit zeros.

    Returns
    -------
    differences : csc_array of shape (n_rows, n_columns), float64
        Of the pattern of ``X``.
    zero_ranks : ndarray of shape (n_columns,), float64
        Between the negative and the positive values where nothing is 0.

    Notes
    -----
    O(nnz log nnz) time.
    """
    n_rows, n_columns = X.shape
    columns = row_indices(X.T)
    order = np.lexsort((X.data, columns))
    values, columns = X.data[order], columns[order]
    starts_column = np.diff(columns, prepend=-1) != 0
    is_new = starts_column | (np.diff(values, prepend=np.nan) != 0)
    first = np.flatnonzero(is_new)
    sizes = np.diff(np.append(first, len(values)))
    # Places among the values that are stored, from 1.
    places = first + (sizes + 1) / 2 - X.indptr[columns[first]]
    n_zeros = n_rows - np.diff(X.indptr)
    n_negative = np.bincount(columns[values < 0], minlength=n_columns)
    zero_ranks = n_negative + (n_zeros + 1) / 2
    ranks = np.repeat(places, sizes) + np.where(values > 0, n_zeros[columns], 0)
    differences = np.empty(len(values))
    differences[order] = ranks - zero_ranks[columns]
    return sp.csc_array((differences, X.indices, X.indptr), shape=X.shape), zero_ranks


def first_duplicates(X, threshold):
    """Return the first column that every column has nearly the same direction as.

    Parameters
    ----------
    X : csc_array of shape (n_rows, n_columns)
    threshold : float
        Of the absolute cosine.

    Returns
    -------
    first : ndarray of shape (n_columns,), int64
        A column before it, -1 for none. Columns of zeros have none.

    Notes
    -----
    O(sum of squared lengths of rows) time. The product is made in blocks of columns
    that fit scikit-learn's ``working_memory``.
    """
    n_rows, n_columns = X.shape
    unit = normalize_rows(sp.csr_array(X.T)).T.astype(np.float64, copy=False)
    is_dense = X.nnz > DENSE * n_rows * n_columns
    blocks = list(gen_batches(n_columns, _block_width(16 * n_rows if is_dense else 0)))
    close_pairs = _dense_pairs if is_dense else _sparse_pairs
    duplicate_of = np.full(n_columns, n_columns, dtype=np.int64)
    for position, later in enumerate(blocks):
        for earlier in blocks[: position + 1]:
            # Two equal columns have a cosine of 1 but for rounding.
            least = threshold - ROUNDING
            left, right = close_pairs(unit[:, earlier], unit[:, later], least)
            left, right = left + earlier.start, right + later.start
            is_before = left < right
            np.minimum.at(duplicate_of, right[is_before], left[is_before])
    duplicate_of[duplicate_of == n_columns] = -1
    return duplicate_of


def _block_width(bytes_per_column):
    """Return the width w of blocks of which two, and w² pairs, fit working memory."""
    limit = get_config()["working_memory"] * 2**20
    root = np.sqrt(bytes_per_column**2 + 4 * BYTES_PER_PAIR * limit)
    return int(max(1, (root - bytes_per_column) // (2 * BYTES_PER_PAIR)))


def _dense_pairs(left, right, least):
    return np.nonzero(np.abs(left.toarray().T @ right.toarray()) >= least)


def _sparse_pairs(left, right, least):
    product = sp.coo_array(left.T @ right)
    found = np.abs(product.data) >= least
    # 32 bits may be too few for a column of all.
    return tuple(index[found].astype(np.int64) for index in product.coords)
