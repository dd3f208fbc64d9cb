"""CompressedELSACV: the number of non-zeros chosen on held-out users."""

import logging
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv

from sksparse_rec._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_interactions,
    fit_context,
    rolled_back_on_error,
)
from sksparse_rec.models._base import DocumentationLinkMixin, RecommenderMixin
from sksparse_rec.models._compressed_elsa import CompressedELSA
from sksparse_rec.models._levels import (
    BYTES_PER_NONZERO,
    largest_that_fits,
    select_level,
    sparsity_grid,
)
from sksparse_rec.models._lists import is_labels
from sksparse_rec.models._new_items import NewItemsMixin
from sksparse_rec.models._path import fit_path

logger = logging.getLogger("sksparse_rec")

# Parameters that go to the models of the path as they are.
PASSED_ON = (
    "n_components",
    "max_iter",
    "batch_size",
    "learning_rate",
    "learning_rate_decay",
    "dropout",
    "user_weighting",
    "item_weighting",
    "popularity_weighting",
    "precision",
    "device",
    "n_jobs",
    "random_state",
)


class CompressedELSACV(
    RecommenderMixin, NewItemsMixin, DocumentationLinkMixin, BaseEstimator
):
    r"""Compressed ELSA whose number of non-zeros is chosen on held-out users.

    Trains the whole path of sparsity levels once for each fold of users, scores every
    level on the users left out, selects one by ``rule``, and trains that one on all
    users. Use it in place of `sklearn.model_selection.GridSearchCV` over
    ``n_nonzero``, at a fraction of the cost, and where what is asked for is "the
    smallest embeddings that are good enough" or "what fits in 64 bytes an item". The
    fitted estimator has the methods of the model that it selects, ``partial_fit``
    excepted.

    Parameters
    ----------
    n_components : int, default=1024
        Width of the embeddings. It costs training time and no bytes; see
        `CompressedELSA` for when 4096 pay.
    n_nonzero : array-like of int, default=(256, 128, 64, 32, 16, 8)
        The levels to choose from, in any order. Powers of two are enough: neighbours
        closer than that hardly differ. Levels above ``n_components`` or the number of
        items are clipped. With a single one the model is that of `CompressedELSA`.
    cv : int, cross-validation generator or iterable, default=3
        Folds of users, as in `sklearn.model_selection.GridSearchCV`. An int makes
        consecutive blocks of rows: where rows are sorted, by name or by date, pass
        ``KFold(3, shuffle=True, random_state=0)``. With many users
        ``ShuffleSplit(3, test_size=2000, random_state=0)`` saves most of the time of
        scoring.
    scoring : str, callable or None, default=None
        What is best. None is ``score``, the mean nDCG@100;
        `sksparse_rec.model_selection.make_ranking_scorer` makes others, and any
        ``scorer(estimator, X, y)`` will do. Greater must be better.
    rule : {"best", "one_standard_error"} or float, default="best"
        Which level is selected. "best" takes the highest mean over the folds, most
        often the largest level; "one_standard_error" the smallest level whose mean is
        within one standard error of the best one's; a float between 0 and 1 the
        smallest level that loses at most this share of the best mean: 0.025 gives the
        smallest embeddings at a loss of at most 2.5 %.
    max_bytes_per_item : float or None, default=None
        Budget of an item, at 8 bytes a non-zero: a float32 value and an int32 column.
        Levels above the budget make way for the largest one that fits.
    max_bytes : float or None, default=None
        Budget of the whole catalogue, divided by the number of items. With both
        budgets the smaller one counts.
    max_iter : int, default=10
        Epochs of the largest level; see `CompressedELSA`.
    max_iter_per_level : int, default=6
        Epochs that a level is trained for by itself; see `compressed_elsa_path`. Raise
        it if small levels are worse than `CompressedELSA` at the same ``n_nonzero``.
    batch_size : int or "auto", default="auto"
        Users a step.
    learning_rate : float, default=0.1
        Step size of NAdam.
    learning_rate_decay : bool, default=True
        Let the step size fall linearly over the epochs of a level.
    dropout : float, default=0.0
        Share of the interactions left out at random in every step.
    user_weighting : float, default=0.5
        Users count ``length**-user_weighting`` in the co-occurrence that starts the
        training.
    item_weighting : float, default=0.0
        How much less an interaction with a popular item counts; see `CompressedELSA`.
    popularity_weighting : float, default=0.0
        How much more popular items are recommended; see `CompressedELSA`.
    precision : str, default="auto"
        Of the training, as in `CompressedELSA`.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1" or "mps" (untested); "auto" takes CUDA where there is
        one.
    n_jobs : int or None, default=None
        Threads of the training, shared among levels that are trained at once; folds are
        trained one after the other.
    random_state : int, RandomState instance or None, default=None
        Anchors, batches and samples of every training. It does not shuffle the folds.
    verbose : int, default=0
        Above 0 the scores of every fold go to the logger ``sksparse_rec`` at level
        INFO.

    Attributes
    ----------
    n_nonzero_ : int
        The selected level.
    n_nonzero_grid_ : ndarray of shape (n_levels,), int64
        The levels that were scored, descending: ``n_nonzero`` without repetition,
        clipped, and cut to the budget.
    score_path_ : ndarray of shape (n_levels, n_folds), float64
        Score of each level on the users of each fold.
    bytes_per_item_ : int
        What a full row of the selected level takes: ``8 * n_nonzero_``. Rows of items
        without interactions are empty, so the mean may be less.
    best_index_ : int
        Position of the selected level in ``n_nonzero_grid_``.
    best_score_ : float
        Mean of ``score_path_`` at the selected level.
    best_estimator_ : CompressedELSA
        The selected model, trained on all users. Attributes below are its own.
    item_embeddings_ : csr_array of shape (n_items, n_components), float32
        Rows of unit length with at most ``n_nonzero_`` entries.
    components_ : csr_array of shape (n_components, n_items), float32
        Its transpose.
    anchors_ : ndarray of shape (n_components,), int64
        The item that each latent started from; -1 where there is none.
    item_weights_, item_slopes_ : ndarray of shape (n_items,), float32, or None
        Those of ``item_weighting`` and ``popularity_weighting``.
    item_popularity_ : ndarray of shape (n_items,), int64
        Users of each item; breaks ties.
    loss_curve_ : list of float
        Mean loss of every epoch of the last training.
    n_iter_ : int
        Its number of epochs.
    n_features_in_ : int
        Number of items.
    feature_names_in_ : ndarray of shape (n_items,)
        Item names, where ``X`` was a DataFrame with string columns.

    See Also
    --------
    CompressedELSA : One level.
    compressed_elsa_path : The embeddings of all levels, without a choice.
    sksparse_rec.plotting.SparsityPathDisplay : Draws ``score_path_``.

    Notes
    -----
    With :math:`m_l` the mean score of level :math:`l` over :math:`F` folds,
    :math:`m^*` the largest of them and :math:`s^*` the standard deviation over the
    folds of the level that has it, a level qualifies if

    .. math::

        m_l \ge m^*, \qquad
        m_l \ge m^* - \frac{s^*}{\sqrt F}, \qquad
        m_l \ge m^* - t \, |m^*|

    for "best", "one_standard_error" and a float :math:`t`; the smallest level that
    qualifies is selected. The folds share most of their training users, so the
    standard error is a rule of thumb, not a test.

    Wide levels start from fewer non-zeros than a `CompressedELSA` of theirs; see
    ``n_nonzero_start`` of `compressed_elsa_path`.

    Time is that of one path for each fold and, for the refit, of one that has the
    selected level alone, plus the scoring: every user of a test fold ranks the
    catalogue once for each level, O(n_users × n_items × sum(n_nonzero)) in all. Memory
    is that of one path, beside a copy of the training rows of a fold.

    References
    ----------
    Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984:
    the rule of one standard error.

    "Efficient Learning of Sparse Representations from Interactions", WWW 2026,
    arXiv:2602.09935: quality against size.

    Examples
    --------
    >>> from sksparse_rec import CompressedELSACV
    >>> from sksparse_rec.datasets import make_interactions
    >>> X = make_interactions(300, 100, 3000, random_state=0)
    >>> model = CompressedELSACV(
    ...     64, n_nonzero=(16, 8, 4), rule=0.05, max_bytes_per_item=100, random_state=0
    ... ).fit(X)
    >>> model.n_nonzero_grid_
    array([12,  8,  4])
    >>> model.score_path_.shape
    (3, 3)
    >>> model.bytes_per_item_ == 8 * model.n_nonzero_ <= 100
    True
    >>> model.predict(X[:2], k=3).shape
    (2, 3)
    """

    _parameter_constraints: ClassVar[dict] = {
        **{name: CompressedELSA._parameter_constraints[name] for name in PASSED_ON},
        "n_nonzero": ["array-like"],
        "cv": ["cv_object"],
        "scoring": [str, callable, None],
        "rule": [
            StrOptions({"best", "one_standard_error"}),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "max_bytes_per_item": [Interval(Real, 0, None, closed="neither"), None],
        "max_bytes": [Interval(Real, 0, None, closed="neither"), None],
        "max_iter_per_level": [Interval(Integral, 1, None, closed="left")],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components=1024,
        *,
        n_nonzero=(256, 128, 64, 32, 16, 8),
        cv=3,
        scoring=None,
        rule="best",
        max_bytes_per_item=None,
        max_bytes=None,
        max_iter=10,
        max_iter_per_level=6,
        batch_size="auto",
        learning_rate=0.1,
        learning_rate_decay=True,
        dropout=0.0,
        user_weighting=0.5,
        item_weighting=0.0,
        popularity_weighting=0.0,
        precision="auto",
        device="auto",
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.n_nonzero = n_nonzero
        self.cv = cv
        self.scoring = scoring
        self.rule = rule
        self.max_bytes_per_item = max_bytes_per_item
        self.max_bytes = max_bytes
        self.max_iter = max_iter
        self.max_iter_per_level = max_iter_per_level
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_decay = learning_rate_decay
        self.dropout = dropout
        self.user_weighting = user_weighting
        self.item_weighting = item_weighting
        self.popularity_weighting = popularity_weighting
        self.precision = precision
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Choose the number of non-zeros on held-out users and train on all.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_users, n_items)
            Non-negative interactions: ones, counts or ratings.
        y : {array-like, sparse matrix}, default=None
            The scorer gets its rows of the held-out users; the training does not use
            it. Targets of shape (n_users, n_items) make ``X`` the whole history of the
            held-out users as well; without, a fifth of each of their rows is hidden.
            One-dimensional labels are ignored; see ``predict``.

        Returns
        -------
        self : CompressedELSACV
            The fitted estimator. If training is interrupted, by Ctrl-C or an error,
            the estimator is as it was before.

        Raises
        ------
        ValueError
            If ``X`` is empty, has negative, NaN or infinite values or a single column,
            if a parameter is out of its range, a budget below one non-zero, or a score
            NaN or infinite, or if there are fewer users than folds.
        FloatingPointError
            If the loss becomes infinite or NaN.
        """
        with rolled_back_on_error(self):
            X = check_interactions(X, estimator=self, reset=True)
            _check_can_rank(X)
            grid = sparsity_grid(
                self.n_nonzero,
                min(self.n_components, X.shape[1]),
                largest_that_fits(self.max_bytes_per_item, self.max_bytes, X.shape[1]),
            )
            scores = self._score_folds(X, y, grid)
            best = select_level(scores, self.rule)
            (model,) = self._train(X, grid[best : best + 1], grid)
            self._complete(model, X, y)
            self._publish(model, grid, scores, best)
        self._keep_interactions(X)
        return self

    def _score_folds(self, X, y, grid):
        """Return the score of every level on every fold, (n_levels, n_folds)."""
        scorer = check_scoring(CompressedELSA(), scoring=self.scoring)
        folds = list(check_cv(self.cv).split(X, y))
        _check_rule_has_folds(self.rule, len(folds))
        scores = np.empty((len(grid), len(folds)))
        for fold, (train, test) in enumerate(folds):
            models = self._train(X[train], grid, grid)
            y_test = _rows_of(y, test)
            scores[:, fold] = [scorer(model, X[test], y_test) for model in models]
            _check_scores(scores[:, fold], grid, fold)
            if self.verbose:
                found = zip(grid, scores[:, fold], strict=True)
                found = ", ".join(f"{score:.4f} at {level}" for level, score in found)
                logger.info("fold %d of %d: %s", fold + 1, len(folds), found)
        return scores

    def _train(self, X, levels, grid):
        """Return a model for each of some levels of the grid.

        There is no path to a grid of a single one.
        """
        passed_on = {name: getattr(self, name) for name in PASSED_ON}
        estimator = CompressedELSA(**passed_on)
        if len(grid) == 1:
            return [estimator.set_params(n_nonzero=int(grid[0])).fit(X)]
        per_level = self.max_iter_per_level
        return fit_path(
            estimator, X, levels, max_iter_per_level=per_level, largest=grid[0]
        )

    def _complete(self, model, X, y):
        """Tell the selected model what only this estimator has seen."""
        if hasattr(self, "feature_names_in_"):
            model.feature_names_in_ = self.feature_names_in_
        model._has_labels = self._has_labels = is_labels(y)
        model._keep_interactions(X)

    def _publish(self, model, grid, scores, best):
        self.n_nonzero_grid_ = grid
        self.score_path_ = scores
        self.best_index_ = best
        self.best_score_ = float(scores[best].mean())
        self.best_estimator_ = model
        self.n_nonzero_ = int(grid[best])
        self.bytes_per_item_ = BYTES_PER_NONZERO * self.n_nonzero_
        self.item_embeddings_ = model.item_embeddings_
        self.item_popularity_ = model.item_popularity_
        self.item_weights_, self.item_slopes_ = model.item_weights_, model.item_slopes_
        self.anchors_ = model.anchors_
        self.loss_curve_ = model.loss_curve_
        self.n_iter_ = model.n_iter_


def _check_can_rank(X):
    if X.shape[1] < 2:
        raise ValueError(
            f"X has {X.shape[1]} feature(s) while a minimum of 2 is required: a score "
            "hides some items of a user and looks for them among the others"
        )


def _check_rule_has_folds(rule, n_folds):
    if rule == "one_standard_error" and n_folds < 2:
        raise ValueError(
            "rule='one_standard_error' needs the spread over at least 2 folds, but cv "
            'makes 1: use more folds, rule="best" or a tolerance'
        )


def _check_scores(scores, grid, fold):
    if not np.isfinite(scores).all():
        level = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ValueError(
            f"scoring returned {scores[level]} in fold {fold} for {grid[level]} "
            "non-zeros: levels can be compared by finite scores only"
        )


def _rows_of(y, rows):
    if y is None:
        return None
    return y.tocsr()[rows] if sp.issparse(y) else np.asarray(y)[rows]
