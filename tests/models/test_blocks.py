"""Recommendations to everybody in blocks: those of one call, in bounded memory."""

import functools
import itertools

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from sksparse_rec import CompresSAE, CompressedELSA, recommend_in_blocks, top_items


def put_together(blocks):
    """Return the rows of all blocks, which must come in order, and how many."""
    ranges, lists = zip(*blocks, strict=True)
    assert ranges[0].start == 0
    for before, after in itertools.pairwise(ranges):
        assert before.stop == after.start
    for rows, R in zip(ranges, lists, strict=True):
        assert R.shape[0] == rows.stop - rows.start > 0
    return sp.vstack(lists, "csr"), len(ranges)


def assert_same_lists(found, expected):
    found_ids, found_scores = top_items(found)
    ids, scores = top_items(expected)
    assert_array_equal(found_ids, ids)
    assert_allclose(found_scores, scores, rtol=1e-6, atol=1e-6)


@pytest.fixture
def history(planted):
    """Users with histories of every length, some of them empty, not sorted."""
    X = planted.test.tolil()
    X[[0, 13, 14, -1]] = 0
    X[5] = 1
    return sp.csr_array(X)


@pytest.fixture
def mask(history):
    rng = np.random.default_rng(0)
    return sp.csr_array(rng.random(history.shape) < 0.2)


@pytest.mark.parametrize("block_size", [1, 2, 7, 80, 79, 1000, None])
@pytest.mark.parametrize("options", [{}, {"exclude_seen": False, "k": 90}])
def test_equals_one_call(fitted, history, block_size, options):
    blocks = recommend_in_blocks(fitted, history, block_size=block_size, **options)
    found, n_blocks = put_together(blocks)
    assert n_blocks == len(blocks) == -(-80 // (block_size or 1000))
    assert_same_lists(found, fitted.recommend(history, **options))
    # It can be iterated again.
    assert_same_lists(put_together(blocks)[0], found)


@pytest.mark.parametrize("name", ["allow", "deny"])
@pytest.mark.parametrize("kind", ["csr", "coo", "csc", "dense", "positions", "bool"])
def test_filters(fitted, history, mask, name, kind):
    items = {
        "csr": mask,
        "coo": mask.tocoo(),
        "csc": mask.tocsc(),
        "dense": mask.toarray(),
        "positions": [3, 5, 8, 13],
        "bool": np.arange(90) < 40,
    }[kind]
    expected = fitted.recommend(history, **{name: items})
    for block_size in (9, None):
        blocks = recommend_in_blocks(
            fitted, history, block_size=block_size, **{name: items}
        )
        assert_same_lists(put_together(blocks)[0], expected)


def test_both_masks_with_a_list_of_another_length(fitted, history, mask):
    deny = sp.csr_array(mask[::-1])
    blocks = recommend_in_blocks(
        fitted, history, 3, allow=mask, deny=deny, block_size=11
    )
    expected = fitted.recommend(history, 3, allow=mask, deny=deny)
    assert_same_lists(put_together(blocks)[0], expected)


@pytest.mark.parametrize("kind", ["coo", "csc", "lil", "dense", "list", "matrix"])
def test_any_container(fitted, history, kind):
    X = {
        "dense": history.toarray,
        "list": lambda: history.toarray().tolist(),
        "matrix": lambda: sp.csr_matrix(history),
    }.get(kind, lambda: history.asformat(kind))()
    found, _ = put_together(recommend_in_blocks(fitted, X, block_size=13))
    assert_same_lists(found, fitted.recommend(history))


def test_duplicates_in_narrow_integers(fitted):
    X = sp.coo_array(
        (np.full(4, 100, dtype=np.int8), ([0, 0, 1, 0], [3, 3, 4, 5])), (2, 90)
    )
    found, _ = put_together(recommend_in_blocks(fitted, X, block_size=1))
    assert_same_lists(found, fitted.recommend(X))


@pytest.mark.parametrize("to_frame", [pd.DataFrame, pl.DataFrame])
def test_names(make, planted, history, to_frame):
    names = [f"item {i}" for i in range(90)]
    fitted = make().fit(pd.DataFrame(planted.train.toarray(), columns=names))
    X = to_frame(dict(zip(names, history.toarray().T, strict=True)))
    blocks = recommend_in_blocks(fitted, X, deny=["item 3", "item 8"], block_size=13)
    expected = fitted.recommend(X, deny=[3, 8])
    assert_same_lists(put_together(blocks)[0], expected)
    with pytest.raises(ValueError, match="feature names"):
        recommend_in_blocks(fitted, X[names[::-1]])


def test_a_search_over_levels(fitted_cv, history):
    found, _ = put_together(recommend_in_blocks(fitted_cv, history, block_size=13))
    assert_same_lists(found, fitted_cv.recommend(history))


@pytest.mark.parametrize("space", ["sparse", "reconstructed", "asymmetric"])
def test_vectors(fitted_sae, vectors, tmp_path, space):
    np.save(tmp_path / "X.npy", vectors.test)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    expected = fitted_sae.recommend(vectors.test, space=space)
    for block_size in (1, 13, None):
        blocks = recommend_in_blocks(fitted_sae, X, space=space, block_size=block_size)
        assert_same_lists(put_together(blocks)[0], expected)


def test_vectors_have_masks_over_the_catalogue(fitted_sae, vectors):
    shape = len(vectors.test), len(vectors.train)
    mask = sp.random_array(shape, density=0.1, rng=0, format="csr")
    blocks = recommend_in_blocks(fitted_sae, vectors.test, allow=mask, block_size=13)
    expected = fitted_sae.recommend(vectors.test, allow=mask)
    assert_same_lists(put_together(blocks)[0], expected)


def test_the_flavour_of_the_configuration(fitted, history):
    for interface, flavour in (("sparray", sp.csr_array), ("spmatrix", sp.csr_matrix)):
        with sklearn.config_context(sparse_interface=interface):
            lists = [R for _, R in recommend_in_blocks(fitted, history, block_size=40)]
        assert [type(R) for R in lists] == [flavour] * 2


def test_zero_users(fitted, fitted_sae):
    for blocks in (
        recommend_in_blocks(fitted, sp.csr_array((0, 90))),
        recommend_in_blocks(fitted, np.empty((0, 90)), allow=sp.csr_array((0, 90))),
        recommend_in_blocks(fitted_sae, np.empty((0, 32))),
    ):
        assert len(blocks) == 0
        assert list(blocks) == []
    with pytest.raises(ValueError, match="X has 89 features"):
        recommend_in_blocks(fitted, sp.csr_array((0, 89)))


# Sizes


def test_the_working_memory_makes_blocks(fitted, history, mask):
    def sizes(**options):
        blocks = recommend_in_blocks(fitted, history, **options)
        return [rows.stop - rows.start for rows, _ in blocks]

    assert sizes() == [80]
    # A block of two average users, and the user who knows everything.
    with sklearn.config_context(working_memory=0.016):
        short, long = sizes(), sizes(k=90)
        masked = sizes(allow=mask)
        assert sum(short) == sum(long) == sum(masked) == 80
        assert min(short) < max(short) < 5
        assert len(short) < len(long) == 80
        assert len(short) < len(masked)
        assert len(sizes(allow=mask.toarray())) == 80
    with sklearn.config_context(working_memory=1e-9):
        blocks = recommend_in_blocks(fitted, history)
        assert len(blocks) == 80
        assert_same_lists(put_together(blocks)[0], fitted.recommend(history))


def test_memory_is_bounded(many_histories, peak_of, monkeypatch):
    monkeypatch.setattr("sksparse_rec._sparse.BLOCK_ENTRIES", 1 << 14)
    opened = many_histories
    model = CompressedELSA(16, n_nonzero=2, max_iter=1, random_state=0)
    model.fit(opened[:1000])

    def run(X):
        for _ in recommend_in_blocks(model, X, k=20, deny=[1]):
            pass

    size = opened.data.nbytes + opened.indices.nbytes
    with sklearn.config_context(working_memory=2):
        assert peak_of(lambda: run(opened))[1] < 1.25 * 2 * 2**20 + 2**20 < size / 4
        # What one call takes is seen.
        assert peak_of(lambda: model.recommend(opened, k=20, deny=[1]))[1] > size


def test_memory_of_vectors_is_bounded(peak_of, tmp_path):
    X = np.random.default_rng(0).normal(size=(40_000, 64)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    opened = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = CompresSAE(32, n_nonzero=4, max_iter=1, random_state=0).fit(X[:500])

    def run():
        for _ in recommend_in_blocks(model, opened, k=20):
            pass

    with sklearn.config_context(working_memory=2):
        assert peak_of(run)[1] < 1.25 * 2 * 2**20 + 2**20 < X.nbytes / 2
    assert peak_of(lambda: model.recommend(opened, k=20))[1] > X.nbytes


def test_blocks_are_made_when_they_are_asked_for(fitted, history, monkeypatch):
    calls = []
    recommend = CompressedELSA.recommend

    @functools.wraps(recommend)
    def count(self, X, **options):
        calls.append(X.shape[0])
        return recommend(self, X, **options)

    monkeypatch.setattr(CompressedELSA, "recommend", count)
    blocks = iter(recommend_in_blocks(fitted, history, block_size=30))
    assert calls == []
    next(blocks)
    assert calls == [30]


# What is refused


def test_mistakes_are_told_at_once(fitted, fitted_sae, make, history):
    with pytest.raises(NotFittedError):
        recommend_in_blocks(make(), history)
    with pytest.raises(ValueError, match="k must be an integer of at least 1, got 0"):
        recommend_in_blocks(fitted, history, 0)
    with pytest.raises(ValueError, match=r"'block_size' parameter.* Got 0"):
        recommend_in_blocks(fitted, history, block_size=0)
    with pytest.raises(ValueError, match="X has 89 features"):
        recommend_in_blocks(fitted, history[:, 1:])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        recommend_in_blocks(fitted, np.ones(90))
    for name in ("allow", "deny"):
        with pytest.raises(ValueError, match=rf"{name} is a mask of shape \(79, 90\)"):
            recommend_in_blocks(fitted, history, **{name: history[1:]})
    with pytest.raises(TypeError, match="steer"):
        recommend_in_blocks(fitted, history, steer={"comedy": 1})
    with pytest.raises(TypeError, match="exclude_seen"):
        recommend_in_blocks(fitted_sae, np.ones((2, 32)), exclude_seen=True)


def test_bad_values_are_found_with_their_row(fitted, history):
    X = history.copy()
    X.data[X.indptr[50]] = -1
    blocks = iter(recommend_in_blocks(fitted, X, block_size=20))
    next(blocks), next(blocks)
    with pytest.raises(ValueError, match=r"X\[10, \d+\] is -1") as caught:
        next(blocks)
    assert caught.value.__notes__ == ["Its rows are counted from row 40 of the whole X"]


class Constant(BaseEstimator):
    """An estimator of somebody else, with options by keyword."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def recommend(self, X, k=10, *, allow=None, deny=None, **options):
        shift = options.get("shift", 0)
        ones = np.ones(X.shape[0])
        return sp.csr_array((ones + shift, (range(X.shape[0]), ones * 2)), X.shape)


def test_any_estimator_that_recommends(history):
    model = Constant().fit(history)
    for options, value in (({}, 1), ({"shift": 4}, 5)):
        found, n = put_together(
            recommend_in_blocks(model, history, block_size=30, **options)
        )
        assert n == 3
        assert_array_equal(found.data, np.full(80, value))
