"""Codes as files for analysis: Parquet and npz."""

import os
import zipfile
from pathlib import Path

import numpy as np

from sksparse_rec._files import write_whole
from sksparse_rec._optional import import_optional
from sksparse_rec._validation import Integral, Interval, validate_params
from sksparse_rec.export._batches import Batches
from sksparse_rec.export._kinds import Kinds
from sksparse_rec.export._parquet_parts import ParquetParts

VERSION = 1
ITEMS_AT_ONCE = 10_000
RESERVED = {"id", "indices", "values"}
# Widths whose latents have numbers of 16 bits.
NARROW = 1 << 16


@validate_params(
    {
        "codes": "no_validation",
        "path": [str, os.PathLike],
        "ids": "no_validation",
        "payload": "no_validation",
        "items_per_part": [Interval(Integral, 1, None, closed="left")],
        "on_batch": [callable, None],
    },
    prefer_skip_nested_validation=True,
)
def write_parquet(
    codes, path, ids=None, payload=None, *, items_per_part=100_000, on_batch=None
):
    """Write codes to a folder of Parquet files.

    Use it for data frames, SQL engines and other programs that read tables. A call that
    was killed goes on where it was when it is repeated.

    Parameters
    ----------
    codes : {array-like, sparse matrix}, SparseIndex or fitted estimator
        Codes of shape (n_items, n_components), of which a batch at a time is converted:
        a matrix, the rows of an index, or `item_embeddings_` of a model.
    path : str or path-like
        The folder to make; missing parents are made. It appears under this name when
        all is there. Until then the parts are beside it, in ``_<name>.unfinished``.
    ids : array-like of shape (n_items,), default=None
        Distinct strings, or 64-bit integers of at least 0. None takes the ids of the
        index or the names that the model was fitted with; the positions where there
        are none.
    payload : DataFrame, dict of columns or structured array, default=None
        Further columns: strings, booleans, 64-bit integers, finite numbers, or lists of
        those, one kind a column. Missing values become null.
    items_per_part : int, default=100000
        Items in a file: also what is lost when a process is killed.
    on_batch : callable, default=None
        Called with the number of items done and of all items after every batch, and
        for every part found from an earlier call. What it raises ends the call.

    Raises
    ------
    ValueError
        For NaN, infinity, values out of the range of float32, ids that are not
        distinct, or a payload with columns called ``id``, ``indices`` or ``values``:
        before anything is written. If the folder, complete or not, holds other codes
        or was written with other parameters: the message says which differ.
    FileExistsError
        If there is something else at `path`.
    BlockingIOError
        If another process is writing this folder.
    ImportError
        If pyarrow is missing, which the extra ``parquet`` installs.

    See Also
    --------
    write_npz : One file for scipy.
    recommend_to_parquet : Recommendations, likewise.

    Notes
    -----
    The columns are ``id`` (int64 or string), ``indices`` (list of uint16, of int32
    beyond 65,536 components; ascending), ``values`` (list of float32, of either sign)
    and those of the payload, with a row for each item in the order of `codes`. Files
    are named ``part-00000.parquet`` and so on, compressed with zstd; the metadata of
    their schema has ``n_components``.

    All is read once before anything is written. Memory is that of a batch and of the
    ids.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from pyarrow import parquet
    >>> from scipy.sparse import csr_array
    >>> from sksparse_rec.export import write_parquet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "codes"
    ...     write_parquet([[0.8, 0.0, -0.6], [0.0, 1.0, 0.0]], path, ids=["a", "b"])
    ...     table = parquet.read_table(path)
    >>> table["id"].to_pylist()
    ['a', 'b']

    Back to a matrix:

    >>> indices, values = (
    ...     table[name].combine_chunks() for name in ("indices", "values")
    ... )
    >>> parts = values.flatten(), indices.flatten(), indices.offsets
    >>> csr_array(tuple(map(np.asarray, parts)), shape=(len(table), 3)).toarray()
    array([[ 0.8,  0. , -0.6],
           [ 0. ,  1. ,  0. ]], dtype=float32)
    """
    batches = _all_signs(codes, ids, payload)
    taken = RESERVED & set(batches.payload.columns)
    if taken:
        raise ValueError(
            f"payload has a column {min(taken)!r}, which the codes have too: rename it"
        )
    kinds = Kinds()
    description = batches.check(lambda batch: kinds.add(batch.payload, batch.start))
    description |= {"version": VERSION, "items_per_part": int(items_per_part)}
    table = _Table(batches, kinds.items())
    parts = ParquetParts(
        table.fields,
        table.between,
        n_rows=batches.n_items,
        rows_per_part=int(items_per_part),
        what="codes",
        repeating=[name for name, kind in kinds.items() if kind[0] == "str"],
        report=on_batch,
        metadata={"n_components": str(batches.n_components)},
    )
    parts.run(path, lambda: description)


class _Table:
    """Batches as Arrow tables."""

    def __init__(self, batches, kinds):
        arrow = import_optional("pyarrow", "Parquet", "parquet")
        self.arrow, self.batches = arrow, batches
        types = {
            "bool": arrow.bool_(),
            "int": arrow.int64(),
            "float": arrow.float64(),
            "str": arrow.string(),
        }
        is_narrow = batches.n_components <= NARROW
        self.index_dtype = np.uint16 if is_narrow else np.int32
        index_type = arrow.uint16() if is_narrow else arrow.int32()
        self.fields = [
            ("id", types["str" if batches.ids.dtype.kind == "U" else "int"]),
            ("indices", arrow.list_(index_type)),
            ("values", arrow.list_(arrow.float32())),
        ]
        self.fields += [
            (name, arrow.list_(types[kind]) if is_list else types[kind])
            for name, (kind, is_list) in kinds
        ]

    def between(self, part, schema):
        """Yield the last row and the table of the batches of a slice of rows."""
        for batch in self.batches.between(part.start, part.stop):
            yield batch.stop, self._table(batch, schema)

    def _table(self, batch, schema):
        arrow, rows = self.arrow, batch.rows
        offsets = arrow.array(rows.indptr.astype(np.int32))
        lists = [
            arrow.ListArray.from_arrays(offsets, arrow.array(values))
            for values in (rows.indices.astype(self.index_dtype), rows.data)
        ]
        columns = [arrow.array(batch.ids.tolist(), self.fields[0][1]), *lists]
        for name, kind in self.fields[len(columns) :]:
            values = [record.get(name) for record in batch.payload]
            columns.append(arrow.array(values, kind))
        return arrow.Table.from_arrays(columns, schema=schema)


@validate_params(
    {
        "codes": "no_validation",
        "path": [str, os.PathLike],
        "ids": "no_validation",
        "compressed": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def write_npz(codes, path, ids=None, *, compressed=False):
    """Write codes to one file that scipy and numpy read.

    Use it to hand codes to Python programs without this package. `SparseIndex.save` is
    faster to open, smaller, and checks what it reads.

    Parameters
    ----------
    codes : {array-like, sparse matrix}, SparseIndex or fitted estimator
        Codes of shape (n_items, n_components), of which a batch at a time is converted:
        a matrix, the rows of an index, or `item_embeddings_` of a model.
    path : str or path-like
        The file, by custom with the ending ``.npz``; missing parents are made. A file
        that is there is replaced once the new one is complete and on the disk.
    ids : array-like of shape (n_items,), default=None
        Distinct strings, or 64-bit integers of at least 0. None takes the ids of the
        index or the names that the model was fitted with; the positions where there
        are none.
    compressed : bool, default=False
        Whether to compress, which takes ten times as long and saves about a third.

    Raises
    ------
    ValueError
        For NaN, infinity, values out of the range of float32, or ids that are not
        distinct.

    See Also
    --------
    write_parquet : Tables with a payload, resumable.
    sksparse_rec.SparseIndex.save : An index that is opened without being read.

    Notes
    -----
    ``scipy.sparse.load_npz`` returns the matrix (CSR, float32, int32 column indices),
    and ``numpy.load`` the ids, under ``ids`` (int64, or str of fixed width); nothing is
    pickled. The codes are converted three times, once for each array, in bounded
    memory; a call that was cut off starts over.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from scipy.sparse import load_npz
    >>> from sksparse_rec.export import write_npz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "codes.npz"
    ...     write_npz([[0.8, 0.0, -0.6], [0.0, 1.0, 0.0]], path, ids=["a", "b"])
    ...     codes = load_npz(path)
    ...     with np.load(path) as file:
    ...         ids = file["ids"]
    >>> codes.toarray()
    array([[ 0.8,  0. , -0.6],
           [ 0. ,  1. ,  0. ]], dtype=float32)
    >>> ids.tolist()
    ['a', 'b']
    """
    batches = _all_signs(codes, ids, None)
    lengths = [np.diff(batch.rows.indptr) for batch in batches.between(0)]
    indptr = np.concatenate([[0], np.cumsum(np.concatenate([*lengths, []]))])
    indptr = indptr.astype(np.int64)
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    small = {
        # What scipy asks for.
        "format": np.array(b"csr"),
        "_is_array": np.array(True),
        "shape": np.array([batches.n_items, batches.n_components]),
        "indptr": indptr,
        "ids": batches.ids,
    }

    def write(draft):
        with zipfile.ZipFile(draft, "w", method) as archive:
            for name, array in small.items():
                with _member(archive, name) as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
            for name, dtype in (("indices", np.int32), ("data", np.float32)):
                with _member(archive, name) as file:
                    _write_entries(file, batches, name, np.dtype(dtype), indptr[-1])

    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, write)


def _member(archive, name):
    return archive.open(f"{name}.npy", "w", force_zip64=True)


def _write_entries(file, batches, name, dtype, length):
    """Write an array of all entries, of which a batch at a time is in memory."""
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (int(length),),
    }
    np.lib.format.write_array_header_1_0(file, header)
    for batch in batches.between(0):
        part = getattr(batch.rows, name)
        file.write(np.ascontiguousarray(part, dtype).data)


def _all_signs(codes, ids, payload):
    return Batches(
        codes, ids, payload, n_components=None, signs="native", batch_size=ITEMS_AT_ONCE
    )
