"""Exact top-k by scipy's product and numpy's partition; see ``search``."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import top_columns

# Items whose scores exist at once, for a block of queries.
ITEM_BLOCK = 1 << 13
# Arrays of the size of a block of scores that exist at once.
COPIES = 6
DAMAGED = (
    "the arrays of the items are damaged: open the file with verify=True to see where"
)


def top_k(rows, rank, Q, k, filters):
    """Return what ``search.top_k`` does.

    Items are seen in the order of their rank, a block at a time, so that of equal
    scores the first one wins.
    """
    n_queries, n_items = Q.shape[0], rows.n_items
    profiles = (Q.toarray() if sp.issparse(Q) else Q).T
    order = np.arange(n_items) if rank is None else np.argsort(rank)
    if filters.listing is not None:
        kept = np.zeros(n_items, dtype=bool)
        kept[filters.listing] = True
        order = order[kept[order]]
    allowed = None if filters.allowed is None else filters.allowed.tocsc()
    excluded = None if filters.excluded is None else filters.excluded.tocsc()
    best = np.empty((n_queries, 0), np.int64), np.empty((n_queries, 0))
    for first in range(0, len(order), ITEM_BLOCK):
        items = order[first : first + ITEM_BLOCK]
        scores = np.ascontiguousarray((_rows_at(rows, items) @ profiles).T)
        if allowed is not None:
            scores[~_pattern(allowed, items)] = -np.inf
        if excluded is not None:
            scores[_pattern(excluded, items)] = -np.inf
        best = _better(best, items, scores, k)
    found, scores = best
    return (scores > -np.inf).sum(axis=1), found, scores


def bytes_of_query(rows, k):
    """Return what a query takes beside its profile."""
    return 8 * COPIES * (min(ITEM_BLOCK, rows.n_items) + min(k, rows.n_items))


def _rows_at(rows, items):
    """Return rows as a CSR array of float64."""
    starts, stops = rows.indptr[items], rows.indptr[items + 1]
    lengths = stops - starts
    # scipy looks at nothing before it computes.
    is_wrong = (starts < 0) | (stops > len(rows.columns)) | (lengths < 0)
    if (is_wrong | (lengths > rows.width)).any():
        raise ValueError(DAMAGED)
    indptr = np.append(0, np.cumsum(lengths))
    entries = np.repeat(starts - indptr[:-1], lengths)
    entries += np.arange(indptr[-1])
    columns = rows.columns[entries].astype(np.int32)
    if len(columns) and not 0 <= columns.min() <= columns.max() < rows.n_components:
        raise ValueError(DAMAGED)
    values = rows.values[entries].astype(np.float64)
    return sp.csr_array((values, columns, indptr), (len(items), rows.n_components))


def _pattern(mask, items):
    """Return the columns of a pattern, dense, bool of shape (n_queries, n)."""
    return mask[:, items].astype(bool).toarray()


def _better(best, items, scores, k):
    """Return the ``k`` best of those found before and of a block that comes later."""
    found, before = best
    scores = np.hstack([before, scores])
    places = best_columns(scores, k)
    row = np.arange(len(scores))[:, None]
    candidates = np.hstack([found, np.broadcast_to(items, (len(found), len(items)))])
    return candidates[row, places], scores[row, places]


def best_columns(scores, k):
    """Return the columns of the ``k`` largest of every row, best first.

    Of equal ones the lower column comes first.
    """
    columns = top_columns(scores, k)
    values = np.take_along_axis(scores, columns, axis=1)
    best_first = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(columns, best_first, axis=1)
