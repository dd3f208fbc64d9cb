"""Codes in Milvus, by Milvus Lite."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from round_trips import BATCH, M, RoundTrips, payload_of, random_codes

from sksparse_rec import SparseIndex
from sksparse_rec.export import MilvusStore, milvus

pymilvus = pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

numbers = itertools.count()


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    client = pymilvus.MilvusClient(str(tmp_path_factory.mktemp("milvus") / "codes.db"))
    yield client
    client.close()


@pytest.fixture
def make(client):
    """A function that opens the store of a test."""
    name = f"c{next(numbers)}"

    def make(client=client, name=name, **options):
        return MilvusStore(client, name, **{"n_components": M} | options)

    return make


@pytest.fixture(name="codes")
def make_codes():
    return random_codes(90)


class Breaking:
    """A client that raises in the middle of the batch after the n-th."""

    def __init__(self, client, n):
        self.client, self.left = client, n

    def upsert(self, collection, items):
        self.left -= 1
        self.client.upsert(collection, items if self.left >= 0 else items[:5])
        if self.left < 0:
            raise ConnectionError

    def __getattr__(self, name):
        return getattr(self.client, name)


def test_progress_is_that_of_a_database(tmp_path, codes):
    """Which has the same ids as another, from an older model."""
    progress = tmp_path / "progress.json"
    with MilvusStore(tmp_path / "one.db", n_components=M) as store:
        store.write(codes, progress=progress)
    with MilvusStore(tmp_path / "two.db", n_components=M) as store:
        store.write(2 * codes)
        with pytest.raises(ValueError, match="differs in store: "):
            store.write(codes, progress=progress)


def test_no_client():
    with pytest.raises(TypeError, match="a MilvusClient, got int"):
        MilvusStore(3, n_components=3)


class TestRoundTrips(RoundTrips):
    signs = ("split",)

    @pytest.fixture(autouse=True)
    def remember_client(self, client):
        self.client, self.names = client, {}

    def make(self, where, **options):
        name = self.names.setdefault(where, f"c{next(numbers)}")
        return MilvusStore(self.client, name, **options)

    def in_stock(self):
        return "payload['in_stock'] > 1 or payload['in_stock'] == 1"

    def broken_after(self, store, n):
        store.client = Breaking(store.client, n)

    def mended(self, store):
        store.client = self.client


@pytest.mark.parametrize("signs", ["native", "nonnegative"])
def test_queries_of_both_signs(make, signs):
    codes = random_codes(90, signed=False)
    store = make(signs=signs)
    store.write(codes)
    index = SparseIndex(codes)
    rng = np.random.default_rng(1)
    for Q in (codes, rng.normal(size=(20, M)), -np.eye(M), -np.ones((1, M))):
        for k, n in [(5, 1), (5, 100), (95, 1)]:
            ids, scores = store.search(Q, k, n_candidates=n)
            expected, best = index.search_ids(Q, k)
            np.testing.assert_array_equal(ids, expected)
            np.testing.assert_allclose(scores, best, atol=1e-6)


def test_more_candidates_than_a_request_gives(make, codes, monkeypatch):
    monkeypatch.setattr(milvus, "MOST_FOUND", 7)
    store = make()
    store.write(codes, payload=payload_of(90))
    store.delete([20, 21, 22, 23, 24, 25, 26, 27, 28, 89])
    index = SparseIndex(codes, ids=range(90))
    index.remove([20, 21, 22, 23, 24, 25, 26, 27, 28, 89])
    Q = np.random.default_rng(1).normal(size=(20, M))
    for n in (1, 7, 8, 100):
        ids, _ = store.search(Q, 5, n_candidates=n)
        np.testing.assert_array_equal(ids, index.search_ids(Q, 5)[0])
    ids, _ = store.search(Q, 30, where="payload['in_stock'] > 0 or false")
    allowed = index.ids[index.ids % 3 == 1]
    np.testing.assert_array_equal(ids, index.search_ids(Q, 30, allow=allowed)[0])


@pytest.mark.parametrize("kept", [[], [0], [89], [3, 60, 61], [0, 1, 2], [31], [32]])
def test_the_end_of_the_positions(make, codes, kept):
    store = make()
    store.write(codes)
    assert store._end() == 90
    store.delete(np.setdiff1d(np.arange(90), kept))
    assert store._end() == max(kept, default=-1) + 1
    store.write(codes[:3], [100, 101, 102])
    assert store._end() == max(kept, default=-1) + 4


def test_strings_in_filters_are_escaped(make, codes):
    ids = ["\n", "\r\n\t", "\x00a", "\x01", '"', '\\"', "] or true or id in [", "a'b"]
    store = make()
    store.write(codes[10:18], ids)
    assert store._positions_of(np.array(ids)).tolist() == list(range(8))
    # What pymilvus makes of ids by itself is another expression, or none.
    store.delete(['"', "] or true or id in ["])
    assert len(store) == 6
    with pytest.raises(ValueError, match="true or"):
        store.delete(["] or true or id in ["])


def test_fields_of_the_collection(make, client, codes):
    payload = {
        "id": ["x", "y", None],
        "a b": [1, 2, 3],
        'odd "\\ name': [True, False, True],
        "large": [2**63 - 1, -(2**63) + 1, 0],
        "l": [[], [1, 2], ["a", True, 0.5]],
    }
    store = make()
    store.write(codes[:3], ["a", "b", "c"], payload)
    items = client.query(store._collection, filter="position >= 0", limit=9)
    for row, item in enumerate(items):
        entries = codes[row].tocoo()
        columns = (entries.coords[0] + M * (entries.data < 0)).tolist()
        values = np.abs(entries.data).astype(np.float32).tolist()
        record = {name: column[row] for name, column in payload.items()}
        assert item == {
            "id": "abc"[row],
            "position": row,
            "payload": {name: x for name, x in record.items() if x is not None},
            "codes_32_split": dict(zip(columns, values, strict=True)) or {2 * M: 1.0},
        }
    ids, _ = store.search(codes[:1], 3, where='payload["a b"] == 2')
    assert ids.tolist() == [["b", None, None]]


def test_an_upsert_replaces_the_payload(make, codes):
    store = make()
    store.write(codes[:3], payload={"a": [1, 1, 1], "b": [1, 1, 1]})
    store.write(codes[:1], payload={"a": [2]})
    assert sorted(store.search(codes[:1], 3, where="payload['b'] == 1")[0][0]) == [
        -1,
        1,
        2,
    ]


@pytest.mark.parametrize(
    ("ids", "payload", "message"),
    [
        (["a", "é" * 32_768], None, r"ids\[1\] has 65536 bytes"),
        (None, {"t": ["a", "é" * 32_768]}, "payload of item 1 has 65545 bytes"),
    ],
)
def test_what_milvus_does_not_take(make, codes, ids, payload, message):
    store = make()
    with pytest.raises(ValueError, match=message):
        store.write(codes[:2], ids, payload, batch_size=1)
    assert len(store) == 0


def test_longest_strings(make, codes):
    ids = ["x" * 65_535, "y"]
    store = make()
    store.write(codes[1:3], ids, {"t": ["é" * 32_763, "b"]})
    assert store.search(codes[1:3], 1)[0].ravel().tolist() == ids


def test_the_widest_codes(make):
    m = 2**31 - 1
    entries = [1.0, 0.5, 0.25], ([0, 1, 1], [m - 1, m - 1, 0])
    store = make(n_components=m, signs="native")
    rows = sp.csr_array(sp.coo_array(entries, (3, m)))
    store.write(rows)
    assert (store._between(0, 3, None).rows != rows).nnz == 0
    [found] = store._nearest(sp.csr_array(rows[1:2], dtype=np.float32), 3, None)
    assert found.ids.tolist() == [0, 1]
    for options in ({"n_components": m + 1}, {"n_components": 2**30, "signs": "split"}):
        with pytest.raises(ValueError, match="at most 2147483647 dimensions"):
            make(**options)


@pytest.mark.parametrize("options", [{"n_components": M + 1}, {"signs": "native"}])
def test_another_store_in_the_collection(make, codes, options):
    make().write(codes)
    other = make(**options)
    for call in (
        lambda: other.search(np.ones((1, other.n_components))),
        lambda: other.write(np.ones((1, other.n_components))),
        lambda: other.delete([1]),
        lambda: len(other),
    ):
        with pytest.raises(ValueError, match=r"'codes_32_split'.* or name another"):
            call()


def test_a_collection_of_something_else(make, client, codes):
    store = make()
    client.create_collection(store._collection, dimension=3)
    with pytest.raises(ValueError, match=r"'vector'.* not by MilvusStore"):
        store.write(codes)


@pytest.mark.parametrize("where", [3, ["a == 1"], ("a == 1",), ("a == 1", [1])])
def test_no_filter(make, where):
    with pytest.raises(TypeError, match="expression of Milvus"):
        make().search(np.ones((1, M)), where=where)


def test_an_empty_filter(make, codes):
    store = make()
    store.write(codes)
    ids, _ = store.search(codes, 90, where="  ")
    np.testing.assert_array_equal(ids, SparseIndex(codes).search_ids(codes, 90)[0])


def test_parameters_of_filters(make, codes, monkeypatch):
    # Milvus Lite takes none.
    asked = []

    def search(collection, **options):
        asked.append(options)
        return [[]]

    store = make()
    store.write(codes)
    monkeypatch.setattr(store.client, "search", search)
    store._nearest(sp.csr_array(np.ones((1, 2 * M))), 5, ("a == {a}", {"a": 1}))
    assert asked[0]["filter"] == "a == {a}"
    assert asked[0]["filter_params"] == {"a": 1}


def test_own_client(tmp_path, codes):
    with MilvusStore(tmp_path / "own.db", n_components=M) as store:
        store.write(codes)
    with pytest.raises(pymilvus.MilvusException):
        len(store)
    with MilvusStore(str(tmp_path / "own.db"), n_components=M) as store:
        assert len(store) == 90


def test_a_client_of_the_user_stays_open(make, client, codes):
    with make() as store:
        store.write(codes)
    assert len(store) == 90


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from round_trips import BATCH, M, random_codes
from sksparse_rec.export import MilvusStore

def kill(n_done, n_items):
    if n_done == 3 * BATCH:
        os.kill(os.getpid(), signal.SIGKILL)

options = {"batch_size": BATCH, "progress": sys.argv[3], "on_batch": kill}
MilvusStore(sys.argv[2], n_components=M).write(random_codes(90), **options)
"""


def test_a_killed_process(tmp_path, codes):
    progress, path = tmp_path / "progress.json", str(tmp_path / "killed.db")
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", KILLED, here, path, str(progress)]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert json.loads(progress.read_text())["n_done"] == 3 * BATCH
    done = []
    with MilvusStore(path, n_components=M) as store:
        assert len(store) == 3 * BATCH
        options = {"batch_size": BATCH, "progress": progress}
        store.write(codes, on_batch=lambda n_done, _: done.append(n_done), **options)
        assert done == [64, 80, 90]
        ids, _ = store.search(codes, 10)
    np.testing.assert_array_equal(ids, SparseIndex(codes).search_ids(codes, 10)[0])
