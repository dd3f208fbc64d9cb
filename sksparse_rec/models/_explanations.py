"""Scores split into contributions, and lists compared: pure functions."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import row_indices, scale_columns, scale_rows


def split_by_latent(rows, profile):
    """Return ``u_l a_il``, the contributions of latents to scores.

    Parameters
    ----------
    rows : csr_array of shape (n_asked, n_components), float64
        What the profile is multiplied with: the embeddings of the items asked for.
    profile : ndarray of shape (n_components,), float64

    Returns
    -------
    csr_array of shape (n_asked, n_components), float64
    """
    return scale_columns(rows, profile)


def split_by_history(rows, history, seen):
    """Return ``x_j ⟨a_j, a_i⟩``, the contributions of the items of a history.

    Parameters
    ----------
    rows : csr_array of shape (n_asked, n_components), float64
    history : csr_array of shape (1, n_items)
        What interactions count.
    seen : csr_array of shape (history.nnz, n_components), float64
        Embeddings of the history's items.

    Returns
    -------
    csr_array of shape (n_asked, n_items), float64
    """
    shares = sp.coo_array(rows @ scale_rows(seen, history.data).T)
    place = shares.row, history.indices[shares.col]
    return sp.csr_array((shares.data, place), shape=(rows.shape[0], history.shape[1]))


def split_by_segment(rows, by_latent, pair_segments, n_segments):
    """Sum contributions over the latents, with the item's sign, of each segment.

    Parameters
    ----------
    rows : csr_array of shape (n_asked, n_components)
        Their signs say on which side of a latent an item is.
    by_latent : csr_array of shape (n_asked, n_components), float64
        In the pattern of ``rows``.
    pair_segments : ndarray of shape (2 * n_components,), int64
        The segment of each latent with positive (``2 * latent``) and with negative
        sign (``2 * latent + 1``), -1 for none.
    n_segments : int

    Returns
    -------
    csr_array of shape (n_asked, n_segments + 1), float64
        The last column has what belongs to no segment.
    """
    segments = pair_segments[2 * rows.indices.astype(np.int64) + (rows.data < 0)]
    columns = np.where(segments < 0, n_segments, segments)
    shape = rows.shape[0], n_segments + 1
    # Duplicates are summed.
    return sp.csr_array((by_latent.data, (row_indices(rows), columns)), shape=shape)


def split_by_feature(rows, query, decoder):
    """Return ``x_f (a_i D)_f``, the contributions of the entries of a query.

    Parameters
    ----------
    rows : csr_array of shape (n_asked, n_components), float64
        Codes, divided by the lengths of what they rebuild.
    query : ndarray of shape (n_features,)
    decoder : ndarray of shape (n_components, n_features)

    Returns
    -------
    csr_array of shape (n_asked, n_features), float64
    """
    return sp.csr_array((rows @ decoder) * query)


def compare_lists(before, after):
    """Tell two lists of items apart.

    Parameters
    ----------
    before, after : ndarray of int64
        Best first, without repetitions.

    Returns
    -------
    entered, left : ndarray of int64
        Items of the second only, and of the first only, in the order of their lists.
    moved : ndarray of shape (n_moved, 3), int64
        Item, place before and place after, from 0, of items that are in both at
        different places; in the order of the second.
    """
    place = {int(item): i for i, item in enumerate(before)}
    entered = after[~np.isin(after, before)]
    left = before[~np.isin(before, after)]
    moved = [
        (item, place[item], i)
        for i, item in enumerate(after.tolist())
        if place.get(item, i) != i
    ]
    return entered, left, np.array(moved, dtype=np.int64).reshape(-1, 3)
