"""Interactions in memory-mapped files: matrices larger than memory."""

import os
import secrets
import shutil
import struct
import zipfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import extremes
from sksparse_rec._validation import (
    Integral,
    Interval,
    StrOptions,
    check_interactions,
    to_sparse_interface,
    validate_params,
)

# What scipy computes with.
_VALUE_TYPES = "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float32 float64"
_INDEX_TYPES = "int32 int64"
_ARRAYS = ("data", "indices", "indptr")
# The fixed part of a member's header in a zip file, and of it the two lengths.
_ZIP_HEADER = struct.Struct("<26xHH")


@validate_params(
    {
        "path": [str, os.PathLike],
        "n_items": [Interval(Integral, 1, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def open_interactions(path, *, n_items=None):
    """Open a CSR matrix on disk without reading it into memory.

    Use it to train on interactions that are larger than memory: `CompressedELSA.fit`
    reads such a matrix a piece at a time.

    Parameters
    ----------
    path : str or path-like
        Either a file that ``scipy.sparse.save_npz(path, X, compressed=False)`` wrote,
        with ``X`` in CSR format, or a folder with ``data.npy``, ``indices.npy``,
        ``indptr.npy`` and, unless `n_items` says it, ``shape.npy``: what
        `save_interactions` writes, and what unpacking a compressed ``.npz`` file of
        scipy gives.
    n_items : int, default=None
        Number of columns. None takes it from the file, or, where there is no
        ``shape.npy``, the highest index and one.

    Returns
    -------
    CSR matrix of shape (n_users, n_items)
        ``data`` and ``indices`` are read-only views of the files, of the dtypes that
        they have there; ``indptr`` is in memory. A ``csr_array`` or ``csr_matrix``, as
        ``sklearn.set_config`` asks. Leave the files alone as long as it is in use.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or one of the arrays is missing.
    ValueError
        If an array is compressed, has another dtype than scipy computes with or fewer
        bytes than it should, or if the three do not make a CSR matrix.

    See Also
    --------
    save_interactions : Write such a folder, also of what memory does not hold.
    load_interactions : Read interactions into memory.

    Notes
    -----
    Reads ``indptr`` and, to check them, all indices once; memory is O(n_users). Whether
    rows are sorted and without duplicates is checked by ``fit``.

    Slices of rows, ``X[:1000]``, read these rows only. Most other operations of scipy
    read the whole matrix, and many make a copy of it in memory; so do the folds of a
    cross-validation.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from scipy.sparse import save_npz
    >>> from sksparse_rec import CompressedELSA
    >>> from sksparse_rec.datasets import make_interactions, open_interactions
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "interactions.npz"
    ...     save_npz(path, make_interactions(300, 100, 3000), compressed=False)
    ...     X = open_interactions(path)
    ...     model = CompressedELSA(64, n_nonzero=8, max_iter=2).fit(X)
    >>> model.item_embeddings_.shape
    (100, 64)
    """
    path = Path(path).expanduser()
    members = _folder_members(path) if path.is_dir() else _archive_members(path)
    _check_format(members, path)
    data, indices, indptr = (_map(members, name, path) for name in _ARRAYS)
    _check_dtype(data, _VALUE_TYPES, path, "data")
    for name, array in (("indices", indices), ("indptr", indptr)):
        _check_dtype(array, _INDEX_TYPES, path, name)
    indptr = np.array(indptr)
    _check_indptr(indptr, data, indices, path)
    n_items = _n_columns(members, indptr, indices, n_items, path)
    # The constructor would copy int64 indices to int32 where these suffice, and scipy
    # copies all the indices in each operation where the two arrays differ in dtype.
    X = sp.csr_array((len(indptr) - 1, n_items), dtype=data.dtype)
    X.data, X.indices = data, indices
    X.indptr = indptr.astype(indices.dtype, copy=False)
    return to_sparse_interface(X)


@validate_params(
    {
        "blocks": "no_validation",
        "path": [str, os.PathLike],
        "index_dtype": [StrOptions({"int32", "int64"})],
    },
    prefer_skip_nested_validation=True,
)
def save_interactions(blocks, path, *, index_dtype="int32"):
    """Write interactions to a folder that `open_interactions` opens.

    Use it to put together a matrix that memory does not hold, a block of users at a
    time, or to save one in the form that ``fit`` reads without copies.

    Parameters
    ----------
    blocks : iterable of {array-like, sparse matrix, DataFrame}, or one of these
        Rows of the matrix, in order; every block has all the columns. A generator is
        asked for one block at a time.
    path : str or path-like
        The folder to make. It appears under this name when it is complete.
    index_dtype : {"int32", "int64"}, default="int32"
        Type of the column indices. Take "int64" for 2**31 interactions or more.

    Raises
    ------
    FileExistsError
        If there is something at `path` already.
    ValueError
        If a block has negative, NaN or infinite values, no row, or other columns than
        the first one, if there is no block, or too many interactions for int32.

    See Also
    --------
    open_interactions : Open the folder.

    Notes
    -----
    Duplicates within a row are summed, explicit zeros dropped and indices sorted. The
    folder has ``data.npy`` (float32), ``indices.npy``, ``indptr.npy`` (int64) and
    ``shape.npy``: 8 bytes an interaction, 12 with "int64". Memory is that of a block.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sksparse_rec.datasets import (
    ...     make_interactions,
    ...     open_interactions,
    ...     save_interactions,
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "interactions"
    ...     days = (make_interactions(200, 100, 2000, random_state=i) for i in range(7))
    ...     save_interactions(days, path)
    ...     open_interactions(path).shape
    (1400, 100)
    """
    path = Path(path).expanduser()
    if path.exists():
        raise FileExistsError(f"{path} exists: remove it first, or write elsewhere.")
    if hasattr(blocks, "shape"):
        blocks = [blocks]
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    unfinished.mkdir()
    try:
        _write(blocks, unfinished, np.dtype(index_dtype))
        unfinished.rename(path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


# Finding the arrays


def _folder_members(folder):
    """Return for each array its file, where it starts, and where it ends."""
    return {
        file.stem: (file, 0, file.stat().st_size)
        for file in folder.iterdir()
        if file.suffix == ".npy"
    }


def _archive_members(path):
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is neither a folder nor an .npz file.")
    members = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(
                    f"{info.filename} in {path} is compressed, and only what is stored "
                    "as it is can be mapped: save the matrix with "
                    f"scipy.sparse.save_npz({path.name!r}, X, compressed=False), or "
                    f"unpack the file with python -m zipfile -e {path.name} "
                    f"{path.stem} and open that folder."
                )
            # Not the directory at the end of the file, but the header before the
            # member says how much of it there is to skip.
            file.seek(info.header_offset)
            lengths = _ZIP_HEADER.unpack(file.read(_ZIP_HEADER.size))
            start = info.header_offset + _ZIP_HEADER.size + sum(lengths)
            name = info.filename.removesuffix(".npy")
            members[name] = path, start, start + info.file_size
    return members


def _map(members, name, path):
    """Map an array; a copy in memory where there is nothing to map."""
    if name not in members:
        raise FileNotFoundError(
            f"{path} has no {name}.npy: a CSR matrix has data, indices and indptr."
        )
    source, start, end = members[name]
    with source.open("rb") as file:
        file.seek(start)
        try:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read_header(file)
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"{name} in {path} is not an array that numpy saved: {error}"
            ) from None
        offset = file.tell()
    if len(shape) != 1:
        raise ValueError(f"{name} in {path} has shape {shape}, and not one dimension.")
    if offset + shape[0] * dtype.itemsize > end:
        raise ValueError(
            f"{name} in {path} ends before its {shape[0]} entries do: write it again."
        )
    if shape[0] == 0 or dtype.hasobject:
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(source, dtype, "r", offset, shape))


def _read(members, name):
    """Read a small array, None where there is none."""
    if name not in members:
        return None
    source, start, _ = members[name]
    with source.open("rb") as file:
        file.seek(start)
        return np.lib.format.read_array(file, allow_pickle=False)


# Checking them


def _check_format(members, path):
    name = _read(members, "format")
    if name is None:
        return
    name = name.item() if isinstance(name.item(), str) else name.item().decode()
    if name != "csr":
        raise ValueError(
            f"{path} holds a matrix in {name} format: save it as csr, X.tocsr()."
        )


def _check_dtype(array, allowed, path, name):
    if array.dtype.name not in allowed.split() or not array.dtype.isnative:
        raise ValueError(
            f"{name} in {path} has dtype {array.dtype.str}, and must have one of "
            f"{allowed.replace(' ', ', ')}, in the byte order of this machine."
        )


def _check_indptr(indptr, data, indices, path):
    if len(data) != len(indices):
        raise ValueError(
            f"{path} has {len(data)} values but {len(indices)} column indices."
        )
    if len(indptr) < 2 or indptr[0] != 0 or indptr[-1] != len(data):
        raise ValueError(
            f"indptr in {path} must go from 0 to the number of entries, {len(data)}, "
            f"and have one more element than there are users; it has {len(indptr)}, "
            f"from {indptr[:1]} to {indptr[-1:]}."
        )
    falls = np.flatnonzero(indptr[1:] < indptr[:-1])
    if len(falls):
        row = falls[0]
        raise ValueError(
            f"indptr in {path} falls from {indptr[row]} to {indptr[row + 1]} at row "
            f"{row}: rows cannot end before they start."
        )
    if indptr[-1] > _largest(indices.dtype):
        raise ValueError(
            f"{path} has {len(data)} entries, more than {indices.dtype} counts, so "
            "scipy needs indices of int64: convert indices.npy."
        )


def _n_columns(members, indptr, indices, n_items, path):
    shape = _read(members, "shape")
    if shape is not None:
        if shape.shape != (2,) or shape[0] != len(indptr) - 1:
            raise ValueError(
                f"shape in {path} is {shape.tolist()}, but indptr has "
                f"{len(indptr) - 1} rows."
            )
        if n_items not in (None, shape[1]):
            raise ValueError(f"n_items is {n_items}, but {path} has {shape[1]} items.")
        n_items = int(shape[1])
    low, high = (int(index) for index in extremes(indices))
    if n_items is None:
        if len(indices) == 0:
            raise ValueError(f"{path} has neither a shape nor entries: pass n_items.")
        n_items = high + 1
    if low < 0 or high >= n_items:
        raise ValueError(
            f"indices in {path} hold {low if low < 0 else high}, and must lie between "
            f"0 and {n_items - 1}."
        )
    return n_items


def _largest(index_dtype):
    return np.iinfo(index_dtype).max


# Writing


class _ArrayFile:
    """An .npy file that grows."""

    def __init__(self, path, dtype, stack):
        self.file, self.dtype = stack.enter_context(path.open("wb")), np.dtype(dtype)
        self.length = 0
        self.write_header()

    def write_header(self):
        # numpy pads the header, so that it is of the same size for any length.
        self.file.seek(0)
        np.lib.format.write_array_header_1_0(
            self.file,
            {
                "descr": np.lib.format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": (self.length,),
            },
        )

    def append(self, array):
        self.file.write(np.ascontiguousarray(array, self.dtype))
        self.length += len(array)


def _write(blocks, folder, index_dtype):
    n_items, total = None, 0
    with ExitStack() as stack:
        dtypes = (np.float32, index_dtype, np.int64)
        data, indices, indptr = (
            _ArrayFile(folder / f"{name}.npy", dtype, stack)
            for name, dtype in zip(_ARRAYS, dtypes, strict=True)
        )
        indptr.append(np.zeros(1))
        for i, block in enumerate(blocks):
            X = check_interactions(block, name=f"blocks[{i}]")
            if X.shape[1] != (n_items or X.shape[1]):
                raise ValueError(
                    f"blocks[{i}] has {X.shape[1]} columns, but blocks[0] has {n_items}"
                )
            n_items = X.shape[1]
            data.append(X.data)
            indices.append(X.indices)
            indptr.append(X.indptr[1:] + np.int64(total))
            total += X.nnz
            if total > _largest(index_dtype):
                raise ValueError(
                    f"there are {total} interactions up to blocks[{i}], more than "
                    f"{index_dtype} counts: pass index_dtype='int64'"
                )
        if n_items is None:
            raise ValueError("blocks is empty: there is no matrix to write")
        for array in (data, indices, indptr):
            array.write_header()
    np.save(folder / "shape.npy", [indptr.length - 1, n_items])
