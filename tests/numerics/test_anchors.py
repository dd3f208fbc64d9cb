"""The starting pattern against its formula in dense numpy."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec._numerics.anchors import anchor_embeddings, draw_anchors
from sksparse_rec._numerics.device import make_generator


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
    second = C @ first
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


@pytest.fixture(params=["one block", "several blocks"], autouse=True)
def block_entries(request, monkeypatch):
    if request.param == "several blocks":
        monkeypatch.setattr("sksparse_rec._numerics.anchors.BLOCK_ENTRIES", 8)


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
