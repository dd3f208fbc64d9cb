"""Digests by which an export knows what it belongs to."""

import hashlib
import json
import numbers

import joblib
import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import hash_matrix
from sksparse_rec.models._blocks import take_rows
from sksparse_rec.models._checkpoint import NOT_THE_RESULT

# Numbers of a dense table, and ids, that are hashed at once.
HASH_ENTRIES = 1 << 20


def digest_of(value):
    """Return the SHA-256 of a value, the same in every process and on every day.

    Parameters
    ----------
    value : object
        A matrix, an array, a table, a fitted estimator, or what JSON can write. Of
        estimators fitted attributes count and plain parameters, but not those that
        change no result: device, threads, verbosity.
    """
    digest = hashlib.sha256()
    _add(digest, value)
    return digest.hexdigest()


def digest_of_ids(ids):
    """Return the SHA-256 of an Arrow array."""
    digest = hashlib.sha256(str(ids.type).encode())
    for start in range(0, len(ids), HASH_ENTRIES):
        digest.update(_as_json(ids.slice(start, HASH_ENTRIES).to_pylist()))
    return digest.hexdigest()


def _add(digest, value):
    if hasattr(value, "get_params") and not isinstance(value, type):
        _add_estimator(digest, value)
    elif sp.issparse(value):
        hash_matrix(digest, value.tocsr())
    elif isinstance(value, np.ndarray) or hasattr(value, "columns"):
        _add_rows(digest, value)
    else:
        digest.update(_as_json(value))


def _add_estimator(digest, estimator):
    digest.update(type(estimator).__qualname__.encode())
    params = estimator.get_params(deep=False)
    plain = {
        name: value
        for name, value in params.items()
        if name not in NOT_THE_RESULT
        and (value is None or isinstance(value, str | numbers.Number))
    }
    digest.update(_as_json(plain))
    for name, value in sorted(vars(estimator).items()):
        if name.endswith("_") and not name.startswith("_"):
            digest.update(name.encode())
            _add(digest, value)


def _add_rows(digest, table):
    """Add an array or a DataFrame, which may be mapped, a piece at a time."""
    kind = getattr(table, "dtype", "table")
    digest.update(_as_json([list(map(int, table.shape)), str(kind)]))
    if not table.shape:
        digest.update(_as_json(table.item()))
        return
    step = max(1, HASH_ENTRIES // max(1, int(np.prod(table.shape[1:]))))
    for start in range(0, len(table), step):
        rows = np.asarray(take_rows(table, slice(start, start + step)))
        if rows.dtype.kind in "biufc":
            digest.update(np.ascontiguousarray(rows).data)
        else:
            digest.update(_as_json(rows.tolist()))


def _as_json(value):
    return json.dumps(value, sort_keys=True, default=_plain).encode()


def _plain(value):
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    # Whatever else an estimator or a caller may have.
    return joblib.hash(value)
