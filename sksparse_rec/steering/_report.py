"""What steering gives and costs, for a sweep of strengths."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._optional import import_optional
from sksparse_rec._sparse import places_in_rows, row_indices
from sksparse_rec._validation import check_interactions, check_share
from sksparse_rec.metrics import catalog_coverage, evaluate_ranking
from sksparse_rec.model_selection import holdout_split
from sksparse_rec.retrieval import check_k
from sksparse_rec.retrieval._search import csr_in_order
from sksparse_rec.steering._knobs import Knob
from sksparse_rec.steering._profiles import best_items

STRENGTHS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
METHODS = ("raise", "lower", "set")
# Length of the lists that are scored on hidden items.
CUT_OFF = 100


@dataclass(frozen=True)
class SteeringReport:
    """What a sweep of strengths gave and cost, concept by concept.

    ``SteerableRecommender.steering_report`` makes it. Use it to choose strengths.

    Parameters
    ----------
    concept_names : ndarray of shape (n_concepts,), object
        Names of the concepts that were steered.
    strengths : ndarray of shape (n_strengths,), float64
        Ascending, from 0 to 1.
    share : ndarray of shape (n_concepts, n_strengths), float64
        Mean share of the concept's items among the first ``k`` of a list. NaN in a row
        for a concept that no neuron stands for.
    ndcg : ndarray of shape (n_concepts, n_strengths), float64
        Mean nDCG@100 on the hidden items, over users that have some.
    recall : ndarray of shape (n_concepts, n_strengths), float64
        Mean recall@100 on them.
    overlap : ndarray of shape (n_concepts, n_strengths), float64
        Share of the first ``k`` items that are in the list without steering too.
    coverage : ndarray of shape (n_concepts, n_strengths), float64
        Share of all items that are among the first ``k`` of somebody.
    unsteered : dict of str to float or ndarray
        The same without steering: "ndcg", "recall" and "coverage" are floats, "share"
        an ndarray of shape (n_concepts,).
    method : str
        What was done with the concepts: "raise", "lower" or "set".
    k : int
        Length of the lists whose share, overlap and coverage are measured.

    See Also
    --------
    SteerableRecommender.steering_report : What makes it.
    sksparse_rec.plotting.SteeringTradeoffDisplay : Draws it.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec import CompressedELSA, SteerableRecommender
    >>> from sksparse_rec.datasets import make_interactions
    >>> X, _, clusters = make_interactions(
    ...     300, 90, 4000, n_clusters=3, random_state=0, return_clusters=True
    ... )
    >>> elsa = CompressedELSA(16, n_nonzero=4, max_iter=2, random_state=0)
    >>> model = SteerableRecommender(elsa).fit(X, item_concepts=np.eye(3)[clusters])
    >>> report = model.steering_report(X[:50], strengths=[0, 0.5, 1])
    >>> report.share.shape
    (3, 3)
    >>> bool((report.share[:, 2] > report.share[:, 0]).all())
    True
    """

    concept_names: np.ndarray
    strengths: np.ndarray
    share: np.ndarray
    ndcg: np.ndarray
    recall: np.ndarray
    overlap: np.ndarray
    coverage: np.ndarray
    unsteered: dict
    method: str
    k: int

    MEASURES = ("share", "ndcg", "recall", "overlap", "coverage")

    def to_frame(self):
        """Return a pandas DataFrame with a line for every concept and strength.

        Returns
        -------
        frame : DataFrame
            ``concept``, ``strength``, ``share``, ``ndcg``, ``recall``, ``overlap`` and
            ``coverage``, by concept and strength.
        """
        pandas = import_optional("pandas", "SteeringReport.to_frame", "data")
        n_concepts, n_strengths = self.share.shape
        columns = {name: getattr(self, name).ravel() for name in self.MEASURES}
        return pandas.DataFrame(
            {
                "concept": np.repeat(self.concept_names, n_strengths),
                "strength": np.tile(self.strengths, n_concepts),
                **columns,
            }
        )

    def strength_for(self, share):
        """Return the strengths at which concepts first fill a share of the lists.

        Parameters
        ----------
        share : float
            From 0 to 1.

        Returns
        -------
        strengths : ndarray of shape (n_concepts,), float64
            Between two strengths of the sweep by a straight line; NaN for concepts
            that never fill so much.

        Raises
        ------
        ValueError
            If `share` is no number from 0 to 1.
        """
        check_share(share, "share")
        found = np.full(len(self.share), np.nan)
        for concept, shares in enumerate(self.share):
            reached = np.flatnonzero(shares >= share)
            if not len(reached):
                continue
            i = reached[0]
            if i == 0:
                found[concept] = self.strengths[0]
                continue
            ends = shares[i - 1 : i + 1], self.strengths[i - 1 : i + 1]
            found[concept] = np.interp(share, *ends)
        return found


class ReportMixin:
    """``steering_report`` of an estimator that steers."""

    def steering_report(
        self,
        X,
        concepts=None,
        *,
        y=None,
        strengths=STRENGTHS,
        k=10,
        method="raise",
    ):
        """Measure what a sweep of strengths gives and costs, concept by concept.

        Use it to choose a strength, and to see which concepts can be steered at all.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Users, best ones that were not in ``fit``; some hundreds tell enough.
        concepts : list of str or int, default=None
            None: all of them.
        y : {array-like, sparse matrix} of shape (n_users, n_items), default=None
            Items that users should find; ``X`` is then the whole history. None hides a
            fifth of each row of ``X``.
        strengths : array-like of shape (n_strengths,), default=0 to 1 in steps of 0.1
            Ascending, from 0 to 1; levels where ``method="set"``.
        k : int, default=10
            Length of the lists whose share of the concept is measured.
        method : {"raise", "lower", "set"}, default="raise"
            What is done with a concept.

        Returns
        -------
        report : SteeringReport
            With ``share``, ``ndcg``, ``recall``, ``overlap`` and ``coverage``, arrays
            of shape (n_concepts, n_strengths).

        Raises
        ------
        ValueError
            For an unknown concept or method, strengths that do not ascend from 0 to 1,
            targets of another shape, or users without items to hide.

        Notes
        -----
        Takes the time of n_concepts × n_strengths calls of ``recommend``, whose
        profiles are made once: keep n_users × n_dimensions × 8 bytes in memory.
        """
        check_is_fitted(self)
        directions, k = self._directions(), check_k(k)
        strengths = _check_strengths(strengths)
        if method not in METHODS:
            raise ValueError(f"method is one of {METHODS}, got {method!r}")
        history, targets = _split(self, X, y)
        positions = np.arange(directions.shape[0])
        if concepts is not None:
            positions = self._positions(concepts)
        sweep = _Sweep(self, history, targets, k)
        rows = [sweep.of(c, method, strengths) for c in positions]
        shape = len(positions), len(strengths), len(SteeringReport.MEASURES)
        measured = np.array(rows, dtype=np.float64).reshape(shape)
        return SteeringReport(
            self.concept_map_.concept_names_[positions],
            strengths,
            *np.moveaxis(measured, -1, 0),
            unsteered=sweep.unsteered(positions),
            method=method,
            k=k,
        )


def _check_strengths(strengths):
    strengths = np.asarray(strengths, dtype=np.float64)
    is_list = strengths.ndim == 1 and len(strengths) > 0
    if not is_list or not ((strengths >= 0) & (strengths <= 1)).all():
        raise ValueError(f"strengths are numbers from 0 to 1, got {strengths}")
    if (np.diff(strengths) <= 0).any():
        raise ValueError(f"strengths have to ascend, got {strengths}")
    return strengths


def _split(estimator, X, y):
    """Return histories and targets, CSR of the same shape."""
    history = check_interactions(X, estimator=estimator, dtype=np.float64)
    if y is None:
        history, targets = holdout_split(history, random_state=0)
        return sp.csr_array(history), sp.csr_array(targets)
    targets = check_interactions(y, name="y")
    if targets.shape != history.shape:
        raise ValueError(
            f"y has the shape {targets.shape}, but X {history.shape}: targets need a "
            "row for each user and a column for each item"
        )
    return history, targets


class _Sweep:
    """Lists of the same users for many knobs, and what is measured of them."""

    def __init__(self, model, history, targets, k):
        self.model, self.history, self.targets, self.k = model, history, targets, k
        self.profiles = model._profiles(history)
        self.plain = self._lists(None)
        self.plain_first = _first(self.plain, k)

    def _lists(self, knob):
        model = self.model

        def make_profiles(users):
            profiles = self.profiles[users]
            return profiles if knob is None else model._turned(profiles, [knob])

        filters = {"candidates": None, "allowed": None, "excluded": [self.history]}
        return best_items(
            model.recommender_,
            make_profiles,
            self.history.shape[0],
            model.item_popularity_,
            max(self.k, CUT_OFF),
            filters,
        )

    def of(self, concept, method, strengths):
        """Return the measures of a concept, (n_strengths, n_measures)."""
        if not self.model._has_neurons(concept):
            return np.full((len(strengths), len(SteeringReport.MEASURES)), np.nan)
        knobs = [Knob(concept, method, (np.float64(s),)) for s in strengths]
        return [self._measure(self._lists(knob), concept) for knob in knobs]

    def _measure(self, lists, concept):
        first = _first(lists, self.k)
        scores = self._scores(lists)
        return (
            self._share(first, concept),
            scores["ndcg@100"],
            scores["recall@100"],
            self._overlap(first),
            catalog_coverage(first, self.k),
        )

    def unsteered(self, concepts):
        """Return the measures of the lists without steering."""
        scores = self._scores(self.plain)
        return {
            "share": np.array([self._share(self.plain_first, c) for c in concepts]),
            "ndcg": scores["ndcg@100"],
            "recall": scores["recall@100"],
            "coverage": catalog_coverage(self.plain_first, self.k),
        }

    def _scores(self, lists):
        metrics = ("ndcg@100", "recall@100")
        return evaluate_ranking(self.targets, lists, metrics=metrics).means

    def _share(self, first, concept):
        """Mean over users of the share of a concept in their first ``k`` items."""
        members = self.model.item_concepts_[:, [concept]].toarray().ravel()
        return _mean_of_rows(first, members[first.indices])

    def _overlap(self, first):
        n_items = first.shape[1]
        keys, plain = (
            row_indices(R) * n_items + R.indices for R in (first, self.plain_first)
        )
        return _mean_of_rows(first, np.isin(keys, plain))


def _mean_of_rows(lists, values):
    """Mean over users of the means of their entries; empty lists count nowhere."""
    lengths = np.diff(lists.indptr)
    sums = np.bincount(row_indices(lists), values, minlength=len(lengths))
    filled = lengths > 0
    return float((sums[filled] / lengths[filled]).mean()) if filled.any() else np.nan


def _first(lists, k):
    """Return the first ``k`` entries of every row, in their order."""
    kept = places_in_rows(lists, row_indices(lists)) < k
    lengths = np.minimum(np.diff(lists.indptr), k)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return csr_in_order(lists.data[kept], lists.indices[kept], indptr, lists.shape)
