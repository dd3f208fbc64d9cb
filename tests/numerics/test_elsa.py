"""Training states and the steps between them."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.testing import assert_close

from sksparse_rec._numerics.device import make_generator
from sksparse_rec._numerics.elsa import (
    admit_items,
    rows_from_csr,
    start_dense,
    start_from_anchors,
    train,
)
from sksparse_rec._numerics.encoding import encode_columns
from sksparse_rec._numerics.pruning import SparsitySchedule
from sksparse_rec._numerics.rows import DenseRows, SparseRows
from sksparse_rec._numerics.state import Setting, TrainingState
from sksparse_rec._numerics.training import learning_rate_at

SETTING = Setting(
    loss="gram",
    batch_size=16,
    learning_rate=0.05,
    n_decay_epochs=None,
    dropout=0.0,
    max_output=None,
    dtype=torch.float64,
    device=torch.device("cpu"),
)


@pytest.fixture(name="X")
def make_interactions(rng):
    """Two tastes; item 11 has no interactions."""
    likes = np.where(np.add.outer(np.arange(50), np.arange(12)) % 2, 0.1, 0.6)
    X = (rng.random((50, 12)) < likes).astype(np.float32)
    X[:, 11] = 0
    return sp.csr_array(X)


@pytest.fixture
def popularity(X):
    return np.bincount(X.indices, minlength=12)


def start(init, X, popularity, setting=SETTING, *, n_nonzero=4, keep_initial=False):
    generator = make_generator(0)
    if init == "dense":
        rows = start_dense(
            popularity, n_components=8, setting=setting, generator=generator
        )
    else:
        rows, _ = start_from_anchors(
            X,
            popularity,
            n_components=8,
            n_nonzero=n_nonzero,
            user_weighting=0.5,
            setting=setting,
            generator=generator,
        )
    return TrainingState.start(rows, keep_initial=keep_initial)


def fit(X, state, n_epochs=4, setting=SETTING, schedule=None, seed=1):
    return train(X, state, setting, schedule, n_epochs, make_generator(seed))


@pytest.mark.parametrize("loss", ["gram", "direct", "relu"])
@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_training_lowers_the_loss(init, loss, X, popularity):
    state = start(init, X, popularity)
    losses, n_steps = fit(X, state, 5, SETTING._replace(loss=loss))
    assert losses[-1] < losses[0]
    assert (len(losses), n_steps, state.n_epochs) == (5, 5 * 4, 5)


@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_a_fixed_pattern_stays_fixed(init, X, popularity):
    state = start(init, X, popularity)
    before = state.embeddings(8)
    fit(X, state)
    after = state.embeddings(8)
    assert_array_equal(after.indices, before.indices)
    assert not np.array_equal(after.data, before.data)
    assert np.diff(after.indptr)[11] == 0


@pytest.mark.parametrize("init", ["dense", "anchors"])
@pytest.mark.parametrize("n_nonzero", [1, 3, 8])
def test_embeddings_are_short_float32_and_of_unit_length(
    init, n_nonzero, X, popularity
):
    state = start(init, X, popularity, n_nonzero=6)
    fit(X, state, 2)
    width = state.rows.width
    A = state.embeddings(n_nonzero)
    assert A.dtype == np.float32
    assert A.shape == (12, 8)
    assert np.diff(A.indptr).max() <= n_nonzero
    assert A.has_canonical_format
    assert A.indices.dtype == A.indptr.dtype == np.int32
    assert_allclose(np.linalg.norm(A.toarray(), axis=1), popularity > 0, atol=1e-6)
    assert state.rows.width == width  # looking changes nothing


def test_start_dense_gives_rows_only_to_items_with_interactions(popularity):
    rows = start_dense(
        popularity, n_components=8, setting=SETTING, generator=make_generator(0)
    )
    assert rows.values.dtype == torch.float64
    assert_allclose(rows.values.norm(dim=1), popularity > 0)


def test_rows_from_csr_and_back(rng):
    S = sp.random_array((9, 7), density=0.4, rng=rng, format="csr")
    S = sp.csr_array(S.toarray() * (np.arange(9) % 4 > 0)[:, None])
    for width in (None, 7):
        rows = rows_from_csr(S, SETTING, width)
        assert rows.width == (width or np.diff(S.indptr).max())
        dense = np.zeros((9, 7))
        np.add.at(dense, (np.arange(9)[:, None], rows.columns), rows.values)
        assert_allclose(dense, S.toarray())
        assert_array_equal(rows.live.sum(dim=1), np.diff(S.indptr))


def test_rows_without_padding_have_no_mask():
    S = sp.csr_array(np.array([[1.0, 2, 0], [0, 3, 4]]))
    assert rows_from_csr(S, SETTING).live is None


@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_state_survives_arrays(init, X, popularity):
    """Three epochs, arrays, three more: as six in a row, and the arrays stay."""
    straight, stopped = (
        start(init, X, popularity, keep_initial=True) for _ in range(2)
    )
    generator = make_generator(1)
    train(X, straight, SETTING, None, 3, generator)
    train(X, straight, SETTING, None, 3, generator)
    generator = make_generator(1)
    train(X, stopped, SETTING, None, 3, generator)
    arrays = stopped.to_arrays()
    before = {name: np.copy(value) for name, value in arrays.items()}
    resumed = TrainingState.from_arrays(arrays, SETTING)
    train(X, resumed, SETTING, None, 3, generator)
    assert_close(resumed.rows.values, straight.rows.values, rtol=0, atol=0)
    assert_close(resumed.initial, straight.initial)
    assert resumed.n_epochs == straight.n_epochs == 6
    for name, value in arrays.items():
        assert_array_equal(value, before[name])


@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_same_seed_same_result(init, X, popularity):
    setting = SETTING._replace(dropout=0.3, max_output=8)
    results = []
    for seed in (1, 1, 2):
        state = start(init, X, popularity)
        fit(X, state, setting=setting, seed=seed)
        results.append(state.rows.values)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("loss", ["gram", "direct", "relu"])
@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_patterns_of_full_width_train_as_dense_rows(init, loss, X, popularity):
    """Row-sparse with every column is dense."""
    setting = SETTING._replace(loss=loss)
    dense = start("dense", X, popularity)
    n_items, m = dense.rows.values.shape
    columns = torch.arange(m, dtype=torch.int32).expand(n_items, m).contiguous()
    sparse = TrainingState.start(
        SparseRows(dense.rows.values.clone(), columns, m), keep_initial=False
    )
    fit(X, dense, setting=setting)
    fit(X, sparse, setting=setting)
    assert_close(sparse.rows.values, dense.rows.values)


def test_max_output_above_the_catalogue_changes_nothing(X, popularity):
    results = []
    for max_output in (None, 12, 100):
        state = start("anchors", X, popularity)
        fit(X, state, setting=SETTING._replace(max_output=max_output))
        results.append(state.rows.values)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_items_left_out_of_the_outputs_do_not_move(X, popularity):
    few = sp.csr_array(X.toarray() * np.isin(np.arange(12), [4, 6, 7]))
    state = start("anchors", X, popularity)
    before = state.rows.values.clone()
    fit(few, state, 1, SETTING._replace(max_output=1))
    moved = (state.rows.values != before).any(dim=1)
    assert moved.any()
    assert not moved[[0, 1, 2, 3, 5, 8, 9, 10, 11]].any()


PRUNINGS = ["constant", "stepwise", "linear", "exponential"]


@pytest.mark.parametrize("rewind", [False, True], ids=["", "rewind"])
@pytest.mark.parametrize("pruning", PRUNINGS)
@pytest.mark.parametrize("target", [1, 5], ids=["to sparse", "to masked dense"])
@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_schedule_ends_at_the_target(init, target, pruning, rewind, X, popularity):
    state = start(init, X, popularity, n_nonzero=8, keep_initial=rewind)
    schedule = SparsitySchedule(pruning, 4, 8, target, rewind)
    losses, _ = fit(X, state, 7, schedule=schedule)
    assert len(losses) == 7
    assert np.diff(state.embeddings(8).indptr).max() <= target


@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_training_after_the_schedule_is_not_undone(init, X, popularity):
    """Rewinding is part of pruning: a pattern at its target trains on."""
    state = start(init, X, popularity, n_nonzero=8, keep_initial=True)
    schedule = SparsitySchedule("constant", 3, 8, 5, rewind=True)
    fit(X, state, 2, schedule=schedule)
    n_steps = state.optimizer.n_steps
    fit(X, state, 1, schedule=schedule)
    fit(X, state, 3, schedule=schedule)
    assert state.optimizer.n_steps == n_steps + 4 * 4


@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_rewinding_happens_once_where_nothing_more_is_pruned(init, X, popularity):
    state = start(init, X, popularity, n_nonzero=8, keep_initial=True)
    schedule = SparsitySchedule("constant", 4, 8, 5, rewind=True)
    fit(X, state, 6, schedule=schedule)
    # Pruned and rewound after the first epoch, trained for five of four batches.
    assert state.optimizer.n_steps == 20


def test_last_epoch_does_not_rewind(X, popularity):
    """It would undo the training: nothing follows."""
    state = start("dense", X, popularity, keep_initial=True)
    initial = state.initial.clone()
    fit(X, state, 2, schedule=SparsitySchedule("linear", 2, 8, 2, True))
    assert state.rows.width == 2
    assert state.optimizer.n_steps == 4  # since the rewind after the first epoch
    trained = state.rows.values
    assert not np.isin(trained[:11], initial).any()


def test_learning_rate_follows_the_progress(X, popularity, monkeypatch):
    """In epochs, over calls and batches; the last batch of each has two users."""
    seen = []

    def record(progress, start, n_decay_epochs):
        seen.append(progress)
        return learning_rate_at(progress, start, n_decay_epochs)

    monkeypatch.setattr("sksparse_rec._numerics.elsa.learning_rate_at", record)
    setting = SETTING._replace(n_decay_epochs=3)
    state = start("anchors", X, popularity)
    fit(X, state, 2, setting)
    fit(X, state, 1, setting)
    expected = np.add.outer(np.arange(3), np.arange(4) * 16 / 50).ravel()
    assert_allclose(seen, expected)


def test_initial_values_go_when_they_are_no_longer_needed(X, popularity):
    state = start("dense", X, popularity, keep_initial=True)
    fit(X, state, 3, schedule=SparsitySchedule("linear", 3, 8, 2, True))
    assert state.initial is None


class TestAdmitItems:
    @pytest.fixture
    def later(self, X):
        """Item 11 has found users, who have histories."""
        X = X.toarray()
        X[:20, 11] = np.arange(20) % 2
        return sp.csr_array(X)

    @pytest.mark.parametrize("init", ["dense", "anchors"])
    def test_new_item_gets_its_code(self, init, X, later, popularity):
        state = start(init, X, popularity, keep_initial=True)
        fit(X, state, 2)
        width, before = state.rows.width, state.embeddings(8)
        admit_items(state, later, np.bincount(later.indices, minlength=12), SETTING)
        after = state.embeddings(8)
        expected = encode_columns(later[:, [11]], later, before, width).toarray()
        assert_allclose(after.toarray()[11], expected[0], atol=1e-6)
        assert_array_equal(after.toarray()[:11], before.toarray()[:11])
        assert_close(state.initial[11], state.rows.values[11])
        fit(later, state, 1)
        assert_array_equal(state.embeddings(8).indptr, after.indptr)
        assert not np.allclose(state.embeddings(8).toarray()[11], expected[0])

    @pytest.mark.parametrize("target", [2, 5], ids=["sparse", "masked dense"])
    def test_new_item_gets_no_more_than_others(self, target, X, later, popularity):
        state = start("dense", X, popularity)
        fit(X, state, 3, schedule=SparsitySchedule("constant", 1, 8, target, False))
        admit_items(state, later, np.bincount(later.indices, minlength=12), SETTING)
        lengths = np.diff(state.embeddings(8).indptr)
        assert 0 < lengths[11] <= target

    @pytest.mark.parametrize("init", ["dense", "anchors"])
    def test_nothing_to_admit(self, init, X, popularity):
        state = start(init, X, popularity)
        before = state.rows.values.clone()
        admit_items(state, X, popularity, SETTING)
        assert torch.equal(state.rows.values, before)

    def test_item_whose_users_have_no_history_waits(self, X, popularity):
        state = start("anchors", X, popularity)
        only = sp.csr_array((np.ones(1), ([0], [11])), shape=(1, 12))
        admit_items(state, only, np.bincount([11], minlength=12), SETTING)
        assert np.diff(state.embeddings(8).indptr)[11] == 0
        fit(X, state, 1)


@pytest.mark.parametrize("kind", [DenseRows, SparseRows])
def test_float32_follows_float64(kind, X, popularity):
    init = "dense" if kind is DenseRows else "anchors"
    results = []
    for dtype in (torch.float32, torch.float64):
        setting = SETTING._replace(dtype=dtype)
        state = start(init, X, popularity, setting)
        assert state.rows.values.dtype == dtype
        fit(X, state, 2, setting)
        results.append(state.embeddings(8).toarray())
    assert_allclose(*results, atol=1e-3)
