"""A fit to interactions in a file: the same model, without reading the file whole."""

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import save_npz

from sksparse_rec import CompressedELSA, top_items
from sksparse_rec._numerics import anchors
from sksparse_rec.datasets import (
    make_interactions,
    open_interactions,
    save_interactions,
)

VARIANTS = {
    "anchors": {},
    "dense": {"init": "dense"},
    "all components": {"n_nonzero": None},
    "relu": {"loss": "relu"},
    "sampled": {"loss": "relu", "max_output": 60},
    "dropout": {"dropout": 0.3},
    "weighted": {"item_weighting": 0.2, "popularity_weighting": 0.3},
    "float64": {"precision": "float64"},
}


@pytest.fixture(params=["file", "folder"])
def to_disk(request, tmp_path):
    """A function that saves a matrix and opens it."""

    def to_disk(X, name="X"):
        path = tmp_path / name
        if request.param == "folder":
            save_interactions(X, path)
            return open_interactions(path)
        save_npz(path, X, compressed=False)
        return open_interactions(path.with_suffix(".npz"))

    return to_disk


@pytest.fixture(name="chunks")
def several_chunks(monkeypatch):
    monkeypatch.setattr(anchors, "CHUNK_ENTRIES", 500)
    monkeypatch.setattr(anchors, "SUM_ENTRIES", 30 * 16)


def assert_same_model(model, expected, **tolerance):
    assert_allclose(
        model.item_embeddings_.toarray(),
        expected.item_embeddings_.toarray(),
        **tolerance,
    )
    assert_allclose(model.loss_curve_, expected.loss_curve_, **tolerance)
    assert_array_equal(model.item_popularity_, expected.item_popularity_)
    assert_array_equal(model.anchors_, expected.anchors_)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_equals_the_fit_in_memory_to_the_bit(make, planted, to_disk, options):
    expected = make(**options).fit(planted.train)
    assert_same_model(make(**options).fit(to_disk(planted.train)), expected, rtol=0)


@pytest.mark.usefixtures("chunks")
def test_equals_the_fit_in_memory_when_read_in_chunks(make, to_disk):
    # Ratings with decimals: equal co-occurrences would be rounded differently.
    X = sp.csr_array(make_interactions(300, 90, 4000, random_state=0))
    X.data = np.random.default_rng(0).uniform(1, 5, X.nnz).astype(np.float32)
    # And the training would make more of the difference in lower precision.
    model, expected = make(precision="float64"), make(precision="float64")
    assert_same_model(model.fit(to_disk(X)), expected.fit(X), atol=1e-5)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float64])
def test_any_dtype(make, tiny, tmp_path, dtype):
    X = tiny.astype(dtype)
    save_npz(tmp_path / "X.npz", X, compressed=False)
    opened = open_interactions(tmp_path / "X.npz")
    assert opened.dtype == dtype
    model, expected = make().fit(opened), make().fit(X)
    assert_same_model(model, expected, atol=1e-5)
    assert_same_model(model.partial_fit(opened), expected.partial_fit(X), atol=1e-5)


def test_everything_else_takes_it_too(make, planted, to_disk):
    train, test = planted.train, planted.test
    opened, opened_test = to_disk(train), to_disk(test, "test")
    expected, model = make().fit(train), make().fit(opened)
    for found, wanted in zip(
        top_items(model.recommend(opened_test)),
        top_items(expected.recommend(test)),
        strict=True,
    ):
        assert_array_equal(found, wanted)
    assert_array_equal(model.predict(opened_test), expected.predict(test))
    assert model.score(opened_test) == expected.score(test)
    assert_allclose(
        model.transform(opened_test).toarray(),
        expected.transform(test).toarray(),
        rtol=1e-5,
        atol=1e-6,
    )
    explained = model.explain(opened_test[[0]], [1, 2])
    by_history = expected.explain(test[[0]], [1, 2]).by_history
    assert_allclose(explained.by_history.toarray(), by_history.toarray(), rtol=1e-6)
    # encode_items remembers the mapped matrix of fit.
    new = train[:, [3, 7]]
    codes = expected.encode_items(new)
    assert_allclose(model.encode_items(new).toarray(), codes.toarray(), atol=1e-6)
    # Items that partial_fit admits start from their users' profiles.
    without = sp.csr_array(train * (np.arange(train.shape[1]) > 4))
    admitted = make().fit(without).partial_fit(train)
    assert_same_model(make().fit(without).partial_fit(opened), admitted, rtol=0)


def test_a_large_matrix_that_has_to_be_tidied_is_refused(make, tmp_path):
    X = sp.csr_array(([1.0, 2], [1, 1], [0, 2, 2]), shape=(2, 4))
    save_npz(tmp_path / "X.npz", X, compressed=False)
    opened = open_interactions(tmp_path / "X.npz")
    assert make().fit(opened).item_popularity_.tolist() == [0, 1, 0, 0]
    with (
        sklearn.config_context(working_memory=1e-9),
        pytest.raises(ValueError, match=r"X\.sum_duplicates\(\) and X\.elim"),
    ):
        make().fit(opened)


@pytest.fixture
def memory_of(peak_of, LargestTensor):
    """Return the peak bytes of numpy and scipy, and the bytes of the largest tensor."""

    def measure(call):
        with LargestTensor() as largest:
            torch.ones(1).add_(1)  # torch imports what it needs for this
            return peak_of(call)[1], largest.n_bytes

    return measure


def write_blocks(path, n_blocks, size):
    """Write users of 40 items each; return the bytes."""
    rng, length, n_items = np.random.default_rng(0), 40, 1000

    def make_block():
        items = rng.integers(0, n_items - length, (size, length))
        items = np.sort(items, axis=1) + np.arange(length)
        indptr = np.arange(0, items.size + 1, length)
        ones = np.ones(items.size, dtype=np.float32)
        return sp.csr_array((ones, items.ravel(), indptr), shape=(size, n_items))

    save_interactions((make_block() for _ in range(n_blocks)), path)
    return 8 * n_blocks * size * length


def test_the_file_is_not_read_into_memory(tmp_path, monkeypatch, memory_of):
    monkeypatch.setattr(anchors, "CHUNK_ENTRIES", 1 << 15)
    monkeypatch.setattr(anchors, "BLOCK_ENTRIES", 1 << 14)
    monkeypatch.setattr("sksparse_rec._sparse.BLOCK_ENTRIES", 1 << 15)
    size = 0

    def write():
        nonlocal size
        size = write_blocks(tmp_path / "X", 20, 2500)

    peak, _ = memory_of(write)
    assert peak < size / 4
    opened = open_interactions(tmp_path / "X")
    model = CompressedELSA(
        8, n_nonzero=2, n_nonzero_start=2, max_iter=1, batch_size=1000, random_state=0
    )
    peak, largest = memory_of(lambda: model.fit(opened))
    assert peak < size / 4
    assert largest < size / 8
    peak, _ = memory_of(lambda: model.recommend(opened[:100]))
    assert peak < size / 4
    # What a fit in memory takes is seen.
    peak, _ = memory_of(lambda: model.fit(opened.copy()))
    assert peak > size
