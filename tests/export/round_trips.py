"""What every store has to do, for the test class of each to inherit.

A subclass says how its store is opened and asked:

- ``make(where, **options)``: a store of this class at a place made of the folder
  ``where``, new or opened again;
- ``signs``: those that it takes negative values with;
- ``in_stock()``: the filter of items whose payload has ``in_stock`` 1;
- ``broken_after(store, n)``: have the client raise a ConnectionError in the middle of
  the request after the n-th batch, until ``mended(store)``.
"""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sksparse_rec import SparseIndex
from sksparse_rec.export._signs import SIGNS

M = 32
BATCH = 16


def random_codes(n_items, seed=0, signed=True):
    """Rows of unit length with 4 non-zeros; some are empty and some the same."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((n_items, M))
    for row in dense:
        values = rng.normal(size=4)
        row[rng.choice(M, 4, replace=False)] = values if signed else np.abs(values)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    dense[[3, n_items - 1]] = 0
    dense[n_items // 2] = dense[1]
    return sp.csr_array(dense)


def payload_of(n_items):
    return {
        "title": [f"item {i}" for i in range(n_items)],
        "in_stock": [i % 3 % 2 for i in range(n_items)],
        "genres": [["a", "b"][: i % 3] for i in range(n_items)],
    }


class RoundTrips:
    """Tests of a store."""

    signs = ("native", "split")

    def pytest_generate_tests(self, metafunc):
        if "sign" in metafunc.fixturenames:
            metafunc.parametrize("sign", self.signs)
        if "refusing_sign" in metafunc.fixturenames:
            others = [sign for sign in SIGNS if sign not in self.signs]
            metafunc.parametrize("refusing_sign", others)

    @pytest.fixture
    def store(self, tmp_path, sign):
        with self.make(tmp_path, n_components=M, signs=sign) as store:
            yield store

    @pytest.fixture
    def codes(self):
        return random_codes(90)

    def assert_same(self, store, index, Q, k=10, where=None, **filters):
        """The store finds what the index finds."""
        ids, scores = store.search(Q, k, where=where)
        expected, expected_scores = index.search_ids(Q, k, **filters)
        assert ids.dtype == expected.dtype
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_allclose(scores, expected_scores, atol=1e-6)

    def test_codes_of_items(self, store, model):
        codes = model.item_embeddings_
        with self.make_another(store, codes.shape[1]) as store:
            store.write(model, batch_size=BATCH)
            assert len(store) == codes.shape[0]
            self.assert_same(store, SparseIndex(codes), codes)

    def test_profiles_of_users(self, store, model, X):
        with self.make_another(store, model.item_embeddings_.shape[1]) as store:
            store.write(model)
            index = SparseIndex(model.item_embeddings_)
            self.assert_same(store, index, model.transform(X))

    def test_signed_codes(self, store, sae):
        codes = sae.item_embeddings_
        assert codes.data.min() < 0
        with self.make_another(store, codes.shape[1]) as store:
            store.write(sae)
            self.assert_same(store, SparseIndex(codes), codes)

    def test_negative_codes_are_refused(self, tmp_path, codes, refusing_sign):
        with self.make(tmp_path, n_components=M, signs=refusing_sign) as store:
            message = r"codes\[0, \d+\] is -.* signs='split'"
            with pytest.raises(ValueError, match=message):
                store.write(codes)
            assert len(store) == 0
            store.write(abs(codes))
            assert len(store) == codes.shape[0]

    def make_another(self, store, n_components):
        """Return a store of another width, beside the fixture's."""
        return self.make(
            self.place / "another", n_components=n_components, signs=store.signs
        )

    @pytest.fixture(autouse=True)
    def remember_place(self, tmp_path):
        self.place = tmp_path

    @pytest.mark.parametrize("n_candidates", [1, 7, 100])
    def test_answers_are_proven(self, store, codes, n_candidates):
        store.write(codes)
        Q = np.random.default_rng(1).normal(size=(20, M))
        ids, _ = store.search(Q, 5, n_candidates=n_candidates)
        np.testing.assert_array_equal(ids, SparseIndex(codes).search_ids(Q, 5)[0])

    @pytest.mark.parametrize("n_candidates", [1, 20, 90])
    def test_nothing_in_common_is_better_than_negative(self, store, n_candidates):
        # Fewer items have positive scores than are asked for, and more negative ones.
        codes = np.zeros((90, M))
        codes[:5, 0] = np.linspace(0.5, 0.6, 5)
        codes[5:45, 0] = -np.linspace(0.1, 0.5, 40)
        codes[45:, 1] = 1
        store.write(codes)
        for k in (3, 10, 60):
            ids, _ = store.search(codes[:1], k, n_candidates=n_candidates)
            wanted, _ = SparseIndex(codes).search_ids(codes[:1], k)
            np.testing.assert_array_equal(ids, wanted)

    def test_lists_longer_than_the_catalogue(self, store, codes):
        # Scores of 0 and below come too, as in an index.
        store.write(codes)
        self.assert_same(store, SparseIndex(codes), codes[:7], k=95)

    def test_empty_queries_and_items(self, store, codes):
        store.write(codes)
        self.assert_same(store, SparseIndex(codes), np.zeros((2, M)))
        self.assert_same(store, SparseIndex(codes), np.zeros((0, M)))

    def test_values_out_of_the_range_of_float32(self, store, codes):
        store.write(codes)
        Q = codes[:4].toarray() * 1e60
        ids, _ = store.search(Q, 3)
        np.testing.assert_array_equal(ids, SparseIndex(codes).search_ids(Q, 3)[0])

    def test_empty_store(self, store):
        ids, scores = store.search(np.ones((2, M)), 3)
        np.testing.assert_array_equal(ids, np.full((2, 3), -1))
        assert np.isneginf(scores).all()
        assert len(store) == 0
        assert len(store._between(0, 5, None).ids) == 0

    @pytest.mark.parametrize("kind", [int, str])
    def test_own_ids(self, store, codes, kind):
        ids = [kind(7 * i + 2**40) for i in range(90)]
        store.write(codes, ids)
        self.assert_same(store, SparseIndex(codes, ids=ids), codes)

    def test_largest_id(self, store, codes):
        store.write(codes[:2], [2**63 - 1, 0])
        assert store.search(codes[:1], 1)[0].tolist() == [[2**63 - 1]]

    def test_odd_strings(self, store, codes):
        ids = ["", "'; --", 'a "b"', "\\", "ž🎬", " ", "-1", "None"]
        store.write(codes[10:18], ids)
        found = store.search(codes[10:18], 1)[0]
        assert found.ravel().tolist() == ids
        store.delete(ids[1:3])
        assert len(store) == 6

    def test_an_index(self, store, codes):
        index = SparseIndex(codes, ids=[f"i{i}" for i in range(90)], dtype="float16")
        store.write(index, batch_size=BATCH)
        self.assert_same(store, index, codes)

    def test_filters(self, store, codes):
        store.write(codes, payload=payload_of(90))
        allowed = [i for i in range(90) if i % 3 == 1]
        where = self.in_stock()
        self.assert_same(store, SparseIndex(codes), codes, where=where, allow=allowed)
        self.assert_same(
            store, SparseIndex(codes), codes[:5], 60, where=where, allow=allowed
        )

    def test_payload_of_a_table(self, store, codes):
        table = pd.DataFrame(payload_of(90), index=np.arange(90)[::-1])
        store.write(codes, payload=table)
        ids, _ = store.search(codes, 1, where=self.in_stock())
        assert set((ids % 3).ravel()) == {1}

    def test_update(self, store, codes):
        other = random_codes(90, seed=2)
        index = SparseIndex(codes)
        store.write(codes)
        changed = [5, 70, 4]
        store.write(other[:3], changed)
        index.update(changed, other[:3])
        assert len(store) == 90
        self.assert_same(store, index, codes)
        self.assert_same(store, index, np.zeros((1, M)), k=90)

    def test_new_items_come_behind(self, store, codes):
        index = SparseIndex(codes)
        store.write(codes)
        store.write(codes[:10], np.arange(1000, 1010))
        index = SparseIndex(
            sp.vstack([codes, codes[:10]]), ids=[*range(90), *range(1000, 1010)]
        )
        self.assert_same(store, index, codes)

    def test_delete(self, store, codes):
        ids = [f"i{i}" for i in range(90)]
        index = SparseIndex(codes, ids=ids)
        store.write(codes, ids)
        store.delete(ids[20:40])
        index.remove(ids[20:40])
        assert len(store) == 70
        self.assert_same(store, index, codes)

    def test_unknown_ids(self, store, codes):
        store.write(codes)
        for unknown in (90, -1):
            with pytest.raises(ValueError, match=f"contains {unknown}, which is not"):
                store.delete([3, unknown])
        assert len(store) == 90
        store.delete([])
        assert len(store) == 90
        with pytest.raises(TypeError, match="strings"):
            store.delete(["3"])
        with pytest.raises(TypeError, match="strings"):
            store.write(codes, [str(i) for i in range(90)])

    def test_it_is_kept(self, store, codes, tmp_path):
        store.write(codes)
        store.close()
        options = {"n_components": M, "signs": store.signs}
        with self.make(tmp_path, **options) as store:
            self.assert_same(store, SparseIndex(codes), codes)

    def test_stopped_by_the_caller(self, store, codes, tmp_path):
        done = []

        def stop(n_done, n_items):
            done.append((n_done, n_items))
            if len(done) == 2:
                raise KeyboardInterrupt

        options = {"batch_size": BATCH, "progress": tmp_path / "progress.json"}
        with pytest.raises(KeyboardInterrupt):
            store.write(codes, on_batch=stop, **options)
        assert len(store) == 2 * BATCH
        store.write(codes, on_batch=stop, **options)
        assert done == [(n, 90) for n in (16, 32, 48, 64, 80, 90)]
        assert len(store) == 90
        self.assert_same(store, SparseIndex(codes), codes)
        store.write(codes, on_batch=stop, **options)
        assert len(done) == 6

    def test_stopped_by_the_client(self, store, codes, tmp_path):
        options = {"batch_size": BATCH, "progress": tmp_path / "progress.json"}
        self.broken_after(store, 2)
        with pytest.raises(ConnectionError):
            store.write(codes, **options)
        done = json.loads(options["progress"].read_text())["n_done"]
        assert done == 2 * BATCH
        assert len(store) >= done
        self.mended(store)
        store.write(codes, **options)
        assert len(store) == 90
        self.assert_same(store, SparseIndex(codes), codes)
        self.assert_same(store, SparseIndex(codes), np.zeros((1, M)), k=90)

    @pytest.mark.parametrize("n_done", [0, 2])
    @pytest.mark.parametrize("n_others", [2, 40])
    def test_others_write_before_it_goes_on(
        self, store, codes, tmp_path, n_done, n_others
    ):
        options = {"batch_size": BATCH, "progress": tmp_path / "progress.json"}
        self.broken_after(store, n_done)
        with pytest.raises(ConnectionError):
            store.write(codes, **options)
        self.mended(store)
        others = np.arange(1000, 1000 + n_others)
        store.write(codes[:n_others], others)
        store.write(codes, **options)
        found = store._between(0, store._end(), None)
        order = np.argsort(found.positions)
        ids = found.ids[order].astype(np.int64)
        np.testing.assert_array_equal(np.sort(ids), [*range(90), *others])
        np.testing.assert_array_equal(ids[: n_done * BATCH], range(n_done * BATCH))
        assert len(np.unique(found.positions)) == 90 + n_others
        index = SparseIndex(codes[ids % 1000], ids=ids)
        self.assert_same(store, index, codes)
        self.assert_same(store, index, np.zeros((1, M)), k=90 + n_others)

    def test_a_store_that_lost_items(self, store, codes, tmp_path):
        options = {"batch_size": BATCH, "progress": tmp_path / "progress.json"}
        store.write(codes, **options)
        store.delete(range(90))
        store.write(codes, **options)
        self.assert_same(store, SparseIndex(codes), codes)

    def test_progress_of_another_call(self, store, codes, tmp_path):
        progress = tmp_path / "progress.json"
        store.write(codes, progress=progress)
        with pytest.raises(ValueError, match="codes, payload"):
            store.write(2 * codes, payload={"a": [1] * 90}, progress=progress)
        self.assert_same(store, SparseIndex(codes), codes)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 1e60])
    def test_nothing_is_written_of_bad_codes(self, store, codes, bad):
        codes.data[-1] = bad
        with pytest.raises(ValueError, match=r"\d+, \d+\] is"):
            store.write(codes, batch_size=BATCH)
        assert len(store) == 0

    def test_duplicates_and_zeros(self, store, codes):
        order = np.random.default_rng(0).permutation(codes.nnz)
        coo = codes.tocoo()
        rows, columns = (np.tile(part[order], 2) for part in coo.coords)
        values = np.concatenate([coo.data[order] / 2, coo.data[order] / 2])
        store.write(sp.coo_array((values, (rows, columns)), codes.shape))
        self.assert_same(store, SparseIndex(codes), codes)
