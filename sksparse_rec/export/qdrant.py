"""Codes in Qdrant."""

import itertools
import os
import uuid

import numpy as np
import scipy.sparse as sp

from sksparse_rec.export._qdrant_client import ClientPoints
from sksparse_rec.export._qdrant_edge import EdgePoints
from sksparse_rec.export._rerank import Found
from sksparse_rec.export._signs import sorted_rows, vector_name
from sksparse_rec.export._store import Store

# Values of every payload: the id, if it is a string, and the position.
ID, POSITION = "_id", "_position"
# Strings are points under their UUID in this name space.
NAMESPACE = uuid.UUID("0d5eb6bd-5f1c-5c86-9f3c-6a3f7c9d1b52")


class QdrantStore(Store):
    """Codes of items in Qdrant: in a folder, or on a server.

    Use it to answer queries with filters on what items are like, and where items come
    and go while queries are answered: embedded in a process, without any server, or
    by the server that other programs ask too. It takes codes of either sign as they
    are, and its answers are those of a `SparseIndex`.

    Parameters
    ----------
    location : str, path-like or qdrant_client.QdrantClient
        A folder for the embedded Qdrant, made where there is none; or a client, of a
        server or in local mode. The client stays yours to close.
    n_components : int
        Width of the codes.
    signs : {"native", "split", "nonnegative"}, default="native"
        What becomes of negative values. "native" keeps them, which is exact and the
        best choice here. "split" stores positive and negative parts as different
        dimensions, twice as many, for collections that share a layout with stores
        that take no negative values; answers are the same, and proving them takes
        longer. "nonnegative" refuses them.
    collection : str, default=None
        The collection of a client, made where there is none; None: "codes". It has to
        be one of its own. A folder is one collection and takes no name.

    Attributes
    ----------
    client : qdrant_edge.EdgeShard or qdrant_client.QdrantClient
        What is asked, for what this class does not do: indexes on payloads, which
        make filters faster, ``optimize()`` after many deletions, snapshots.
    vector_name : str
        Name of the vector, which tells the width and the signs, such as "codes_1024"
        or "codes_1024_split".
    n_components : int
        As given.
    signs : str
        As given.
    stored_width : int
        Number of dimensions of the vectors in the store.
    exact : bool
        True.

    Raises
    ------
    ValueError
        If the folder or the collection holds codes of another width or other signs,
        or in another precision than float32.
    FileExistsError
        If there is something else in the folder.
    BlockingIOError
        If the folder is open already.
    ImportError
        If `qdrant_edge` or `qdrant_client` is missing, which the extra ``qdrant``
        installs.

    See Also
    --------
    sksparse_rec.SparseIndex : Faster, in memory or a mapped file, with filters by id.

    Notes
    -----
    **Filters** (``where`` of ``search``) are a ``Filter`` of the library in use:
    ``qdrant_edge.Filter`` or ``qdrant_client.models.Filter``. The filters of
    `qdrant_edge` match no booleans: in a folder, booleans are kept as 0 and 1, which
    ``MatchValue(True)`` and ``MatchValue(1)`` find.

    **Ids**: integers are the ids of points; strings are points under a UUID, the
    version 5 of the string in a name space of this package, and stay in the payload as
    ``_id``. All of a store are of one kind. The payload has the position as
    ``_position``.

    **Limits**: values are float32, of at most 2**31 - 1 dimensions, with any number of
    non-zeros. Qdrant checks little of it, so all is checked before it is sent. Names
    with a dot or brackets have to be quoted in filters. A server takes requests of 32
    MB, unless it is told otherwise: about 30,000 items of 32 non-zeros.

    **Exactness**: sparse search in Qdrant compares all items that share a latent with
    the query. Candidates are scored again in float64, and asked for until no other
    item can be among the best, up to the rounding of float32 in the scores of items
    much longer than those found. Items that share none have score 0, and come by their
    positions where lists have room.

    **Cost**: in a folder, with 100,000 items of 32 non-zeros on one core, writing takes
    50 microseconds an item; a query with 32 non-zeros 2.5 ms, one with half of 4096
    latents 7 ms and a dense one 16 ms, of which about a millisecond is reading 100
    candidates in Python. A batch is on the disk when it is acknowledged, and an item
    takes 1.5 kB there. Memory is that of Qdrant, of a batch, and of the candidates.

    Examples
    --------
    >>> import tempfile
    >>> import qdrant_edge
    >>> from sksparse_rec.export import QdrantStore
    >>> codes = [[0.6, -0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.6, 0.8]]
    >>> in_stock = qdrant_edge.Filter(
    ...     must=[
    ...         qdrant_edge.FieldCondition("in_stock", match=qdrant_edge.MatchValue(1))
    ...     ]
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with QdrantStore(folder, n_components=3) as store:
    ...         store.write(codes, ["a", "b", "c"], {"in_stock": [True, False, True]})
    ...         ids, scores = store.search([[0.0, 1.0, 0.0]], k=2, where=in_stock)
    >>> ids
    array([['c', 'a']], dtype=object)
    >>> scores.round(2)
    array([[ 0.6, -0.8]])
    """

    def __init__(self, location, *, n_components, signs="native", collection=None):
        super().__init__(n_components=n_components, signs=signs)
        self.vector_name = vector_name(self.n_components, self.signs)
        if isinstance(location, str | os.PathLike):
            if collection is not None:
                raise ValueError(
                    f"collection is {collection!r}, but a folder is one collection: "
                    "name another folder"
                )
            self._points = EdgePoints(location, self.vector_name, POSITION)
        else:
            name = "codes" if collection is None else collection
            self._points = ClientPoints(location, name, self.vector_name, POSITION)

    @property
    def client(self):
        """The shard or the client that is asked."""
        return self._points.client

    def __len__(self):
        """Return the number of items."""
        return self._points.count()

    def close(self):
        """Let go of the folder; a client stays open."""
        self._points.close()

    def _check_where(self, where):
        library, kind = self._points.library, self._points.filter
        if not isinstance(where, kind):
            raise TypeError(f"where must be a Filter of {library}, got {where!r}")

    def _upsert(self, batch, positions):
        points = []
        is_named = batch.ids.dtype.kind == "U"
        rows = zip(
            batch.ids.tolist(),
            positions.tolist(),
            _vectors(batch.rows),
            batch.payload,
            strict=True,
        )
        for key, position, (columns, values), payload in rows:
            if not self._points.has_booleans:
                payload = {n: _without_booleans(v) for n, v in payload.items()}
            own = {POSITION: position} | ({ID: key} if is_named else {})
            points.append((_point(key), columns, values, payload | own))
        self._points.upsert(points)

    def _nearest(self, Q, n, where):
        answers = self._points.query(_vectors(Q), n, where, [ID, POSITION])
        return [self._found(points) for points in answers]

    def _between(self, start, stop, where):
        return self._found(self._points.between(start, stop, where, [ID, POSITION]))

    def _positions_of(self, ids):
        keys = [_point(key) for key in ids.tolist()]
        points = self._points.retrieve(keys, [POSITION])
        known = {str(point.id): point.payload[POSITION] for point in points}
        return np.array([known.get(str(key), -1) for key in keys], np.int64)

    def _end(self):
        points = self._points.last([POSITION])
        return points[0].payload[POSITION] + 1 if points else 0

    def _id_kind(self):
        points = self._points.last([ID])
        if not points:
            return None
        return "U" if ID in (points[0].payload or {}) else "i"

    def _delete(self, ids):
        self._points.delete([_point(key) for key in ids.tolist()])

    def _place(self):
        return self._points.place

    def _found(self, points):
        payloads = [point.payload or {} for point in points]
        if any(POSITION not in payload for payload in payloads):
            raise ValueError(
                f"There are points without {POSITION!r}, which this class has not "
                "written: take a collection of its own"
            )
        vectors = [(point.vector or {}).get(self.vector_name) for point in points]
        lengths = [0 if v is None else len(v.indices) for v in vectors]
        columns = [j for v in vectors if v is not None for j in v.indices]
        values = [x for v in vectors if v is not None for x in v.values]
        parts = (
            np.array(values, np.float32),
            np.array(columns, np.int32),
            np.cumsum([0, *lengths]),
        )
        pairs = zip(points, payloads, strict=True)
        ids = [payload.get(ID, point.id) for point, payload in pairs]
        return Found(
            np.array(ids, dtype=object),
            np.array([payload[POSITION] for payload in payloads], np.int64),
            np.array([getattr(point, "score", 0.0) for point in points], np.float64),
            sorted_rows(sp.csr_array(parts, shape=(len(points), self.stored_width))),
        )


def _vectors(rows):
    """Return the columns and values of every row as lists."""
    columns, values = rows.indices.tolist(), rows.data.tolist()
    pairs = itertools.pairwise(rows.indptr.tolist())
    return [(columns[start:stop], values[start:stop]) for start, stop in pairs]


def _point(key):
    return str(uuid.uuid5(NAMESPACE, key)) if isinstance(key, str) else key


def _without_booleans(value):
    if isinstance(value, list):
        return [_without_booleans(part) for part in value]
    return int(value) if isinstance(value, bool) else value
