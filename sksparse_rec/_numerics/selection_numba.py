"""Candidates of every query, of which the best are kept; compiled by numba.

``scores`` and ``items`` (capacity,) are the candidates of a query, ``n`` of them so
far. Of equal scores the lower rank wins; an empty ``rank`` stands for the positions.

numba keeps the machine code of callers in other files and does not see that something
changed here or in ``lanes_numba``: delete ``__pycache__`` after that.
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
    """Return the score of an item: a float64 sum in the order of its columns."""
    total = 0.0
    for j in range(indptr[item], indptr[item + 1]):
        j = np.uintp(j)
        total += np.float64(widened(values[j])) * profile[np.uintp(columns[j])]
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
def keep_best(scores, items, companions, n, k, rank):
    """Keep the ``k`` best of ``n`` candidates in front, in the order they have.

    ``companions`` are moved along. Returns the score and the rank of the last of them.
    """
    limit = np.partition(scores[:n], n - k)[n - k]
    missing, n_tied = k, 0
    for i in range(n):
        missing -= scores[i] > limit
        n_tied += scores[i] == limit
    ranks = np.empty(n_tied, np.int64)
    n_tied = 0
    for i in range(n):
        if scores[i] == limit:
            ranks[n_tied] = rank_of(rank, items[i])
            n_tied += 1
    last = np.partition(ranks, missing - 1)[missing - 1]
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
    by_rank = np.argsort(ranks, kind="mergesort")
    by_score = np.argsort(-scores[:n][by_rank], kind="mergesort")
    for i in range(n):
        chosen = by_rank[by_score[i]]
        found_items[i], found_scores[i] = items[chosen], scores[chosen]
    return n
