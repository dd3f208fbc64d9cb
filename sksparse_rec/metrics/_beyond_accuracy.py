"""How much of the catalogue lists show, and how little known it is."""

import numpy as np

from sksparse_rec._validation import Integral, Interval, validate_params
from sksparse_rec.metrics._matching import (
    LIST_CONSTRAINTS,
    MEAN_CONSTRAINTS,
    mean_over_users,
    read_lists,
)


@validate_params(
    {**LIST_CONSTRAINTS, "n_items": [Interval(Integral, 1, None, closed="left"), None]},
    prefer_skip_nested_validation=True,
)
def catalog_coverage(y_pred, k=100, *, n_items=None):
    r"""Share of the catalogue that is recommended to at least one user.

    Use it beside an accuracy metric: a model that recommends best-sellers to everyone
    may score well and leave most of the catalogue unseen. Compare models on the same
    users, since coverage grows with their number.

    Parameters
    ----------
    y_pred : {CSR matrix, array-like} of shape (n_users, n_items or n_places)
        What `recommend` returns, untouched: the stored entries of a row are its
        items, best first. Or integer item indices, best first, padded with -1.
    k : int, default=100
        Cut-off: places after the k-th are ignored. Choose the length of the list that
        users see.
    n_items : int, default=None
        Size of the catalogue. Needed with item indices; None takes the number of
        columns.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If ``n_items`` is missing or contradicts ``y_pred``, or if a list holds an item
        twice.

    See Also
    --------
    novelty : How little known the recommended items are.
    intra_list_diversity : How different the items of one list are.

    Notes
    -----
    With :math:`L_u` the first k items recommended to user u,

    .. math:: \mathrm{coverage@}k = \frac{|\bigcup_u L_u|}{n_\mathrm{items}}.

    Cost: O(n log n) time and O(n + n_items) memory for n recommended items.

    References
    ----------
    Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy: evaluating recommender
    systems by coverage and serendipity", RecSys 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import catalog_coverage
    >>> catalog_coverage(np.array([[0, 2], [0, 1]]), k=2, n_items=4)
    0.75
    """
    lists = read_lists(y_pred, k, n_items=n_items)
    if lists.n_items is None:
        raise ValueError(
            "Item indices do not tell the size of the catalogue: pass n_items."
        )
    shown = np.zeros(lists.n_items, dtype=bool)
    shown[lists.items] = True
    return float(shown.mean())


@validate_params(
    {**LIST_CONSTRAINTS, **MEAN_CONSTRAINTS, "popularity": ["array-like"]},
    prefer_skip_nested_validation=True,
)
def novelty(y_pred, popularity, k=100, *, per_user=False, sample_weight=None):
    r"""Mean self-information, in bits, of the recommended items.

    Use it to see whether a model goes beyond what everybody knows: one bit more means
    items half as popular.

    Parameters
    ----------
    y_pred : {CSR matrix, array-like} of shape (n_users, n_items or n_places)
        What `recommend` returns, untouched: the stored entries of a row are its
        items, best first. Or integer item indices, best first, padded with -1.
    popularity : array-like of shape (n_items,)
        Numbers of interactions of the items in training, such as
        ``X_train.sum(axis=0)``, or anything in proportion to them. An item with none
        counts like the rarest item that has some.
    k : int, default=100
        Cut-off: places after the k-th are ignored.
    per_user : bool, default=False
        Return one value a user instead of the mean.
    sample_weight : array-like of shape (n_users,), default=None
        Weights of the users in the mean. Values of ``per_user`` are not weighted.

    Returns
    -------
    float or ndarray of shape (n_users,), float64
        Mean over the users with recommendations, 0 or more, or every user's value
        with NaN for users without recommendations.

    Raises
    ------
    ValueError
        If a popularity is negative or not finite, if all are zero, if no user has
        recommendations and a mean is asked for, or if a list holds an item twice.

    See Also
    --------
    catalog_coverage : How much of the catalogue is recommended at all.

    Notes
    -----
    With :math:`c_i` the popularity of item i and :math:`L_u` the first k items,

    .. math:: \mathrm{novelty@}k(u) = \frac{1}{|L_u|} \sum_{i \in L_u}
              -\log_2 \frac{c_i}{\sum_j c_j}.

    Cost: O(n log n) time and O(n + n_items) memory for n recommended items.

    References
    ----------
    Vargas and Castells, "Rank and relevance in novelty and diversity metrics for
    recommender systems", RecSys 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import novelty
    >>> novelty(np.array([[0], [1]]), popularity=[4, 2, 1, 1], k=1)
    1.5
    """
    information = _self_information(popularity)
    lists = read_lists(y_pred, k, n_items=len(information))
    lengths = np.bincount(lists.users, minlength=lists.n_users)
    total = np.bincount(lists.users, information[lists.items], minlength=lists.n_users)
    values = np.where(lengths > 0, total / np.maximum(lengths, 1), np.nan)
    if per_user:
        return values
    return mean_over_users(
        values, sample_weight=sample_weight, lacking="recommendations"
    )


def _self_information(popularity):
    # `X.sum(axis=0)` of a csr_matrix is a matrix of one row.
    counts = np.ravel(np.asarray(popularity, dtype=float))
    if not np.isfinite(counts).all() or not (counts >= 0).all():
        raise ValueError("popularity must be finite and non-negative.")
    total = counts.sum()
    if not total > 0:
        raise ValueError("popularity is zero for every item.")
    return np.log2(total) - np.log2(np.maximum(counts, counts[counts > 0].min()))
