"""Codes in Qdrant."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from round_trips import M, RoundTrips, random_codes

from sksparse_rec import SparseIndex
from sksparse_rec.export import QdrantStore

qdrant_edge = pytest.importorskip("qdrant_edge")
qdrant_client = pytest.importorskip("qdrant_client")
models = pytest.importorskip("qdrant_client.models")


class Breaking:
    """A client that raises at a call of a method after the n-th.

    What the call was for is done, or half of it, or nothing.
    """

    def __init__(self, client, method, n, done=lambda call, argument: call(argument)):
        self._client, self._method, self._left, self._done = client, method, n, done

    def __getattr__(self, name):
        value = getattr(self._client, name)
        if name != self._method:
            return value

        def call(*args, **options):
            self._left -= 1
            if self._left >= 0:
                return value(*args, **options)
            self._done(value, *args, **options)
            raise ConnectionError

        return call


class TestEdge(RoundTrips):
    """The embedded store."""

    def make(self, where, **options):
        return QdrantStore(where / "qdrant", **options)

    def in_stock(self):
        q = qdrant_edge
        return q.Filter(must=[q.FieldCondition("in_stock", match=q.MatchValue(1))])

    def broken_after(self, store, n):
        # Written, but not acknowledged.
        points = store._points
        points.client = Breaking(points.client, "update", n, lambda call, o: call(o))

    def mended(self, store):
        store._points.client = store._points.client._client


class TestClient(RoundTrips):
    """The local mode of the client, which takes the calls for a server."""

    def make(self, where, **options):
        # Which can be open once, and does not belong to the store.
        path = str(where / "qdrant")
        if path in self.clients:
            self.clients[path].close()
        self.clients[path] = qdrant_client.QdrantClient(path=path)
        return QdrantStore(self.clients[path], **options)

    @pytest.fixture(autouse=True)
    def close_clients(self):
        self.clients = {}
        yield
        for client in self.clients.values():
            client.close()

    def in_stock(self):
        q = models
        match = q.MatchValue(value=1)
        return q.Filter(must=[q.FieldCondition(key="in_stock", match=match)])

    def broken_after(self, store, n):
        def half(call, collection, points, **options):
            call(collection, points[: len(points) // 2], **options)

        points = store._points
        points.client = Breaking(points.client, "upsert", n, half)

    def mended(self, store):
        store._points.client = store._points.client._client


def test_progress_is_that_of_a_folder(tmp_path):
    """Which has the same ids as another, from an older model."""
    progress = tmp_path / "progress.json"
    for name in ("one", "two"):
        with QdrantStore(tmp_path / name, n_components=M) as store:
            store.write(random_codes(40, seed=1))
    with QdrantStore(tmp_path / "one", n_components=M) as store:
        store.write(random_codes(40), progress=progress)
    with QdrantStore(tmp_path / "two", n_components=M) as store:
        with pytest.raises(ValueError, match="differs in store: "):
            store.write(random_codes(40), progress=progress)


def filter_of(key, value):
    q = qdrant_edge
    return q.Filter(must=[q.FieldCondition(key, match=q.MatchValue(value))])


@pytest.fixture
def codes():
    return random_codes(40)


@pytest.fixture
def open_folder(tmp_path):
    """A function that opens the embedded store."""

    def open_folder(**options):
        return QdrantStore(tmp_path / "qdrant", **{"n_components": M} | options)

    return open_folder


@pytest.fixture
def client():
    client = qdrant_client.QdrantClient(":memory:")
    yield client
    client.close()


@pytest.mark.parametrize("flag", [True, False])
def test_booleans_in_a_folder(open_folder, codes, flag):
    payload = {"new": [i % 2 == 0 for i in range(40)], "l": [[True, "x"]] * 40}
    with open_folder() as store:
        store.write(codes, payload=payload)
        ids, _ = store.search(codes[:5], 20, where=filter_of("new", flag))
        assert set((ids % 2).ravel()) == {int(not flag)}
        assert store.search(codes[:1], 1, where=filter_of("l", True))[0] == [[0]]


def test_booleans_of_a_client(client, codes):
    q = models
    store = QdrantStore(client, n_components=M)
    store.write(codes, payload={"new": [i % 2 == 0 for i in range(40)]})
    match = q.FieldCondition(key="new", match=q.MatchValue(value=True))
    ids, _ = store.search(codes[:5], 20, where=q.Filter(must=[match]))
    assert set((ids % 2).ravel()) == {0}
    assert store.client.retrieve("codes", [3])[0].payload["new"] is False


@pytest.mark.parametrize("other", [{"n_components": M + 1}, {"signs": "split"}])
def test_codes_of_another_kind(open_folder, client, codes, other):
    with open_folder() as store:
        store.write(codes)
    with pytest.raises(ValueError, match="n_components and signs"):
        open_folder(**other)
    with open_folder() as store:
        assert len(store) == 40
    QdrantStore(client, n_components=M).write(codes)
    with pytest.raises(ValueError, match="n_components and signs"):
        QdrantStore(client, **{"n_components": M} | other)


def test_something_else_in_the_folder(open_folder, tmp_path):
    (tmp_path / "qdrant").mkdir()
    (tmp_path / "qdrant" / "mine").touch()
    with pytest.raises(FileExistsError, match="no folder of Qdrant"):
        open_folder()
    assert [file.name for file in (tmp_path / "qdrant").iterdir()] == ["mine"]


def test_a_damaged_folder(open_folder, tmp_path):
    """What Qdrant says of it is passed on."""
    open_folder().close()
    (tmp_path / "qdrant" / "edge_config.json").write_text("{")
    with pytest.raises(Exception, match=r"edge_config\.json"):
        open_folder()


def test_a_folder_is_open_once(open_folder):
    with open_folder(), pytest.raises(BlockingIOError, match="open already"):
        open_folder()
    open_folder().close()


@pytest.mark.parametrize(
    "options", [{"index": {"datatype": "float16"}}, {"modifier": "idf"}]
)
def test_collections_that_change_scores(client, options):
    vector = models.SparseVectorParams(**options)
    vectors = {f"codes_{M}": vector}
    client.create_collection("own", vectors_config={}, sparse_vectors_config=vectors)
    with pytest.raises(ValueError, match="change scores"):
        QdrantStore(client, n_components=M, collection="own")


def test_points_of_somebody_else(client, codes):
    store = QdrantStore(client, n_components=M, collection="shared")
    q = models
    vector = {store.vector_name: q.SparseVector(indices=[1], values=[9.0])}
    client.upsert("shared", [q.PointStruct(id=10**6, vector=vector)])
    store.write(codes)
    with pytest.raises(ValueError, match="a collection of its own"):
        store.search(np.ones((1, M)))


def test_arguments(open_folder, client):
    with pytest.raises(ValueError, match="a folder is one collection"):
        open_folder(collection="mine")
    with pytest.raises(TypeError, match="location is a dict"):
        QdrantStore({}, n_components=M)
    store = QdrantStore(client, n_components=M)
    with pytest.raises(
        TypeError, match=r"a Filter of qdrant_client.models, got Filter"
    ):
        store.search(np.ones((1, M)), where=filter_of("a", 1))


def test_points_can_be_read_by_others(client, codes):
    store = QdrantStore(client, n_components=M, signs="split", collection="mine")
    store.write(
        codes[:2], ["a", "b"], {"genres": [["x", "y"], []], "year": [1999, None]}
    )
    points = client.scroll("mine", with_vectors=True)[0]
    payloads = sorted((point.payload for point in points), key=lambda p: p["_id"])
    assert payloads == [
        {"_id": "a", "_position": 0, "genres": ["x", "y"], "year": 1999},
        {"_id": "b", "_position": 1, "genres": []},
    ]
    vector = next(p for p in points if p.payload["_id"] == "a").vector["codes_32_split"]
    row = codes[[0]]
    expected = row.indices + M * (row.data < 0)
    assert vector.indices == sorted(expected.tolist())
    assert min(vector.values) > 0


@pytest.mark.parametrize("signs", ["native", "split"])
def test_many_items_in_optimised_segments(open_folder, signs):
    rng = np.random.default_rng(0)
    codes = random_codes(4000, seed=1)
    with open_folder(signs=signs) as store:
        store.write(codes)
        store.client.optimize()
        removed = rng.choice(4000, 900, replace=False)
        store.delete(removed)
        store.client.optimize()
        index = SparseIndex(codes)
        allow = np.setdiff1d(np.arange(4000), removed)
        Q = np.vstack([codes[:30].toarray(), rng.normal(size=(30, M))])
        ids, scores = store.search(np.vstack([Q, np.abs(Q)]), 20)
        expected = index.search_ids(np.vstack([Q, np.abs(Q)]), 20, allow=allow)
        np.testing.assert_array_equal(ids, expected[0])
        np.testing.assert_allclose(scores, expected[1], atol=1e-6)


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from round_trips import M, random_codes
from sksparse_rec import SparseIndex
from sksparse_rec.export import QdrantStore

def kill(done, of):
    if done == 48:
        os.kill(os.getpid(), signal.SIGKILL)

store = QdrantStore({folder!r}, n_components=M)
store.write(random_codes(90), batch_size=16, progress={progress!r}, on_batch=kill)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_process_that_was_killed(open_folder, tmp_path):
    progress = str(tmp_path / "progress.json")
    folder = str(tmp_path / "qdrant")
    tests = str(Path(__file__).parent)
    code = KILLED.format(tests=tests, folder=folder, progress=progress)
    assert subprocess.run([sys.executable, "-c", code]).returncode < 0
    codes, done = random_codes(90), []
    with open_folder() as store:
        assert len(store) == 48
        store.write(
            codes,
            batch_size=16,
            progress=progress,
            on_batch=lambda n, _: done.append(n),
        )
        assert done == [64, 80, 90]
        assert len(store) == 90
        ids, _ = store.search(codes, 5)
        np.testing.assert_array_equal(ids, SparseIndex(codes).search_ids(codes, 5)[0])
