"""Ranked lists, matched to their targets once for every metric."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import look_up, places_in_rows, row_indices
from sksparse_rec._validation import Integral, Interval, check_interactions

# What every metric of ranked lists accepts, for validate_params.
LIST_CONSTRAINTS = {
    "y_pred": ["array-like", "sparse matrix"],
    "k": [Interval(Integral, 1, None, closed="left")],
}
MEAN_CONSTRAINTS = {
    "per_user": ["boolean"],
    "sample_weight": ["array-like", None],
}
RANKING_CONSTRAINTS = {
    "y_true": ["array-like", "sparse matrix"],
    **LIST_CONSTRAINTS,
    **MEAN_CONSTRAINTS,
}

# Neighbours in a list whose indices must all ascend before that is no coincidence.
PAIRS_OF_EVIDENCE = 20


@dataclass(frozen=True)
class Lists:
    """Every list cut at k, as one flat sequence ordered by user and place."""

    users: np.ndarray
    items: np.ndarray
    places: np.ndarray  # from 1
    n_users: int
    n_items: int | None  # None: padded ids, which do not tell


@dataclass(frozen=True)
class Matches:
    """The recommended items that are targets, ordered by user and place."""

    users: np.ndarray
    places: np.ndarray  # from 1
    gains: np.ndarray
    targets: sp.csr_array
    n_targets: np.ndarray

    def per_user(self, weights, k):
        """Sum of the weights of each user's hits among the first k places."""
        weights = np.where(self.places <= k, weights, 0.0)
        return np.bincount(self.users, weights, minlength=self.targets.shape[0])

    def first_hits(self):
        """Positions of each user's first hit in the sequence of hits."""
        return np.flatnonzero(np.diff(self.users, prepend=-1))


def read_lists(y_pred, k, *, n_items=None):
    """Cut lists at k, from `recommend` output or padded item indices."""
    if sp.issparse(y_pred):
        users, items, places = _read_recommendations(y_pred)
        if n_items is not None and y_pred.shape[1] != n_items:
            raise ValueError(
                f"y_pred has {y_pred.shape[1]} columns but there are {n_items} items."
            )
        n_users, n_items = y_pred.shape
    else:
        users, items, places = _read_padded_ids(y_pred, n_items)
        n_users = len(y_pred)
    kept = places <= k
    lists = Lists(users[kept], items[kept], places[kept], n_users, n_items)
    _check_no_duplicates(lists)
    return lists


def _read_recommendations(R):
    if R.format != "csr":
        raise TypeError(
            f"y_pred is a sparse matrix in {R.format!r} format, which cannot hold "
            "lists: pass the CSR output of `recommend` as it is, since its rows store "
            "the recommended items best first."
        )
    users = row_indices(R)
    _check_not_sorted_by_index(R, users)
    return users, R.indices[: R.nnz], 1 + places_in_rows(R, users)


def _check_not_sorted_by_index(R, users):
    """Refuse a matrix that `sort_indices` or a conversion has put out of order.

    Such a matrix has ascending indices in all rows and scores that are not
    descending. Either alone is legitimate, as a re-ranked list may keep its scores, and
    in a few short lists both are: their indices ascend by chance.
    """
    same_row = users[1:] == users[:-1]
    indices, scores = R.indices[: R.nnz], R.data[: R.nnz].astype(float)
    if same_row.sum() < PAIRS_OF_EVIDENCE or not np.isfinite(scores).all():
        return
    if (indices[1:] < indices[:-1])[same_row].any():
        return
    # Recommenders may break ties among scores that differ by rounding only.
    rounding = 1e-4 * np.abs(scores).max()
    if (scores[1:] > scores[:-1] + rounding)[same_row].any():
        raise ValueError(
            "y_pred stores every row by item index and not by score, so the order of "
            "the lists is lost. Pass the output of `recommend` as it is: `sort_indices`"
            ", `sum_duplicates`, arithmetic and format conversions reorder it."
        )


def _read_padded_ids(y_pred, n_items):
    ids = np.asarray(y_pred)
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ValueError(
            "y_pred must be the CSR output of `recommend`, or integer item indices of "
            f"shape (n_users, k) padded with -1; got an array of shape {ids.shape} and "
            f"dtype {ids.dtype}. Turn scores into lists with `recommend`, and names "
            "into column numbers."
        )
    ids = ids.astype(np.int64, copy=False)
    bad = (ids < -1) if n_items is None else (ids < -1) | (ids >= n_items)
    if bad.any():
        user, place = np.argwhere(bad)[0]
        highest = "" if n_items is None else f" and at most {n_items - 1}"
        raise ValueError(
            f"y_pred[{user}, {place}] is {ids[user, place]}; item indices are at "
            f"least 0{highest}, or -1 where a list is shorter."
        )
    users, columns = np.nonzero(ids >= 0)
    return users, ids[users, columns], columns + 1


def _check_no_duplicates(lists):
    order = np.lexsort((lists.items, lists.users))
    users, items = lists.users[order], lists.items[order]
    twice = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
    if twice.any():
        first = np.flatnonzero(twice)[0]
        raise ValueError(
            f"y_pred recommends item {items[first]} to user {users[first]} more than "
            "once: a list holds each item once."
        )


def match(y_true, y_pred, k):
    """Find the recommended items that are targets; O(nnz log nnz), no dense rows."""
    targets = check_interactions(y_true, name="y_true", dtype=np.float64)
    n_users, n_items = targets.shape
    lists = read_lists(y_pred, k, n_items=n_items)
    if lists.n_users != n_users:
        raise ValueError(
            f"y_true has {n_users} users (rows) but y_pred has {lists.n_users}."
        )
    # One ascending number for each target makes matching a single binary search.
    known = row_indices(targets) * n_items + targets.indices
    asked = lists.users.astype(np.int64) * n_items + lists.items
    found, is_hit = look_up(known, asked)
    return Matches(
        users=lists.users[is_hit],
        places=lists.places[is_hit],
        gains=targets.data[found[is_hit]],
        targets=targets,
        n_targets=np.diff(targets.indptr),
    )


def mean_over_users(values, *, sample_weight=None, lacking="targets"):
    """Mean over the users who have a value; NaN marks the others."""
    counted = ~np.isnan(values)
    if not counted.any():
        raise ValueError(
            f"None of the {len(values)} users has {lacking}, so there is no mean."
        )
    if sample_weight is None:
        return float(values[counted].mean())
    weights = np.asarray(sample_weight, dtype=float)
    if weights.shape != values.shape:
        raise ValueError(
            f"sample_weight has shape {weights.shape}; one weight a user is "
            f"{values.shape}."
        )
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise ValueError("sample_weight must be finite and non-negative.")
    if not weights[counted].sum() > 0:
        raise ValueError(f"sample_weight is 0 for every user who has {lacking}.")
    return float(np.average(values[counted], weights=weights[counted]))


def ranking_metric(formula, y_true, y_pred, k, per_user, sample_weight):
    """Evaluate one formula over matches: the body of every accuracy metric."""
    values = values_per_user(formula, match(y_true, y_pred, k), k)
    return values if per_user else mean_over_users(values, sample_weight=sample_weight)


def values_per_user(formula, matches, k):
    """Values of a formula, NaN for users without targets."""
    return np.where(matches.n_targets > 0, formula(matches, k), np.nan)
