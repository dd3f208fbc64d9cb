"""Scores of recommendations, with targets given or hidden for the purpose."""

import numpy as np

from sksparse_rec._validation import Integral, Interval, StrOptions, validate_params
from sksparse_rec.metrics import evaluate_ranking
from sksparse_rec.metrics._evaluate import FORMULAS
from sksparse_rec.model_selection._split import SPLIT_CONSTRAINTS, holdout_split

SCORER_CONSTRAINTS = {
    "metric": [StrOptions(set(FORMULAS)), callable],
    "k": [Interval(Integral, 1, None, closed="left")],
    **SPLIT_CONSTRAINTS,
    # A generator or None would hide other items for every candidate of a search.
    "random_state": [Interval(Integral, 0, 2**32 - 1, closed="both")],
}


@validate_params(
    {"recommend": [callable], **SCORER_CONSTRAINTS}, prefer_skip_nested_validation=True
)
def score_ranking(
    recommend,
    X,
    y=None,
    *,
    metric="ndcg",
    k=100,
    test_share=0.2,
    test_count=None,
    min_history=1,
    random_state=0,
    sample_weight=None,
    timestamps=None,
):
    r"""Score what a function recommends against targets, given or hidden for it.

    Use it in the ``score`` of a recommender of your own, or for one that is no
    estimator; for estimators take `make_ranking_scorer`.

    Parameters
    ----------
    recommend : callable
        Called once as ``recommend(X_history, k=k, exclude_seen=True)``. It returns
        CSR of shape (n_users, n_items) with the recommended items of each row stored
        best first, or integer item indices padded with -1.
    X : {array-like, sparse matrix} of shape (n_users, n_items)
        Interactions of users, best of users not used for training.
    y : {array-like, sparse matrix} of shape (n_users, n_items), default=None
        Targets; ``X`` is then the whole history. None hides a part of every row of
        ``X``, and so does a one-dimensional ``y``, which is ignored: inside a
        pipeline it holds class labels.
    metric : str or callable, default="ndcg"
        "average_precision", "hit_rate", "ndcg", "precision", "recall" or
        "reciprocal_rank", as in `sksparse_rec.metrics`, or a function called as
        ``metric(y_true, y_pred, k=k)``, with ``sample_weight`` where it is given.
    k : int, default=100
        Length of the lists and cut-off of the metric.
    test_share : float, default=0.2
        Share of each user's items to hide; see `holdout_split`.
    test_count : int, default=None
        Number of each user's items to hide, in place of ``test_share``.
    min_history : int, default=1
        Number of items a user keeps at least.
    random_state : int, default=0
        Seed of the hidden items. The same seed hides the same items of the same user
        wherever its row is, so scores of several models are comparable.
    sample_weight : array-like of shape (n_users,), default=None
        Weights of the users in the mean.
    timestamps : {array-like, sparse matrix} of shape (n_users, n_items), default=None
        Hide the latest items instead of random ones; see `holdout_split`.

    Returns
    -------
    float
        Mean of the metric over the users with targets.

    Raises
    ------
    ValueError
        If ``y`` is two-dimensional and not of the shape of ``X``, if ``y`` and
        ``timestamps`` both say what to hide, or if no user has targets.

    See Also
    --------
    make_ranking_scorer : The same as a scorer of estimators.
    holdout_split : How items are hidden.

    Notes
    -----
    With history :math:`x_u` and targets :math:`T_u` of user u,

    .. math:: \frac{\sum_{u : T_u \ne \emptyset} w_u \,
              m_k\big(T_u, \mathrm{recommend}(x_u)\big)}
              {\sum_{u : T_u \ne \emptyset} w_u}.

    Cost: one call of ``recommend``, and O(n log n) time and O(n) memory for n
    interactions and recommended items. A target that is in the history too counts as
    missed, since items seen are not recommended.

    References
    ----------
    Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for Collaborative
    Filtering", WWW 2018: the protocol.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.model_selection import score_ranking
    >>> X = np.array([[1, 0, 0], [0, 1, 0]])
    >>> y = np.array([[0, 1, 0], [0, 0, 1]])
    >>> def always_the_second(X, k, exclude_seen):
    ...     return np.ones((len(X), 1), dtype=int)
    >>> score_ranking(always_the_second, X, y)
    0.5
    """
    targets = _given_targets(X, y)
    history = X
    if targets is None:
        history, targets = holdout_split(
            X,
            test_share=test_share,
            test_count=test_count,
            timestamps=timestamps,
            min_history=min_history,
            random_state=random_state,
        )
        history = _with_names_of(X, history)
    elif timestamps is not None:
        raise ValueError(
            "y holds the targets, so timestamps cannot choose them: pass one of both."
        )
    y_pred = recommend(history, k=k, exclude_seen=True)
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    return metric_function(metric)(targets, y_pred, k=k, **weights)


def metric_function(metric):
    """Return the function that a metric's name stands for."""
    if callable(metric):
        return metric

    def named_metric(y_true, y_pred, k, sample_weight=None):
        name = f"{metric}@{k}"
        return evaluate_ranking(
            y_true, y_pred, metrics=[name], sample_weight=sample_weight
        ).means[name]

    return named_metric


def _given_targets(X, y):
    """Return y if it holds targets, None if it is absent or one label a user."""
    if y is None:
        return None
    shape, expected = _shape_of(y), _shape_of(X)
    if len(shape) < 2:
        return None
    if shape != expected:
        raise ValueError(
            f"y has shape {shape} but X has shape {expected}. Targets have a row for "
            "each user and a column for each item; pass y=None to hide a part of X."
        )
    return y


def _shape_of(X):
    return tuple(X.shape) if hasattr(X, "shape") else np.shape(X)


def _with_names_of(X, history):
    """Give the history the column names of a data frame, which estimators check."""
    if not hasattr(X, "columns"):
        return history
    if hasattr(X, "iloc"):
        # A data frame of pandas, which is not imported for this.
        return type(X).sparse.from_spmatrix(history, index=X.index, columns=X.columns)
    return type(X)(history.toarray(), schema=list(X.columns))
