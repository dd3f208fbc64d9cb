"""Columns of interactions: which column is what, and are the values sound."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sksparse_rec.datasets._base import import_optional

ROLES = ("user", "item", "rating", "timestamp", "title")

# Names taken without being told, lower case and without underscores.
_KNOWN_NAMES = {
    "user": {"user", "userid"},
    "item": {"item", "itemid", "movieid", "bookid"},
    "rating": {"rating"},
    "timestamp": {"timestamp"},
    "title": {"title"},
}


@dataclass
class Table:
    """One array an attribute, all of the same length; None where there is none.

    ``locate`` says in words where a row comes from, for error messages.
    """

    user: np.ndarray
    item: np.ndarray
    rating: np.ndarray | None
    timestamp: np.ndarray | None
    title: np.ndarray | None
    locate: Callable[[int], str]


def resolve_columns(columns, wanted, where):
    """Return the column of each role, leaving out optional roles without one.

    Parameters
    ----------
    columns : list of str
        The columns there are.
    wanted : dict
        Column by role as the caller asked for them; None stands for the known names.
    where : str
        How messages call the source.
    """
    found = {}
    for role in ROLES:
        name = wanted[role]
        if name is None:
            names = [
                column
                for column in columns
                if str(column).lower().replace("_", "") in _KNOWN_NAMES[role]
            ]
        else:
            names = [column for column in columns if column == name]
        if len(names) > 1:
            raise ValueError(
                f"{where} has {len(names)} columns for the {role}: {names}. "
                f"Pass {role}=<name of one>, and let names be unique."
            )
        if names:
            found[role] = names[0]
        elif name is not None or role in ("user", "item"):
            asked = "known to be" if name is None else f"'{name}' for"
            raise ValueError(
                f"{where} has no column {asked} the {role}; its columns are "
                f"{list(columns)}. Pass {role}=<name of the column>."
            )
    return found


def read_frame(frame, columns, locate):
    """Return the Table of a narwhals frame whose columns have been resolved."""
    readers = {
        "user": _read_ids,
        "item": _read_ids,
        "rating": _read_ratings,
        "timestamp": _read_timestamps,
        "title": _read_titles,
    }
    values = dict.fromkeys(ROLES)
    for role, column in columns.items():
        series = frame[column]
        if role != "title":
            _check_complete(series, f"the {role} (column '{column}')", locate)
        values[role] = readers[role](series, f"column '{column}'", locate)
    return Table(**values, locate=locate)


def _check_complete(series, what, locate):
    missing = series.is_null()
    if series.dtype.is_float():
        missing = missing | series.is_nan()
    missing = missing.to_numpy()
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise ValueError(
            f"{locate(row)}: {what} is missing (NaN or null); drop such rows first."
        )


def _read_ids(series, what, locate):
    narwhals = import_optional("narwhals", "Reading interactions")
    ids = series.to_numpy()
    if series.dtype.is_integer():
        # Nullable integers come as objects from some libraries.
        return ids.astype(np.int64) if ids.dtype == object else ids
    if series.dtype.is_float():
        return ids.astype(np.float64)
    if series.dtype == narwhals.Binary:
        raise ValueError(f"{locate(0)} or later: an id in {what} is not UTF-8 text.")
    if series.dtype == narwhals.String:
        empty = (series == "").to_numpy()
        if empty.any():
            row = int(np.flatnonzero(empty)[0])
            raise ValueError(f"{locate(row)}: the id in {what} is empty.")
    return ids.astype(object)


def _read_ratings(series, what, locate):
    ratings = _to_numbers(series, what, locate)
    finite = np.isfinite(ratings)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise ValueError(f"{locate(row)}: the rating in {what} is infinity.")
    return ratings.astype(np.float32)


def _read_timestamps(series, what, locate):
    narwhals = import_optional("narwhals", "Reading interactions")
    if series.dtype == narwhals.Date:
        series = series.cast(narwhals.Datetime)
    if series.dtype == narwhals.Datetime:
        return series.dt.timestamp("ms").to_numpy().astype(np.int64) // 1000
    return _to_numbers(series, what, locate)


def _to_numbers(series, what, locate):
    if series.dtype.is_numeric():
        numbers = series.to_numpy()
        return numbers.astype(np.int64 if series.dtype.is_integer() else np.float64)
    values = series.to_numpy().astype(object)
    numbers = np.empty(values.size)
    for row, value in enumerate(values):
        try:
            numbers[row] = float(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"{locate(row)}: {value!r} in {what} is not a number."
            ) from None
    return numbers


def _read_titles(series, what, locate):
    titles = series.to_numpy().astype(object)
    titles[series.is_null().to_numpy()] = ""
    return titles
