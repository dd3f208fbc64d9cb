"""Files of arrays in the safetensors format: written, checked, read, mapped."""

import math

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sksparse_rec._format._errors import PersistenceError
from sksparse_rec._format._manifest import COPY_AGAIN, check_members, parse_json

MAX_HEADER_BYTES = 1 << 24
MAX_DIMENSIONS = 32
MAX_VALUES = 1 << 59
# Types of arrays by their names in the format.
_CODES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
# Names of numpy, of what can be saved.
DTYPES = tuple(dtype.name for dtype in _CODES.values())
_SPEC = {"dtype": str, "shape": list}


def write_tensors(path, arrays):
    """Write arrays to a file.

    Returns
    -------
    specs : dict
        By name, what the manifest says of an array: its ``dtype`` and ``shape``.
    """
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise PersistenceError(
                f"{name} is an array of {array.dtype}, and arrays that can be saved "
                f"are of {', '.join(DTYPES)}"
            )
    # safetensors takes the memory of an array as it lies there.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    # It makes files that nobody else may read, whatever the umask.
    path.touch()
    mode = path.stat().st_mode
    save_file(arrays, path)
    path.chmod(mode)
    return {
        name: {"dtype": array.dtype.name, "shape": list(array.shape)}
        for name, array in arrays.items()
    }


def read_tensors(file, path, specs, *, mapped):
    """Read the arrays of a file, whose header must say what the manifest says.

    Parameters
    ----------
    file : binary file
        Open at its beginning.
    path : Path
        Of the same file.
    specs : dict
        As ``write_tensors`` returns it.
    mapped : bool
        Whether the arrays stay in the file: read-only views of one memory map.

    Returns
    -------
    arrays : dict of str to ndarray
    """
    places = _check_header(file, path)
    if places.keys() != specs.keys():
        odd = sorted(places.keys() ^ specs.keys())[0]
        where = "the file" if odd in places else "the manifest"
        raise PersistenceError(f"{path}: only {where} knows an array {odd!r:.200}")
    for name, (dtype, shape, _) in places.items():
        expected = {"dtype": dtype.name, "shape": list(shape)}
        check_members(specs[name], _SPEC, f"{name} in the manifest")
        if specs[name] != expected:
            raise PersistenceError(
                f"{path}: {name} is {expected}, but the manifest says {specs[name]}"
            )
        _check_shape(shape, f"{name!r:.200} in {path}")
    if mapped:
        return _map(file, places, path)
    return {name: _read(file, *place, path) for name, place in places.items()}


def _check_shape(shape, name):
    """Raise for what numpy does not take, which may have no bytes at all."""
    n_values = math.prod(max(size, 1) for size in shape)
    if len(shape) > MAX_DIMENSIONS or n_values > MAX_VALUES:
        raise PersistenceError(f"{name} has the shape {shape!s:.200}, too large a one")


def _check_header(file, path):
    """Return the dtype, the shape and the place of every array."""
    n_bytes = int.from_bytes(file.read(8), "little")
    if n_bytes > MAX_HEADER_BYTES:
        raise PersistenceError(
            f"{path} has a header of {n_bytes} bytes, more than {MAX_HEADER_BYTES}"
        )
    try:
        # It checks that arrays have the bytes of their shapes, and that they cover
        # the file without gaps and overlaps.
        with safe_open(path, framework="numpy"):
            pass
        header = parse_json(file.read(n_bytes).decode())
    except (SafetensorError, ValueError) as error:
        raise PersistenceError(
            f"{path} is no valid safetensors file ({error!s:.300}): {COPY_AGAIN}"
        ) from None
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if entry["dtype"] not in _CODES:
            raise PersistenceError(
                f"{name!r:.200} in {path} is of type {entry['dtype']!r:.20}, which is "
                "not in use here"
            )
    return {
        name: (
            _CODES[entry["dtype"]],
            tuple(entry["shape"]),
            8 + n_bytes + entry["data_offsets"][0],
        )
        for name, entry in header.items()
    }


def _read(file, dtype, shape, start, path):
    array = np.empty(shape, dtype)
    file.seek(start)
    if file.readinto(array.reshape(-1).view(np.uint8)) != array.nbytes:
        raise PersistenceError(f"{path} ends too early: {COPY_AGAIN}")
    return array


def _map(file, places, path):
    mapped = np.memmap(file, np.uint8, "r")
    arrays = {}
    for name, (dtype, shape, start) in places.items():
        if start % dtype.itemsize:
            raise PersistenceError(
                f"{name!r:.200} in {path} starts at byte {start}, which is no multiple "
                f"of its {dtype.itemsize} bytes: it can be read, but not mapped"
            )
        end = start + dtype.itemsize * math.prod(shape)
        arrays[name] = mapped[start:end].view(dtype).reshape(shape)
    return arrays
