"""The starting pattern against its formula in dense numpy."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import save_npz

from sksparse_rec._numerics.anchors import (
    anchor_embeddings,
    draw_anchors,
    top_products,
)
from sksparse_rec._numerics.device import make_generator
from sksparse_rec._sparse import is_mapped
from sksparse_rec.datasets import open_interactions


def cut(S, n_nonzero):
    """Zero all but the largest entries of each row; rows of unit length."""
    order = np.argsort(-S, axis=1, kind="stable")
    kept = np.zeros(S.shape, dtype=bool)
    np.put_along_axis(kept, order[:, :n_nonzero], True, axis=1)
    return np.where(kept, S, 0)


def unit(S):
    norms = np.linalg.norm(S, axis=1, keepdims=True)
    return S / np.where(norms > 0, norms, 1)


def reference(X, anchors, n_components, n_nonzero, user_weighting):
    """The docstring, literally: loops over items and latents."""
    n_items = X.shape[1]
    lengths = (X > 0).sum(axis=1)
    w = np.maximum(lengths, 1.0) ** -user_weighting
    C = np.zeros((n_items, n_items))
    for i in range(n_items):
        for j in range(n_items):
            norm = np.sqrt((w * X[:, i] ** 2).sum() * (w * X[:, j] ** 2).sum())
            if norm > 0:
                C[i, j] = (w * X[:, i] * X[:, j]).sum() / norm
    S = np.zeros((n_items, n_components))
    S[:, : len(anchors)] = C[:, anchors]
    first = cut(S, n_nonzero)
    # An item's second order: the profiles of its users, cut as well.
    n_nonzero = min(n_nonzero, len(anchors))
    scale = 1 / np.sqrt(np.maximum((w[:, None] * X**2).sum(axis=0), 1e-300))
    N = np.sqrt(w)[:, None] * X * scale
    second = N.T @ cut(N @ first, n_nonzero)
    filled = first.copy()
    for i in range(n_items):
        if 0 < (first[i] > 0).sum() < n_nonzero or (
            X[:, i].any() and not first[i].any()
        ):
            smallest = first[i][first[i] > 0].min(initial=1)
            new = np.where(first[i] > 0, 0, second[i])
            if new.any():
                filled[i] += 0.5 * smallest * new / new.max()
    return unit(cut(filled, n_nonzero)), first


@pytest.fixture(name="X")
def make_interactions(rng):
    """Two circles of users; item 9 meets nobody's anchors but by way of item 8."""
    X = rng.integers(1, 6, (40, 12)) * (rng.random((40, 12)) < 0.25).astype(float)
    X[:20, :4] = 0
    X[20:, 4:8] = 0
    X[:, 9:] = 0
    X[0] = 0
    X[1] = np.eye(12)[8] + np.eye(12)[9]
    X[2] = np.eye(12)[10] * 2  # item 10 is met by nobody else, item 11 by nobody
    return X


def embed(X, anchors, n_components, n_nonzero, **options):
    X = sp.csr_array(X.astype(np.float32))
    return anchor_embeddings(X, np.asarray(anchors), n_components, n_nonzero, **options)


@pytest.fixture(params=["numba", "scipy", "scipy in blocks"], autouse=True)
def any_products(request, monkeypatch):
    module = "sksparse_rec._numerics.anchors"
    if request.param == "numba":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(f"{module}.load_compiled_anchors", lambda: None)
    if request.param == "scipy in blocks":
        monkeypatch.setattr(f"{module}.BLOCK_ENTRIES", 8)


class TestTopProducts:
    """Small whole numbers, which are added without rounding and often tie."""

    @pytest.fixture
    def factors(self, rng):
        A = rng.integers(0, 3, (15, 8)) * (rng.random((15, 8)) < 0.4)
        B = rng.integers(0, 3, (8, 10)) * (rng.random((8, 10)) < 0.4)
        A[[3, 7]], B[[2]] = 0, 0
        return sp.csr_array(A, dtype=np.float32), sp.csr_array(B, dtype=np.float32)

    @staticmethod
    def expected(product, n_kept):
        rows = [cut(row[None], n)[0] for row, n in zip(product, n_kept, strict=True)]
        return np.reshape(rows, product.shape)

    @pytest.mark.parametrize("n", [0, 1, 3, 10, 20])
    def test_equals_the_sorted_product(self, factors, n):
        A, B = factors
        n_kept = np.full(15, n)
        top = top_products(A, B, np.arange(15), n_kept)
        assert_array_equal(top.toarray(), self.expected((A @ B).toarray(), n_kept))
        assert top.dtype == np.float32
        assert (top.data > 0).all()
        assert top.has_sorted_indices
        top.check_format()

    def test_some_rows_and_for_each_another_number(self, factors, rng):
        A, B = factors
        rows, n_kept = np.array([14, 3, 0, 8, 9]), np.array([2, 1, 0, 7, 3])
        top = top_products(A, B, rows, n_kept)
        product = (A @ B).toarray()[rows]
        assert_array_equal(top.toarray(), self.expected(product, n_kept))

    def test_nothing_where_there_is_something_beside(self, factors, rng):
        A, B = factors
        beside = sp.csr_array(rng.random((15, 10)) < 0.5)
        rows, n_kept = np.arange(1, 15), rng.integers(0, 5, 14)
        top = top_products(A, B, rows, n_kept, beside.astype(np.float32))
        product = np.where(beside.toarray(), 0, (A @ B).toarray())[rows]
        assert_array_equal(top.toarray(), self.expected(product, n_kept))
        assert top.nnz > 10

    def test_no_rows(self, factors):
        empty = np.array([], dtype=np.int64)
        assert top_products(*factors, empty, empty).shape == (0, 10)

    def test_underflow_is_no_entry(self):
        A = sp.csr_array(np.full((1, 3), 1e-30, dtype=np.float32))
        B = sp.csr_array(np.full((3, 1), 1e-30, dtype=np.float32))
        assert top_products(A, B, np.arange(1), np.ones(1, np.int64)).nnz == 0


@pytest.mark.parametrize("user_weighting", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n_nonzero", [1, 2, 4, 5])
def test_equals_the_formula(X, n_nonzero, user_weighting):
    anchors = [0, 2, 5, 6, 1]
    S = embed(X, anchors, 5, n_nonzero, user_weighting=user_weighting)
    expected, _ = reference(X, anchors, 5, n_nonzero, user_weighting)
    assert_allclose(S.toarray(), expected, atol=1e-6)
    assert S.dtype == np.float32


@pytest.mark.parametrize("n_nonzero", [1, 3, 5])
def test_rows_are_short_and_of_unit_length(X, n_nonzero):
    S = embed(X, [0, 2, 5, 6, 1], 5, n_nonzero)
    assert np.diff(S.indptr).max() <= n_nonzero
    assert (S.data > 0).all()
    lengths = np.linalg.norm(S.toarray(), axis=1)
    assert_allclose(lengths, np.where(np.diff(S.indptr) > 0, 1, 0), atol=1e-6)
    S.check_format()


def test_items_that_nobody_has_are_empty(X):
    assert np.diff(embed(X, [0, 2, 5], 3, 2).indptr)[11] == 0


def test_item_whose_users_have_nothing_else_meets_no_anchor(X):
    assert np.diff(embed(X, [0, 2, 5], 3, 2).indptr)[10] == 0
    assert_allclose(embed(X, [0, 10, 5], 3, 2).toarray()[10], [0, 1, 0], atol=1e-6)


def test_second_order_neighbours_fill_below_the_own_entries(X):
    anchors = [0, 2, 5, 6, 1]
    _, first = reference(X, anchors, 5, 4, 0.5)
    S = embed(X, anchors, 5, 4).toarray()
    assert not first[9].any()
    assert S[9].any()  # item 8 knows some anchors
    filled = 0
    for own, row in zip(first, S, strict=True):
        new = row[(own == 0) & (row > 0)]
        if own.any() and new.size:
            filled += 1
            ratio = row[own > 0] / own[own > 0]
            assert_allclose(ratio, ratio[0], rtol=1e-5)  # as they were, but for length
            assert_allclose(new.max(), row[own > 0].min() / 2, rtol=1e-5)
    assert filled >= 2


def test_only_the_strongest_of_a_user_fill():
    """The last item has one user, whose third best latent is cut from the profile."""
    X = np.zeros((4, 5))
    X[0, [0, 1, 2]], X[1, [1, 2]], X[2, [3, 2]], X[3, [3, 4]] = 1, 1, 1, 1
    expected, _ = reference(X, [0, 1, 2], 3, 2, 0.5)
    S = embed(X, [0, 1, 2], 3, 2)
    assert_allclose(S.toarray(), expected, atol=1e-6)
    assert (np.diff(S.indptr) <= 2).all()


@pytest.mark.parametrize("profile_entries", [1, 16, 40, 1000])
@pytest.mark.parametrize("n_nonzero", [4, 5])
def test_users_in_parts_give_the_same(X, n_nonzero, profile_entries, monkeypatch):
    anchors = [0, 2, 5, 6, 1]
    expected = embed(X, anchors, 5, n_nonzero)
    name = "sksparse_rec._numerics.anchors.PROFILE_ENTRIES"
    monkeypatch.setattr(name, profile_entries)
    S = embed(X, anchors, 5, n_nonzero)
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(S, name), getattr(expected, name))


def test_full_rows_are_left_alone(X):
    S = embed(X, [0, 2, 5, 6, 1], 5, 2).toarray()
    _, first = reference(X, [0, 2, 5, 6, 1], 5, 2, 0.5)
    full = (first > 0).sum(axis=1) == 2
    assert full.sum() > 3
    assert_allclose(S[full], unit(first)[full], atol=1e-6)


def test_latents_without_an_anchor_are_not_used(X):
    S = embed(X, [3, 7], 6, 4)
    assert S.shape == (12, 6)
    assert set(S.indices) == {0, 1}
    assert_allclose(S.toarray()[:, :2], embed(X, [3, 7], 2, 2).toarray(), atol=1e-6)


@pytest.mark.parametrize("n_users", [1, 3])
def test_nothing_at_all(n_users):
    S = embed(np.zeros((n_users, 4)), np.array([], dtype=np.int64), 3, 2)
    assert (S.shape, S.nnz) == ((4, 3), 0)


def test_more_components_than_items(X):
    anchors = draw_anchors((X > 0).sum(axis=0), 50, make_generator(0))
    S = embed(X, anchors, 50, 4)
    assert S.shape == (12, 50)
    # An item's nearest anchor is itself.
    own = S.toarray()[anchors, np.arange(len(anchors))]
    assert_allclose(own, S.toarray()[anchors].max(axis=1))


def test_items_of_the_same_users_start_at_the_same_place(X):
    X[:, 11] = 3 * X[:, 4]
    S = embed(X, [0, 2, 5, 6, 4], 5, 3).toarray()
    lone = embed(np.delete(X, 11, axis=1), [0, 2, 5, 6, 4], 5, 3).toarray()
    assert_allclose(S[11], S[4], atol=1e-6)
    assert lone.shape == (11, 5)


def test_interactions_are_left_as_they_were(X):
    matrix = sp.csr_array(X.astype(np.float32))
    before = matrix.copy()
    anchor_embeddings(matrix, np.array([0, 5]), 2, 2)
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(matrix, name), getattr(before, name))


class TestMemoryMapped:
    """Read in chunks of users, the same comes out."""

    ANCHORS = np.array([0, 2, 5, 6, 1])

    @pytest.fixture(name="mapped")
    def map_to_disk(self, X, tmp_path):
        save_npz(tmp_path / "X.npz", sp.csr_array(X), compressed=False)
        mapped = sp.csr_array(open_interactions(tmp_path / "X.npz"))
        assert is_mapped(mapped)
        return mapped

    @pytest.fixture
    def chunks(self, monkeypatch):
        def cut(chunk_entries, sum_entries):
            module = "sksparse_rec._numerics.anchors"
            monkeypatch.setattr(f"{module}.CHUNK_ENTRIES", chunk_entries)
            monkeypatch.setattr(f"{module}.SUM_ENTRIES", sum_entries)

        return cut

    @pytest.mark.parametrize("user_weighting", [0.0, 0.5])
    @pytest.mark.parametrize("n_nonzero", [1, 2, 4, 5])
    @pytest.mark.parametrize("sum_entries", [1, 15, 1000])
    @pytest.mark.parametrize("chunk_entries", [1, 10, 30])
    def test_equals_the_formula(
        self, X, mapped, chunks, chunk_entries, sum_entries, n_nonzero, user_weighting
    ):
        chunks(chunk_entries, sum_entries)
        assert mapped.nnz > 30
        S = anchor_embeddings(
            mapped, self.ANCHORS, 5, n_nonzero, user_weighting=user_weighting
        )
        expected, _ = reference(X, self.ANCHORS, 5, n_nonzero, user_weighting)
        assert_allclose(S.toarray(), expected, atol=1e-6)
        assert S.dtype == np.float32

    def test_one_chunk_equals_memory_to_the_bit(self, X, mapped):
        S = anchor_embeddings(mapped, self.ANCHORS, 6, 4)
        expected = embed(X, self.ANCHORS, 6, 4)
        for name in ("data", "indices", "indptr"):
            assert_array_equal(getattr(S, name), getattr(expected, name))

    def test_no_row_is_short(self, tmp_path, chunks, monkeypatch):
        X = np.ones((9, 4))
        save_npz(tmp_path / "ones.npz", sp.csr_array(X), compressed=False)
        mapped = sp.csr_array(open_interactions(tmp_path / "ones.npz"))
        chunks(10, 15)
        monkeypatch.setattr("sksparse_rec._numerics.anchors.PROFILE_ENTRIES", 1)
        S = anchor_embeddings(mapped, np.array([0, 2, 3]), 3, 1)
        assert_allclose(S.toarray(), np.eye(3)[[0, 0, 0, 0]], atol=1e-6)

    def test_no_anchors(self, mapped, chunks):
        chunks(10, 15)
        S = anchor_embeddings(mapped, np.array([], dtype=np.int64), 3, 2)
        assert (S.shape, S.nnz) == ((12, 3), 0)

    def test_latents_without_an_anchor_are_not_used(self, X, mapped, chunks):
        chunks(10, 15)
        S = anchor_embeddings(mapped, np.array([3, 7]), 6, 4)
        assert_allclose(S.toarray(), embed(X, [3, 7], 6, 4).toarray(), atol=1e-6)


class TestDrawAnchors:
    def test_all_where_there_are_few(self):
        popularity = np.array([3, 0, 7, 7, 1])
        for n_anchors in (4, 5, 100):
            anchors = draw_anchors(popularity, n_anchors, make_generator(0))
            assert anchors.tolist() == [2, 3, 0, 4]

    @pytest.mark.parametrize("n_anchors", [1, 3, 49])
    def test_distinct_popular_first_never_empty(self, rng, n_anchors):
        popularity = rng.integers(0, 4, 100)
        for seed in range(20):
            anchors = draw_anchors(popularity, n_anchors, make_generator(seed))
            assert len(set(anchors.tolist())) == len(anchors) == n_anchors
            assert (popularity[anchors] > 0).all()
            assert (np.diff(popularity[anchors]) <= 0).all()
            assert anchors.dtype == np.int64

    def test_in_proportion_to_the_root_of_popularity(self):
        popularity, generator = np.array([1, 4, 0, 25]), make_generator(0)
        draws = [draw_anchors(popularity, 1, generator)[0] for _ in range(2000)]
        share = np.bincount(draws, minlength=4) / 2000
        assert_allclose(share, np.array([1, 2, 0, 5]) / 8, atol=0.04)

    def test_generator_decides(self):
        popularity = np.arange(1, 200)
        first, again, other = (
            draw_anchors(popularity, 20, make_generator(seed)) for seed in (0, 0, 1)
        )
        assert_array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_no_interactions(self):
        assert len(draw_anchors(np.zeros(5, dtype=int), 3, make_generator(0))) == 0
