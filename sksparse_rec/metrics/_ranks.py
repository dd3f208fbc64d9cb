"""Metrics that weigh the targets a list holds by their places."""

import numpy as np

from sksparse_rec._sparse import places_in_rows, row_indices
from sksparse_rec._validation import validate_params
from sksparse_rec.metrics._matching import RANKING_CONSTRAINTS, ranking_metric


def ndcg(matches, k):
    """Discounted gain as a share of the best possible one."""
    gained = matches.per_user(matches.gains / np.log2(matches.places + 1), k)
    return gained / _ideal_gain(matches.targets, k)


def _ideal_gain(targets, k):
    """Discounted gain of each row's k largest targets; 1 for a row without any."""
    users = row_indices(targets)
    # Rows are contiguous already: sorting by row keeps them where they are.
    gains = targets.data[np.lexsort((-targets.data, users))]
    places = 1 + places_in_rows(targets, users)
    weights = np.where(places <= k, gains / np.log2(places + 1), 0.0)
    ideal = np.bincount(users, weights, minlength=targets.shape[0])
    return np.where(ideal > 0, ideal, 1.0)


def average_precision(matches, k):
    """Precision at the places of the hits, summed over the targets k places hold."""
    hit_number = np.arange(len(matches.users))
    first = matches.first_hits()
    hit_number -= np.repeat(first, np.diff(first, append=len(matches.users)))
    precisions = (hit_number + 1) / matches.places
    return matches.per_user(precisions, k) / np.clip(matches.n_targets, 1, k)


def reciprocal_rank(matches, k):
    """One over the place of the first hit."""
    weights = np.zeros(len(matches.users))
    first = matches.first_hits()
    weights[first] = 1.0 / matches.places[first]
    return matches.per_user(weights, k)


@validate_params(RANKING_CONSTRAINTS, prefer_skip_nested_validation=True)
def ndcg_at_k(y_true, y_pred, k=100, *, per_user=False, sample_weight=None):
    r"""Normalised discounted cumulative gain of the first k recommendations.

    The default choice to compare recommenders: it rewards every target found, the
    more the earlier. Estimators of this package report it, at 100, from ``score``.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_users, n_items)
        Targets: the items each user should be recommended are the non-zero entries,
        and their values the gains. Ones give the binary metric of the papers; leave
        ratings in only if an item rated 4 is worth twice one rated 2.
    y_pred : {CSR matrix, array-like} of shape (n_users, n_items or n_places)
        What `recommend` returns, untouched: the stored entries of a row are its
        items, best first. Or integer item indices, best first, padded with -1.
    k : int, default=100
        Cut-off: places after the k-th are ignored.
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
    recall_at_k : Ignores the places of the hits.
    evaluate_ranking : Several metrics for one matching.
    sklearn.metrics.ndcg_score : The same for dense scores of few items.

    Notes
    -----
    With :math:`g_{ur}` the gain of the item in place r for user u (0 for an item
    that is no target) and :math:`g^*_{ur}` the gains of the targets in descending
    order,

    .. math::

        \mathrm{nDCG@}k(u) = \frac{\sum_{r=1}^{k} g_{ur} / \log_2(r + 1)}
                                   {\sum_{r=1}^{k} g^*_{ur} / \log_2(r + 1)}.

    Gains are linear, so each value equals that of `sklearn.metrics.ndcg_score` where
    scores have no ties; but that function counts a user without targets as 0 in the
    mean. Cost: O(n log n) time and O(n) memory for n targets and recommended items.

    References
    ----------
    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM
    Transactions on Information Systems 20(4), 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import ndcg_at_k
    >>> y_true = np.array([[1, 1, 0, 0], [0, 0, 0, 1]])
    >>> y_pred = np.array([[0, 1], [2, 3]])
    >>> round(ndcg_at_k(y_true, y_pred, k=2), 3)
    0.815
    >>> ndcg_at_k(y_true, y_pred, k=2, per_user=True).round(3)
    array([1.   , 0.631])
    """
    return ranking_metric(ndcg, y_true, y_pred, k, per_user, sample_weight)


@validate_params(RANKING_CONSTRAINTS, prefer_skip_nested_validation=True)
def average_precision_at_k(
    y_true, y_pred, k=100, *, per_user=False, sample_weight=None
):
    r"""Precision at the places of the hits, averaged over the targets.

    Use it where users read from the top and stop early: an early miss lowers the
    value of every later hit. Its mean over users is known as MAP@k.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_users, n_items)
        Targets: the items each user should be recommended are the non-zero entries.
    y_pred : {CSR matrix, array-like} of shape (n_users, n_items or n_places)
        What `recommend` returns, untouched: the stored entries of a row are its
        items, best first. Or integer item indices, best first, padded with -1.
    k : int, default=100
        Cut-off: places after the k-th are ignored.
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
    precision_at_k : The share of hits at one cut-off.
    ndcg_at_k : A gentler discount of late hits.

    Notes
    -----
    With :math:`T_u` the targets of user u and :math:`h_{ur}` one where the item in
    place r is a target and zero elsewhere,

    .. math::

        \mathrm{AP@}k(u) = \frac{1}{\min(k, |T_u|)}
                           \sum_{r=1}^{k} h_{ur} \, \frac{\sum_{s \le r} h_{us}}{r}.

    Cost: O(n log n) time and O(n) memory for n targets and recommended items.

    References
    ----------
    Manning, Raghavan and Schütze, "Introduction to Information Retrieval", Cambridge
    University Press 2008, chapter 8.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import average_precision_at_k
    >>> y_true = np.array([[1, 1, 0, 0], [0, 0, 0, 1]])
    >>> y_pred = np.array([[0, 1], [2, 3]])
    >>> average_precision_at_k(y_true, y_pred, k=2)
    0.75
    """
    return ranking_metric(average_precision, y_true, y_pred, k, per_user, sample_weight)


@validate_params(RANKING_CONSTRAINTS, prefer_skip_nested_validation=True)
def reciprocal_rank_at_k(y_true, y_pred, k=100, *, per_user=False, sample_weight=None):
    r"""One over the place of the first target among k recommendations.

    Use it where users look for one item and stop at it, as in search or in
    "play next". Its mean over users is known as MRR@k.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_users, n_items)
        Targets: the items each user should be recommended are the non-zero entries.
    y_pred : {CSR matrix, array-like} of shape (n_users, n_items or n_places)
        What `recommend` returns, untouched: the stored entries of a row are its
        items, best first. Or integer item indices, best first, padded with -1.
    k : int, default=100
        Cut-off: a first target after the k-th place counts as 0.
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
    hit_rate_at_k : Whether there is a target at all.
    ndcg_at_k : Counts all targets.

    Notes
    -----
    With :math:`r_u` the place of the first target in the list of user u,

    .. math:: \mathrm{RR@}k(u) = \begin{cases} 1 / r_u & r_u \le k \\
                                  0 & \text{otherwise.} \end{cases}

    Cost: O(n log n) time and O(n) memory for n targets and recommended items.

    References
    ----------
    Voorhees, "The TREC-8 Question Answering Track Report", TREC 1999.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import reciprocal_rank_at_k
    >>> y_true = np.array([[1, 1, 0, 0], [0, 0, 0, 1]])
    >>> y_pred = np.array([[0, 1], [2, 3]])
    >>> reciprocal_rank_at_k(y_true, y_pred, k=2)
    0.75
    """
    return ranking_metric(reciprocal_rank, y_true, y_pred, k, per_user, sample_weight)
