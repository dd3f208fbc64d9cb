"""Generated interactions with power-law popularity and planted clusters."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state

from sksparse_rec._sparse import look_up
from sksparse_rec._validation import (
    Integral,
    Interval,
    Real,
    to_sparse_interface,
    validate_params,
)

# After this many rounds the popular cells of a dense matrix are all taken.
_MAX_PLANTED_ROUNDS = 10
# Spread of the users' activity: the busiest of 1,000 has some 25 times the least busy.
_ACTIVITY_SIGMA = 0.5


@validate_params(
    {
        "n_users": [Interval(Integral, 1, None, closed="left")],
        "n_items": [Interval(Integral, 1, None, closed="left")],
        "n_interactions": [Interval(Integral, 0, None, closed="left")],
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "popularity_exponent": [Interval(Real, 0, None, closed="left")],
        "noise": [Interval(Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
        "return_clusters": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def make_interactions(
    n_users=1000,
    n_items=500,
    n_interactions=20_000,
    *,
    n_clusters=10,
    popularity_exponent=0.8,
    noise=0.1,
    random_state=None,
    return_clusters=False,
):
    """Generate implicit feedback with planted clusters and power-law popularity.

    Every user and every item belongs to one cluster. Users mostly pick items of their
    own cluster, popular ones more often, and some users are busier than others. Use
    it to test whether a model finds structure that is known to be there, and to
    measure speed at any size.

    Parameters
    ----------
    n_users : int, default=1000
        Number of rows.
    n_items : int, default=500
        Number of columns.
    n_interactions : int, default=20_000
        Number of ones, exactly; at most half of ``n_users * n_items``. Real data sets
        have 10 to 200 a user.
    n_clusters : int, default=10
        Number of planted clusters, at most `n_items`. Clusters of items have equal
        sizes (up to one), clusters of users about equal ones.
    popularity_exponent : float, default=0.8
        The r-th most popular item is picked with a probability proportional to about
        ``r ** -popularity_exponent``. 0 makes all items equally popular; catalogues
        in practice lie between 0.5 and 1.2.
    noise : float, default=0.1
        Share of the picks made from the whole catalogue instead of the user's
        cluster. 0 gives clean blocks, 1 no clusters at all.
    random_state : int, RandomState instance or None, default=None
        Seed of the generator. Pass an int for the same data in every call.
    return_clusters : bool, default=False
        Whether to return the planted labels as well.

    Returns
    -------
    X : CSR matrix of shape (n_users, n_items), float32
        Ones, with sorted indices; a ``csr_array`` or ``csr_matrix``, as
        ``sklearn.set_config`` asks.
    user_clusters : ndarray of shape (n_users,), int64
        Planted cluster of every user. Only with ``return_clusters=True``.
    item_clusters : ndarray of shape (n_items,), int64
        Planted cluster of every item. Only with ``return_clusters=True``.

    Raises
    ------
    ValueError
        If more than half of all cells were to be ones, or `n_clusters` is greater
        than `n_items`.

    See Also
    --------
    load_debian : A real data set without a download.
    load_interactions : Read your own interactions.

    Notes
    -----
    Pairs drawn twice are drawn again. Where users have nearly all popular items of
    their cluster already, that does not end, so that after ten rounds the pairs still
    missing are drawn uniformly: the denser the matrix, the more noise. A few users or
    items may be left without an interaction.

    Time is O(n_interactions log n_interactions) and memory O(n_interactions + n_users
    + n_items), about 70 bytes an interaction at the peak: 10 million interactions of
    200,000 users with 1,000,000 items take about 4 seconds and 0.7 GB on one core.

    References
    ----------
    The popularity follows Zipf's law: G. K. Zipf, "Human Behavior and the Principle of
    Least Effort", Addison-Wesley, 1949.

    Examples
    --------
    >>> from sksparse_rec.datasets import make_interactions
    >>> X, user_clusters, item_clusters = make_interactions(
    ...     n_users=100,
    ...     n_items=80,
    ...     n_interactions=1000,
    ...     n_clusters=4,
    ...     random_state=0,
    ...     return_clusters=True,
    ... )
    >>> X.shape, X.nnz
    ((100, 80), 1000)
    >>> user_clusters.shape, item_clusters.shape
    ((100,), (80,))
    """
    if n_interactions > n_users * n_items // 2:
        raise ValueError(
            f"n_interactions({n_interactions}) must be <= n_users * n_items // 2 "
            f"({n_users * n_items // 2}): ask for fewer interactions, or for more "
            "users or items."
        )
    if n_clusters > n_items:
        raise ValueError(f"n_clusters({n_clusters}) must be <= n_items({n_items}).")
    rng = check_random_state(random_state)
    user_clusters = rng.randint(n_clusters, size=n_users)
    activity = rng.lognormal(sigma=_ACTIVITY_SIGMA, size=n_users)
    activity /= activity.sum()
    # Popularity ranks take turns over the clusters: every cluster gets its stars.
    item_of_rank = rng.permutation(n_items)
    item_clusters = np.empty(n_items, dtype=np.int64)
    item_clusters[item_of_rank] = np.arange(n_items) % n_clusters

    def draw_planted(size):
        users = np.repeat(np.arange(n_users), rng.multinomial(size, activity))
        ranks = _draw_ranks(
            rng, user_clusters[users], n_items, n_clusters, popularity_exponent, noise
        )
        return users * n_items + item_of_rank[ranks]

    def draw_uniform(size):
        return rng.randint(n_users * n_items, size=size, dtype=np.int64)

    cells = _draw_distinct(n_interactions, draw_planted, draw_uniform)
    X = to_sparse_interface(_to_csr(cells, n_users, n_items))
    return (X, user_clusters, item_clusters) if return_clusters else X


def _draw_ranks(rng, clusters, n_items, n_clusters, exponent, noise):
    """Return a popularity rank below n_items for each wanted cluster."""
    n_ranks = (n_items - 1 - clusters) // n_clusters + 1
    anywhere = rng.random_sample(clusters.size) < noise
    n_ranks[anywhere] = n_items
    ranks = _draw_power_law(rng, n_ranks, exponent)
    return np.where(anywhere, ranks, ranks * n_clusters + clusters)


def _draw_power_law(rng, n_ranks, exponent):
    """Return ranks from 0 to n_ranks - 1; density x ** -exponent on [1, n_ranks + 1).

    The inverse of the continuous distribution needs no table and no search.
    """
    uniform = rng.random_sample(n_ranks.size)
    if exponent == 1:
        x = np.exp(uniform * np.log1p(n_ranks))
    else:
        power = 1 - exponent
        x = (1 + uniform * ((n_ranks + 1.0) ** power - 1)) ** (1 / power)
    return np.clip(x.astype(np.int64) - 1, 0, n_ranks - 1)


def _draw_distinct(n_cells, draw_planted, draw_uniform):
    """Return n_cells distinct cells, ascending."""
    cells = np.empty(0, dtype=np.int64)
    n_rounds = 0
    while cells.size < n_cells:
        draw = draw_planted if n_rounds < _MAX_PLANTED_ROUNDS else draw_uniform
        # Never more than are missing, so that none has to be thrown away, which
        # would favour some cells over others.
        cells = _merge(cells, draw(n_cells - cells.size))
        n_rounds += 1
    return cells


def _merge(cells, drawn):
    """Return the union of cells, which are ascending, and of drawn, ascending."""
    # Sorting is 20 times as fast here as the hash table of np.unique.
    drawn = np.sort(drawn)
    drawn = drawn[np.diff(drawn, prepend=-1) > 0]
    positions, is_known = look_up(cells, drawn)
    return np.insert(cells, positions[~is_known], drawn[~is_known])


def _to_csr(cells, n_users, n_items):
    users, items = np.divmod(cells, n_items)
    index_type = np.int32 if max(cells.size, n_items) < 2**31 else np.int64
    indptr = np.zeros(n_users + 1, dtype=index_type)
    np.cumsum(np.bincount(users, minlength=n_users), out=indptr[1:])
    ones = np.ones(cells.size, dtype=np.float32)
    return sp.csr_array(
        (ones, items.astype(index_type), indptr), shape=(n_users, n_items)
    )
