"""CompresSAE: narrow types, early stops, and ties of rows in different blocks."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_array_equal

from sksparse_rec import CompressedELSA
from sksparse_rec._numerics import vectors as table
from sksparse_rec._numerics.device import make_generator
from sksparse_rec._numerics.vectors import Vectors, draw_rows
from sksparse_rec.datasets import make_interactions
from sksparse_rec.models import _code_training, _codes


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
def test_sizes_of_numpy_integers(make_sae, vectors, dtype):
    sizes = {"batch_size": 100, "auxiliary_factor": 4, "n_nonzero": 8, "max_iter": 1}
    narrow = {name: dtype(value) for name, value in sizes.items()}
    expected = make_sae(**sizes).fit(vectors.train)
    found = make_sae(**narrow).fit(vectors.train)
    assert_array_equal(found.components_, expected.components_)


def test_batches_of_elsa_of_numpy_integers():
    X = make_interactions(60, 30, 400, random_state=0)
    model = CompressedELSA(8, n_nonzero=4, max_iter=1, batch_size=np.int64(16))
    assert model.fit(X).n_steps_ == 4


def test_sparse_half_precision(make_sae, vectors):
    half = vectors.train.astype(np.float16)
    expected = make_sae(max_iter=1).fit(half)
    # scipy neither converts to that nor from it.
    wide = sp.csr_array(half.astype(np.float32))
    data = wide.data.astype(np.float16)
    narrow = sp.csr_array((data, wide.indices, wide.indptr), shape=wide.shape)
    assert narrow.dtype == np.float16
    found = make_sae(max_iter=1).fit(narrow)
    assert_array_equal(found.components_, expected.components_)
    assert_array_equal(
        found.transform(narrow).toarray(), expected.transform(half).toarray()
    )


def test_duplicates_of_narrow_integers_are_summed_exactly(fitted_sae):
    n_features = fitted_sae.n_features_in_
    pair = np.array([100, 100], dtype=np.int8), ([0, 0], [2, 2])
    X = sp.coo_array(pair, shape=(1, n_features))
    expected = np.zeros((1, n_features))
    expected[0, 2] = 200
    assert_array_equal(
        fitted_sae.transform(X).toarray(), fitted_sae.transform(expected).toarray()
    )


class Revivals:
    """Counts calls of ``revive_``."""

    def __init__(self, monkeypatch):
        self.n, original = 0, _code_training.revive_

        def revive(*arguments):
            self.n += 1
            return original(*arguments)

        monkeypatch.setattr(_code_training, "revive_", revive)


@pytest.mark.parametrize("options", [{}, {"nested": True}, {"auxiliary_weight": 0}])
def test_one_batch_in_four_has_the_auxiliary_level(
    make_sae, vectors, monkeypatch, options
):
    steps, step = [], _code_training.train_step

    def watched(state, X, setting, rate):
        steps.append(dict(zip(setting.levels, setting.weights, strict=True)))
        return step(state, X, setting, rate)

    monkeypatch.setattr(_code_training, "train_step", watched)
    X = vectors.train
    model = make_sae(**{"max_iter": 2, "batch_size": -(-len(X) // 6)} | options).fit(X)
    widest = model.auxiliary_factor * model.n_nonzero
    assert len(steps) == 12
    weights = [levels.get(widest, 0) for levels in steps]
    share = model.auxiliary_weight * 6 / 2
    assert weights == pytest.approx([share, 0, 0, 0, share, 0] * 2)
    assert all(levels[model.n_nonzero] == 1 for levels in steps)


def test_nothing_is_revived_that_is_not_trained_after(make_sae, vectors, monkeypatch):
    revivals = Revivals(monkeypatch)
    model = make_sae(max_iter=3).fit(vectors.train)
    assert revivals.n == 2
    model.partial_fit(vectors.train)
    assert revivals.n == 2
    make_sae(max_iter=3, revive=False).fit(vectors.train)
    assert revivals.n == 2


def test_rows_of_zeros_are_not_drawn_in_place_of_others():
    X = np.zeros((500, 4), dtype=np.float32)
    X[::10] = np.random.default_rng(0).normal(size=(50, 4))
    vectors = Vectors(X, None, torch.device("cpu"))
    for n_rows, expected in ((20, 20), (50, 50), (80, 50)):
        drawn = draw_rows(vectors, n_rows, make_generator(0))
        assert len(drawn) == expected
        assert len(np.unique(drawn.numpy(), axis=0)) == expected


@pytest.mark.parametrize("n_last", [1, 2, 3])
def test_equal_rows_of_different_blocks_have_equal_codes(
    fitted_sae, vectors, monkeypatch, n_last
):
    monkeypatch.setattr(table, "BLOCK_ROWS", 64)
    X = vectors.train[: 64 + n_last].copy()
    X[64:] = X[:n_last]
    codes = fitted_sae.transform(X).toarray()
    assert_array_equal(codes[64:], codes[:n_last])
    assert_array_equal(fitted_sae.transform(X[:1]).toarray(), codes[:1])


def test_an_error_restores_the_threads(fitted_sae, vectors, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(_codes, "row_cosines", fail)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            fitted_sae.score(vectors.test)
        # While the traceback still holds the frames.
        assert caught.tb is not None
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_bad_value_of_a_large_table_is_found_in_blocks(make_sae):
    X = np.ones((3, 1 << 19), dtype=np.float16)
    X[2, 7] = np.inf
    with pytest.raises(ValueError, match=r"X\[2, 7\] is inf"):
        make_sae().fit(X)
