"""Exact top-k over row-sparse item embeddings: what is stored, and which way is taken.

Scores are float64 sums in the order of an item's columns, whichever way finds them:

- *scan*: all items against blocks of dense profiles, which costs the same for few
  non-zeros of a profile as for many;
- *lists*: for every latent the items that have it, which costs what a query touches;
- *allowed*: nothing but the items that the masks of the queries allow, if they are
  few.

Ties go to the lower rank, where a rank is given, and to the lower position otherwise.
"""

import itertools
from functools import cache
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sksparse_rec._numerics import search_scipy
from sksparse_rec._numerics.compiling import load_compiled

# Items of a block of lists: their positions in it take two bytes, and their sums stay
# in the second-level cache.
LIST_BLOCK, LARGEST_LIST_BLOCK = 1 << 15, 1 << 16
# Nanoseconds, which only have to be right relative to each other: of an entry of a
# row against a block of queries, of an entry of a list, of an item whose sum is
# cleared and compared, and of an entry when lists are made.
SCAN_COST, LIST_COST, ITEM_COST, BUILD_COST = 2.6, 1.2, 0.5, 15.0
# And of scoring an item that is allowed.
ALLOWED_COST = 100.0
# Queries that are scanned at once.
LANES = 64
# Entries whose squares are summed at once.
PIECE = 1 << 18
# Rows that are copied at once.
ROWS_PIECE = 1 << 13
# Where a query allows fewer than one in so many items, only they are looked at.
FEW_ALLOWED = 16


class Rows(NamedTuple):
    """Item embeddings, row after row, columns ascending."""

    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    n_components: int
    # Largest magnitude, largest Euclidean length in units of it, most entries.
    peak: float
    norm: float
    width: int

    @property
    def n_items(self):
        """Number of rows."""
        return len(self.indptr) - 1


class Lists(NamedTuple):
    """The same entries, by block of items and then by latent.

    The entries of latent ``c`` in block ``b`` start at ``starts[b, c]`` after the first
    entry of the block; ``places`` are positions in the block.
    """

    block: int
    starts: np.ndarray
    places: np.ndarray
    values: np.ndarray


class Filters(NamedTuple):
    """What may be found: for all queries, and CSR patterns for each.

    ``listing`` are ascending positions. None: no such filter.
    """

    listing: np.ndarray | None = None
    allowed: sp.csr_array | None = None
    excluded: sp.csr_array | None = None


def narrow_columns(columns, n_components):
    """Return column indices in as few bytes as they take."""
    dtype = np.uint16 if n_components <= 1 << 16 else np.int32
    return np.ascontiguousarray(columns, dtype)


def make_rows(indptr, columns, values, n_components):
    """Return ``Rows`` of the arrays of a CSR matrix with sorted columns.

    The values, float16, float32 or float64, are shared. O(nnz) time.
    """
    indptr = np.ascontiguousarray(indptr, np.int64)
    columns = narrow_columns(columns, n_components)
    width = int(np.diff(indptr).max(initial=0))
    magnitudes = _magnitudes(indptr, values)
    return Rows(indptr, columns, values, n_components, *magnitudes, width)


def _magnitudes(indptr, values):
    """Return the largest magnitude, and the norm of the longest row in units of it."""
    low, high = (values.min(), values.max()) if len(values) else (0, 0)
    peak, norm = max(-float(low), float(high)), 0.0
    cuts = np.searchsorted(indptr, np.arange(0, len(values), PIECE))
    for first, last in itertools.pairwise([*cuts, len(indptr) - 1]):
        starts = indptr[first : last + 1]
        piece = values[starts[0] : starts[-1]].astype(np.float64) / (peak or 1)
        sums = np.append(0, np.cumsum(piece * piece))[starts - starts[0]]
        norm = max(norm, np.sqrt(np.diff(sums).max(initial=0)))
    # Differences of cumulated sums are rounded.
    return peak, norm * (1 + 1e-4)


def make_lists(rows):
    """Return ``Lists`` of ``Rows``; O(nnz) time, a block at a time."""
    n_items, m = rows.n_items, rows.n_components
    block = LIST_BLOCK
    # Pointers should not outweigh what they point to.
    while block < min(2 * m, LARGEST_LIST_BLOCK):
        block *= 2
    n_blocks = -(-n_items // block)
    starts = np.zeros((n_blocks, m + 1), np.int32)
    places = np.empty(len(rows.columns), np.uint16)
    values = np.empty(len(rows.values), rows.values.dtype)
    for b, entries, *part in blocks_of_lists(rows, block):
        starts[b], places[entries], values[entries] = part
    return Lists(block, starts, places, values)


def blocks_of_lists(rows, block):
    """Yield number, entries, starts, places and values of every block of lists."""
    for b, first in enumerate(range(0, rows.n_items, block)):
        indptr = rows.indptr[first : first + block + 1]
        entries = slice(indptr[0], indptr[-1])
        # scipy does not know float16.
        order = np.arange(entries.stop - entries.start, dtype=np.int32)
        columns = rows.columns[entries].astype(np.int32)
        shape = len(indptr) - 1, rows.n_components
        by_latent = sp.csr_array((order, columns, indptr - indptr[0]), shape).tocsc()
        values = rows.values[entries][by_latent.data]
        yield b, entries, by_latent.indptr, by_latent.indices, values


def take_rows(parts, source):
    """Return ``Rows`` of some of the rows of several, in any order.

    ``source`` are positions in all parts, one behind the other. O(nnz) time; every
    array exists twice.
    """
    lengths = np.concatenate([np.diff(part.indptr) for part in parts])
    before = np.cumsum(lengths) - lengths
    columns = np.concatenate([part.columns for part in parts])
    values = np.concatenate([part.values for part in parts])
    indptr = np.append(0, np.cumsum(lengths[source]))
    taken = np.empty(indptr[-1], columns.dtype), np.empty(indptr[-1], values.dtype)
    for first in range(0, len(source), ROWS_PIECE):
        rows = source[first : first + ROWS_PIECE]
        begin, end = indptr[first], indptr[first + len(rows)]
        shift = before[rows] - indptr[first : first + len(rows)]
        entries = np.arange(begin, end) + np.repeat(shift, lengths[rows])
        taken[0][begin:end], taken[1][begin:end] = columns[entries], values[entries]
    return make_rows(indptr, *taken, parts[0].n_components)


def latent_lengths(rows):
    """Return how many items each latent has, int64."""
    lengths = np.zeros(rows.n_components, np.int64)
    for start in range(0, len(rows.columns), PIECE):
        piece = rows.columns[start : start + PIECE]
        lengths += np.bincount(piece, minlength=rows.n_components)
    return lengths


@cache
def load_compiled_search():
    """Return the module of compiled searches, or None without numba."""
    return load_compiled("sksparse_rec._numerics.search_numba")


def knows_lists():
    """Tell whether lists are of any use: what computes without numba only scans."""
    return load_compiled_search() is not None


def bytes_of_query(rows, k):
    """Return what a query takes while it is answered, beside its profile."""
    compiled = load_compiled_search()
    if compiled is None:
        return search_scipy.bytes_of_query(rows, k)
    return compiled.bytes_of_query(rows, k)


def top_k(rows, lists, rank, Q, k, filters, lengths):
    """Return the ``k`` best items of every query.

    Parameters
    ----------
    rows : Rows
    lists : Lists or None
    rank : ndarray of int32 of shape (n_items,), or None
        Place of an item among ties; None: its position.
    Q : ndarray or csr_array of shape (n_queries, n_components), float64
        Canonical where it is sparse.
    k : int
    filters : Filters
    lengths : ndarray
        ``latent_lengths(rows)``.

    Returns
    -------
    n_found : ndarray of int64 of shape (n_queries,)
    items : ndarray of int64 of shape (n_queries, at most k), best first
        Beyond ``n_found`` anything, as are
    scores : ndarray of float64, of the same shape
    """
    compiled = load_compiled_search()
    if compiled is None:
        return search_scipy.top_k(rows, rank, Q, k, filters)
    n_queries, k = Q.shape[0], min(k, rows.n_items)
    found = (
        np.zeros(n_queries, np.int64),
        np.empty((n_queries, k), np.int64),
        np.empty((n_queries, k)),
    )
    if k == 0:
        return found
    tools = compiled.Search(rows, rank, filters, k, found)
    if _allows_few(filters, n_queries, rows.n_items):
        tools.look_at_allowed(_dense(Q), np.arange(n_queries), ALLOWED_COST)
        return found
    share = _share_scanned(filters, rows.n_items)
    by_lists, cost = _take_lists(rows, lists, lengths, Q, share)
    where = np.flatnonzero(by_lists)
    if len(where):
        tools.search_lists(lists, _sparse(Q[where]), where, cost[where].sum())
    where = np.flatnonzero(~by_lists)
    if len(where):
        tools.scan(_dense(Q[where]), where, share * _scan_cost(rows, len(where)))
    return found


def cost_of_lists(rows):
    """Return the nanoseconds that making lists takes."""
    return BUILD_COST * len(rows.columns)


def gain_of_lists(rows, lengths, Q, filters):
    """Return the nanoseconds that lists would save of answering queries."""
    if _allows_few(filters, Q.shape[0], rows.n_items):
        return 0.0
    share = _share_scanned(filters, rows.n_items)
    by_lists, scan = _costs(rows, lengths, Q), share * _scan_cost(rows, Q.shape[0])
    return max(0.0, scan - float(np.minimum(by_lists, scan).sum()))


def _costs(rows, lengths, Q):
    """Return the cost of answering each query by lists."""
    if sp.issparse(Q):
        touched = np.append(0, np.cumsum(lengths[Q.indices]))
        touched = np.diff(touched[Q.indptr])
    else:
        touched = (Q != 0) @ lengths
    return LIST_COST * touched + ITEM_COST * rows.n_items


def _share_scanned(filters, n_items):
    """Return the share of the items that a scan reads: of a listing no others."""
    return 1.0 if filters.listing is None else len(filters.listing) / max(1, n_items)


def _scan_cost(rows, n_queries):
    return SCAN_COST * len(rows.columns) * -(-n_queries // LANES)


def _take_lists(rows, lists, lengths, Q, share):
    """Return which queries are answered by lists, bool, and what it costs of each."""
    chosen, cost = _is_empty(Q), _costs(rows, lengths, Q)
    if lists is None:
        return chosen, cost
    chosen |= cost * LANES <= share * _scan_cost(rows, 1)
    rest = ~chosen
    if cost[rest].sum() <= share * _scan_cost(rows, int(rest.sum())):
        chosen[:] = True
    return chosen, cost


def _is_empty(Q):
    return np.diff(Q.indptr) == 0 if sp.issparse(Q) else ~Q.any(axis=1)


def _allows_few(filters, n_queries, n_items):
    allowed = filters.allowed
    return allowed is not None and allowed.nnz * FEW_ALLOWED <= n_queries * n_items


def _dense(Q):
    return np.ascontiguousarray(Q.toarray() if sp.issparse(Q) else Q)


def _sparse(Q):
    return Q if sp.issparse(Q) else sp.csr_array(Q)
