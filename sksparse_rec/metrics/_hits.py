"""Metrics of how many targets a list holds, whatever their order."""

import numpy as np

from sksparse_rec._validation import validate_params
from sksparse_rec.metrics._matching import RANKING_CONSTRAINTS, ranking_metric


def count_hits(matches, k):
    """Count the targets among the first k places of each user."""
    return matches.per_user(np.ones(len(matches.users)), k)


def recall(matches, k):
    """Share of the targets that k places can hold."""
    return count_hits(matches, k) / np.clip(matches.n_targets, 1, k)


def precision(matches, k):
    """Share of the k places that hold a target."""
    return count_hits(matches, k) / k


def hit_rate(matches, k):
    """Whether the list holds a target."""
    return np.minimum(count_hits(matches, k), 1.0)


@validate_params(RANKING_CONSTRAINTS, prefer_skip_nested_validation=True)
def recall_at_k(y_true, y_pred, k=100, *, per_user=False, sample_weight=None):
    r"""Share of the targets that the first k recommendations find.

    Use it where the list is a candidate set and its order does not matter, as with
    the first of two ranking stages. It is calibrated: a user with more than k targets
    can still reach 1.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_users, n_items)
        Targets: the items each user should be recommended are the non-zero entries.
    y_pred : {CSR matrix, array-like} of shape (n_users, n_items or n_places)
        What `recommend` returns, untouched: the stored entries of a row are its
        items, best first. Or integer item indices, best first, padded with -1.
    k : int, default=100
        Cut-off: places after the k-th are ignored. 20 and 50 are common for recall.
    per_user : bool, default=False
        Return one value a user instead of the mean, for instance to compare two
        models by a paired test.
    sample_weight : array-like of shape (n_users,), default=None
        Weights of the users in the mean. Values of ``per_user`` are not weighted.

    Returns
    -------
    float or ndarray of shape (n_users,), float64
        Mean over the users with targets, between 0 and 1, or every user's value with
        NaN for users without targets.

    Raises
    ------
    ValueError
        If no user has targets and a mean is asked for, if a list holds an item twice,
        or if the shapes differ.

    See Also
    --------
    precision_at_k : The same hits as a share of the list.
    ndcg_at_k : Weighs hits by their place.
    evaluate_ranking : Several metrics for one matching.

    Notes
    -----
    With :math:`T_u` the targets of user u and :math:`L_u` the first k items,

    .. math:: \mathrm{Recall@}k(u) = \frac{|T_u \cap L_u|}{\min(k, |T_u|)}.

    Cost: O(n log n) time and O(n) memory for n targets and recommended items.

    References
    ----------
    Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for Collaborative
    Filtering", WWW 2018: the calibration by min(k, number of targets).

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import recall_at_k
    >>> y_true = np.array([[1, 1, 0, 0], [0, 0, 0, 1]])
    >>> y_pred = np.array([[0, 2], [1, 2]])
    >>> recall_at_k(y_true, y_pred, k=2)
    0.25
    >>> recall_at_k(y_true, y_pred, k=2, per_user=True)
    array([0.5, 0. ])
    """
    return ranking_metric(recall, y_true, y_pred, k, per_user, sample_weight)


@validate_params(RANKING_CONSTRAINTS, prefer_skip_nested_validation=True)
def precision_at_k(y_true, y_pred, k=100, *, per_user=False, sample_weight=None):
    r"""Share of the first k places that hold a target.

    Use it where every place has a price, such as a short shelf. A user with fewer
    than k targets cannot reach 1, so it says little for large k; prefer
    `recall_at_k` there.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_users, n_items)
        Targets: the items each user should be recommended are the non-zero entries.
    y_pred : {CSR matrix, array-like} of shape (n_users, n_items or n_places)
        What `recommend` returns, untouched: the stored entries of a row are its
        items, best first. Or integer item indices, best first, padded with -1.
    k : int, default=100
        Number of places. A shorter list has empty places, which count as misses.
        Choose the length of the list that users see.
    per_user : bool, default=False
        Return one value a user instead of the mean.
    sample_weight : array-like of shape (n_users,), default=None
        Weights of the users in the mean. Values of ``per_user`` are not weighted.

    Returns
    -------
    float or ndarray of shape (n_users,), float64
        Mean over the users with targets, between 0 and 1, or every user's value with
        NaN for users without targets.

    Raises
    ------
    ValueError
        If no user has targets and a mean is asked for, if a list holds an item twice,
        or if the shapes differ.

    See Also
    --------
    recall_at_k : The same hits as a share of the targets.
    average_precision_at_k : Precision averaged over the places of the hits.

    Notes
    -----
    With :math:`T_u` the targets of user u and :math:`L_u` the first k items,

    .. math:: \mathrm{Precision@}k(u) = \frac{|T_u \cap L_u|}{k}.

    Cost: O(n log n) time and O(n) memory for n targets and recommended items.

    References
    ----------
    Manning, Raghavan and Schütze, "Introduction to Information Retrieval", Cambridge
    University Press 2008, chapter 8.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import precision_at_k
    >>> y_true = np.array([[1, 1, 0, 0], [0, 0, 0, 1]])
    >>> y_pred = np.array([[0, 2], [3, -1]])
    >>> precision_at_k(y_true, y_pred, k=2)
    0.5
    """
    return ranking_metric(precision, y_true, y_pred, k, per_user, sample_weight)


@validate_params(RANKING_CONSTRAINTS, prefer_skip_nested_validation=True)
def hit_rate_at_k(y_true, y_pred, k=100, *, per_user=False, sample_weight=None):
    r"""Share of the users whose first k recommendations hold any target.

    Use it where one good item is enough, or where each user has a single target
    (leave-one-out), in which case it equals recall.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_users, n_items)
        Targets: the items each user should be recommended are the non-zero entries.
    y_pred : {CSR matrix, array-like} of shape (n_users, n_items or n_places)
        What `recommend` returns, untouched: the stored entries of a row are its
        items, best first. Or integer item indices, best first, padded with -1.
    k : int, default=100
        Cut-off: places after the k-th are ignored. 10 is common for leave-one-out.
    per_user : bool, default=False
        Return one value a user instead of the mean.
    sample_weight : array-like of shape (n_users,), default=None
        Weights of the users in the mean. Values of ``per_user`` are not weighted.

    Returns
    -------
    float or ndarray of shape (n_users,), float64
        Mean over the users with targets, between 0 and 1, or 1.0 or 0.0 for every
        user, with NaN for users without targets.

    Raises
    ------
    ValueError
        If no user has targets and a mean is asked for, if a list holds an item twice,
        or if the shapes differ.

    See Also
    --------
    recall_at_k : Counts all hits.
    reciprocal_rank_at_k : Weighs the first hit by its place.

    Notes
    -----
    With :math:`T_u` the targets of user u and :math:`L_u` the first k items,

    .. math:: \mathrm{HR@}k(u) = [\, T_u \cap L_u \neq \emptyset \,].

    Cost: O(n log n) time and O(n) memory for n targets and recommended items.

    References
    ----------
    Deshpande and Karypis, "Item-Based Top-N Recommendation Algorithms", ACM
    Transactions on Information Systems 22(1), 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import hit_rate_at_k
    >>> y_true = np.array([[1, 1, 0, 0], [0, 0, 0, 1]])
    >>> y_pred = np.array([[0, 2], [1, 2]])
    >>> hit_rate_at_k(y_true, y_pred, k=2)
    0.5
    """
    return ranking_metric(hit_rate, y_true, y_pred, k, per_user, sample_weight)
