"""Vectors, answers and filters of Milvus."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec.export._rerank import Found
from sksparse_rec.export._signs import sorted_rows

ID, POSITION = "id", "position"
ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"})


def as_dicts(rows, empty=None):
    """Return rows as Milvus takes them; one without entries gets one at ``empty``."""
    dicts = []
    for start, stop in zip(rows.indptr[:-1], rows.indptr[1:], strict=True):
        entries = rows.indices[start:stop].tolist(), rows.data[start:stop].tolist()
        row = dict(zip(*entries, strict=True))
        dicts.append({empty: 1.0} if empty is not None and not row else row)
    return dicts


def as_rows(vectors, width):
    """Return dicts as rows, without the entry of those that have no other."""
    vectors = [[e for e in vector.items() if e[0] < width] for vector in vectors]
    indptr = np.cumsum([0, *map(len, vectors)])
    columns = np.array([j for vector in vectors for j, _ in vector], dtype=np.int64)
    values = np.array([x for vector in vectors for _, x in vector], dtype=np.float32)
    parts = values, columns, indptr
    return sorted_rows(sp.csr_array(parts, shape=(len(vectors), width)))


def merged(first, second, n):
    """Return the ``n`` best of two parts of the items."""
    if len(first.ids) == 0:
        return second
    scores = np.concatenate([first.scores, second.scores])
    order = np.argsort(-scores, kind="stable")[:n]
    return Found(
        np.concatenate([first.ids, second.ids])[order],
        np.concatenate([first.positions, second.positions])[order],
        scores[order],
        sp.csr_array(sp.vstack([first.rows, second.rows], format="csr")[order]),
    )


def position_filter(start, stop):
    """Return a filter of positions from ``start`` to ``stop``."""
    return f"{POSITION} >= {start} and {POSITION} < {stop}"


def id_filter(ids):
    """Return a filter of ids; pymilvus would not escape strings."""
    texts = [
        f'"{key.translate(ESCAPED)}"' if isinstance(key, str) else str(key)
        for key in ids
    ]
    return f"{ID} in [{', '.join(texts)}]"


def filter_options(where, inside=None):
    """Return the options of a filter of the user, and of one of this module."""
    expression, parameters = where if isinstance(where, tuple) else (where or "", {})
    expression = expression.strip()
    if inside is not None:
        expression = f"({expression}) and {inside}" if expression else inside
    options = {"filter": expression}
    return options | {"filter_params": parameters} if parameters else options


def check_bytes(text, what, most):
    """Raise a ValueError for a text of more bytes."""
    n_bytes = len(text.encode())
    if n_bytes > most:
        raise ValueError(
            f"{what} has {n_bytes} bytes, but at most {most} are possible: shorten it"
        )
