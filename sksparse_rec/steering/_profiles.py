"""What steering needs of a recommender: profiles, and lists for them.

A recommender is anything fitted that has ``transform`` from histories to profiles and
``inverse_transform`` from profiles to the scores of all items. Those of this package
are searched without making all scores.
"""

import numpy as np
import scipy.sparse as sp
from sklearn import get_config
from sklearn.frozen import FrozenEstimator

from sksparse_rec._sparse import top_columns
from sksparse_rec._validation import to_sparse_interface
from sksparse_rec.models import RecommenderMixin
from sksparse_rec.retrieval import search
from sksparse_rec.retrieval._search import csr_in_order

# Copies of a block of scores that are in memory at once.
COPIES = 4
# Sparse profiles with a larger share of non-zeros are made dense.
DENSE_SHARE = 0.4
# Items whose one-item histories are encoded at once, at most.
ITEM_BLOCK = 4096


def unwrapped(estimator):
    """Return what a `FrozenEstimator` holds, and anything else as it is."""
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return estimator


def is_own_code(recommender):
    """Tell whether profiles are made of k-sparse item embeddings."""
    A = getattr(unwrapped(recommender), "item_embeddings_", None)
    return sp.issparse(A) and A.nnz <= DENSE_SHARE * A.shape[0] * A.shape[1]


def profiles_of(recommender, history):
    """Return profiles, float64: CSR or ndarray of shape (n_users, n_dimensions)."""
    own = unwrapped(recommender)
    if isinstance(own, RecommenderMixin):
        return sp.csr_array(own._profiles_of(history.astype(np.float64, copy=False)))
    # Some refuse another type than that of their components.
    dtype = getattr(getattr(own, "components_", None), "dtype", np.float64)
    history = history.astype(dtype, copy=False)
    profiles = recommender.transform(to_sparse_interface(history))
    if sp.issparse(profiles):
        return sp.csr_array(profiles, dtype=np.float64)
    profiles = np.asarray(profiles, dtype=np.float64)
    if profiles.ndim != 2 or len(profiles) != history.shape[0]:
        raise ValueError(
            f"transform of {type(own).__name__} returned an array of shape "
            f"{profiles.shape} for {history.shape[0]} users: it has to return a "
            "profile for each, as a row"
        )
    return profiles


def as_dense(P):
    """Return an array of what may be sparse."""
    return P.toarray() if sp.issparse(P) else P


def item_profiles(recommender, n_items):
    """Yield the profiles of histories of one item, a block of items at a time."""
    # A profile may be as wide as the catalogue.
    for items in blocks_of(n_items, n_items, ITEM_BLOCK):
        ones = np.ones(len(items), dtype=np.float32)
        shape = len(items), n_items
        history = sp.csr_array((ones, items, np.arange(len(items) + 1)), shape=shape)
        yield profiles_of(recommender, history)


def best_items(recommender, make_profiles, n_users, popularity, k, filters):
    """Return the ``k`` best items for profiles.

    Parameters
    ----------
    recommender : fitted recommender
    make_profiles : callable
        From positions of users, a slice, to their profiles.
    n_users : int
    popularity : ndarray of shape (n_items,)
        Breaks ties.
    k : int
    filters : dict
        ``candidates``, ``allowed`` and ``excluded``, as `retrieval.search` takes them.

    Returns
    -------
    R : csr_array of shape (n_users, n_items), float64
        At most ``k`` entries a row, best first.
    """
    own = unwrapped(recommender)
    if isinstance(own, RecommenderMixin):
        # Positions stand for the users, whose profiles are made block by block.
        return search(
            np.arange(n_users),
            own._searchable(),
            k,
            encoder=lambda users: own._ranking_profiles(
                sp.csr_array(make_profiles(users))
            ),
            **filters,
        )
    order = np.lexsort((np.arange(len(popularity)), -popularity))
    parts = [sp.csr_array((0, len(popularity)))]
    for users in blocks_of(n_users, len(popularity)):
        scores = _scores(recommender, make_profiles(users), len(popularity))
        parts.append(_best(scores, order, k, _masks(filters, users)))
    lengths = np.concatenate([np.diff(part.indptr) for part in parts])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices, data = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("indices", "data")
    )
    return csr_in_order(data, indices, indptr, (n_users, len(popularity)))


def blocks_of(n_rows, n_columns, most=None):
    """Yield the positions of blocks of rows that fit working memory as float64."""
    step = get_config()["working_memory"] * 2**20 / (8 * COPIES * max(n_columns, 1))
    step = max(1, int(step)) if most is None else min(max(1, int(step)), most)
    for start in range(0, n_rows, step):
        yield np.arange(start, min(start + step, n_rows))


def _scores(recommender, profiles, n_items):
    """Return the scores of all items, a new float64 array."""
    name = type(unwrapped(recommender)).__name__
    profiles = to_sparse_interface(profiles) if sp.issparse(profiles) else profiles
    scores = recommender.inverse_transform(profiles)
    scores = np.array(as_dense(scores), dtype=np.float64)
    if scores.shape != (profiles.shape[0], n_items):
        raise ValueError(
            f"inverse_transform of {name} returned scores of shape {scores.shape}; "
            f"{(profiles.shape[0], n_items)} are needed, one for each item"
        )
    if np.isnan(scores).any():
        raise ValueError(f"inverse_transform of {name} returned NaN as a score")
    return scores


def _masks(filters, users):
    """Return the filters of some users."""
    candidates, allowed = filters["candidates"], filters["allowed"]
    return (
        candidates,
        None if allowed is None else allowed[users],
        [mask[users] for mask in filters["excluded"]],
    )


def _best(scores, order, k, masks):
    """Return the best items of dense scores, which are changed."""
    candidates, allowed, excluded = masks
    if candidates is not None:
        scores[:, ~candidates] = -np.inf
    if allowed is not None:
        scores[~(allowed.toarray().astype(bool))] = -np.inf
    for mask in excluded:
        mask = sp.coo_array(mask)
        scores[mask.coords] = -np.inf
    # In the order of ties, the lower column comes first.
    scores = scores[:, order]
    columns = top_columns(scores, k)
    found = np.take_along_axis(scores, columns, axis=1)
    best_first = np.argsort(-found, axis=1, kind="stable")
    columns = np.take_along_axis(columns, best_first, axis=1)
    found = np.take_along_axis(found, best_first, axis=1)
    kept = found > -np.inf
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return csr_in_order(found[kept], order[columns[kept]], indptr, scores.shape)
