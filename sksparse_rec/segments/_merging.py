"""Merging groups whose embeddings or names are alike."""

import numpy as np
import scipy.sparse as sp
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.utils.validation import check_array

from sksparse_rec._sparse import normalize_rows

# Similarities that are computed at once.
BLOCK_ENTRIES = 1 << 22
# Similarities equal to the threshold merge, whatever rounding did to them.
ROUNDING = 1e-9
# Tables with a larger share of non-zeros are multiplied as dense ones.
DENSE = 0.1


def merge_tree(*tables):
    """Return the tree of average linkage over some rows.

    The similarity of two rows is the largest one of their cosines in the tables.

    Parameters
    ----------
    *tables : csr_array of shape (n_rows, n_columns)
        Rows of unit length or empty, one table for each way to compare.

    Returns
    -------
    tree : ndarray of shape (n_rows - 1, 4), float64
        As ``scipy.cluster.hierarchy.linkage`` returns it; distances are 1 - similarity.

    Notes
    -----
    O(n_rows²) time and memory, 8 bytes times n_rows²: the distances, and the copy of
    them that ``linkage`` works on.
    """
    n_rows = tables[0].shape[0]
    if n_rows < 2:
        return np.empty((0, 4))
    return linkage(_distances(tables), method="average")


def _distances(tables):
    """Return 1 - similarity of all pairs of rows, in the order of ``pdist``."""
    n_rows = tables[0].shape[0]
    tables = [fast_to_multiply(table) for table in tables]
    step = max(1, BLOCK_ENTRIES // n_rows)
    distances, done = np.empty(n_rows * (n_rows - 1) // 2), 0
    for start in range(0, n_rows, step):
        stop = min(start + step, n_rows)
        # Of the rows before there are the distances to these already.
        blocks = [table[start:stop] @ table[start:].T for table in tables]
        blocks = [B.toarray() if sp.issparse(B) else B for B in blocks]
        for place, similarities in enumerate(np.maximum.reduce(blocks)):
            n = n_rows - start - place - 1
            distances[done : done + n] = 1 - similarities[place + 1 :]
            done += n
    return distances.clip(0, 2, out=distances)


def fast_to_multiply(table):
    """Return a CSR table as it is, or dense where that multiplies faster."""
    return table.toarray() if table.nnz > DENSE * np.prod(table.shape) else table


def cut_tree(tree, threshold):
    """Return the cluster of every row of a tree.

    Parameters
    ----------
    tree : ndarray of shape (n_rows - 1, 4)
    threshold : float
        Clusters whose mean similarity is at least this are one.
    """
    if not len(tree):
        return np.zeros(1, dtype=np.int64)
    distance = 1 - threshold + ROUNDING
    return fcluster(tree, distance, criterion="distance").astype(np.int64)


def embed_names(embedder, names):
    """Return the unit rows that a callable has for some names, CSR.

    Raises
    ------
    ValueError
        If the callable returns anything but a row of finite numbers for each name.
    """
    rows = embedder(list(names))
    rows = check_array(
        rows,
        accept_sparse="csr",
        dtype=np.float64,
        input_name="what embedder returned",
    )
    if rows.shape[0] != len(names):
        raise ValueError(
            f"embedder returned {rows.shape[0]} rows for {len(names)} names: it must "
            "return an array of shape (n_names, n_dimensions)"
        )
    return normalize_rows(sp.csr_array(rows))
