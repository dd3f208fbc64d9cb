"""Candidates of every query, of which the best are kept; compiled by numba.

``scores`` and ``items`` (capacity,) are the candidates of a query, ``n`` of them so
far. Of equal scores the lower rank wins; an empty ``rank`` stands for the positions.
"""

import numpy as np

from sksparse_rec._numerics.compiling import compile_with

# No fastmath: what is summed here is what is compared, and returned.
compile_exactly = compile_with()


@compile_exactly
def widen(values, start, stop, scale, out):
    """Write stored values times a scale as float32; float16 comes as its bits."""
    for j in range(stop - start):
        # Unsigned, so that it does not count from the end where it is negative.
        value = widened(values[np.uintp(start + j)])
        out[np.uintp(j)] = np.float32(value * scale)


def widened(value):
    """Return a stored value; the bits of a float16 as float32."""
    raise NotImplementedError("compiled code only")


def _define_widened():
    from numba import types
    from numba.extending import overload

    @overload(widened, inline="always")
    def define(value):
        if value == types.uint16:
            return _from_bits
        return lambda value: value


def _from_bits(value):
    bits = np.uint32(value)
    magnitude = np.uint32(np.uint32(bits & np.uint32(0x7FFF)) << np.uint32(13))
    sign = np.uint32(np.uint32(bits & np.uint32(0x8000)) << np.uint32(16))
    # The exponents are 112 apart.
    number = np.uint32(magnitude).view(np.float32) * np.float32(2.0**112)
    return np.uint32(np.float32(number).view(np.uint32) | sign).view(np.float32)


_define_widened()


@compile_exactly
def score(indptr, columns, values, item, profile):
    """Return the score of an item: a float64 sum in the order of its columns.

    Entries and columns that are not there, in a file that is damaged, are skipped.
    """
    total = 0.0
    start, stop = indptr[item], indptr[item + 1]
    if start < 0 or stop > len(columns):
        return total
    for j in range(start, stop):
        j = np.uintp(j)
        column = np.uintp(columns[j])
        if column < np.uintp(len(profile)):
            total += np.float64(widened(values[j])) * profile[column]
    return total


@compile_exactly
def rank_of(rank, item):
    """Place of an item among ties."""
    return np.int64(rank[item]) if len(rank) else np.int64(item)


@compile_exactly
def is_hidden(filters, query, item):
    """Tell whether an item may not be returned to a query."""
    allow_starts, allowed, deny_starts, denied = filters
    if len(allow_starts) and not _contains(
        allowed, allow_starts[query], allow_starts[query + 1], item
    ):
        return True
    return len(deny_starts) > 0 and _contains(
        denied, deny_starts[query], deny_starts[query + 1], item
    )


@compile_exactly
def _contains(sorted_items, first, last, item):
    end = last
    while first < last:
        middle = (first + last) // 2
        if sorted_items[middle] < item:
            first = middle + 1
        else:
            last = middle
    return first < end and sorted_items[first] == item


@compile_exactly
def kth_largest(values, n, k):
    """Return the k-th largest of the first ``n`` values.

    numpy's partition takes numba half a minute to compile.
    """
    values = values[:n].copy()
    low, high, place = 0, n - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if place <= j:
            high = j
        elif place >= i:
            low = i
        else:
            break
    return values[place]


@compile_exactly
def keep_best(scores, items, companions, n, k, rank):
    """Keep the ``k`` best of ``n`` candidates in front, in the order they have.

    ``companions`` are moved along. Returns the score and the rank of the last of them.
    """
    limit = kth_largest(scores, n, k)
    missing, n_tied = k, 0
    for i in range(n):
        missing -= scores[i] > limit
        n_tied += scores[i] == limit
    if n_tied == 0:
        # Scores that are not numbers, of values or queries near the end of floats.
        return limit, np.int64(0)
    missing = min(max(missing, 1), n_tied)
    ranks = np.empty(n_tied, np.int64)
    n_tied = 0
    for i in range(n):
        if scores[i] == limit:
            ranks[n_tied] = rank_of(rank, items[i])
            n_tied += 1
    last = -kth_largest(-ranks, n_tied, missing)
    kept = 0
    for i in range(n):
        if scores[i] > limit or (
            scores[i] == limit and rank_of(rank, items[i]) <= last
        ):
            scores[kept], items[kept] = scores[i], items[i]
            companions[kept] = companions[i]
            kept += 1
    return limit, last


@compile_exactly
def keep_from(scores, items, n, limit):
    """Keep the candidates whose score is ``limit`` or more; return their number."""
    kept = 0
    for i in range(n):
        if scores[i] >= limit:
            scores[kept], items[kept] = scores[i], items[i]
            kept += 1
    return kept


@compile_exactly
def write_best(scores, items, n, k, rank, found_items, found_scores):
    """Write the ``k`` best of ``n`` candidates, best first; return their number."""
    if n > k:
        keep_best(scores, items, scores, n, k, rank)
        n = k
    ranks = np.empty(n, np.int64)
    for i in range(n):
        ranks[i] = rank_of(rank, items[i])
        found_items[i], found_scores[i] = items[i], scores[i]
    _sort(found_scores, ranks, found_items, n)
    return n


@compile_exactly
def _sort(scores, ranks, items, n):
    """Sort best first, in place, by a heap that has the worst on top."""
    for root in range(n // 2 - 1, -1, -1):
        _sift(scores, ranks, items, root, n)
    for end in range(n - 1, 0, -1):
        _swap(scores, ranks, items, 0, end)
        _sift(scores, ranks, items, 0, end)


@compile_exactly
def _sift(scores, ranks, items, root, end):
    child = 2 * root + 1
    while child < end:
        if child + 1 < end and _is_worse(scores, ranks, child + 1, child):
            child += 1
        if not _is_worse(scores, ranks, child, root):
            break
        _swap(scores, ranks, items, child, root)
        root, child = child, 2 * child + 1


@compile_exactly
def _is_worse(scores, ranks, a, b):
    return scores[a] < scores[b] or (scores[a] == scores[b] and ranks[a] > ranks[b])


@compile_exactly
def _swap(scores, ranks, items, a, b):
    scores[a], scores[b] = scores[b], scores[a]
    ranks[a], ranks[b] = ranks[b], ranks[a]
    items[a], items[b] = items[b], items[a]
