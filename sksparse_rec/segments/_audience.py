"""Rows of items by what their users like."""

import numpy as np
import scipy.sparse as sp
from sklearn import get_config

from sksparse_rec._sparse import normalize_rows, scale_rows, top_columns
from sksparse_rec._validation import (
    Integral,
    Interval,
    check_interactions,
    check_length,
    to_sparse_interface,
    validate_params,
)

# float64 arrays of the width of the embeddings that exist at once, for an item and for
# a user.
ITEM_COPIES, USER_COPIES = 4, 4
# Means that differ by less are equal: what is left of sums of unit rows is rounding.
ROUNDING = 1e-12


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "item_embeddings": ["array-like", "sparse matrix"],
        "n_nonzero": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def audience_embeddings(X, item_embeddings, *, n_nonzero=32):
    r"""Embed items by what their users like more than other users do.

    The item embeddings of a model say what an item brings to a recommendation, and a
    popular item, which needs no other to be found, has a latent to itself. The profiles
    of its users say what it is liked with. Give the rows to `LatentSegments` for
    segments that agree better with tags of people and hold popular items too.

    Parameters
    ----------
    X : {array-like, sparse matrix, DataFrame} of shape (n_users, n_items)
        Interactions: non-negative, such as those that the model was fitted to. Values
        weigh the users of an item, and the items of a user.
    item_embeddings : {array-like, sparse matrix} of shape (n_items, n_components)
        The ``item_embeddings_`` of a model. An empty row is no obstacle: the item is
        embedded by its users all the same.
    n_nonzero : int, default=32
        Latents that a row keeps, the largest ones. Segments depend on the largest most
        of all, so that fewer save memory and change little.

    Returns
    -------
    sparse matrix or array of shape (n_items, n_components)
        CSR; non-negative rows of unit length, in the latents of ``item_embeddings``;
        float32 where those are, and float64 otherwise. Rows of items without users, and
        of items whose users like what all do, are empty.

    Raises
    ------
    ValueError
        If ``X`` has negative, NaN or infinite values, if ``item_embeddings`` has NaN or
        infinite ones, if either is empty, or if the columns of ``X`` are not as many as
        the rows of ``item_embeddings``.

    See Also
    --------
    LatentSegments : Segments, of these rows with ``assign="nearest"`` best.

    Notes
    -----
    Let :math:`p_u` be the profile :math:`x_u A`, scaled to unit length. The row of an
    item is

    .. math:: \max\Bigl(0, \frac{\sum_u x_{ui} p_u}{\sum_u x_{ui}}
              - \frac{1}{n} \sum_u p_u\Bigr)

    over the :math:`n` users whose profile is not zero, of which the ``n_nonzero``
    largest values are kept and scaled to unit length; ties go to the lower latent.

    O(nnz(X) × n_components) time. Users and items are worked on in blocks, within
    ``sklearn.get_config()["working_memory"]`` beside the result and copies of ``X``.
    Profiles are made once for each block of items: 16,000 of them with 1,024 components
    and 1 GiB.

    Examples
    --------
    >>> from sksparse_rec import audience_embeddings
    >>> X = [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    >>> A = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    >>> audience_embeddings(X, A).toarray()
    array([[1., 0.],
           [1., 0.],
           [0., 1.]])
    """
    X = check_interactions(X, dtype=np.float64)
    A = _check_item_embeddings(item_embeddings, X.shape[1])
    return to_sparse_interface(embed_by_audience(X, A, n_nonzero))


def _check_item_embeddings(item_embeddings, n_items):
    name = "item_embeddings"
    n_components = np.shape(item_embeddings)[-1]
    A = sp.csr_array(check_length(item_embeddings, n_components, name, "n_components"))
    if A.shape[0] != n_items:
        raise ValueError(
            f"{name} has {A.shape[0]} rows, but X has {n_items} columns: pass a row "
            "for each item, in the order of the columns"
        )
    return A


def embed_by_audience(X, A, n_nonzero):
    """Return what `audience_embeddings` does, of checked matrices, CSR.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items), float64
    A : csr_array of shape (n_items, n_components)
    n_nonzero : int
    """
    n_items, n_components = A.shape
    budget = get_config()["working_memory"] * 2**20 / (2 * 8 * n_components)
    n_users_at_once = max(1, int(budget / USER_COPIES))
    n_items_at_once = max(1, int(budget / ITEM_COPIES))
    A64 = A.astype(np.float64)
    rows, overall = [], None
    for start in range(0, n_items, n_items_at_once):
        columns = X[:, start : start + n_items_at_once]
        sums, weights, total = _sum_profiles(X, A64, columns, n_users_at_once)
        if overall is None:
            overall = total
        sums /= np.where(weights > 0, weights, 1.0)[:, None]
        sums -= overall
        sums[weights == 0] = 0
        rows.append(_keep_largest(sums, n_nonzero).astype(A.dtype))
    return sp.csr_array(sp.vstack(rows, format="csr"))


def _sum_profiles(X, A, columns, n_users_at_once):
    """Add up the unit profiles of the users of some items.

    Returns
    -------
    sums : ndarray of shape (n_columns, n_components)
    weights : ndarray of shape (n_columns,)
        Of the users with a profile.
    mean : ndarray of shape (n_components,)
        Of all profiles.
    """
    sums = np.zeros((columns.shape[1], A.shape[1]))
    weights, total = np.zeros(columns.shape[1]), np.zeros(A.shape[1])
    n_profiles = 0
    for start in range(0, X.shape[0], n_users_at_once):
        users = slice(start, start + n_users_at_once)
        profiles = _unit_profiles(X[users] @ A)
        has_profile = np.diff(profiles.indptr) > 0
        members = columns[users].T.tocsr()
        weights += members @ has_profile.astype(np.float64)
        total += profiles.sum(axis=0)
        n_profiles += has_profile.sum()
        sums += members @ profiles.toarray()
    return sums, weights, total / max(1, n_profiles)


def _unit_profiles(profiles):
    """Return profiles as unit rows, those that cancelled without entries."""
    profiles.eliminate_zeros()
    # Squares of large values would leave the floats.
    largest = abs(profiles).max(axis=1).toarray().ravel()
    return normalize_rows(scale_rows(profiles, 1 / np.where(largest > 0, largest, 1)))


def _keep_largest(values, n_nonzero):
    """Return the largest positive values of dense rows as unit rows, CSR."""
    n_rows = len(values)
    columns = top_columns(values, n_nonzero)
    kept = np.take_along_axis(values, columns, axis=1)
    is_kept = kept > ROUNDING
    starts = np.append(0, np.cumsum(is_kept.sum(axis=1)))
    parts = kept[is_kept], columns[is_kept], starts
    return normalize_rows(sp.csr_array(parts, shape=(n_rows, values.shape[1])))
