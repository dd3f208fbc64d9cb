"""Training on a GPU ends where training on the CPU does."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec._numerics.autoencoder import (
    Autoencoder,
    CodeSetting,
    encode,
    kernels_of,
    revive_,
    start,
    train_step,
)
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
from sksparse_rec._numerics.vectors import draw_rows, load_vectors, shuffled_vectors

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
    for name, array in moved.to_arrays().items():
        assert_array_equal(array, arrays[name])
    # A GPU sums the norms of the rows in another order than the CPU does.
    assert_allclose(
        moved.embeddings(8).toarray(), state.embeddings(8).toarray(), rtol=1e-6
    )
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


@pytest.fixture(name="vectors")
def make_vectors(rng):
    """A table with a row of zeros and a direction that no row has."""
    X = rng.normal(size=(150, 12))
    X[7], X[:, 3] = 0, 0
    return X


def fit_codes(X, device, *, tied, dtype, **changes):
    """Three epochs with a revival after each, from latents of which some are dead."""
    device, generator = resolve_device(device), make_generator(0)
    options = {
        "n_nonzero": 4,
        "levels": (1, 2, 4, 10),
        "weights": (0.25, 0.5, 1, 0.125),
        "neighbor_levels": (1, 2, 4),
        "neighbor_weight": 3.0,
        "temperature": 0.1,
        "positive": False,
        "batch_size": 32,
        "learning_rate": 0.01,
        "n_decay_epochs": None,
        "device": device,
    }
    setting = CodeSetting(**options | changes)
    vectors = load_vectors(X, None, device)
    state = start(draw_rows(vectors, 20, generator), 24, tied, generator, device)
    for matrix in (state.decoder, state.encoder_rows):
        matrix[20:] = torch.eye(12, device=device)[3]
    arrays = state.to_arrays()
    for name, array in arrays.items():
        if isinstance(array, np.ndarray):
            arrays[name] = torch.from_numpy(array).to(dtype).numpy()
    state = Autoencoder.from_arrays(arrays, device)
    losses, dead = [], []
    for _ in range(3):
        for batch in shuffled_vectors(vectors, setting.batch_size, generator):
            losses.append(float(train_step(state, batch.to(dtype), setting, 0.01)))
        dead.append(revive_(state, generator))
    assert dead[0] >= 4
    return losses, dead, state


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_training_of_codes(vectors, tied, positive):
    options = {"tied": tied, "positive": positive, "dtype": torch.float64}
    losses, dead, state = fit_codes(vectors, "cpu", **options)
    cuda_losses, cuda_dead, cuda_state = fit_codes(vectors, "cuda", **options)
    assert cuda_state.decoder.device.type == "cuda"
    assert cuda_dead == dead
    assert_allclose(cuda_losses, losses, atol=1e-4)
    for name, tensor in state.parameters().items():
        assert_allclose(cuda_state.parameters()[name].cpu(), tensor, atol=1e-4)


@pytest.mark.parametrize("half", [False, True])
def test_training_of_codes_in_less_precision(vectors, half):
    options = {"tied": False, "dtype": torch.float32}
    losses, _, _ = fit_codes(vectors, "cpu", **options)
    cuda_losses, _, state = fit_codes(vectors, "cuda", half=half, **options)
    assert_allclose(cuda_losses[:3], losses[:3], rtol=0.1 if half else 1e-3)
    norms = torch.linalg.vector_norm(state.decoder, dim=1)
    assert_allclose(norms.cpu(), np.ones(24), atol=1e-5)


def test_codes_of_a_state_that_moved(vectors):
    _, _, state = fit_codes(vectors, "cuda", tied=False, dtype=torch.float64)
    moved = Autoencoder.from_arrays(state.to_arrays(), torch.device("cpu"))
    X = torch.from_numpy(vectors)
    codes, cuda_codes = (
        encode(X.to(one.decoder.device), one.encoder_rows, one.intercept, 4, False)
        for one in (moved, state)
    )
    assert_allclose(cuda_codes.toarray(), codes.toarray(), atol=1e-8)
    assert cuda_codes[[7]].nnz == 0


def test_products_of_codes(rng):
    def compute(device):
        activations, D, dY, X = (array.to(device) for array in arrays)
        kernels = kernels_of(D)
        columns, values = kernels.select(activations, 6, False)
        codes, levels = (columns, values), (2, 2, 6)
        P = kernels.products(*codes, 50)
        results = columns, kernels.decode(*codes, D, levels), P
        dvalues = kernels.decode_adjoint(columns, D, levels, dY)
        state = Autoencoder.of(D.clone(), D.clone(), D[:, 0].clone())
        kernels.descend_(state, codes, levels, dY, dvalues, X, 0.01)
        results += dvalues, *state.parameters().values()
        return *results, kernels.products_adjoint(*codes, 50, P)

    shapes = (30, 50), (50, 8), (3, 30, 8), (30, 8)
    arrays = [torch.from_numpy(rng.normal(size=shape)) for shape in shapes]
    for ours, theirs in zip(compute("cuda"), compute("cpu"), strict=True):
        assert ours.device.type == "cuda"
        assert_allclose(ours.cpu(), theirs, atol=1e-10)
