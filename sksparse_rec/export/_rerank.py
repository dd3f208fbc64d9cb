"""Exact answers from what a store finds.

A store scores in float32, and with split signs without the products of a positive half
with a negative one: its score is an upper bound of the true one, up to rounding. What
it finds is scored again, and the answer is proven once the k-th score exceeds the bound
of the last candidate, which no item can exceed that was not found. Where the store
leaves out items that have no latent in common with the query, whose score is 0, that
bound is at least 0.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sksparse_rec.export._signs import from_stored, to_stored

# Candidates that are in memory at once, and items that are looked through at once.
CANDIDATES_AT_ONCE = 1 << 13
SCANNED_AT_ONCE = 1000
# Positions that are asked for at once, where few of them are taken.
MOST_POSITIONS = 1 << 14


class Found(NamedTuple):
    """Items that a store gives back, best first or in any order.

    ``scores`` are the store's; ``rows`` a csr_array of the vectors as they are stored.
    """

    ids: np.ndarray
    positions: np.ndarray
    scores: np.ndarray
    rows: sp.csr_array


class Best(NamedTuple):
    """The best items of a query: exact scores descending, then positions ascending."""

    ids: np.ndarray
    positions: np.ndarray
    scores: np.ndarray


def search_store(store, Q, k, n_candidates, where):
    """Return the ``Best`` of every query.

    Parameters
    ----------
    store : Store
    Q : csr_array of shape (n_queries, n_components), float64
        Columns ascending, without zeros.
    k, n_candidates : int
    where : object
        What the store takes as a filter.

    Returns
    -------
    list of Best
    """
    found = [None] * Q.shape[0]
    unproven = np.arange(Q.shape[0])
    open_queries = []
    n = max(n_candidates, k)
    while len(unproven):
        again = []
        step = max(1, CANDIDATES_AT_ONCE // n)
        for start in range(0, len(unproven), step):
            queries = unproven[start : start + step]
            answers = _candidates(store, Q[queries], n, where)
            for query, answer in zip(queries, answers, strict=True):
                q = _dense(Q, query)
                found[query], bound = _ranked(store, q, answer, k, n)
                if _is_proven(found[query], bound, k) or (not store.exact and q.any()):
                    continue
                # Whatever has a positive score is found: more candidates tell no more.
                (open_queries if bound == 0 else again).append(query)
        unproven, n = np.array(again, dtype=np.int64), 2 * n
    _fill(store, Q, found, open_queries, k, where)
    return found


def _candidates(store, Q, n, where):
    """Return what the store finds for each query; nothing for one without entries."""
    lengths = np.diff(Q.indptr)
    asked = np.flatnonzero(lengths)
    answers = [_nothing(store)] * Q.shape[0]
    if len(asked):
        # Scaled, as their values may be out of the range of float32.
        peaks = np.maximum.reduceat(np.abs(Q.data), Q.indptr[asked])
        scaled = sp.csr_array(Q[asked])
        scaled.data = scaled.data / np.repeat(peaks, lengths[asked])
        stored = to_stored(scaled.astype(np.float32), store.signs)
        nearest = store._nearest(stored, n, where)
        for query, peak, answer in zip(asked, peaks, nearest, strict=True):
            answers[query] = answer._replace(scores=answer.scores * peak)
    return answers


def _ranked(store, q, answer, k, n):
    """Return the best of what was found, and what no other item's score exceeds."""
    best = _best(*_scored(store, q, answer), k)
    if len(answer.ids) < n:
        # Others have no latent in common with the query, of the same sign if split.
        return best, -np.inf if store._finds_all and q.any() else 0.0
    rows = answer.rows
    width = np.diff(rows.indptr).max(initial=0) + 2
    squares = rows.multiply(rows).sum(axis=1).max()
    rounding = np.finfo(np.float32).eps * width * np.linalg.norm(q) * np.sqrt(squares)
    bound = answer.scores.min() + rounding
    return best, bound if store._finds_all else max(bound, 0.0)


def _is_proven(best, bound, k):
    return bound == -np.inf or (len(best.ids) == k and best.scores[-1] > bound)


def _fill(store, Q, found, queries, k, where):
    """Add items without a positive score to the lists that have room for them.

    They come in the order of their positions, as the scores of most are 0.
    """
    end = store._end() if queries else 0
    stop, step = 0, SCANNED_AT_ONCE
    while queries and stop < end:
        start, stop = stop, min(stop + step, end)
        items = store._between(start, stop, where)
        if 2 * len(items.ids) < SCANNED_AT_ONCE:
            step = min(2 * step, MOST_POSITIONS)
        still_open = []
        for query in queries:
            scored = _scored(store, _dense(Q, query), items)
            best = _merged(found[query], Best(*scored), k)
            found[query] = best
            # Those behind have at most 0, and higher positions.
            is_settled = (best.scores > 0) | (
                (best.scores == 0) & (best.positions < stop)
            )
            if is_settled.sum() < k:
                still_open.append(query)
        queries = still_open


def _scored(store, q, found):
    """Return ids, positions and float64 scores, summed in the order of the columns."""
    rows = from_stored(found.rows, store.n_components, store.signs)
    return found.ids, found.positions, rows @ q


def _best(ids, positions, scores, k):
    order = np.lexsort((positions, -scores))[:k]
    return Best(ids[order], positions[order], scores[order])


def _merged(first, second, k):
    parts = [np.concatenate(pair) for pair in zip(first, second, strict=True)]
    ids, positions, scores = parts
    _, places = np.unique(positions, return_index=True)
    return _best(ids[places], positions[places], scores[places], k)


def _dense(Q, query):
    q = np.zeros(Q.shape[1])
    entries = slice(Q.indptr[query], Q.indptr[query + 1])
    q[Q.indices[entries]] = Q.data[entries]
    return q


def _nothing(store):
    rows = sp.csr_array((0, store.stored_width))
    return Found(np.empty(0, object), np.empty(0, np.int64), np.empty(0), rows)
