"""Training states: copies, arrays, embeddings, and the loss of entries."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec._numerics.device import make_generator
from sksparse_rec._numerics.elsa import (
    lowered,
    rows_from_csr,
    start_dense,
    train,
)
from sksparse_rec._numerics.pruning import SparsitySchedule
from sksparse_rec._numerics.rows import DenseRows, SparseRows
from sksparse_rec._numerics.state import PRECISIONS, Setting, TrainingState

N_ITEMS, N_COMPONENTS = 12, 16
SETTING = Setting(
    loss="gram",
    batch_size=16,
    learning_rate=0.05,
    n_decay_epochs=None,
    dropout=0.0,
    max_output=None,
    dtype=torch.float32,
    device=torch.device("cpu"),
)
KINDS = ["dense", "masked dense", "sparse", "padded sparse"]


@pytest.fixture(name="X")
def make_interactions(rng):
    X = (rng.random((50, N_ITEMS)) < 0.4).astype(np.float32)
    X[:, 11] = 0
    return sp.csr_array(X)


@pytest.fixture(name="make")
def make_states(X, rng):
    """A function that makes a trained state of a kind."""
    S = np.abs(rng.standard_normal((N_ITEMS, N_COMPONENTS)))
    S *= np.argsort(np.argsort(S, axis=1), axis=1) >= N_COMPONENTS - 6
    lengths = np.where(np.arange(N_ITEMS) % 3, 6, 4)[:, None]
    padded = S * (np.argsort(np.argsort(-S, axis=1), axis=1) < lengths)

    def make(kind, *, keep_initial=True, setting=SETTING):
        if "sparse" in kind:
            pattern = padded if kind == "padded sparse" else S
            rows = rows_from_csr(sp.csr_array(pattern), setting)
        else:
            rows = start_dense(
                np.bincount(X.indices, minlength=N_ITEMS),
                n_components=N_COMPONENTS,
                setting=setting,
                generator=make_generator(0),
            )
        state = TrainingState.start(rows, keep_initial=keep_initial)
        schedule = None
        if kind == "masked dense":
            schedule = SparsitySchedule("constant", 2, N_COMPONENTS, 7, False)
        # Not to the end of the schedule, where the initial values go.
        train(X, state, setting, schedule, 1, make_generator(1))
        return state

    return make


def tensors_of(state):
    """Every tensor of a state by name; fields of the dataclasses as they are."""
    found = {
        "values": state.rows.values,
        "live": state.rows.live,
        "columns": getattr(state.rows, "columns", None),
        "first": state.optimizer.first,
        "second": state.optimizer.second,
        "initial": state.initial,
    }
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def assert_same_state(state, expected):
    tensors, wanted = tensors_of(state), tensors_of(expected)
    assert tensors.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert tensors[name].dtype == tensor.dtype, name
        assert torch.equal(tensors[name], tensor), name
    assert type(state.rows) is type(expected.rows)
    assert state.rows.width == expected.rows.width
    assert state.rows.half == expected.rows.half
    assert state.rows.n_components == expected.rows.n_components
    for name in ("n_steps", "momentum_product"):
        assert getattr(state.optimizer, name) == getattr(expected.optimizer, name)
    assert state.n_epochs == expected.n_epochs


def snapshot(state):
    return {name: tensor.clone() for name, tensor in tensors_of(state).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_are_what_they_are_called(make, kind):
    rows = make(kind).rows
    assert isinstance(rows, SparseRows if "sparse" in kind else DenseRows)
    assert (rows.live is not None) == (kind in {"masked dense", "padded sparse"})


# Arrays


@pytest.mark.parametrize("keep_initial", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_hold_the_whole_state(make, kind, keep_initial):
    state = make(kind, keep_initial=keep_initial)
    assert state.optimizer.n_steps == 4
    again = TrainingState.from_arrays(state.to_arrays(), SETTING)
    assert_same_state(again, state)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_arrays_goes_on_to_the_bit(make, X, kind):
    straight = make(kind)
    resumed = TrainingState.from_arrays(straight.to_arrays(), SETTING)
    schedule = SparsitySchedule("linear", 3, straight.rows.width, 3, rewind=True)
    for state in (straight, resumed):
        train(X, state, SETTING, schedule, 3, make_generator(2))
    assert straight.rows.width == 3
    assert_same_state(resumed, straight)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_arrays_shares_nothing_with_them(make, X, kind):
    state = make(kind)
    before = snapshot(state)
    resumed = TrainingState.from_arrays(state.to_arrays(), SETTING)
    for tensor in tensors_of(resumed).values():
        tensor.zero_()
    for name, tensor in tensors_of(state).items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_array_is_json(make, kind):
    arrays = make(kind).to_arrays()
    rest = {k: v for k, v in arrays.items() if not isinstance(v, np.ndarray)}
    again = json.loads(json.dumps(rest))
    assert again == rest
    assert isinstance(rest["momentum_product"], float)


def test_read_only_arrays_are_copied(make):
    state = make("sparse")
    arrays = state.to_arrays()
    for array in arrays.values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    assert_same_state(TrainingState.from_arrays(arrays, SETTING), state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_state_takes_the_precision_of_the_setting(make, X, kind, precision):
    dtype, half = PRECISIONS[precision]
    setting = SETTING._replace(dtype=dtype, half=bool(half))
    state = make(kind)
    other = TrainingState.from_arrays(state.to_arrays(), setting)
    assert other.rows.half is bool(half)
    for name in ("values", "first", "second", "initial"):
        assert tensors_of(other)[name].dtype == dtype
        assert_allclose(tensors_of(other)[name], tensors_of(state)[name])
    train(X, other, setting, None, 1, make_generator(0))


# Copies


@pytest.mark.parametrize("kind", KINDS)
def test_later_steps_leave_a_copy_alone(make, X, kind):
    state, schedule = make(kind), SparsitySchedule("linear", 4, 16, 2, rewind=True)
    copied, before = state.copy(), snapshot(state)
    assert_same_state(copied, state)
    for changed, unchanged in ((state, copied), (copied, None)):
        train(X, changed, SETTING, schedule, 3, make_generator(0))
        assert changed.rows.width == 2
        if unchanged is not None:
            for name, tensor in tensors_of(unchanged).items():
                assert torch.equal(tensor, before[name]), name
            assert (unchanged.n_epochs, unchanged.optimizer.n_steps) == (1, 4)
    # And the copy took the same way.
    assert_same_state(copied, state)


def test_a_copy_without_initial_values(make):
    assert make("sparse", keep_initial=False).copy().initial is None


# Embeddings


def dense(rows, values):
    """What row-sparse values stand for."""
    if isinstance(rows, DenseRows):
        return values.numpy() if rows.live is None else (values * rows.live).numpy()
    matrix = np.zeros((N_ITEMS, N_COMPONENTS), dtype=np.float32)
    live = np.ones(values.shape, bool) if rows.live is None else rows.live.numpy()
    items = np.broadcast_to(np.arange(N_ITEMS)[:, None], values.shape)
    matrix[items[live], rows.columns.numpy()[live]] = values.numpy()[live]
    return matrix


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_nonzero", [1, 3, 16])
def test_embeddings_are_the_largest_entries_at_unit_length(make, kind, n_nonzero):
    state = make(kind)
    before = snapshot(state)
    A = dense(state.rows, state.rows.values).astype(np.float64)
    rank = np.argsort(np.argsort(-np.abs(A), axis=1), axis=1)
    A *= rank < n_nonzero
    lengths = np.linalg.norm(A, axis=1, keepdims=True)
    expected = np.divide(A, lengths, out=np.zeros_like(A), where=lengths > 0)
    found = state.embeddings(n_nonzero)
    assert_allclose(found.toarray(), expected, atol=1e-6)
    assert found.dtype == np.float32
    assert np.diff(found.indptr).max() <= n_nonzero
    for name, tensor in tensors_of(state).items():
        assert torch.equal(tensor, before[name]), name


# Losing entries by their initial values


@pytest.mark.parametrize("n_nonzero", [1, 4, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_lowered_keeps_the_entries_of_largest_initial_value(make, kind, n_nonzero):
    state = make(kind)
    # Far from the trained values, which are not what is asked.
    state.initial *= 10 ** torch.rand(state.initial.shape, generator=make_generator(3))
    old, initial = state.rows, dense(state.rows, state.initial)
    before = {
        "values": dense(old, state.rows.values),
        "first": dense(old, state.optimizer.first),
        "second": dense(old, state.optimizer.second),
    }
    rank = np.argsort(np.argsort(-np.abs(initial), axis=1), axis=1)
    kept = (rank < n_nonzero) & (initial != 0)
    state = lowered(state, n_nonzero)
    assert state.rows.width == n_nonzero
    assert state.initial is None
    for name, matrix in before.items():
        tensor = tensors_of(state)[name]
        assert_array_equal(dense(state.rows, tensor), matrix * kept, err_msg=name)
    assert (state.optimizer.n_steps, state.n_epochs) == (4, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_lowered_to_what_there_is_is_a_copy(make, kind):
    state = make(kind)
    for n_nonzero in (state.rows.width, state.rows.width + 1, 1000):
        copy = lowered(state, n_nonzero)
        assert copy.initial is None
        assert_same_state(copy, replace(state, initial=None))


@pytest.mark.parametrize("n_nonzero", [2, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_lowered_leaves_the_state_alone(make, X, kind, n_nonzero):
    """Also when the copy is trained."""
    state = make(kind)
    before = snapshot(state)
    optimizer, n_epochs = replace(state.optimizer), state.n_epochs
    copy = lowered(state, n_nonzero)
    train(X, copy, SETTING, None, 1, make_generator(5))
    for name, tensor in tensors_of(state).items():
        assert torch.equal(tensor, before[name]), name
    assert state.optimizer.n_steps == optimizer.n_steps < copy.optimizer.n_steps
    assert state.n_epochs == n_epochs == copy.n_epochs - 1


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_after_lowering(make, X, kind):
    state = make(kind)
    state = lowered(state, 3)
    pattern = state.embeddings(3)
    losses, _ = train(X, state, SETTING, None, 8, make_generator(5))
    assert losses[-1] < losses[0]
    after = state.embeddings(3)
    assert_array_equal(after.indices, pattern.indices)
    assert_array_equal(after.indptr, pattern.indptr)
