"""Kinds of fitted attributes: how each is written, and what it must be when read.

A kind has ``write(value, name, writing)``, which returns what JSON can write and adds
arrays to ``writing``, and ``read(node, name, reading)``, which returns the value or
raises a `PersistenceError` that names it. Dimensions have names, such as "n_items", and
the same size wherever they occur in a model; of those whose names end with a question
mark there may be none.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._format import (
    PersistenceError,
    check_csr,
    pack_names,
    unpack_names,
)
from sksparse_rec.persistence._parameters import join, read_object, write_object


def _expect(is_right, name, what, node):
    if not is_right:
        raise PersistenceError(f"{name} must be {what}, and is {node!r:.200}")


@dataclass(frozen=True)
class Flag:
    """A bool."""

    def write(self, value, name, writing):
        return bool(value)

    def read(self, node, name, reading):
        _expect(isinstance(node, bool), name, "true or false", node)
        return node


@dataclass(frozen=True)
class Integer:
    """An int from ``low`` to ``high``, which is a number or a dimension.

    ``dimension`` says what it is the size of.
    """

    low: int = 0
    high: int | str | None = None
    dimension: str | None = None

    def write(self, value, name, writing):
        return int(value)

    def read(self, node, name, reading):
        _expect(type(node) is int and node >= self.low, name, "a whole number", node)
        if self.high is not None:
            high = reading.limit(self.high)
            _expect(node <= high, name, f"at most {high}", node)
        if self.dimension is not None:
            reading.agree(self.dimension, node, name)
        return node


@dataclass(frozen=True)
class Float:
    """A finite float, or NaN, as null, where ``nan`` is True."""

    nan: bool = False

    def write(self, value, name, writing):
        if self.nan and math.isnan(value):
            return None
        _expect(math.isfinite(value), name, "finite", value)
        return float(value)

    def read(self, node, name, reading):
        if self.nan and node is None:
            return math.nan
        _expect(isinstance(node, float), name, "a number", node)
        return node


@dataclass(frozen=True)
class Floats:
    """A list of finite floats."""

    def write(self, value, name, writing):
        return [Float().write(number, name, writing) for number in value]

    def read(self, node, name, reading):
        _expect(isinstance(node, list), name, "a list", node)
        return [Float().read(number, name, reading) for number in node]


@dataclass(frozen=True)
class Nullable:
    """None, or what ``kind`` is."""

    kind: object

    def write(self, value, name, writing):
        return None if value is None else self.kind.write(value, name, writing)

    def read(self, node, name, reading):
        return None if node is None else self.kind.read(node, name, reading)


@dataclass(frozen=True)
class Optional:
    """What ``kind`` is, or nothing at all."""

    kind: object

    def write(self, value, name, writing):
        return self.kind.write(value, name, writing)

    def read(self, node, name, reading):
        return self.kind.read(node, name, reading)


@dataclass(frozen=True)
class Array:
    """An array of one of some dtypes, with named dimensions.

    Values are finite unless ``finite`` is False, at least ``low``, and less than
    ``below``, which is a number or a dimension: values that are used as positions say
    what they are positions in.
    """

    dtypes: str
    dimensions: tuple[str, ...]
    low: float | None = None
    below: float | str | None = None
    finite: bool = True

    def write(self, value, name, writing):
        _expect(isinstance(value, np.ndarray), name, "an array", value)
        writing.arrays[name] = value
        return "array"

    def read(self, node, name, reading):
        _expect(node == "array", name, "an array", node)
        array = reading.take(name)
        if array.dtype.name not in self.dtypes.split():
            raise PersistenceError(
                f"{name} has dtype {array.dtype}, and should have {self.dtypes}"
            )
        if array.ndim != len(self.dimensions):
            raise PersistenceError(
                f"{name} has shape {array.shape}, and should have {self.dimensions}"
            )
        for dimension, size in zip(self.dimensions, array.shape, strict=True):
            reading.agree(dimension, size, name)
        if self.finite:
            _expect(np.isfinite(array).all(), name, "finite", array)
        if self.low is not None and array.size:
            _expect(array.min() >= self.low, name, f"at least {self.low}", array)
        if self.below is not None and array.size:
            below = reading.limit(self.below)
            _expect(array.max() < below, name, f"less than {below}", array)
        return array


@dataclass(frozen=True)
class Ordered:
    """A matrix whose order in memory is kept: sums in products depend on it."""

    array: Array

    by_columns: ClassVar[dict] = {"type": "array", "order": "F"}

    def write(self, value, name, writing):
        node = self.array.write(value, name, writing)
        return self.by_columns if value.strides[0] < value.strides[-1] else node

    def read(self, node, name, reading):
        if node != self.by_columns:
            return self.array.read(node, name, reading)
        return np.asfortranarray(self.array.read("array", name, reading))


@dataclass(frozen=True)
class Csr:
    """A CSR array in canonical form, of one of some dtypes, with named dimensions."""

    dimensions: tuple[str, str]
    dtypes: str = "float32"

    def write(self, value, name, writing):
        is_csr = sp.issparse(value) and value.format == "csr"
        _expect(is_csr, name, "a CSR array", value)
        for part in ("data", "indices", "indptr"):
            writing.arrays[f"{name}.{part}"] = getattr(value, part)
        return {"type": "csr", "shape": list(map(int, value.shape))}

    def read(self, node, name, reading):
        shape = node.get("shape") if isinstance(node, dict) else None
        is_shape = isinstance(shape, list) and [type(n) for n in shape] == [int, int]
        _expect(
            is_shape and node == {"type": "csr", "shape": shape}, name, "a matrix", node
        )
        for dimension, size in zip(self.dimensions, shape, strict=True):
            reading.agree(dimension, size, name)
        parts = [
            reading.take(f"{name}.{part}") for part in ("data", "indices", "indptr")
        ]
        data, indices, indptr = parts
        integers = {indices.dtype.name, indptr.dtype.name}
        is_right = data.dtype.name in self.dtypes.split()
        if not is_right or not integers <= {"int32", "int64"}:
            raise PersistenceError(
                f"{name} is of {data.dtype} with indices of {indices.dtype} and "
                f"{indptr.dtype}, and should be of {self.dtypes} with int32 or int64"
            )
        check_csr(*parts, shape, name)
        matrix = sp.csr_array((data, indices, indptr), shape=tuple(shape))
        matrix.has_canonical_format = True
        return matrix


@dataclass(frozen=True)
class Names:
    """An object array of str."""

    dimension: str

    def write(self, value, name, writing):
        text, starts = pack_names(value, name)
        writing.arrays |= {f"{name}.text": text, f"{name}.starts": starts}
        return "names"

    def read(self, node, name, reading):
        _expect(node == "names", name, "names", node)
        text, starts = (reading.take(f"{name}.{part}") for part in ("text", "starts"))
        names = unpack_names(text, starts, name)
        reading.agree(self.dimension, len(names), name)
        return names


@dataclass(frozen=True)
class Either:
    """An array or a CSR array."""

    array: Array
    csr: Csr

    def write(self, value, name, writing):
        return self._of(not sp.issparse(value)).write(value, name, writing)

    def read(self, node, name, reading):
        return self._of(node == "array").read(node, name, reading)

    def _of(self, is_array):
        return self.array if is_array else self.csr


@dataclass(frozen=True)
class Model:
    """A fitted model of one of some classes, by name.

    Where ``frozen`` is True, it may be within a `FrozenEstimator`.
    """

    kinds: str
    frozen: bool = False

    def write(self, value, name, writing):
        node = write_object(value, name, writing)
        self.check(value, name)
        return node

    def read(self, node, name, reading):
        value = read_object(node, name, reading.inside())
        self.check(value, name)
        return value

    def check(self, value, name):
        """Raise unless a model is fitted and of one of the classes."""
        own = value
        while self.frozen and isinstance(own, FrozenEstimator):
            own = own.estimator
        is_right = type(own).__name__ in self.kinds.split() and _is_fitted(own)
        kinds = " or ".join(self.kinds.split())
        _expect(is_right, name, f"a fitted {kinds}", value)


def _is_fitted(estimator):
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


@dataclass(frozen=True)
class Kept:
    """What a `Model` is, or the parameter itself, which was fitted already."""

    kind: Model
    parameter: str

    def write(self, value, name, writing):
        if value is writing.parameters.get(self.parameter):
            self.kind.check(value, name)
            return self.parameter
        return self.kind.write(value, name, writing)

    def read(self, node, name, reading):
        if node != self.parameter:
            return self.kind.read(node, name, reading)
        value = reading.parameters.get(self.parameter)
        self.kind.check(value, name)
        return value


@dataclass(frozen=True)
class Strings:
    """A dictionary of str by str."""

    def write(self, value, name, writing):
        return dict(value)

    def read(self, node, name, reading):
        is_right = isinstance(node, dict)
        is_right = is_right and all(isinstance(text, str) for text in node.values())
        _expect(is_right, name, "strings by name", node)
        return node


@dataclass(frozen=True)
class Fields:
    """A dictionary with a kind for each of its keys, and perhaps a check of them all.

    ``check`` gets the values that were read, and raises what they should be.
    """

    kinds: dict
    check: Callable = field(default=lambda values: None)

    def write(self, values, name, writing):
        self._check_keys(values, name)
        return {
            key: kind.write(values[key], join(name, key), writing)
            for key, kind in self.kinds.items()
            if key in values
        }

    def read(self, nodes, name, reading):
        _expect(isinstance(nodes, dict), name, "values by name", nodes)
        self._check_keys(nodes, name)
        values = {}
        for key, kind in self.kinds.items():
            if key in nodes:
                values[key] = kind.read(nodes[key], join(name, key), reading)
        self.check(values)
        return values

    def _check_keys(self, values, name):
        needed = {k for k, v in self.kinds.items() if not isinstance(v, Optional)}
        for wrong, what in (
            (values.keys() - self.kinds.keys(), "has no place in the format"),
            (needed - values.keys(), "is missing"),
        ):
            if wrong:
                raise PersistenceError(f"{join(name, sorted(wrong)[0])} {what}")
