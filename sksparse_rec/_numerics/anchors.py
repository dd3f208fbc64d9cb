"""The starting pattern: co-occurrence with anchor items decides an item's latents.

Sparse products on the host, whatever the device: they run once a fit. Of each row of a
product only the largest entries are wanted; compiled, nothing else of it is made.
"""

from functools import cache

import numpy as np
import scipy.sparse as sp
import torch

from sksparse_rec._numerics.compiling import load_compiled
from sksparse_rec._sparse import (
    is_mapped,
    keep_top_per_row,
    normalize_rows,
    places_in_rows,
    row_indices,
    row_ranges,
)

# Bounds the block of a product that exists at once; choosing its largest entries takes
# some 40 bytes for each.
BLOCK_ENTRIES = 1 << 21
# Of a memory-mapped matrix: interactions that are read at once, some 50 bytes each, and
# dense sums over them, 4 bytes each. The whole is read once for so many sums.
CHUNK_ENTRIES = 1 << 22
SUM_ENTRIES = 1 << 26
# Entries of the profiles of users that exist at once, 8 bytes each, if the embeddings
# have no more.
PROFILE_ENTRIES = 1 << 26


def draw_anchors(popularity, n_anchors, generator):
    """Draw distinct items in proportion to the square root of their popularity.

    The root leaves rarer items a chance to name a latent. Items without interactions
    are never drawn, so there may be fewer than asked for. A torch generator decides.

    Returns
    -------
    anchors : ndarray of int64, descending by popularity
    """
    candidates = np.flatnonzero(popularity)
    if len(candidates) > n_anchors:
        # Sampling without replacement by an exponential race (Efraimidis & Spirakis).
        race = torch.empty(len(candidates), dtype=torch.float64)
        race = race.exponential_(generator=generator).numpy()
        race /= np.sqrt(popularity[candidates])
        candidates = candidates[np.argpartition(race, n_anchors)[:n_anchors]]
    return candidates[np.lexsort((candidates, -popularity[candidates]))]


def anchor_embeddings(X, anchors, n_components, n_nonzero, *, user_weighting=0.5):
    """Start every item from its strongest co-occurrences with the anchors.

    The cosine co-occurrence of item ``i`` with the anchor of latent ``l`` is

        S[i, l] = Σ_u w_u x_ui x_ul / sqrt(Σ_u w_u x_ui² · Σ_u w_u x_ul²)

    with user weights ``w_u = n_u^-user_weighting``, ``n_u`` the length of the user's
    history: long histories say less about which two items belong together. Each row
    keeps its ``n_nonzero`` largest entries; an item that meets fewer anchors is filled
    up from its second-order neighbours, the latents of the items it occurs with. Of
    those the ``n_nonzero`` strongest of each of its users count.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    anchors : ndarray of int64, shape (n_anchors,)
        Latent ``l`` is anchored at item ``anchors[l]``.
    n_components, n_nonzero : int
    user_weighting : float

    Returns
    -------
    S : csr_array of shape (n_items, n_components), float32, rows of unit length
        Rows of items without interactions are empty.
    """
    cosines = Cosines(X, user_weighting)
    n_wanted = min(n_nonzero, len(anchors))
    items = np.arange(X.shape[1])
    n_kept = np.full(len(items), n_wanted)
    S = cosines.top_products(lambda users: users[:, anchors], items, n_kept)
    S = _fill_short_rows(S, cosines, n_wanted)
    _normalize(S)
    # Columns beyond the anchors belong to latents that nothing uses.
    return sp.csr_array((S.data, S.indices, S.indptr), shape=(len(items), n_components))


class Cosines:
    """The cosine co-occurrence of items, ``C = NᵀN``, never made as a whole.

    ``N`` are the interactions with users weighted and columns scaled to unit length. In
    memory it exists twice, by user and by item. A memory-mapped matrix is read in
    chunks of users instead, over and over, unless a single chunk has it all.
    """

    def __init__(self, X, exponent):
        self.X, self.exponent = X, exponent
        self.ranges = [slice(0, X.shape[0])]
        if is_mapped(X):
            self.ranges = row_ranges(X, CHUNK_ENTRIES)
        squares, self.lengths = np.zeros(X.shape[1]), np.zeros(X.shape[1], np.int64)
        for users in map(self._weigh_users, self.ranges):
            weights = np.square(users.data, dtype=float)
            squares += np.bincount(users.indices, weights, minlength=X.shape[1])
            self.lengths += np.bincount(users.indices, minlength=X.shape[1])
        self.is_used = squares > 0
        self.scale = 1.0 / np.sqrt(np.where(self.is_used, squares, 1.0))
        self.by_user = self.by_item = None
        if len(self.ranges) == 1:
            self.by_user = self._scale_items(self._weigh_users(self.ranges[0]))
            self.by_item = self.by_user.T.tocsr()

    def top_products(self, prepare, items, n_kept, beside=None):
        """Return the largest entries of some rows of ``Nᵀ R``.

        Parameters
        ----------
        prepare : callable
            Gives the rows of ``R`` that belong to some rows of ``N``.
        items, n_kept, beside
            As ``rows`` and so on of the function ``top_products``.
        """
        if self.by_user is not None:
            right = prepare(self.by_user)
            return top_products(self.by_item, right, items, n_kept, beside)
        width = prepare(sp.csr_array((0, self.X.shape[1]), dtype=np.float32)).shape[1]
        step, tops = max(1, BLOCK_ENTRIES // max(1, width)), []
        n_sums = max(step, SUM_ENTRIES // max(1, width))
        for places in _cut(np.arange(len(items)), n_sums):
            several, kept = items[places], n_kept[places]
            sums = np.zeros((len(several), width), dtype=np.float32)
            blocks = _cut(np.arange(len(several)), step)
            for rows in self.ranges:
                users = self._scale_items(self._weigh_users(rows))
                right, left = prepare(users), users[:, several].T.tocsr()
                for block in blocks:
                    if left[block].nnz:
                        sums[block] += (left[block] @ right).toarray()
            for block in blocks:
                own = None if beside is None else beside[several[block]]
                tops.append(_largest(sp.csr_array(sums[block]), kept[block], own))
        return sp.vstack(tops, format="csr")

    def _weigh_users(self, rows):
        X = self.X if len(self.ranges) == 1 else self.X[rows]
        lengths = np.diff(X.indptr)
        scale = np.maximum(lengths, 1) ** (-self.exponent / 2)
        data = X.data.astype(np.float32)
        data *= np.repeat(scale.astype(np.float32), lengths)
        return sp.csr_array((data, X.indices, X.indptr), shape=X.shape)

    def _scale_items(self, X):
        """Scale the columns in place."""
        # In float64, as the scale of tiny columns overflows float32.
        for start in range(0, X.nnz, BLOCK_ENTRIES):
            block = slice(start, start + BLOCK_ENTRIES)
            X.data[block] = X.data[block] * self.scale[X.indices[block]]
        return X


@cache
def load_compiled_anchors():
    """Return the module of the compiled ``top_products``, or None without numba."""
    return load_compiled("sksparse_rec._numerics.anchors_numba")


def top_products(A, B, rows, n_kept, beside=None):
    """Return the largest entries of some rows of ``A @ B``.

    Parameters
    ----------
    A, B : csr_array
        Without negative values.
    rows : ndarray of int64
        Of ``A``; the rows of the result.
    n_kept : ndarray of int64, shape (len(rows),)
        Entries to keep of each. Equal ones go to the lower column.
    beside : csr_array, optional
        Of the shape of ``A @ B``: where it has an entry, the result has none.

    Returns
    -------
    top : csr_array of shape (len(rows), B.shape[1])
        Without zeros; the columns of a row ascend.
    """
    compiled = load_compiled_anchors()
    if compiled is not None:
        return compiled.top_products(A, B, rows, n_kept, beside)
    tops = [sp.csr_array((0, B.shape[1]), dtype=B.dtype)]
    blocks = _cut(np.arange(len(rows)), max(1, BLOCK_ENTRIES // max(1, B.shape[1])))
    for block in blocks:
        own = None if beside is None else beside[rows[block]]
        tops.append(_largest(A[rows[block]] @ B, n_kept[block], own))
    return sp.vstack(tops, format="csr")


def _largest(product, n_kept, beside):
    """Return what ``top_products`` keeps of a product."""
    if beside is not None:
        product = _without_pattern(product, beside)
    product.eliminate_zeros()
    top = keep_top_per_row(product, n_kept.max(initial=1))
    rows = row_indices(top)
    order = np.lexsort((top.indices, -top.data, rows))
    is_kept = np.zeros(top.nnz, dtype=bool)
    is_kept[order] = places_in_rows(top, rows) < n_kept[rows]
    top.data[~is_kept] = 0
    top.eliminate_zeros()
    top.sort_indices()
    return top


def _without_pattern(S, pattern):
    """Drop the entries of ``S`` that ``pattern`` stores as well."""
    mask = pattern.copy()
    mask.data = np.ones_like(mask.data)
    return sp.csr_array(S - S.multiply(mask))


def _normalize(S):
    """Scale the rows to unit length in place, without a copy of all of ``S``."""
    for rows in row_ranges(S, BLOCK_ENTRIES):
        entries = slice(S.indptr[rows.start], S.indptr[rows.stop])
        S.data[entries] = normalize_rows(S[rows]).data


def _cut(array, step):
    return [array[start : start + step] for start in range(0, len(array), step)]


def _fill_short_rows(S, cosines, n_nonzero):
    """Add second-order neighbours to rows with fewer than ``n_nonzero`` entries.

    They come below the row's own entries: the largest is half the smallest of those.
    """
    n_missing = n_nonzero - np.diff(S.indptr)
    short = np.flatnonzero((n_missing > 0) & cosines.is_used)
    fills = [sp.csr_array((0, S.shape[1]), dtype=S.dtype)]
    for some in _cut_by_users(short, S, cosines, n_nonzero):
        profiles = _profiles_of(some, S, n_nonzero)
        fills.append(cosines.top_products(profiles, some, n_missing[some], S))
    fill = _spread(sp.vstack(fills, format="csr"), short, S.shape[0])
    _scale_below(fill, S)
    return S + fill


def _cut_by_users(items, S, cosines, n_nonzero):
    """Cut items such that the profiles of the users of each part are not too many."""
    if len(items) == 0:
        return []
    n_entries = max(PROFILE_ENTRIES, S.nnz)
    n_users = max(rows.stop - rows.start for rows in cosines.ranges)
    if n_users * n_nonzero <= n_entries:
        return [items]
    # There are no more users than interactions.
    starts = np.concatenate([[0], np.cumsum(cosines.lengths[items])])
    part = starts[1:] // max(1, n_entries // n_nonzero)
    return np.split(items, np.flatnonzero(np.diff(part)) + 1)


def _profiles_of(items, S, n_nonzero):
    """Return a function that gives the profiles, ``N S``, of the users of some items.

    Cut to their largest entries; those of other users are empty.
    """
    is_wanted = np.zeros(S.shape[0], dtype=np.float32)
    is_wanted[items] = 1

    def profiles(users):
        rows = np.flatnonzero(users @ is_wanted)
        top = top_products(users, S, rows, np.full(len(rows), n_nonzero))
        return _spread(top, rows, users.shape[0])

    return profiles


def _spread(S, rows, n_rows):
    """Put the rows of ``S`` at ascending positions; the other rows are empty."""
    lengths = np.zeros(n_rows + 1, dtype=np.int64)
    lengths[rows + 1] = np.diff(S.indptr)
    indptr = np.cumsum(lengths)
    return sp.csr_array((S.data, S.indices, indptr), shape=(n_rows, S.shape[1]))


def _scale_below(fill, own):
    """Scale the rows of ``fill`` in place: at most half of the least of ``own``."""
    least, most = np.ones(own.shape[0], own.dtype), np.ones(own.shape[0], own.dtype)
    for extremes, X, extreme in (least, own, np.minimum), (most, fill, np.maximum):
        used = np.diff(X.indptr) > 0
        if used.any():
            extremes[used] = extreme.reduceat(X.data, X.indptr[:-1][used])
    fill.data *= np.repeat(0.5 * least / most, np.diff(fill.indptr))
