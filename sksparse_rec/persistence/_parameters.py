"""Parameters as JSON, with their types."""

import contextlib
import math
import os

import numpy as np
from sklearn.base import BaseEstimator

from sksparse_rec._format import DTYPES, PersistenceError

# Numbers that JSON has no spelling for.
_SPECIAL = ("inf", "-inf", "nan")


def join(name, key):
    """Return the name of a part; the outermost model has none itself."""
    return f"{name}.{key}" if name else key


def write_parameter(value, name, writing):
    """Return what JSON can write of a parameter.

    None, booleans, numbers, strings and lists are themselves; numpy's numbers become
    Python's, and paths become strings. The rest is an object with a ``type``.

    Parameters
    ----------
    value : object
    name : str
        With the class before it, for error messages.
    writing : Writing
        Gets the arrays of parameters that are models.

    Raises
    ------
    PersistenceError
        If there is no way to write it.
    """
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {"type": "float", "value": str(value)}
    if type(value) in (list, tuple):
        items = [
            write_parameter(item, f"{name}[{i}]", writing)
            for i, item in enumerate(value)
        ]
        return items if type(value) is list else {"type": "tuple", "value": items}
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "biuf":
        items = write_parameter(value.tolist(), name, writing)
        return {"type": "ndarray", "dtype": value.dtype.name, "value": items}
    if isinstance(value, os.PathLike) and isinstance(os.fspath(value), str):
        return os.fspath(value)
    if type(value).__name__ in writing.classes or isinstance(value, BaseEstimator):
        return {"type": "model"} | write_object(value, name, writing)
    owner, dot, short = name.partition("[")[0].rpartition(".")
    raise PersistenceError(
        f"the parameter {name} is {value!r:.200}, which cannot be saved: parameters "
        "may be None, bool, int, float, str, and lists, tuples and arrays of these. "
        "Take a copy, model = copy.deepcopy(model), give it another value, "
        f"model.{owner}{dot}set_params({short}=...), and save that; or use "
        "joblib.dump, which keeps whatever can be pickled"
    )


def read_parameter(node, name, reading):
    """Return the parameter that ``write_parameter`` wrote.

    Raises
    ------
    PersistenceError
        If it is none.
    """
    if node is None or isinstance(node, bool | int | float | str):
        return node
    if isinstance(node, list):
        return [
            read_parameter(item, f"{name}[{i}]", reading) for i, item in enumerate(node)
        ]
    kind, value = node.get("type"), node.get("value")
    keys = node.keys() - {"type"}
    if kind == "tuple" and keys == {"value"} and isinstance(value, list):
        return tuple(read_parameter(value, name, reading))
    if kind == "float" and keys == {"value"} and value in _SPECIAL:
        return float(value)
    if kind == "ndarray" and keys == {"dtype", "value"}:
        return _read_array(node["dtype"], read_parameter(value, name, reading), name)
    if kind == "model":
        node = {key: node[key] for key in keys}
        return read_object(node, name, reading.inside())
    raise PersistenceError(f"{name} is no parameter: {node!r:.200}")


def write_object(value, name, writing):
    """Return what JSON can write of an object of a known class."""
    kind = type(value).__name__
    entry = writing.classes.get(kind)
    # Not a subclass either, of which nobody knows what else it has.
    if entry is None or type(value) is not entry.cls:
        start = f"{name} is a " if name else ""
        be = ", which is" if name else " is"
        raise PersistenceError(
            f"{start}{type(value).__module__}.{type(value).__qualname__}{be} none of "
            f"the classes that can be saved, {', '.join(writing.classes)}: joblib.dump "
            "saves whatever can be pickled, and skops.io.dump most estimators without "
            "pickle"
        )
    return {"class": kind, "content": entry.write(value, name, writing)}


def read_object(node, name, reading):
    """Return the object that ``write_object`` wrote."""
    if not isinstance(node, dict) or node.keys() != {"class", "content"}:
        raise PersistenceError(f"{name}: there is no model in {node!r:.200}")
    kind = node["class"]
    entry = reading.classes.get(kind) if isinstance(kind, str) else None
    if entry is None:
        raise PersistenceError(
            f"the class {kind!r:.200} is none of those that can be loaded: "
            f"{', '.join(reading.classes)}"
        )
    return entry.read(node["content"], name, reading)


def _read_array(dtype, items, name):
    # numpy would parse any text as a dtype, and pad texts to the longest.
    is_plain = isinstance(items, list) and all(
        isinstance(item, bool | int | float) for item in items
    )
    if is_plain and isinstance(dtype, str) and dtype in DTYPES:
        with contextlib.suppress(ValueError, OverflowError):
            return np.array(items, dtype)
    raise PersistenceError(f"{name} is no array of {dtype!r:.100}")
