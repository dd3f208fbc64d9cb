"""Codes in Milvus."""

import json
import os

import numpy as np

from sksparse_rec._optional import import_optional
from sksparse_rec.export._milvus_parts import (
    ID,
    POSITION,
    as_dicts,
    as_rows,
    check_bytes,
    filter_options,
    id_filter,
    merged,
    position_filter,
)
from sksparse_rec.export._rerank import Found
from sksparse_rec.export._signs import vector_name
from sksparse_rec.export._store import Store

# A field like those of ids and positions: Milvus Lite keeps values of dynamic fields
# that an upsert does not name.
PAYLOAD = "payload"

# Limits of Milvus.
MOST_FOUND = 16_384
MOST_BYTES_OF_AN_ID = 65_535
MOST_BYTES_OF_A_PAYLOAD = 65_536
# Ids in a filter, which is a text.
IDS_AT_ONCE = 1_000


class MilvusStore(Store):
    """Codes of items in a collection of Milvus.

    Use it where Milvus runs already, or to try it: Milvus Lite keeps a collection in a
    local folder. Milvus takes no negative values, so that codes are split by default.

    Parameters
    ----------
    client : str, path-like or pymilvus.MilvusClient
        What `MilvusClient` connects to, such as ``"http://localhost:19530"`` or
        ``"items.db"`` for Milvus Lite; or a client, which stays yours to close.
    collection : str, default="codes"
        The collection, of its own; the first ``write`` makes it.
    n_components : int
        Width of the codes.
    signs : {"native", "split", "nonnegative"}, default="split"
        "split" stores a latent as two, for its positive and its negative part, which
        is exact, as candidates are fetched until the answer is proven. "native" and
        "nonnegative" store values as they are and refuse negative ones: choose one for
        codes that have none, which makes searches faster.

    Attributes
    ----------
    client : pymilvus.MilvusClient
        What is asked.
    n_components : int
        As given.
    signs : str
        As given.
    vector_name : str
        Name of the vector, which tells the width and the signs, such as "codes_1024" or
        "codes_1024_split".
    stored_width : int
        Number of dimensions of the vectors in the store.
    exact : bool
        True.

    Raises
    ------
    ImportError
        If `pymilvus` is missing, which the extra ``milvus`` installs with Milvus Lite.
    ValueError
        For a parameter out of its range. Every method raises it if the collection was
        made by something else, or with another width or other signs.

    See Also
    --------
    QdrantStore : Takes negative values.
    PgvectorStore : Takes negative values, and filters are SQL.
    sksparse_rec.SparseIndex : Faster, in memory or a mapped file.

    Notes
    -----
    **Filters** (``where`` of ``search``) are expressions of Milvus, such as
    ``"payload['year'] > 2000 and json_contains(payload['genres'], 'drama')"``. A server
    takes a tuple of an expression and the dict of its parameters too:
    ``("payload['year'] > {year}", {"year": 2000})``. Never build one from strings that
    users enter.

    **Fields**: ``id``, the primary key, of 64-bit integers or strings; ``position``;
    ``payload``, which is JSON; and the vector.

    **Limits**: values are float32 and not negative; string ids have at most 65,535
    bytes, a payload 65,536 as JSON. What is beyond them is refused before anything is
    written. Milvus takes or finds no vector without entries: such an item gets an entry
    in a dimension of its own. Have one program write at a time, as nothing keeps two
    from giving the same positions.

    **Exactness**: the index is SPARSE_INVERTED_INDEX with inner products, and nothing
    is dropped from queries. Candidates are scored again in float64, and asked for until
    no other item can be among the best, up to the rounding of float32 in the scores of
    items much longer than those found. Items that share no latent with the query have
    score 0, and come by their positions where lists have room. Negative entries of a
    query are left to the second scoring where codes have none.

    **Cost**: a batch is one request, whose items are visible when it is answered, as
    the consistency level of the collection is strong; before that others may see a part
    of it. Milvus gives at most 16,384 candidates to a
    request, so that more are asked for by ranges of positions. Milvus Lite is written
    in Python: about 5,000 items of 32 non-zeros are written per second, and among
    20,000 items a query of 32 non-zeros takes 80 milliseconds, a half-dense one 0.3
    seconds.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sksparse_rec.export import MilvusStore
    >>> codes = [[0.6, -0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.6, 0.8]]
    >>> recent = "payload['year'] > 2000"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with MilvusStore(Path(folder) / "items.db", n_components=3) as store:
    ...         store.write(codes, ["a", "b", "c"], {"year": [1994, 2001, 2010]})
    ...         ids, scores = store.search([[0.0, -1.0, 0.0]], k=2)
    ...         newer, _ = store.search([[0.0, -1.0, 0.0]], k=2, where=recent)
    >>> ids
    array([['a', 'c']], dtype=object)
    >>> scores.round(2)
    array([[ 0.8, -0.6]])
    >>> newer
    array([['c', 'b']], dtype=object)
    """

    _refusal = "Milvus takes no negative values"

    def __init__(self, client, collection="codes", *, n_components, signs="split"):
        super().__init__(n_components=n_components, signs=signs)
        self._milvus = import_optional("pymilvus", "MilvusStore", "milvus")
        self.vector_name = vector_name(self.n_components, self.signs)
        self._collection, self._kind = collection, None
        self._is_own = isinstance(client, str | os.PathLike)
        self._server = None
        if self._is_own:
            client = os.fspath(client)
            self._server = client if "://" in client else os.path.realpath(client)
            client = self._milvus.MilvusClient(client)
        elif not isinstance(client, self._milvus.MilvusClient):
            raise TypeError(
                "client must be what MilvusClient connects to, or a MilvusClient, got "
                f"{type(client).__name__}"
            )
        self.client = client

    def __len__(self):
        """Return the number of items."""
        return self._count("") if self._is_there() else 0

    def close(self):
        """Close the client, if the store has opened it."""
        if self._is_own:
            self.client.close()

    def _check(self, batch):
        rows = enumerate(zip(batch.ids.tolist(), batch.payload, strict=True))
        for row, (key, record) in rows:
            place = batch.start + row
            if isinstance(key, str):
                check_bytes(key, f"ids[{place}]", MOST_BYTES_OF_AN_ID)
            text = json.dumps(record, ensure_ascii=False)
            check_bytes(text, f"The payload of item {place}", MOST_BYTES_OF_A_PAYLOAD)

    def _check_where(self, where):
        is_pair = isinstance(where, tuple) and len(where) == 2
        expression, parameters = where if is_pair else (where, {})
        if not isinstance(expression, str) or not isinstance(parameters, dict):
            raise TypeError(
                "where must be an expression of Milvus, or a tuple of one and the dict "
                f"of its parameters, got {where!r}"
            )

    def _upsert(self, batch, positions):
        if not self._is_there():
            self._create(batch.ids.dtype.kind)
        vectors = as_dicts(batch.rows, empty=self.stored_width)
        names = ID, POSITION, self.vector_name, PAYLOAD
        columns = batch.ids.tolist(), positions.tolist(), vectors, batch.payload
        items = [
            dict(zip(names, values, strict=True))
            for values in zip(*columns, strict=True)
        ]
        self.client.upsert(self._collection, items)

    def _create(self, kind):
        types, client = self._milvus.DataType, self.client
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        if kind == "U":
            length = MOST_BYTES_OF_AN_ID
            schema.add_field(ID, types.VARCHAR, is_primary=True, max_length=length)
        else:
            schema.add_field(ID, types.INT64, is_primary=True)
        schema.add_field(POSITION, types.INT64)
        schema.add_field(PAYLOAD, types.JSON)
        schema.add_field(self.vector_name, types.SPARSE_FLOAT_VECTOR)
        indexes = client.prepare_index_params()
        indexes.add_index(
            self.vector_name, index_type="SPARSE_INVERTED_INDEX", metric_type="IP"
        )
        client.create_collection(
            self._collection,
            schema=schema,
            index_params=indexes,
            consistency_level="Strong",
        )

    def _nearest(self, Q, n, where):
        answers = [self._found([], [])] * Q.shape[0]
        # Without the negative ones scores are upper bounds, as codes have none.
        queries = [
            {column: value for column, value in query.items() if value > 0}
            for query in as_dicts(Q)
        ]
        asked = [row for row, query in enumerate(queries) if query]
        if not asked or not self._is_there():
            return answers
        for inside in self._ranges(n):
            found = self._search([queries[row] for row in asked], n, where, inside)
            for row, more in zip(asked, found, strict=True):
                answers[row] = merged(answers[row], more, n)
        return answers

    def _ranges(self, n):
        """Yield filters of few enough items each to have all of them found."""
        if n <= MOST_FOUND:
            yield None
            return
        for start in range(0, self._end(), MOST_FOUND):
            yield position_filter(start, start + MOST_FOUND)

    def _search(self, queries, n, where, inside):
        answers = self.client.search(
            self._collection,
            data=queries,
            anns_field=self.vector_name,
            limit=min(n, MOST_FOUND),
            output_fields=[POSITION, self.vector_name],
            search_params={"params": {"drop_ratio_search": 0.0}},
            **filter_options(where, inside),
        )
        return [
            self._found(
                [hit["entity"] | {ID: hit[ID]} for hit in hits],
                [hit["distance"] for hit in hits],
            )
            for hits in answers
        ]

    def _between(self, start, stop, where):
        items = []
        if self._is_there():
            for first in range(start, stop, MOST_FOUND):
                inside = position_filter(first, min(first + MOST_FOUND, stop))
                items += self.client.query(
                    self._collection,
                    output_fields=[ID, POSITION, self.vector_name],
                    limit=MOST_FOUND,
                    **filter_options(where, inside),
                )
        return self._found(items, np.zeros(len(items)))

    def _positions_of(self, ids):
        known, ids = {}, ids.tolist()
        for start in range(0, len(ids) if self._is_there() else 0, IDS_AT_ONCE):
            items = self.client.query(
                self._collection,
                filter=id_filter(ids[start : start + IDS_AT_ONCE]),
                output_fields=[ID, POSITION],
                limit=IDS_AT_ONCE,
            )
            known |= {item[ID]: item[POSITION] for item in items}
        return np.array([known.get(key, -1) for key in ids], dtype=np.int64)

    def _end(self):
        low = len(self)
        if low == 0 or self._count(f"{POSITION} >= {low}") == 0:
            # Positions are distinct, so that all below are taken.
            return low
        high = 2 * low
        while self._count(f"{POSITION} >= {high}"):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            if self._count(f"{POSITION} >= {middle}"):
                low = middle
            else:
                high = middle
        return high

    def _count(self, expression):
        fields = ["count(*)"]
        found = self.client.query(
            self._collection, filter=expression, output_fields=fields
        )
        return found[0][fields[0]]

    def _id_kind(self):
        return self._kind if self._is_there() else None

    def _delete(self, ids):
        self.client.delete(self._collection, filter=id_filter(ids.tolist()))

    def _place(self):
        # Nobody tells where a client of the user is connected.
        return [self._server, self._collection]

    def _is_there(self):
        """Tell whether the collection is there, and open it at the first time."""
        if not self.client.has_collection(self._collection):
            self._kind = None
            return False
        if self._kind is None:
            fields = self.client.describe_collection(self._collection)["fields"]
            types = {field["name"]: field["type"] for field in fields}
            if types.keys() != {ID, POSITION, PAYLOAD, self.vector_name}:
                raise ValueError(
                    f"The collection {self._collection!r} has the fields "
                    f"{sorted(types)}, not {self.vector_name!r}: it was made with "
                    "other n_components or signs, or not by MilvusStore. Pass those, "
                    "or name another collection"
                )
            self.client.load_collection(self._collection)
            self._kind = "i" if types[ID] == self._milvus.DataType.INT64 else "U"
        return True

    def _found(self, items, scores):
        return Found(
            np.array([item[ID] for item in items], dtype=object),
            np.array([item[POSITION] for item in items], dtype=np.int64),
            np.array(scores, dtype=np.float64),
            as_rows([item[self.vector_name] for item in items], self.stored_width),
        )
