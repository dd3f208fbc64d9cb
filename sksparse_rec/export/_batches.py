"""Codes, ids and payload, a batch of items at a time."""

import hashlib
import json
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._validation import as_rows
from sksparse_rec.export._parquet import item_names
from sksparse_rec.export._payload import Payload, check_unicode
from sksparse_rec.export._signs import check_signs, to_stored
from sksparse_rec.retrieval import SparseIndex
from sksparse_rec.retrieval._ids import as_ids, check_distinct
from sksparse_rec.retrieval._index_state import check_count, compact_rows


class Batch(NamedTuple):
    """Items as a store gets them.

    ``rows`` is a csr_array of float32, columns ascending and without zeros; ``ids`` is
    int64 or str; ``payload`` has a dict for each item. ``start`` is the row of the
    first item in what is written.
    """

    start: int
    ids: np.ndarray
    rows: sp.csr_array
    payload: list

    @property
    def stop(self):
        """The row behind the last item."""
        return self.start + len(self.ids)


class Batches:
    """What ``Store.write`` is given, checked and converted a batch at a time.

    Parameters
    ----------
    codes : {array-like, sparse matrix}, SparseIndex, or fitted estimator
    ids : array-like or None
    payload : table or None
    n_components : int or None
        None takes the width of the codes.
    signs : {"native", "split", "nonnegative"}
    batch_size : int
    refusal : str or None
        Why the store takes no negative values as they are; None if it does.
    """

    def __init__(
        self, codes, ids, payload, *, n_components, signs, batch_size, refusal=None
    ):
        codes, own_ids = _open(codes)
        self.codes, self.n_items = codes, codes.shape[0]
        if n_components is None:
            n_components = codes.shape[1]
        if codes.shape[1] != n_components:
            raise ValueError(
                f"codes has {codes.shape[1]} columns, but n_components of the store "
                f"is {n_components}"
            )
        self.n_components, self.signs, self.refusal = n_components, signs, refusal
        self.batch_size = batch_size
        self.ids = _check_ids(own_ids if ids is None else ids, self.n_items)
        self.payload = Payload(payload, self.n_items)

    def between(self, start, stop=None):
        """Yield the batches from a row to before another, or to the last."""
        stop = self.n_items if stop is None else stop
        for first in range(start, stop, self.batch_size):
            yield self.at(first, stop)

    def at(self, start, stop=None):
        """Return the batch that begins at a row, and ends before another if given."""
        stop = min(start + self.batch_size, self.n_items if stop is None else stop)
        rows = self._rows(start, stop)
        check_signs(rows, start, self.signs, self.refusal)
        payload = self.payload.records(start, stop)
        rows = to_stored(rows, self.signs)
        return Batch(start, self.ids[start:stop], rows, payload)

    def check(self, check):
        """Read everything once, before any of it is written.

        Parameters
        ----------
        check : callable
            Gets every batch, and raises for what the store cannot take.

        Returns
        -------
        description : dict of str
            Digests of all that is written, by what they are of.
        """
        names = ("lengths", "columns", "values", "ids", "payload")
        digests = {name: hashlib.sha256() for name in names}
        for batch in self.between(0):
            check(batch)
            arrays = np.diff(batch.rows.indptr), batch.rows.indices, batch.rows.data
            for name, array in zip(names, arrays, strict=False):
                digests[name].update(np.ascontiguousarray(array).data)
            for name, values in (
                ("ids", batch.ids.tolist()),
                ("payload", batch.payload),
            ):
                for value in values:
                    text = json.dumps(value, sort_keys=True) + "\n"
                    digests[name].update(text.encode())
        found = {name: digest.hexdigest() for name, digest in digests.items()}
        of_codes = "".join(found.pop(name) for name in names[:3])
        return found | {"codes": hashlib.sha256(of_codes.encode()).hexdigest()}

    def _rows(self, start, stop):
        try:
            rows = compact_rows(
                self.codes[start:stop], np.dtype(np.float32), "codes", self.n_components
            )
        except ValueError as error:
            if start:
                error.add_note(f"Rows are counted from row {start} of codes")
            raise
        columns = rows.columns.astype(np.int32, copy=False)
        shape = stop - start, self.n_components
        return sp.csr_array((rows.values, columns, rows.indptr), shape=shape)


class _IndexRows:
    """The rows of a SparseIndex, of which slices are CSR matrices."""

    def __init__(self, index):
        self.index, self.shape = index, (index.n_items, index.n_components)

    def __getitem__(self, rows):
        index = self.index
        indptr = index.indptr[rows.start : rows.stop + 1]
        entries = slice(int(indptr[0]), int(indptr[-1]))
        # scipy does not know float16.
        data = index.values[entries].astype(np.float32)
        columns = index.columns[entries].astype(np.int32)
        shape = rows.stop - rows.start, self.shape[1]
        return sp.csr_array((data, columns, indptr - indptr[0]), shape=shape)


def _open(codes):
    """Return something with a shape, of which slices are rows, and the items' ids."""
    if isinstance(codes, SparseIndex):
        return _IndexRows(codes), codes.ids
    if hasattr(codes, "get_params"):
        check_is_fitted(codes)
        if not hasattr(codes, "item_embeddings_"):
            raise ValueError(
                f"codes is a {type(codes).__name__}, which has no item_embeddings_: "
                "pass a matrix of codes"
            )
        return as_rows(codes.item_embeddings_), item_names(codes)
    codes = as_rows(codes)
    return np.asarray(codes) if hasattr(codes, "iloc") else codes, None


def _check_ids(ids, n_items):
    """Return ids as int64 of at least 0 or as strings."""
    if ids is None:
        return np.arange(n_items)
    ids = as_ids(ids)
    check_count(ids, n_items, "ids", "items")
    check_distinct(ids)
    if ids.dtype.kind != "U" and n_items and ids.min() < 0:
        place = int(np.argmin(ids))
        raise ValueError(
            f"ids[{place}] is {ids[place]}, but integers must be 0 or more: use strings"
        )
    if ids.dtype.kind == "U":
        for place, name in enumerate(ids.tolist()):
            check_unicode(name, f"ids[{place}]")
    return ids
