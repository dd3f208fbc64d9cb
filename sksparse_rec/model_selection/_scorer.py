"""Scorers that hide a part of every user's items and ask for them back."""

import inspect

from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import UNCHANGED, MetadataRequest

from sksparse_rec._validation import validate_params
from sksparse_rec.model_selection._score_ranking import (
    SCORER_CONSTRAINTS,
    metric_function,
    score_ranking,
)


class RankingScorer:
    """Scorer of recommenders: ``scorer(estimator, X, y=None)``.

    It hides a part of every user's items, lets the estimator recommend from the rest,
    and evaluates the lists. Use it as ``scoring`` of everything in
    `sklearn.model_selection`; rows are users, so `sklearn.model_selection.KFold`
    evaluates on users not seen in training. `make_ranking_scorer` makes one.

    Parameters
    ----------
    metric : str or callable, default="ndcg"
        "average_precision", "hit_rate", "ndcg", "precision", "recall" or
        "reciprocal_rank", as in `sksparse_rec.metrics`, or a function called as
        ``metric(y_true, y_pred, k=k)``, with ``sample_weight`` where it is given.
        Greater must be better.
    k : int, default=100
        Length of the lists and cut-off of the metric.
    test_share : float, default=0.2
        Share of each user's items to hide; see `holdout_split`.
    test_count : int, default=None
        Number of each user's items to hide, in place of ``test_share``.
    min_history : int, default=1
        Number of items a user keeps at least.
    random_state : int, default=0
        Seed of the hidden items. It is an int because all candidates of a search must
        be asked for the same items.

    See Also
    --------
    make_ranking_scorer : Makes one.
    holdout_split : How items are hidden.
    score_ranking : The same for a function instead of an estimator.

    Notes
    -----
    The estimator is anything with ``recommend(X, k=..., exclude_seen=True)``, a
    `sklearn.pipeline.Pipeline` that ends with one, or a fitted search whose
    ``best_estimator_`` is one. In a pipeline the history goes through the earlier
    steps first, so the last step excludes what is non-zero *after* them, and they must
    keep the columns as they are: scaling, weighting, binarising.

    Users without targets (with no more items than ``min_history``) are left out of the
    mean.

    Examples
    --------
    >>> from sksparse_rec.model_selection import RankingScorer
    >>> RankingScorer("recall", k=20)
    RankingScorer('recall', k=20, test_share=0.2, test_count=None, min_history=1,
    random_state=0)
    """

    @validate_params(SCORER_CONSTRAINTS, prefer_skip_nested_validation=True)
    def __init__(
        self,
        metric="ndcg",
        *,
        k=100,
        test_share=0.2,
        test_count=None,
        min_history=1,
        random_state=0,
    ):
        self.metric = metric
        self.k = k
        self.test_share = test_share
        self.test_count = test_count
        self.min_history = min_history
        self.random_state = random_state
        self._score_request = {"sample_weight": None, "timestamps": None}

    def __call__(self, estimator, X, y=None, *, sample_weight=None, timestamps=None):
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted recommender, pipeline that ends with one, or search over them.
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Interactions.
        y : {array-like, sparse matrix} of shape (n_users, n_items), default=None
            Targets, ``X`` being the whole history. None hides a part of ``X``; so
            does a one-dimensional ``y``, which is ignored.
        sample_weight : array-like of shape (n_users,), default=None
            Weights of the users in the mean.
        timestamps : {array-like, sparse matrix}, default=None
            Times of the interactions, of the shape of ``X``: hide the latest items
            instead of random ones; see `holdout_split`.

        Returns
        -------
        float
            Mean of the metric over the users with targets.
        """

        def recommend(X_history, *, k, exclude_seen):
            recommender, X_history = _resolve(estimator, X_history)
            return recommender.recommend(X_history, k=k, exclude_seen=exclude_seen)

        return score_ranking(
            recommend,
            X,
            y,
            sample_weight=sample_weight,
            timestamps=timestamps,
            metric=self.metric,
            **self._options(),
        )

    def __repr__(self):
        name = self.metric
        name = repr(name) if isinstance(name, str) else getattr(name, "__name__", name)
        options = (f"{option}={value!r}" for option, value in self._options().items())
        return f"RankingScorer({name}, {', '.join(options)})"

    def _options(self):
        return {
            "k": self.k,
            "test_share": self.test_share,
            "test_count": self.test_count,
            "min_history": self.min_history,
            "random_state": self.random_state,
        }

    def set_score_request(self, *, sample_weight=UNCHANGED, timestamps=UNCHANGED):
        """Say which metadata of ``fit`` of a search this scorer wants.

        Parameters
        ----------
        sample_weight : bool, None or str, default=UNCHANGED
            True to request it, False to ignore it, None to raise where it is passed,
            or the name it is passed by.
        timestamps : bool, None or str, default=UNCHANGED
            The same for the timestamps of a hold-out by time.

        Returns
        -------
        RankingScorer
            This scorer.
        """
        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "set_score_request needs metadata routing: call "
                "sklearn.set_config(enable_metadata_routing=True) first."
            )
        asked = {"sample_weight": sample_weight, "timestamps": timestamps}
        self._score_request = self._score_request | {
            name: alias for name, alias in asked.items() if alias is not UNCHANGED
        }
        return self

    def get_metadata_routing(self):
        """Tell scikit-learn which metadata this scorer takes.

        Returns
        -------
        MetadataRequest
            Requests of ``sample_weight`` and ``timestamps``.
        """
        request = MetadataRequest(owner=self)
        for param, alias in self._score_request.items():
            request.score.add_request(param=param, alias=alias)
        return request

    def _accept_sample_weight(self):
        """Tell a search without metadata routing whether to pass sample_weight."""
        function = metric_function(self.metric)
        return "sample_weight" in inspect.signature(function).parameters


def _resolve(estimator, X):
    """Find what has ``recommend`` inside an estimator, and X as that sees it."""
    outer = estimator
    while not hasattr(estimator, "recommend"):
        if isinstance(estimator, Pipeline):
            if len(estimator) > 1:
                X = estimator[:-1].transform(X)
            estimator = estimator[-1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            raise TypeError(
                f"{type(outer).__name__} cannot be scored as a recommender: it has no "
                "`recommend`, and is neither a Pipeline nor a fitted search of one."
            )
    return estimator, X


def make_ranking_scorer(
    metric="ndcg",
    *,
    k=100,
    test_share=0.2,
    test_count=None,
    min_history=1,
    random_state=0,
):
    r"""Make a scorer of recommenders for ``scoring=`` in scikit-learn.

    Use it wherever scikit-learn takes a scorer: `sklearn.model_selection.GridSearchCV`
    (alone, or several in a dict with ``refit``), ``cross_val_score``, halving
    searches. No targets are needed: a part of every test user's items is hidden, by a
    seed tied to the items, so all candidates are asked for the same ones.

    Parameters
    ----------
    metric : str or callable, default="ndcg"
        "average_precision", "hit_rate", "ndcg", "precision", "recall" or
        "reciprocal_rank", as in `sksparse_rec.metrics`, or a function called as
        ``metric(y_true, y_pred, k=k)``, with ``sample_weight`` where it is given.
        Greater must be better.
    k : int, default=100
        Length of the lists and cut-off of the metric.
    test_share : float, default=0.2
        Share of each user's items to hide; see `holdout_split`.
    test_count : int, default=None
        Number of each user's items to hide, in place of ``test_share``.
    min_history : int, default=1
        Number of items a user keeps at least.
    random_state : int, default=0
        Seed of the hidden items.

    Returns
    -------
    RankingScorer
        Callable as ``scorer(estimator, X, y=None)``.

    Raises
    ------
    InvalidParameterError
        If the metric is unknown or a number is out of its range; a ``ValueError``.

    See Also
    --------
    RankingScorer : What it makes, and how pipelines are scored.
    sklearn.metrics.make_scorer : The same for functions of ``predict``.

    Notes
    -----
    The score of fold :math:`F` is the mean over its users :math:`F^+` with targets,

    .. math:: \frac{1}{|F^+|} \sum_{u \in F^+} m_k(u).

    Each scorer of a dict asks for recommendations anew, so its cost is one call of
    ``recommend`` for each metric.

    References
    ----------
    Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for Collaborative
    Filtering", WWW 2018: the protocol.

    Examples
    --------
    >>> from sksparse_rec.model_selection import make_ranking_scorer
    >>> scoring = {
    ...     "ndcg": make_ranking_scorer("ndcg"),
    ...     "recall": make_ranking_scorer("recall", k=20),
    ... }
    """
    return RankingScorer(
        metric,
        k=k,
        test_share=test_share,
        test_count=test_count,
        min_history=min_history,
        random_state=random_state,
    )
