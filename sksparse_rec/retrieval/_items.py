"""Items as users name them: positions, names, masks."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._validation import Integral


def check_k(k, name="k"):
    """Return the length of a list as an int."""
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {k!r}")
    return int(k)


def item_positions(items, n_items, names=None, what="items"):
    """Turn positions or names into an int64 array of positions.

    Parameters
    ----------
    items : array-like of int or str, or a single one
        Positions, or names where there are ``names``. A boolean array of length
        ``n_items`` is a mask.
    n_items : int
    names : ndarray of str, default=None
        The columns of the data frame that the estimator was fitted on.
    what : str
        How error messages call the argument.

    Raises
    ------
    ValueError
        For a position out of range or an unknown name.
    TypeError
        For anything that is neither.
    """
    array = np.atleast_1d(np.asarray(items))
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind == "b":
        if array.shape != (n_items,):
            raise ValueError(
                f"{what} is a boolean mask of shape {array.shape}, but there are "
                f"{n_items} items: pass one value an item, or positions"
            )
        return np.flatnonzero(array)
    if array.ndim > 1:
        raise ValueError(f"{what} must be one-dimensional, got shape {array.shape}")
    if array.dtype.kind in "iu":
        bad = (array < 0) | (array >= n_items)
        if bad.any():
            raise ValueError(
                f"{what} contains position {array[bad][0]}, but positions run from 0 "
                f"to {n_items - 1}"
            )
        return array.astype(np.int64)
    if array.dtype.kind in "UO" and all(isinstance(name, str) for name in array):
        return _positions_of_names(array.tolist(), names, what)
    raise TypeError(
        f"{what} must hold item positions (integers) or names (strings), got "
        f"{array.dtype} values such as {array.flat[0]!r}"
    )


def _positions_of_names(wanted, names, what):
    if names is None:
        raise ValueError(
            f"{what} contains the name {wanted[0]!r}, but the estimator was fitted "
            "without item names: where X has a column for each item, fit on a "
            "DataFrame, or pass positions"
        )
    where = {name: position for position, name in enumerate(names)}
    unknown = [name for name in wanted if name not in where]
    if unknown:
        raise ValueError(f"{what} contains {unknown[0]!r}, which is no fitted item")
    return np.array([where[name] for name in wanted], dtype=np.int64)


def is_mask_for_each(items):
    """Tell whether a filter has a row for each user."""
    return sp.issparse(items) or (np.ndim(items) == 2 and not isinstance(items, list))


def check_mask_shape(mask, shape, what, who="user"):
    """Raise unless a mask has a row for each of those who ask."""
    if tuple(mask.shape) != shape:
        raise ValueError(
            f"{what} is a mask of shape {tuple(mask.shape)}, but one row for each "
            f"{who} and one column for each item make {shape}"
        )


def bool_mask(items, shape, what, who="user"):
    """Return a mask of a row for each as a CSR array of bool without zeros."""
    mask = sp.csr_array(items)
    check_mask_shape(mask, shape, what, who)
    mask = mask.astype(bool)
    mask.sum_duplicates()
    mask.eliminate_zeros()
    return mask


def item_filter(items, n_users, n_items, names, what):
    """Split ``allow`` or ``deny`` into a mask for all users and one for each.

    Returns
    -------
    for_all : ndarray of bool of shape (n_items,), or None
    for_each : csr_array of shape (n_users, n_items), or None
    """
    if items is None:
        return None, None
    if is_mask_for_each(items):
        return None, bool_mask(items, (n_users, n_items), what)
    for_all = np.zeros(n_items, dtype=bool)
    for_all[item_positions(items, n_items, names, what)] = True
    return for_all, None


def own_items(positions, n_items):
    """Return the mask of the item that each query is, CSR (n_queries, n_items)."""
    n_queries = len(positions)
    ones = np.ones(n_queries, dtype=bool)
    starts = np.arange(n_queries + 1)
    return sp.csr_array((ones, positions, starts), shape=(n_queries, n_items))


def item_candidates(allow, deny, n_queries, n_items, names=None):
    """Return ``allow`` and ``deny`` as keyword arguments of ``retrieval.search``."""
    allowed, allowed_each = item_filter(allow, n_queries, n_items, names, "allow")
    denied, denied_each = item_filter(deny, n_queries, n_items, names, "deny")
    if denied is not None:
        allowed = ~denied if allowed is None else allowed & ~denied
    excluded = [] if denied_each is None else [denied_each]
    return {"candidates": allowed, "allowed": allowed_each, "excluded": excluded}
