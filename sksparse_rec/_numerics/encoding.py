"""Codes for items that training has not seen, from the users who chose them."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import keep_top_per_row, normalize_rows, scale_columns

# Bounds the profiles that exist at once.
BLOCK_ENTRIES = 1 << 22


def encode_columns(X_columns, X, embeddings, n_nonzero, item_weights=None):
    """Return k-sparse unit codes of new items, the old codes staying frozen.

    A new item is placed where its users are: among codes of unit length, the one that
    maximises the sum of its cosines to the profiles of the users who chose it,

        c_j  ∝  Σ_u x_uj u_u / ‖u_u‖,     u_u = x_u A,

    and of that its ``n_nonzero`` largest entries, which is the best k-sparse code.

    Parameters
    ----------
    X_columns : sparse matrix of shape (n_users, n_new_items)
    X : csr_array of shape (n_users, n_items)
        The same users' histories.
    embeddings : csr_array of shape (n_items, n_components)
    n_nonzero : int
    item_weights : ndarray of shape (n_items,), default=None
        What an interaction counts in a profile.

    Returns
    -------
    codes : csr_array of shape (n_new_items, n_components)
        An item without interactions, or whose users have no history, has an empty row.
    """
    by_item = sp.csr_array(X_columns.T.tocsr())
    step = max(1, BLOCK_ENTRIES // max(1, embeddings.shape[1]))
    sums = sp.csr_array((by_item.shape[0], embeddings.shape[1]), dtype=np.float64)
    users = np.unique(by_item.indices)
    for start in range(0, len(users), step):
        some = users[start : start + step]
        histories = scale_columns(X[some], item_weights)
        profiles = normalize_rows(sp.csr_array(histories @ embeddings))
        sums = sums + by_item[:, some] @ profiles
    codes = normalize_rows(keep_top_per_row(sp.csr_array(sums), n_nonzero))
    codes.sort_indices()
    return codes.astype(embeddings.dtype)
