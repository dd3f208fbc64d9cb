"""How many neighbours survive compression, for estimators of any kind."""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state

from sksparse_rec.plotting._neighbors import (
    NearestRows,
    cosines,
    recall,
    row_blocks,
    take_rows,
    unit_rows,
)

SPACES = ("sparse", "reconstructed", "asymmetric")
# Columns of codes that uint16 can name.
N_SHORT_COLUMNS = 1 << 16


class Point(NamedTuple):
    """An estimator at one level, a point of the curve of that name."""

    name: str
    estimator: Any
    options: dict  # of transform


def compression_curves(
    estimators, X, X_queries, *, k, n_nonzero, space, n_queries, sizes, random_state
):
    """Return a curve of sizes and recalls for each name and space, and ``k`` as used.

    ``sizes`` are the bytes of a non-zero, or None, and of a dense value; the other
    parameters are those of `CompressionTradeoffDisplay.from_estimators`.
    """
    spaces = _spaces(space)
    points = evaluated_points(estimators, n_nonzero)
    X = X if hasattr(X, "shape") else np.asarray(X)
    X = X.tocsr() if sp.issparse(X) else X
    queries, own = _queries(X, X_queries, n_queries, random_state)
    k = _usable_k(k, X.shape[0] - (own is not None))
    Q = unit_rows(queries)
    true = NearestRows(Q.shape[0], k, own)
    compressed = [Compressed(point, queries, spaces, k, own) for point in points]
    # A few temporaries of queries × rows, and of rows × columns.
    for rows in row_blocks(X.shape[0], 32 * Q.shape[0] + 16 * X.shape[1]):
        block = take_rows(X, rows)
        true.update(cosines(Q, unit_rows(block, start=rows.start)), rows.start)
        for one in compressed:
            one.update(block, rows.start)
    curves = {}
    for point, one in zip(points, compressed, strict=True):
        n_bytes = one.bytes_per_row(*sizes)
        for view, nearest in one.nearest.items():
            several = len(spaces) > 1 and view is not None
            name = f"{point.name}, {view}" if several else point.name
            curve = curves.setdefault(name, ([], []))
            curve[0].append(n_bytes)
            curve[1].append(recall(nearest.ids, true.ids))
    return curves, k


def evaluated_points(estimators, n_nonzero):
    """Return the points of all curves."""
    if not isinstance(estimators, Mapping):
        is_one = hasattr(estimators, "transform")
        first = estimators if is_one else next(iter(estimators), None)
        estimators = {type(first).__name__: estimators}
    points, any_levels = [], False
    for name, given in estimators.items():
        if not hasattr(given, "transform"):
            points += [Point(name, estimator, {}) for estimator in given]
            continue
        levels = _levels(given, n_nonzero)
        any_levels |= levels != [{}]
        points += [Point(name, given, level) for level in levels]
    if not points:
        raise ValueError("estimators is empty: pass a fitted estimator at least")
    if n_nonzero is not None and not any_levels:
        raise ValueError(
            f"n_nonzero={n_nonzero!r} is for an estimator alone whose transform takes "
            "n_nonzero, and there is none; those in a list are evaluated as fitted"
        )
    return points


def _spaces(space):
    spaces = (space,) if isinstance(space, str) else tuple(dict.fromkeys(space))
    for one in spaces or (space,):
        if one not in SPACES:
            raise ValueError(f"space must be one or several of {SPACES}, got {one!r}")
    return spaces


def _levels(estimator, n_nonzero):
    """Return the options of ``transform`` at which an estimator is evaluated."""
    if "n_nonzero" not in inspect.signature(estimator.transform).parameters:
        return [{}]
    if n_nonzero is None:
        n = getattr(estimator, "n_nonzero_", None)
        # Without it, ``transform`` says that the estimator is not fitted.
        n_nonzero = [] if n is None else [n // 4, n // 2, n]
        levels = sorted({int(level) for level in n_nonzero if level >= 1})
    else:
        levels = np.unique(np.atleast_1d(n_nonzero)).tolist()
        if min(levels, default=0) < 1:
            raise ValueError(f"n_nonzero must be 1 at least, got {n_nonzero!r}")
    return [{"n_nonzero": level} for level in levels] or [{}]


def _queries(X, X_queries, n_queries, random_state):
    """Return the queries, and the rows of ``X`` that they are, None where others."""
    own = None
    if X_queries is None:
        if n_queries < 1:
            raise ValueError(f"n_queries must be 1 at least, got {n_queries!r}")
        n = min(n_queries, X.shape[0])
        random_state = check_random_state(random_state)
        own = np.sort(random_state.choice(X.shape[0], n, replace=False))
        X_queries = take_rows(X, own)
    elif not hasattr(X_queries, "shape"):
        X_queries = np.asarray(X_queries)
    length = np.asarray(abs(unit_rows(X_queries, "queries")).sum(axis=1)).ravel()
    if not length.any():
        raise ValueError("all queries are zeros, which have no direction to compare")
    if length.all():
        return X_queries, own
    rows = np.flatnonzero(length)
    return take_rows(X_queries, rows), None if own is None else own[rows]


def _usable_k(k, n_neighbors):
    if k < 1:
        raise ValueError(f"k must be 1 at least, got {k}")
    if n_neighbors < 1:
        raise ValueError("X has one row: there are no neighbours to find")
    return min(k, n_neighbors)


class Compressed:
    """The neighbours among the codes of one point, while blocks of rows go by."""

    def __init__(self, point, queries, spaces, k, own):
        self.point = point
        codes = self._encode(queries)
        # Dense codes have no space to choose.
        spaces = self._usable(spaces) if sp.issparse(codes) else (None,)
        self.queries = {space: self._vectors(codes, space) for space in spaces}
        if "asymmetric" in spaces:
            self.queries["asymmetric"] = self._as_they_are(queries)
        n = codes.shape[0]
        self.nearest = {space: NearestRows(n, k, own) for space in spaces}
        self.n_entries = self.n_rows = 0
        self.is_sparse, self.n_columns = sp.issparse(codes), codes.shape[1]

    def update(self, block, start):
        codes = self._encode(block)
        self.n_entries += codes.nnz if self.is_sparse else codes.size
        self.n_rows += codes.shape[0]
        for space, Q in self.queries.items():
            self.nearest[space].update(cosines(Q, self._vectors(codes, space)), start)

    def bytes_per_row(self, bytes_per_nonzero, bytes_per_value):
        if self.is_sparse and bytes_per_nonzero is None:
            # A float16 value beside the column.
            bytes_per_nonzero = 4 if self.n_columns <= N_SHORT_COLUMNS else 6
        size = bytes_per_nonzero if self.is_sparse else bytes_per_value
        return size * self.n_entries / self.n_rows

    def _usable(self, spaces):
        if hasattr(self.point.estimator, "inverse_transform"):
            return spaces
        if "sparse" in spaces:
            return ("sparse",)
        raise ValueError(
            f"{self.point.name} has no inverse_transform, which space={spaces[0]!r} "
            "needs; pass space='sparse'"
        )

    def _as_they_are(self, queries):
        Q = unit_rows(queries)
        Q = Q.toarray() if sp.issparse(Q) else Q
        # Reconstructions of a model that takes the mean off are directions from it.
        mean = getattr(self.point.estimator, "mean_", None)
        return Q if mean is None else unit_rows(Q - mean)

    def _encode(self, X):
        codes = self.point.estimator.transform(X, **self.point.options)
        return codes if sp.issparse(codes) else np.asarray(codes)

    def _vectors(self, codes, space):
        if space in ("reconstructed", "asymmetric"):
            codes = self.point.estimator.inverse_transform(codes)
        return unit_rows(codes, f"codes of {self.point.name}")
