"""What stores have in common, with one that is a dict."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from round_trips import M, RoundTrips, random_codes
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from sksparse_rec import CompressedELSA, SparseIndex
from sksparse_rec.export._payload import Payload
from sksparse_rec.export._rerank import Found
from sksparse_rec.export._signs import from_stored, to_stored
from sksparse_rec.export._store import Store


class DictStore(Store):
    """Items in a dict, searched in float32 as stores do."""

    def __init__(self, contents, *, finds_all=False, exact=True, **options):
        super().__init__(**options)
        self.contents, self._finds_all, self.exact = contents, finds_all, exact
        self.asked, self.batches, self.left = [], [], np.inf

    def __len__(self):
        return len(self.contents)

    def close(self):
        pass

    def _check_where(self, where):
        assert callable(where)

    def _upsert(self, batch, positions):
        self.batches.append(batch)
        self.left -= 1
        pairs = list(zip(batch.ids.tolist(), positions.tolist(), strict=True))
        # From the last, as a store that is cut off may have written any.
        for place in range(len(pairs))[::-1]:
            if self.left < 0 and place < len(pairs) // 2:
                raise ConnectionError
            (key, position), row = pairs[place], batch.rows[[place]]
            item = position, row.toarray()[0], batch.payload[place]
            self.contents[key] = item

    def _nearest(self, Q, n, where):
        self.asked.append((Q.shape[0], n))
        answers = []
        for q in Q.toarray():
            kept = [
                (key, position, row @ q, row)
                for key, (position, row, payload) in self.contents.items()
                if (self._finds_all or (row * q).any())
                and (where is None or where(payload))
            ]
            kept.sort(key=lambda item: -item[2])
            answers.append(self._found(kept[:n]))
        return answers

    def _between(self, start, stop, where):
        return self._found(
            [
                (key, position, 0, row)
                for key, (position, row, payload) in self.contents.items()
                if start <= position < stop and (where is None or where(payload))
            ]
        )

    def _found(self, items):
        ids, positions, scores, rows = zip(*items, strict=True) if items else [()] * 4
        rows = sp.csr_array(np.array(rows).reshape(len(ids), self.stored_width))
        ids, scores = np.array(ids, dtype=object), np.array(scores, np.float64)
        return Found(ids, np.array(positions, np.int64), scores, rows)

    def _positions_of(self, ids):
        known = [self.contents.get(key, (-1,))[0] for key in ids.tolist()]
        return np.array(known, np.int64)

    def _end(self):
        return max((item[0] + 1 for item in self.contents.values()), default=0)

    def _id_kind(self):
        kinds = {"U" if isinstance(key, str) else "i" for key in self.contents}
        return kinds.pop() if kinds else None

    def _delete(self, ids):
        for key in ids.tolist():
            del self.contents[key]

    def _place(self):
        return "dict"


class TestDict(RoundTrips):
    """A store that leaves out what has no latent in common with a query."""

    finds_all = False

    def make(self, where, **options):
        contents = self.places.setdefault(where, {})
        return DictStore(contents, finds_all=self.finds_all, **options)

    @pytest.fixture(autouse=True)
    def make_places(self):
        self.places = {}

    def in_stock(self):
        return lambda payload: payload["in_stock"] == 1

    def broken_after(self, store, n):
        store.left = n

    def mended(self, store):
        store.left = np.inf


class TestDictThatFindsAll(TestDict):
    """A store that gives any item a score."""

    finds_all = True


@pytest.fixture
def codes():
    return random_codes(90)


@pytest.fixture
def store():
    return DictStore({}, n_components=M)


def test_signs_there_and_back(codes):
    stored = to_stored(codes, "split")
    assert stored.shape == (90, 2 * M)
    assert stored.data.min() > 0
    dense = codes.toarray()
    expected = np.hstack([np.maximum(dense, 0), np.maximum(-dense, 0)])
    np.testing.assert_array_equal(stored.toarray(), expected)
    assert stored.has_sorted_indices
    back = from_stored(stored, M, "split")
    np.testing.assert_array_equal(back.toarray(), dense)
    assert to_stored(codes, "native") is codes


def test_split_scores_are_bounds(codes):
    split = to_stored(codes, "split")
    true, bound = (codes @ codes.T).toarray(), (split @ split.T).toarray()
    assert (bound >= true - 1e-12).all()
    assert (bound > true + 1e-3).any()


def test_candidates_are_doubled_for_unproven_queries_only(codes):
    store = DictStore({}, n_components=M, signs="split")
    store.write(codes)
    # The second finds itself far ahead of the others; the first is all ties.
    codes = codes.toarray()
    easy = codes[1] + 0
    ids, _ = store.search(np.vstack([np.ones(M), easy]), 1, n_candidates=3)
    assert store.asked[0] == (2, 3)
    assert [n for _, n in store.asked[1:]] == [6, 12, 24, 48, 96][
        : len(store.asked) - 1
    ]
    assert all(queries <= 2 for queries, _ in store.asked)
    np.testing.assert_array_equal(
        ids, SparseIndex(codes).search_ids(np.vstack([np.ones(M), easy]), 1)[0]
    )


def test_ties_beyond_the_candidates(codes):
    # 60 items of one score: the best is the first, wherever a store begins.
    same = sp.csr_array(np.tile(codes[[5]].toarray(), (60, 1)))
    store = DictStore({}, n_components=M)
    store.write(same)
    items = dict(reversed(store.contents.items()))
    store = DictStore(items, n_components=M)
    ids, _ = store.search(same[:1], 3, n_candidates=4)
    assert ids.tolist() == [[0, 1, 2]]


def test_items_behind_a_gap_are_scanned_in_parts(monkeypatch):
    # As a catalogue is whose first items were deleted.
    monkeypatch.setattr("sksparse_rec.export._rerank.SCANNED_AT_ONCE", 4)
    monkeypatch.setattr("sksparse_rec.export._rerank.MOST_POSITIONS", 16)
    nothing = np.zeros(M, np.float32)
    contents = {key: (key, nothing, {}) for key in range(1000, 1100)}
    store = DictStore(contents, n_components=M)
    sizes, between = [], store._between

    def count(*asked):
        items = between(*asked)
        sizes.append(len(items.ids))
        return items

    monkeypatch.setattr(store, "_between", count)
    ids, _ = store.search(np.zeros((1, M)), 90)
    assert ids.tolist() == [list(range(1000, 1090))]
    assert max(sizes) == 16


def test_zeros_come_by_position_wherever_they_were_found():
    # One shares latents with the query, and its products cancel.
    rows = sp.lil_array((2401, M))
    rows[2400, :2] = 1, -1
    store = DictStore({}, n_components=M)
    store.write(rows.tocsr())
    query = np.zeros((1, M))
    query[0, :2] = 1
    ids, scores = store.search(query, 1001)
    np.testing.assert_array_equal(ids, [np.arange(1001)])
    assert not scores.any()


def test_a_store_that_is_not_exact_is_asked_once(codes):
    store = DictStore({}, n_components=M, signs="split", exact=False)
    store.write(codes)
    Q = np.random.default_rng(0).normal(size=(20, M))
    ids, scores = store.search(Q, 5, n_candidates=7)
    assert store.asked == [(20, 7)]
    # Of those it has found, the best are exact.
    true = Q @ codes.T.toarray()
    np.testing.assert_allclose(scores, np.take_along_axis(true, ids, 1), atol=1e-6)
    assert (np.diff(scores) <= 0).all()
    # And an empty query gets the first items from it too.
    assert store.search(np.zeros((1, M)), 3)[0].tolist() == [[0, 1, 2]]


def test_only_a_batch_is_converted(peak_of, tmp_path):
    rng = np.random.default_rng(0)
    n, m, length = 60_000, 1024, 16
    columns = np.sort(rng.integers(0, m - length, (n, length)), axis=1)
    columns += np.arange(length)
    values = rng.random((n, length), dtype=np.float32)
    indptr = np.arange(0, n * length + 1, length)
    codes = sp.csr_array((values.ravel(), columns.ravel(), indptr), (n, m))

    class Sink(DictStore):
        def _upsert(self, batch, positions):
            pass

    store = Sink({}, n_components=m)
    index = SparseIndex(codes, dtype="float16")
    for source in (codes, index):
        _, peak = peak_of(lambda source=source: store.write(source))
        # The codes are 7.8 and 5.9 MB; ids take 0.5 MB, and a batch of dicts some.
        assert peak < 2 * 2**20, peak


def test_what_is_mapped_from_a_file(store, codes, tmp_path):
    ids = [f"i{i}" for i in range(90)]
    SparseIndex(codes, ids=ids, dtype="float16").save(tmp_path / "index")
    index = SparseIndex.open(tmp_path / "index")
    store.write(index, batch_size=16)
    assert list(store.contents) == [key for b in store.batches for key in b.ids[::-1]]
    np.testing.assert_array_equal(
        store.search(codes)[0], index.search_ids(codes)[0].astype(object)
    )
    np.save(tmp_path / "codes.npy", codes.toarray())
    other = DictStore({}, n_components=M)
    other.write(np.load(tmp_path / "codes.npy", mmap_mode="r"), batch_size=16)
    np.testing.assert_array_equal(
        other.search(codes)[0], SparseIndex(codes).search_ids(codes)[0]
    )


def test_positions_and_payload_of_batches(store, codes):
    payload = pd.DataFrame({"n": np.arange(90), "s": ["a", None, "c"] * 30})
    store.write(codes, np.arange(90) + 100, payload, batch_size=40)
    assert [len(batch.ids) for batch in store.batches] == [40, 40, 10]
    assert store.contents[141][0] == 41
    assert store.contents[141][2] == {"n": 41, "s": "c"}
    assert store.contents[101][2] == {"n": 1}


def test_an_upsert_keeps_positions_and_the_rest_come_behind(store, codes):
    store.write(codes[:5], [10, 11, 12, 13, 14])
    store.write(codes[:4], [20, 13, 21, 10])
    positions = {key: item[0] for key, item in store.contents.items()}
    assert [positions[key] for key in (10, 11, 12, 13, 14)] == [0, 1, 2, 3, 4]
    assert 4 < positions[20] < positions[21]


def test_negative_codes_are_refused(codes):
    store = DictStore({}, n_components=M, signs="nonnegative")
    row = int(np.argmax((codes.toarray() < 0).any(axis=1)))
    with pytest.raises(ValueError, match=rf"codes\[{row}, \d+\] is -.*signs='split'"):
        store.write(codes, batch_size=1)
    assert not store.contents
    store.write(abs(codes))
    assert len(store) == 90

    class Picky(DictStore):
        _refusal = "picky stores take none"

    with pytest.raises(ValueError, match="picky stores take none: choose"):
        Picky({}, n_components=M).write(codes)
    Picky({}, n_components=M, signs="split").write(codes)


def test_a_store_checks_everything_before_it_writes(codes):
    class Short(DictStore):
        def _check(self, batch):
            if batch.stop > 80:
                raise ValueError("too long")

    store = Short({}, n_components=M)
    with pytest.raises(ValueError, match="too long"):
        store.write(codes, batch_size=10)
    assert not store.contents


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ids": np.arange(89)}, ValueError, "90 items"),
        ({"ids": np.zeros(90, int)}, ValueError, "0 twice"),
        ({"ids": np.arange(90) - 3}, ValueError, r"ids\[0\] is -3"),
        ({"ids": np.arange(90) / 2}, TypeError, "strings or integers"),
        ({"ids": ["\ud800"] + [str(i) for i in range(89)]}, ValueError, "Unicode"),
        ({"payload": {"a": [1]}}, ValueError, "length 1"),
        ({"payload": {"_a": [1] * 90}}, ValueError, "rename it"),
        ({"payload": {1: [1] * 90}}, ValueError, "names are strings"),
        ({"payload": [1] * 90}, ValueError, "payload is a list"),
        ({"payload": {"a": [np.inf] * 90}}, ValueError, r"payload\['a'\]\[0\] is inf"),
        ({"payload": {"a": [{}] * 90}}, ValueError, r"payload\['a'\]\[0\] is {}"),
        ({"payload": {"a": [2**63] * 90}}, ValueError, "64-bit"),
        ({"payload": {"a": ["\ud800"] * 90}}, ValueError, "Unicode"),
        ({"batch_size": 0}, ValueError, "batch_size must be"),
    ],
)
def test_what_is_refused(store, codes, options, error, message):
    with pytest.raises(error, match=message):
        store.write(codes, **options)
    assert not store.contents


def test_other_codes_are_refused(store, codes):
    with pytest.raises(ValueError, match="codes has 31 columns"):
        store.write(codes[:, :31])
    with pytest.raises(NotFittedError):
        store.write(CompressedELSA())
    codes = codes.copy()
    codes.data[-1] = np.nan
    with pytest.raises(ValueError, match="NaN") as caught:
        store.write(codes, batch_size=16)
    assert "from row 80" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="signs must be one of"):
        DictStore({}, n_components=M, signs="both")
    with pytest.raises(ValueError, match="n_components must be"):
        DictStore({}, n_components=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((1, M + 1)),), "Q has 33 columns"),
        ((np.full((1, M), np.nan),), "NaN"),
        ((np.ones((1, M)), 0), "k must be"),
    ],
)
def test_queries_that_are_refused(store, arguments, message):
    with pytest.raises(ValueError, match=message):
        store.search(*arguments)
    with pytest.raises(ValueError, match="n_candidates must be"):
        store.search(np.ones((1, M)), n_candidates=0)


def test_payloads_of_all_kinds():
    columns = {"s": ["a", "b", "c"], "n": [1, 2, 3], "x": [0.5, 1.5, 2.5]}
    rows = list(zip(*columns.values(), strict=True))
    expected = [dict(zip(columns, row, strict=True)) for row in rows]
    structured = np.array(rows, dtype=[("s", "U1"), ("n", "i8"), ("x", "f4")])
    frame = pd.DataFrame(columns, index=[2, 1, 0])
    for table in (columns, frame, pl.DataFrame(columns), pa.table(columns), structured):
        payload = Payload(table, 3)
        assert payload.records(0, 3) == expected
        assert payload.records(1, 2) == expected[1:2]
    assert Payload(None, 2).records(0, 2) == [{}, {}]


def test_values_of_payloads():
    values = [None, np.nan, pd.NA, pd.NaT, np.bool_(True), np.float32(0.5), "x"]
    values += [(1, "a"), np.array([1.5, 2]), [], [np.int8(2)], np.int8(3), True]
    found = Payload({"v": values}, len(values)).records(0, len(values))
    expected = [True, 0.5, "x", [1, "a"], [1.5, 2.0], [], [2], 3, True]
    assert found == [{}] * 4 + [{"v": v} for v in expected]
    assert json.loads(json.dumps(found)) == found
    assert found[4]["v"] is True
    assert type(found[-2]["v"]) is int


def test_damaged_progress(store, codes, tmp_path):
    path = tmp_path / "progress.json"
    for text in ("", "[]", "{}", '{"format": 1}', '{"format": 1, "description": 3}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"no record of progress, or damaged"):
            store.write(codes, progress=path)
    path.unlink()
    store.write(codes, progress=path)
    content = json.loads(path.read_text()) | {"format": 2}
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="format 2"):
        store.write(codes, progress=path)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"ids": np.arange(90) + 1}, "ids"),
        ({"payload": {"a": [1] * 90}}, "payload"),
        ({"batch_size": 10}, "batch_size"),
    ],
)
def test_progress_says_what_differs(store, codes, tmp_path, change, name):
    path = tmp_path / "progress.json"
    store.write(codes, progress=path)
    n_batches = len(store.batches)
    with pytest.raises(ValueError, match=f"differs in {name}: "):
        store.write(codes, progress=path, **change)
    other = DictStore({}, n_components=M, signs="split")
    with pytest.raises(ValueError, match="differs in codes, signs: "):
        other.write(codes, progress=path)
    assert len(store.batches) == n_batches


def test_progress_is_for_one_process(store, codes, tmp_path):
    def write_again(*done):
        store.write(codes, progress=tmp_path / "progress.json")

    with pytest.raises(BlockingIOError, match="Another process"):
        store.write(codes, progress=tmp_path / "progress.json", on_batch=write_again)
    write_again()


@pytest.mark.parametrize("n_batches", [0, 2])
def test_new_items_keep_their_order_through_a_crash(codes, tmp_path, n_batches):
    store = DictStore({}, n_components=M)
    store.write(codes[:10])
    store.left = n_batches
    options = {"batch_size": 16, "progress": tmp_path / "progress.json"}
    ids = np.arange(5, 95)
    with pytest.raises(ConnectionError):
        store.write(codes, ids, **options)
    store.left = np.inf
    store.write(codes, ids, **options)
    positions = [store.contents[key][0] for key in range(95)]
    assert positions[:10] == list(range(10))
    assert (np.diff(positions) > 0).all()


def test_a_model_without_codes_is_refused(store):
    model = LinearRegression().fit([[1.0], [2.0]], [1, 2])
    with pytest.raises(ValueError, match="no item_embeddings_"):
        store.write(model)
