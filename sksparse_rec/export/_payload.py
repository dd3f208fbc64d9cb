"""Tables of what a store keeps beside the codes."""

import numbers

import numpy as np

LARGEST_INTEGER = 2**63 - 1
# What pandas has for missing values, beside None and NaN.
MISSING = {"NAType", "NaTType"}


class Payload:
    """Columns of a value for each item, read as a list of dicts.

    Parameters
    ----------
    columns : DataFrame, Arrow table, structured array, dict of columns, or None
    n_items : int

    Raises
    ------
    ValueError
        For a column of another length, or a name that is no string or begins with an
        underscore.
    """

    def __init__(self, columns, n_items):
        self.columns = {} if columns is None else _as_columns(columns)
        for name, column in self.columns.items():
            if not isinstance(name, str) or not name or name.startswith("_"):
                raise ValueError(
                    f"payload has a column {name!r}, but names are strings that do not "
                    "begin with an underscore, which are the package's own: rename it"
                )
            check_unicode(name, "the name of a column of payload")
            if len(column) != n_items:
                raise ValueError(
                    f"payload[{name!r}] has length {len(column)}, but there are "
                    f"{n_items} items"
                )

    def records(self, start, stop):
        """Return the values of some items as dicts, without those that are missing.

        Raises
        ------
        ValueError
            For a value that JSON does not have.
        """
        records = [{} for _ in range(stop - start)]
        for name, column in self.columns.items():
            for row, value in enumerate(_as_list(column, start, stop)):
                value = _plain(value, name, start + row)
                if value is not None:
                    records[row][name] = value
        return records


def check_unicode(text, what):
    """Raise a ValueError for half a pair of surrogates, which no store takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} is {text!r}, which is no valid Unicode") from None


def _as_columns(table):
    if isinstance(table, dict):
        return {name: _as_column(column) for name, column in table.items()}
    if isinstance(table, np.ndarray) and table.dtype.names:
        return {name: table[name] for name in table.dtype.names}
    names = getattr(table, "column_names", getattr(table, "columns", None))
    if names is None:
        raise ValueError(
            f"payload is a {type(table).__name__}: pass a DataFrame, or a dict of "
            "columns by their names"
        )
    return {name: table[name] for name in names}


def _as_column(column):
    return column if hasattr(column, "__len__") else list(column)


def _as_list(column, start, stop):
    part = getattr(column, "iloc", column)[start:stop]
    for name in ("tolist", "to_list", "to_pylist"):
        if hasattr(part, name):
            return getattr(part, name)()
    return list(part)


def _plain(value, name, row):
    """Return a value as JSON has it, and None for one that is missing."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain_scalar(part, name, row) for part in value]
    if value is None or type(value).__name__ in MISSING:
        return None
    if isinstance(value, float) and np.isnan(value):
        return None
    return _plain_scalar(value, name, row)


def _plain_scalar(value, name, row):
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        check_unicode(value, f"payload[{name!r}][{row}]")
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral) and abs(value) <= LARGEST_INTEGER:
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        if np.isfinite(float(value)):
            return float(value)
    raise ValueError(
        f"payload[{name!r}][{row}] is {value!r}, but values are strings, booleans, "
        "64-bit integers, finite numbers, or lists of those: turn dates into strings "
        "by isoformat()"
    )
