"""Codes in an index of Seismic."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from round_trips import BATCH, M, RoundTrips, random_codes

from sksparse_rec import SparseIndex
from sksparse_rec._files import locked
from sksparse_rec.export import SeismicStore, _seismic_items

seismic = pytest.importorskip("seismic")


class TestSeismic(RoundTrips):
    """Small catalogues, of which it finds everything that shares a latent."""

    signs = ("split",)

    @pytest.fixture(autouse=True)
    def keep(self, monkeypatch):
        self.patched = monkeypatch

    def make(self, where, **options):
        return SeismicStore(where / "seismic", heap_factor=0, **options)

    def assert_same(self, store, index, Q, k=10, where=None, **filters):
        """The lists are those of the index, as far as scores are positive."""
        ids, scores = store.search(Q, k, where=where)
        wanted, wanted_scores = index.search_ids(Q, k, **filters)
        assert ids.dtype == wanted.dtype
        if not sp.csr_array(Q).nnz:
            np.testing.assert_array_equal(ids, wanted)
        is_found = wanted_scores > 0
        np.testing.assert_array_equal(ids[is_found], wanted[is_found])
        np.testing.assert_array_equal(scores[is_found], wanted_scores[is_found])

    def broken_after(self, store, n):
        write, calls = _seismic_items.write_arrays, []

        def broken(*given):
            write(*given)
            calls.append(given)
            if len(calls) > n:
                raise ConnectionError

        self.patched.setattr(_seismic_items, "write_arrays", broken)

    def mended(self, store):
        self.patched.undo()

    @pytest.mark.parametrize("n_candidates", [20, 90])
    def test_nothing_in_common_is_better_than_negative(self, store, n_candidates):
        """Items without a positive score are not found."""
        codes = np.zeros((90, M))
        codes[:5, 0] = np.linspace(0.5, 0.6, 5)
        codes[5:45, 0] = -1
        store.write(codes)
        ids, _ = store.search(codes[:1], 10, n_candidates=n_candidates)
        assert ids.tolist() == [[4, 3, 2, 1, 0, -1, -1, -1, -1, -1]]

    @pytest.mark.parametrize("n_candidates", [1, 7, 100])
    def test_answers_are_proven(self, store, codes, n_candidates):
        """They are not: the more candidates the better."""
        store.write(codes)
        Q = np.random.default_rng(1).normal(size=(20, M))
        found, _ = store.search(Q, 1, n_candidates=n_candidates)
        wanted = SparseIndex(codes).search_ids(Q, 1)[0]
        assert np.mean(found == wanted) >= {1: 0.3, 7: 0.9, 100: 1}[n_candidates]

    def test_filters(self, store, codes):
        payload = {"in_stock": [True] * 90}
        with pytest.raises(ValueError, match="ids and codes only"):
            store.write(codes, payload=payload)
        assert len(store) == 0
        store.write(codes)
        for Q in (codes, np.zeros((1, M))):
            with pytest.raises(ValueError, match="Seismic has no filters"):
                store.search(Q, where={"in_stock": True})

    def test_payload_of_a_table(self, store, codes):
        with pytest.raises(ValueError, match="ids and codes only"):
            store.write(codes, payload=pd.DataFrame({"a": range(90)}))

    def test_progress_of_another_call(self, store, codes, tmp_path):
        progress = tmp_path / "progress.json"
        store.write(codes, progress=progress)
        with pytest.raises(ValueError, match="codes, ids"):
            store.write(2 * codes, np.arange(90) + 1, progress=progress)


@pytest.fixture
def codes():
    return random_codes(90)


@pytest.fixture
def store(tmp_path):
    return SeismicStore(tmp_path / "store", n_components=M, heap_factor=0)


def files_in(folder, kind="*"):
    return sorted(file.name for file in folder.glob(kind))


def test_half_precision_does_not_show(tmp_path):
    """Candidates are ranked by the values themselves, which differ by less."""
    codes = np.ones((50, 2), np.float32)
    codes[:, 1] += np.arange(50) * np.float32(1e-6)
    assert len(np.unique(codes[:, 1].astype(np.float16))) == 1
    store = SeismicStore(tmp_path, n_components=2)
    store.write(codes)
    ids, scores = store.search([[0.0, 1.0]], 5)
    assert ids.tolist() == [[49, 48, 47, 46, 45]]
    np.testing.assert_array_equal(scores[0], codes[45:, 1][::-1])


@pytest.mark.parametrize("signs", ["native", "nonnegative"])
def test_queries_of_both_signs(codes, tmp_path, signs):
    """Negative entries find nothing, but count."""
    store = SeismicStore(tmp_path, n_components=M, signs=signs)
    store.write(abs(codes))
    Q = codes[10:20].toarray()
    ids, scores = store.search(Q, 3)
    wanted, wanted_scores = SparseIndex(abs(codes)).search_ids(Q, 3)
    is_found = wanted_scores > 0
    np.testing.assert_array_equal(ids[is_found], wanted[is_found])
    np.testing.assert_array_equal(scores[is_found], wanted_scores[is_found])


def test_values_beyond_half_precision(codes, store):
    codes.data[3] = 7e4
    with pytest.raises(ValueError, match="float16, up to 65504"):
        store.write(codes)
    assert len(store) == 0


def test_more_components_than_16_bits(tmp_path):
    codes = sp.csr_array(([1.0, -2.0], ([0, 1], [7, 65_536])), shape=(2, 65_537))
    store = SeismicStore(tmp_path, n_components=65_537)
    store.write(codes)
    ids, scores = store.search(codes, 1)
    assert ids.tolist() == [[0], [1]]
    assert scores.tolist() == [[1], [4]]


def test_only_empty_items(store):
    store.write(np.zeros((3, M)))
    ids, _ = store.search(np.ones((1, M)), 2)
    assert ids.tolist() == [[-1, -1]]
    assert store.search(np.zeros((1, M)), 2)[0].tolist() == [[0, 1]]


def test_files_are_merged_by_the_first_search(store, codes, tmp_path):
    store.write(codes, batch_size=BATCH)
    store.delete([3, 4])
    folder = tmp_path / "store"
    assert len(files_in(folder, "*.items.npz")) == 7
    store.search(codes[:1])
    assert files_in(folder) == ["00000008.index.seismic", "00000008.items.npz", "signs"]
    time = (folder / "00000008.index.seismic").stat().st_mtime_ns
    again = SeismicStore(folder, n_components=M, heap_factor=0)
    found = again.search(codes[10:20], 3)
    for one, other in zip(found, store.search(codes[10:20], 3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (folder / "00000008.index.seismic").stat().st_mtime_ns == time
    again.write(codes[:1], [3])
    assert again.search(codes[:1], 1)[0].tolist() == [[0]]
    # Of the same scores as item 0, and at the end since it was deleted.
    assert again.search(np.zeros((1, M)), 90)[0][0, -2:].tolist() == [3, -1]
    assert len(files_in(folder)) == 3


@pytest.mark.parametrize("is_later", [False, True])
def test_a_search_elsewhere_loses_nothing(store, codes, tmp_path, is_later):
    """Of a store that is open while another one writes."""
    store.write(codes[:40], batch_size=20)
    reader = SeismicStore(tmp_path / "store", n_components=M, heap_factor=0)
    if is_later:
        store.write(codes[40:60], range(40, 60))
    assert reader.search(codes[10:11], 1)[0].tolist() == [[10]]
    if not is_later:
        store.write(codes[40:60], range(40, 60))
    for opened in (reader, store, store):
        assert opened.search(codes[50:51], 1)[0][0, 0] == 50 or opened is reader
        again = SeismicStore(tmp_path / "store", n_components=M, heap_factor=0)
        assert len(again) == 60
        assert again.search(codes[50:51], 1)[0].tolist() == [[50]]
    assert len(reader) == 40


def test_opened_while_files_are_merged(store, codes, tmp_path, monkeypatch):
    store.write(codes, batch_size=BATCH)
    read, calls = _seismic_items.read_arrays, []

    def late(file):
        calls.append(file)
        if len(calls) == 2:
            store.search(codes[:1])
        return read(file)

    monkeypatch.setattr(_seismic_items, "read_arrays", late)
    again = SeismicStore(tmp_path / "store", n_components=M, heap_factor=0)
    assert len(again) == 90
    assert len(calls) == 3


def test_two_that_write(store, codes, tmp_path):
    """The second one knows nothing of what the first one has written."""
    second = SeismicStore(tmp_path / "store", n_components=M, heap_factor=0)
    store.write(codes[:20])
    for call in (lambda: second.write(codes[:30]), lambda: second.write(codes[:1])):
        with pytest.raises(RuntimeError, match="open it again"):
            call()
    assert len(second) == 0
    with locked(tmp_path / "store" / ".lock"):
        with pytest.raises(BlockingIOError, match="Another process is writing"):
            store.delete([1])
    second = SeismicStore(tmp_path / "store", n_components=M, heap_factor=0)
    second.write(codes[20:30], range(20, 30))
    with pytest.raises(RuntimeError, match="open it again"):
        store.delete([1])
    again = SeismicStore(tmp_path / "store", n_components=M, heap_factor=0)
    assert len(again) == 30


@pytest.mark.parametrize("place", range(7))
def test_killed_while_files_are_merged(store, codes, tmp_path, monkeypatch, place):
    """Whatever of the former files is left, the items are the same."""
    store.write(codes, batch_size=BATCH)
    store.delete([3, 4])
    store.write(codes[:1], [4])
    wanted = store._files.merged()
    calls, unlink = [], type(tmp_path).unlink

    def stop(path, **options):
        if path.name.endswith("items.npz"):
            calls.append(path)
            if len(calls) > place:
                raise KeyboardInterrupt
        unlink(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(type(tmp_path), "unlink", stop)
        with pytest.raises(KeyboardInterrupt):
            store.search(codes)
    again = SeismicStore(tmp_path / "store", n_components=M)
    found = again._files.merged()
    assert found.ids.tolist() == wanted.ids.tolist()
    assert found.positions.tolist() == wanted.positions.tolist()
    np.testing.assert_array_equal(found.rows.toarray(), wanted.rows.toarray())
    assert len(again) == len(store) == 89


def test_a_write_that_failed_leaves_no_index_behind(codes, tmp_path, monkeypatch):
    """An index is never taken for that of other items."""
    folder = tmp_path / "store"
    store = SeismicStore(folder, n_components=M, heap_factor=0)
    store.write(codes[:20])

    def fail(*given):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(_seismic_items, "write_arrays", fail)
        for _ in range(2):
            with pytest.raises(OSError, match="No space"):
                store.write(codes[20:30], range(20, 30))
    assert store.search(codes[25:26], 1)[0][0, 0] < 20
    again = SeismicStore(folder, n_components=M, heap_factor=0)
    again.write(codes[20:30], range(20, 30))
    again = SeismicStore(folder, n_components=M, heap_factor=0)
    assert again.search(codes[25:26], 1)[0].tolist() == [[25]]


def test_a_damaged_index_is_built_again(store, codes, tmp_path):
    store.write(codes)
    wanted, _ = store.search(codes, 3)
    (file,) = (tmp_path / "store").glob("*.seismic")
    file.write_bytes(file.read_bytes()[:100])
    again = SeismicStore(tmp_path / "store", n_components=M, heap_factor=0)
    np.testing.assert_array_equal(again.search(codes, 3)[0], wanted)


def test_another_width_or_other_signs(store, codes, tmp_path):
    store.write(codes)
    with pytest.raises(ValueError, match=r"width 64, but .* make 62"):
        SeismicStore(tmp_path / "store", n_components=31)
    with pytest.raises(ValueError, match="made with signs='split'"):
        SeismicStore(tmp_path / "store", n_components=M, signs="nonnegative")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"heap_factor": 2}, "heap_factor"), ({"query_cut": 0}, "query_cut")],
)
def test_parameters(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        SeismicStore(tmp_path, n_components=M, **options)


def test_recall_of_the_defaults(tmp_path):
    """Signed codes, split and ranked exactly, on a catalogue that it has to prune."""
    rng = np.random.default_rng(0)
    n, m, k = 20_000, 256, 16
    columns = np.argsort(rng.random((n, m)) * np.linspace(0.2, 1, m), axis=1)[:, :k]
    values = rng.normal(size=(n, k))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    parts = values.ravel(), columns.ravel(), np.arange(0, n * k + 1, k)
    codes = sp.csr_array(parts, shape=(n, m))
    with SeismicStore(tmp_path, n_components=m, n_jobs=2) as store:
        store.write(codes, batch_size=5000)
        found, _ = store.search(codes[:300], 10)
    wanted, _ = SparseIndex(codes).search_ids(codes[:300], 10)
    shared = [len(set(a) & set(b)) for a, b in zip(found, wanted, strict=True)]
    assert np.mean(shared) >= 9.8
