"""Training on a GPU ends where training on the CPU does."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec._numerics.device import make_generator, resolve_device
from sksparse_rec._numerics.elsa import (
    admit_items,
    start_dense,
    start_from_anchors,
    train,
)
from sksparse_rec._numerics.losses import LOSSES
from sksparse_rec._numerics.pruning import SparsitySchedule
from sksparse_rec._numerics.state import Setting, TrainingState

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(name="X")
def make_interactions(rng):
    likes = np.where(np.add.outer(np.arange(200), np.arange(40)) % 2, 0.05, 0.4)
    X = (rng.random((200, 40)) < likes).astype(np.float32)
    X[:, 39] = 0
    return sp.csr_array(X)


def fit(X, device, init, schedule=None, **changes):
    options = {
        "loss": "gram",
        "batch_size": 64,
        "learning_rate": 0.05,
        "n_decay_epochs": None,
        "dropout": 0.0,
        "max_output": None,
        "dtype": torch.float32,
    }
    setting = Setting(**options | changes, device=resolve_device(device))
    popularity = np.bincount(X.indices, minlength=X.shape[1])
    common = {"n_components": 16, "setting": setting, "generator": make_generator(0)}
    if init == "dense":
        rows = start_dense(popularity, **common)
    else:
        rows, _ = start_from_anchors(
            X, popularity, n_nonzero=8, user_weighting=0.5, **common
        )
    state = TrainingState.start(rows, keep_initial=True)
    losses, _ = train(X, state, setting, schedule, 3, make_generator(1))
    return losses, state, setting


def assert_same(X, init, **options):
    losses, state, _ = fit(X, "cpu", init, **options)
    cuda_losses, cuda_state, _ = fit(X, "cuda", init, **options)
    assert cuda_state.rows.values.device.type == "cuda"
    assert_allclose(cuda_losses, losses, atol=1e-4)
    A, cuda_A = (s.embeddings(8).toarray() for s in (state, cuda_state))
    assert_allclose(cuda_A, A, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_training(X, init, loss, dtype):
    assert_same(X, init, loss=loss, dtype=dtype)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("loss", LOSSES)
def test_blocks(X, loss):
    assert_same(X, "anchors", loss=loss)


@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_samples_and_dropout_are_the_same(X, init):
    assert_same(X, init, dropout=0.3, max_output=30, loss="relu", dtype=torch.float64)


@pytest.mark.parametrize("rewind", [False, True])
@pytest.mark.parametrize("target", [3, 7], ids=["sparse", "masked dense"])
@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_pruning(X, init, target, rewind):
    schedule = SparsitySchedule("linear", 2, 16, target, rewind)
    assert_same(X, init, schedule=schedule, dtype=torch.float64)


@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_state_moves_to_the_cpu_and_goes_on(X, init):
    _, state, _ = fit(X, "cuda", init)
    arrays = state.to_arrays()
    assert all(
        value is None or isinstance(value, np.ndarray | int | float)
        for value in arrays.values()
    )
    _, _, setting = fit(X, "cpu", init)
    moved = TrainingState.from_arrays(arrays, setting)
    assert_array_equal(moved.embeddings(8).toarray(), state.embeddings(8).toarray())
    train(X, moved, setting, None, 1, make_generator(2))


@pytest.mark.parametrize("init", ["dense", "anchors"])
def test_admitted_items(X, init):
    later = X.toarray()
    later[:50, 39] = 1
    later = sp.csr_array(later)
    popularity = np.bincount(later.indices, minlength=40)
    results = []
    for device in ("cpu", "cuda"):
        _, state, setting = fit(X, device, init, dtype=torch.float64)
        admit_items(state, later, popularity, setting)
        results.append(state.embeddings(16).toarray())
    assert results[0][39].any()
    assert_allclose(*results, atol=1e-4)
