"""The starting pattern: co-occurrence with anchor items decides an item's latents.

Sparse products on the host, whatever the device: they run once a fit.
"""

import numpy as np
import scipy.sparse as sp
import torch

from sksparse_rec._sparse import keep_top_per_row, normalize_rows

# Bounds the block of the co-occurrence that exists at once; choosing its largest
# entries takes some 40 bytes for each.
BLOCK_ENTRIES = 1 << 21


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
    up from its second-order neighbours, the latents of the items it occurs with.

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
    X = _weigh_users(X, user_weighting)
    items = X.T.tocsr()
    items = normalize_rows(items)
    users = items.T.tocsr()
    at_anchors = users[:, anchors]
    step = max(1, BLOCK_ENTRIES // max(1, len(anchors)))
    blocks = [
        keep_top_per_row(items[start : start + step] @ at_anchors, n_nonzero)
        for start in range(0, items.shape[0], step)
    ]
    S = sp.vstack(blocks, format="csr")
    # Columns beyond the anchors belong to latents that nothing uses.
    S = sp.csr_array((S.data, S.indices, S.indptr), shape=(X.shape[1], n_components))
    n_wanted = min(n_nonzero, len(anchors))
    return normalize_rows(_fill_short_rows(S, items, users, n_wanted))


def _weigh_users(X, exponent):
    lengths = np.maximum(np.diff(X.indptr), 1)
    scale = np.repeat(lengths ** (-exponent / 2), np.diff(X.indptr))
    data = X.data.astype(np.float32) * scale.astype(np.float32)
    return sp.csr_array((data, X.indices, X.indptr), shape=X.shape)


def _fill_short_rows(S, items, users, n_nonzero):
    """Add second-order neighbours to rows with fewer than ``n_nonzero`` entries.

    They come below the row's own entries: the largest is half the smallest of those.
    """
    short = np.flatnonzero(np.diff(S.indptr) < n_nonzero)
    short = short[np.diff(items.indptr)[short] > 0]
    if len(short) == 0:
        return S
    step = max(1, BLOCK_ENTRIES // S.shape[1])
    fills = []
    for start in range(0, len(short), step):
        block = items[short[start : start + step]]
        second = sp.csr_array((block.shape[0], S.shape[1]), dtype=S.dtype)
        meeting = np.unique(block.indices)
        for first in range(0, len(meeting), step):
            some = meeting[first : first + step]
            second = second + block[:, some] @ (users[some] @ S)
        own = S[short[start : start + step]]
        second = _without_pattern(sp.csr_array(second), own)
        fills.append(_merge_below(own, second, n_nonzero))
    filled = sp.vstack(fills, format="csr")
    keep = np.setdiff1d(np.arange(S.shape[0]), short, assume_unique=True)
    order = np.argsort(np.concatenate([keep, short]), kind="stable")
    return sp.vstack([S[keep], filled], format="csr")[order]


def _without_pattern(S, pattern):
    """Drop the entries of ``S`` that ``pattern`` stores as well."""
    mask = pattern.copy()
    mask.data = np.ones_like(mask.data)
    S = S - S.multiply(mask)
    S.eliminate_zeros()
    return sp.csr_array(S)


def _merge_below(own, second, n_nonzero):
    lengths = np.diff(own.indptr)
    smallest = np.ones(own.shape[0], dtype=np.float32)
    used = lengths > 0
    smallest[used] = np.minimum.reduceat(own.data, own.indptr[:-1][used])
    largest = second.max(axis=1).toarray().ravel()
    scale = 0.5 * smallest / np.where(largest > 0, largest, 1)
    second.data *= np.repeat(scale, np.diff(second.indptr)).astype(second.dtype)
    return keep_top_per_row(own + second, n_nonzero)
