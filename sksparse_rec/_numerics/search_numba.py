"""Exact top-k over row-sparse item embeddings, compiled by numba; see ``search``.

Every thread has a range of items and candidates of its own for every query; in the end
the best of all are taken. No thread decides what is found, so neither their number nor
the size of a block does.
"""

import numpy as np

from sksparse_rec._numerics.lanes_numba import (
    LANES,
    WORDS,
    lowest_bit,
    multiply_row,
    pack,
)
from sksparse_rec._numerics.selection_numba import (
    compile_exactly,
    is_hidden,
    keep_best,
    keep_from,
    kth_largest,
    rank_of,
    score,
    widen,
    widened,
    write_best,
)
from sksparse_rec._numerics.threads import cut_evenly, n_parts, run_parts

# Nanoseconds of work below which a second thread costs more than it brings.
WORTH_THREADS = 2e6
# Candidates beyond ``k`` that are collected before the best are kept, at least.
SPARE = 256
# Items of a block of lists, at most.
LARGEST_BLOCK = 1 << 16
# Sums that are compared with a limit at once.
STRIDE = 32


class Search:
    """A search for the ``k`` best items of some queries, written to ``found``.

    Parameters
    ----------
    rows : search.Rows
    rank : ndarray of int32 or None
    filters : search.Filters
    k : int
        At least 1.
    found : tuple of ndarray
        As ``search.top_k`` returns it.
    """

    def __init__(self, rows, rank, filters, k, found):
        self.rows, self.k, self.found = rows, k, found
        self.arrays = _plain(rows.indptr), _plain(rows.columns), _bits(rows.values)
        self.rank = np.empty(0, np.int32) if rank is None else _plain(rank)
        listing = filters.listing
        self.listing = np.empty(0, np.int64) if listing is None else listing
        self.n_listed = rows.n_items if listing is None else len(listing)
        self.filters = *_pattern(filters.allowed), *_pattern(filters.excluded)

    def scan(self, Q, where, cost):
        """Score all items for dense queries that have the numbers ``where``."""
        n_parts_ = min(_n_parts(cost), max(1, self.n_listed))
        state = self._candidates(n_parts_, len(Q), self.n_listed)
        n_blocks = -(-len(Q) // LANES)
        words = _aligned((n_blocks, self.rows.n_components, WORDS))
        exponent = _exponent(self.rows.peak)
        scales, margins = _prepare(Q, words, self.rows, exponent, n_parts_)
        arguments = self.arrays, self.listing, self.rank, self.filters, Q, where, self.k
        scan = words, scales, margins, 2.0**-exponent, self.rows.width
        run_parts(
            lambda *part: _scan(*part, *arguments, *scan, *state),
            cut_evenly(self.n_listed, n_parts_),
        )
        self._finish(state, where, Q, margins)

    def search_lists(self, lists, Q, where, cost):
        """Add up the lists of sparse queries; without lists for empty queries only."""
        if lists is None:
            lists = _no_lists(self.rows.values)
        block, starts, places, values = lists
        n_blocks = -(-self.rows.n_items // block)
        n_parts_ = min(_n_parts(cost), n_blocks)
        state = self._candidates(n_parts_, Q.shape[0], self.rows.n_items)
        is_listed = np.empty(0, np.bool_)
        if len(self.listing) or self.n_listed == 0:
            is_listed = np.zeros(self.rows.n_items, np.bool_)
            is_listed[self.listing] = True
        queries = Q.indptr.astype(np.int64), Q.indices.astype(np.int64), Q.data
        arguments = self.arrays[0], _plain(starts), _plain(places), _bits(values)
        arguments += block, is_listed
        arguments += self.rank, self.filters, *queries, where, self.k
        run_parts(
            lambda *part: _search_lists(*part, *arguments, *state),
            cut_evenly(n_blocks, n_parts_),
        )
        self._finish(state, where)

    def look_at_allowed(self, Q, where, cost):
        """Score what each query allows, and nothing else, at ``cost`` each."""
        allowed = self.filters[:2]
        longest = int(np.diff(allowed[0]).max(initial=0))
        state = self._candidates(1, len(Q), longest)
        is_listed = np.ones(self.rows.n_items, np.bool_)
        if self.n_listed < self.rows.n_items:
            is_listed[:] = False
            is_listed[self.listing] = True
        arguments = *allowed, is_listed, self.rank, self.filters, Q, where, self.k
        bounds = cut_evenly(len(Q), min(_n_parts(cost * len(allowed[1])), len(Q)))
        run_parts(
            lambda *part: _look_at_allowed(*part, self.arrays, *arguments, *state),
            bounds,
        )
        self._finish(state, where)

    def _candidates(self, n_parts_, n_queries, n_items):
        """Arrays of scores, items and their number, of every part and query."""
        capacity = min(capacity_for(self.k), max(1, n_items))
        return (
            np.empty((n_parts_, n_queries, capacity)),
            np.empty((n_parts_, n_queries, capacity), np.int64),
            np.zeros((n_parts_, n_queries), np.int64),
        )

    def _finish(self, state, where, Q=None, margins=None):
        Q = np.empty((len(where), 0)) if Q is None else Q
        margins = np.empty(0) if margins is None else margins
        arguments = self.arrays, self.rank, Q, margins, where, self.k
        run_parts(
            lambda *part: _finish(*part, *arguments, *state, *self.found),
            cut_evenly(len(where), min(state[0].shape[0], len(where))),
        )


def _n_parts(cost):
    return n_parts() if cost >= WORTH_THREADS else 1


def bytes_of_query(rows, k):
    """Return what a query takes beside its profile."""
    k = min(k, rows.n_items)
    candidates = min(capacity_for(k), rows.n_items)
    return 2 * rows.n_components + 16 * (n_parts() * candidates + 2 * k)


def capacity_for(k):
    """Return how many candidates a query has at most, in each part."""
    return k + max(k, SPARE)


def _bits(values):
    values = _plain(values)
    return values.view(np.uint16) if values.dtype == np.float16 else values


def _plain(array):
    """Return an array of the type that functions were compiled for.

    numba compiles anew for read-only arrays, such as those of files. None is written.
    """
    return array if array.flags.writeable else np.asarray(_Unlocked(array))


class _Unlocked:
    def __init__(self, array):
        self.array = array
        self.__array_interface__ = array.__array_interface__ | {
            "data": (array.ctypes.data, False)
        }


def _pattern(mask):
    """Return where the rows of a pattern start, and their sorted columns."""
    if mask is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return mask.indptr.astype(np.int64), mask.indices.astype(np.int64)


def _no_lists(values):
    """Return lists without entries, for queries without them."""
    return 1 << 13, np.zeros((0, 0), np.int32), np.empty(0, np.uint16), values[:0]


def _aligned(shape):
    """Return an array of 32-bit words that starts where a line of the cache does."""
    size = int(np.prod(shape))
    words = np.empty(size + 16, np.uint32)
    first = -words.ctypes.data % 64 // 4
    return words[first : first + size].reshape(shape)


def _exponent(peak):
    """Return ``e`` such that ``peak × 2**-e`` is between a half and one.

    Of numbers too small for that it stays below, as two such scales are multiplied.
    """
    return np.maximum(np.frexp(peak)[1], -500).astype(np.float64)


def _prepare(Q, words, rows, exponent, n_parts_):
    """Pack the queries; return their scales and how far a product may be off.

    A product of scaled values differs from the exact one by at most the length of the
    row times that of the rounding error of the query, by Cauchy and Schwarz, and by
    the rounding of as many float32 products and sums as a row is wide.
    """
    scales = 2.0 ** -_exponent(np.abs(Q).max(axis=1))
    errors, lengths = np.zeros(len(Q)), np.zeros(len(Q))

    def pack_blocks(part, first, last):
        for block in range(first, last):
            some = slice(block * LANES, (block + 1) * LANES)
            pack(Q[some], scales[some], words[block], errors[some], lengths[some])

    run_parts(pack_blocks, cut_evenly(len(words), min(n_parts_, len(words))))
    scaled = rows.norm * (rows.peak * 2.0**-exponent)
    rounding = (rows.width + 8) * 2.0**-23
    margins = scaled * (errors * (1 + 1e-6) + rounding * (lengths + errors))
    return scales * 2.0**-exponent, margins + (rows.width + 8) * 2.0**-70


@compile_exactly
def _shrink(rows, rank, profile, k, scale, margin, scores, items, n):
    """Drop candidates that cannot be among the best by products near their scores.

    Returns how many are left, and a limit: below it an item is worse than ``k`` others.
    """
    limit = kth_largest(scores, n, k) - 2 * margin
    n = keep_from(scores, items, n, limit)
    if 2 * n > k + len(scores):
        # Many are too close for the margin to tell.
        exact = np.empty(n)
        for i in range(n):
            exact[i] = score(rows[0], rows[1], rows[2], items[i], profile)
        limit, _ = keep_best(exact, items, scores, n, k, rank)
        return k, limit * scale - margin
    return n, limit


@compile_exactly
def _below(limit):
    """Return a float32 that is surely not above a limit."""
    return np.float32(limit - 1e-6 * abs(limit))


@compile_exactly
def _scan(
    part,
    first,
    last,
    rows,
    listing,
    rank,
    filters,
    Q,
    where,
    k,
    words,
    scales,
    margins,
    shrunk,
    width,
    scores,
    items,
    counts,
):
    indptr, columns, values = rows
    row = np.empty(width, np.float32)
    products = np.empty(LANES, np.float32)
    limits = np.empty(LANES, np.float32)
    scores, items, counts = scores[part], items[part], counts[part]
    for block in range(len(words)):
        start_query = block * LANES
        n_lanes = min(LANES, len(Q) - start_query)
        limits[:n_lanes] = -np.inf
        limits[n_lanes:] = np.inf
        block_words = words[block]
        for place in range(first, last):
            item = listing[place] if len(listing) else place
            start, stop = indptr[item], indptr[item + 1]
            if not 0 <= start <= stop <= len(columns) or stop - start > width:
                # Of a file that is damaged.
                continue
            widen(values, start, stop, shrunk, row)
            reached = multiply_row(
                columns, start, row, stop - start, block_words, limits, products
            )
            while reached:
                lane = lowest_bit(reached)
                reached &= reached - np.uint64(1)
                q = start_query + lane
                if is_hidden(filters, where[q], item):
                    continue
                n = counts[q]
                scores[q, n], items[q, n] = products[lane], item
                counts[q] = n + 1
                if n + 1 == scores.shape[1] and n + 1 > k:
                    counts[q], limit = _shrink(
                        rows,
                        rank,
                        Q[q],
                        k,
                        scales[q],
                        margins[q],
                        scores[q],
                        items[q],
                        n + 1,
                    )
                    limits[lane] = max(limits[lane], _below(limit))


@compile_exactly
def _first_reaching(sums, place, size, limit):
    """Return the first place from some place on whose sum reaches a limit, or size."""
    while place + STRIDE <= size:
        reached = False
        for i in range(place, place + STRIDE):
            reached |= sums[i] >= limit
        if reached:
            break
        place += STRIDE
    while place < size and sums[place] < limit:
        place += 1
    return place


@compile_exactly
def _search_lists(
    part,
    first,
    last,
    indptr,
    starts,
    places,
    values,
    block,
    is_listed,
    rank,
    filters,
    query_starts,
    latents,
    weights,
    where,
    k,
    scores,
    items,
    counts,
):
    n_items, n_queries = len(indptr) - 1, len(query_starts) - 1
    # Whatever two bytes may say is a place, in a file that is damaged too.
    sums = np.empty(LARGEST_BLOCK)
    limits, last_ranks = np.full(n_queries, -np.inf), np.zeros(n_queries, np.int64)
    scores, items, counts = scores[part], items[part], counts[part]
    for b in range(first, last):
        begin = b * block
        size, base = min(block, n_items - begin), indptr[begin]
        if base < 0 or base > len(places):
            continue
        for q in range(n_queries):
            sums[:size] = 0
            for entry in range(query_starts[q], query_starts[q + 1]):
                latent, weight = latents[entry], weights[entry]
                start, stop = base + starts[b, latent], base + starts[b, latent + 1]
                if start < 0 or stop > len(places):
                    continue
                for j in range(start, stop):
                    j = np.uintp(j)
                    sums[places[j]] += np.float64(widened(values[j])) * weight
            place = _first_reaching(sums, 0, size, limits[q])
            while place < size:
                item, total = begin + place, sums[place]
                place = _first_reaching(sums, place + 1, size, limits[q])
                if total == limits[q] and rank_of(rank, item) > last_ranks[q]:
                    continue
                if len(is_listed) and not is_listed[item]:
                    continue
                if is_hidden(filters, where[q], item):
                    continue
                n = counts[q]
                scores[q, n], items[q, n] = total, item
                counts[q] = n + 1
                if n + 1 == scores.shape[1] and n + 1 > k:
                    limits[q], last_ranks[q] = keep_best(
                        scores[q], items[q], scores[q], n + 1, k, rank
                    )
                    counts[q] = k


@compile_exactly
def _look_at_allowed(
    part,
    first,
    last,
    rows,
    starts,
    allowed,
    is_listed,
    rank,
    filters,
    Q,
    where,
    k,
    scores,
    items,
    counts,
):
    indptr, columns, values = rows
    # The parts have queries of their own, and so one set of candidates.
    scores, items, counts = scores[0], items[0], counts[0]
    for q in range(first, last):
        for entry in range(starts[where[q]], starts[where[q] + 1]):
            item = allowed[entry]
            if not is_listed[item] or is_hidden(filters, where[q], item):
                continue
            n = counts[q]
            scores[q, n] = score(indptr, columns, values, item, Q[q])
            items[q, n] = item
            counts[q] = n + 1
            if n + 1 == scores.shape[1] and n + 1 > k:
                keep_best(scores[q], items[q], scores[q], n + 1, k, rank)
                counts[q] = k


@compile_exactly
def _finish(
    part,
    first,
    last,
    rows,
    rank,
    Q,
    margins,
    where,
    k,
    scores,
    items,
    counts,
    n_found,
    found_items,
    found_scores,
):
    """Write the best of all parts, once they have scores rather than products."""
    n_parts, _, capacity = scores.shape
    all_scores = np.empty(n_parts * capacity)
    all_items = np.empty(n_parts * capacity, np.int64)
    for q in range(first, last):
        n = 0
        for part_ in range(n_parts):
            count = counts[part_, q]
            all_items[n : n + count] = items[part_, q, :count]
            all_scores[n : n + count] = scores[part_, q, :count]
            n += count
        if len(margins):
            if n > k:
                limit = kth_largest(all_scores, n, k) - 2 * margins[q]
                n = keep_from(all_scores, all_items, n, limit)
            for i in range(n):
                item = all_items[i]
                all_scores[i] = score(rows[0], rows[1], rows[2], item, Q[q])
        row = where[q]
        n_found[row] = write_best(
            all_scores, all_items, n, k, rank, found_items[row], found_scores[row]
        )
