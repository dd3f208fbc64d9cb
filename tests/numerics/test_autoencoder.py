"""Steps against autograd of the whole objective, revival, codes."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.nn.functional import kl_div, normalize
from torch.testing import assert_close

from sksparse_rec._numerics import code_losses
from sksparse_rec._numerics.autoencoder import (
    AUXILIARY_EVERY,
    Autoencoder,
    CodeSetting,
    encode,
    forget_epoch_,
    revive_,
    start,
    train_step,
)
from sksparse_rec._numerics.device import make_generator

CPU = torch.device("cpu")
N_COMPONENTS, N_FEATURES = 20, 7
RATE = 0.02
KINDS = ("free", "tied", "free positive", "tied positive")
SETTING = CodeSetting(
    n_nonzero=4,
    levels=(1, 2, 4, 10),
    weights=(0.25, 0.5, 1, 0.125),
    neighbor_levels=(1, 2, 4),
    neighbor_weight=2.0,
    temperature=0.2,
    positive=False,
    batch_size=16,
    learning_rate=RATE,
    n_decay_epochs=None,
    device=CPU,
)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request):
    """The compiled products, and torch's."""
    if request.param == torch.float32:
        pytest.importorskip("numba")
    return request.param


@pytest.fixture(name="X")
def make_rows(rng):
    """Unit rows and one of zeros."""
    X = normalize(torch.from_numpy(rng.normal(size=(16, N_FEATURES))))
    X[5] = 0
    return X


def setting_of(kind, **changes):
    return SETTING._replace(positive="positive" in kind, **changes)


def make_state(rng, kind="free", dtype=torch.float64):
    """A state on the way: an encoder and an intercept of their own."""
    shape = N_COMPONENTS, N_FEATURES
    decoder, encoder = (torch.from_numpy(rng.normal(size=shape)) for _ in range(2))
    intercept = torch.from_numpy(0.1 * rng.normal(size=N_COMPONENTS))
    encoder = None if "tied" in kind else encoder.to(dtype)
    return Autoencoder.of(normalize(decoder).to(dtype), encoder, intercept.to(dtype))


def copy_of(state, dtype=torch.float64):
    tensors = {name: t.to(dtype).clone() for name, t in state.parameters().items()}
    encoder = tensors.get("encoder")
    return Autoencoder.of(tensors["decoder"], encoder, tensors["intercept"])


def dense_codes(X, E, b, n, positive):
    S = X @ E.T + b
    S = S.relu() if positive else S
    kept = torch.zeros_like(S).scatter(1, S.abs().topk(n, dim=1).indices, 1)
    return S * kept * X.any(dim=1, keepdim=True)


def attention(A, temperature):
    """Log-softmax over the other rows; its diagonal is left out."""
    n = len(A)
    others = ~torch.eye(n, dtype=torch.bool)
    return torch.log_softmax((A @ A.T)[others].view(n, n - 1) / temperature, dim=1)


def objective(parameters, X, setting):
    """The published loss and the neighbourhoods', in plain dense torch."""
    D = normalize(parameters["decoder"])
    coder = parameters.get("encoder", D), parameters["intercept"]
    total = 0
    for n, weight in zip(setting.levels, setting.weights, strict=True):
        S = dense_codes(X, *coder, n, setting.positive)
        cosines = torch.cosine_similarity(S @ D, X, dim=1)
        total = total + weight * (1 - cosines).mean()
    if not setting.neighbor_weight or len(X) == 1:
        return total
    for n in setting.neighbor_levels:
        S = normalize(dense_codes(X, *coder, n, setting.positive))
        found, target = (attention(A, setting.temperature) for A in (S, X))
        loss = kl_div(found, target, log_target=True, reduction="batchmean")
        total = total + setting.neighbor_weight / len(setting.neighbor_levels) * loss
    return total


def plain_step(state, X, setting):
    """The step that ``train_step`` should be, by autograd; with its gradients."""
    parameters = state.parameters()
    leaves = {name: t.clone().requires_grad_() for name, t in parameters.items()}
    loss = objective(leaves, X, setting)
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    gradients = dict(zip(leaves, gradients, strict=True))
    for name, tensor in parameters.items():
        state.optimizers[name].step_(tensor, gradients[name].clone(), RATE)
    state.decoder = normalize(state.decoder)
    return loss.detach(), gradients


def assert_near(ours, theirs, dtype):
    tolerance = 5e-5 if dtype == torch.float32 else 1e-9
    assert ours.dtype == dtype
    assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("neighbor_weight", [0.0, 2.0])
def test_gradient_is_that_of_the_objective(kind, dtype, neighbor_weight, X, rng):
    """The first moments after a first step are a tenth of the gradient."""
    setting = setting_of(kind, neighbor_weight=neighbor_weight)
    state = make_state(rng, kind, dtype)
    plain = copy_of(state)
    loss = train_step(state, X.to(dtype), setting, RATE)
    expected, gradients = plain_step(plain, X, setting)
    assert_near(loss, expected, dtype)
    assert set(gradients) == set(state.optimizers)
    for name, gradient in gradients.items():
        assert gradient.abs().max() > 0.01
        assert_near(state.optimizers[name].first * 10, gradient, dtype)


def test_steps_are_those_of_autograd(kind, X, rng):
    setting = setting_of(kind)
    state = make_state(rng, kind)
    plain = copy_of(state)
    for batch in (X, X.flip(0)[:9], X[:2], X):
        loss = train_step(state, batch, setting, RATE)
        expected, _ = plain_step(plain, batch, setting)
        assert_near(loss, expected, torch.float64)
        for name, tensor in plain.parameters().items():
            assert_near(state.parameters()[name], tensor, torch.float64)
        norms = torch.linalg.vector_norm(state.decoder, dim=1)
        assert_close(norms, torch.ones_like(norms), rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3, 100])
def test_annealed_step(kind, dtype, factor, X, rng):
    """Levels that meet at the limit stay apart in what they weigh."""
    setting = setting_of(kind).at(factor, 10)
    state = make_state(rng, kind, dtype)
    plain = copy_of(state)
    loss = train_step(state, X.to(dtype), setting, RATE)
    expected, gradients = plain_step(plain, X, setting)
    assert_near(loss, expected, dtype)
    assert_near(state.optimizers["decoder"].first * 10, gradients["decoder"], dtype)


def test_annealed_setting():
    annealed = SETTING.at(2.5, 9)
    assert annealed.levels == (2, 5, 9, 9)
    assert annealed.n_nonzero == 9
    assert annealed.neighbor_levels == (2, 5, 9)
    assert annealed.weights == SETTING.weights
    assert SETTING.at(1, 20) == SETTING


@pytest.mark.parametrize("n_batches", [1, 2, 4, 5, 98])
def test_few_batches_have_the_auxiliary_level(n_batches):
    """Over an epoch its weight is that of a share in every batch."""
    settings = [SETTING.on_batch(number, n_batches) for number in range(n_batches)]
    weights = [s.weights[3] for s in settings if s.levels == SETTING.levels]
    assert len(weights) == -(-n_batches // AUXILIARY_EVERY)
    assert sum(weights) == pytest.approx(n_batches * SETTING.weights[3])
    for setting in settings:
        assert setting.levels[:3] == SETTING.levels[:3]
        assert setting.weights[:3] == SETTING.weights[:3]
        assert len(setting.levels) == len(setting.weights)


def test_no_auxiliary_level():
    setting = SETTING._replace(levels=(1, 2, 4), weights=(0.25, 0.5, 1.0))
    assert all(setting.on_batch(number, 9) == setting for number in range(9))


def test_one_row_has_no_neighbors(kind, dtype, X, rng):
    setting = setting_of(kind)
    state = make_state(rng, kind, dtype)
    loss = train_step(copy_of(state, dtype), X[:1].to(dtype), setting, RATE)
    alone = setting._replace(neighbor_weight=0.0)
    assert_near(loss, objective(copy_of(state).parameters(), X[:1], alone), dtype)


def test_rows_of_zeros_teach_nothing(kind, dtype, X, rng):
    state = make_state(rng, kind, dtype)
    before = copy_of(state, dtype).parameters()
    train_step(state, torch.zeros(3, N_FEATURES, dtype=dtype), setting_of(kind), RATE)
    for name, tensor in state.parameters().items():
        assert_near(tensor, before[name].double(), dtype)
    assert not state.fired.any()
    # Beside others they are not what was rebuilt worst.
    train_step(state, X.to(dtype), setting_of(kind), RATE)
    assert not state.worst[0].any()
    assert state.worst[1].any()


def test_rows_orthogonal_to_every_latent_do_no_harm(dtype):
    """Their codes are empty: no direction, and no gradient of any length."""
    state = start(torch.eye(4, 8), 4, False, make_generator(0), CPU)
    state = copy_of(state, dtype)
    X = torch.eye(8, dtype=dtype)
    for _ in range(3):
        loss = train_step(state, X, SETTING._replace(levels=(1, 2, 4, 4)), RATE)
    assert loss.isfinite()
    for optimizer in state.optimizers.values():
        assert optimizer.first.abs().max() < 10


def test_step_of_a_broken_state_is_seen(dtype, X, rng):
    """A single entry is enough; nothing is read or written out of bounds."""
    state = make_state(rng, "free", dtype)
    state.encoder[3, 2] = torch.nan
    for _ in range(3):
        assert train_step(state, X.to(dtype), SETTING, RATE).isnan()


@pytest.mark.parametrize("half", [False, True])
def test_neighbors_are_compared_in_bfloat16_too(X, rng, half, monkeypatch):
    asked = []

    def watched(A, B, half):
        asked.append(half)
        return A @ B

    monkeypatch.setattr(code_losses, "multiply", watched)
    setting = SETTING._replace(half=half)
    train_step(make_state(rng, "free", torch.float32), X.float(), setting, RATE)
    assert asked == [half] * len(SETTING.neighbor_levels)


def test_bfloat16(X, rng):
    state = make_state(rng, "free", torch.float32)
    loss = train_step(copy_of(state, torch.float32), X.float(), SETTING, RATE)
    half = train_step(state, X.float(), SETTING._replace(half=True), RATE)
    assert loss != half
    assert_close(half, loss, rtol=0.05, atol=0)


def test_what_is_remembered(kind, dtype, X, rng):
    setting, X = setting_of(kind), X[:6]
    state = make_state(rng, kind, dtype)
    E, b, D = state.encoder_rows, state.intercept, state.decoder
    S = dense_codes(X, E.double(), b.double(), 4, setting.positive)
    Y = S @ D.double()
    cosines = torch.cosine_similarity(Y, X)
    cosines[5] = 2  # the row of zeros
    worst = cosines.argmin()
    along = normalize(Y[worst], dim=0)
    train_step(state, X.to(dtype), setting, RATE)
    assert_array_equal(state.fired, S.any(dim=0))
    assert not state.fired.all()
    (missing,) = state.worst
    assert_near(missing, X[worst] - along * (along @ X[worst]), dtype)
    for _ in range(N_COMPONENTS + 3):
        train_step(state, X.to(dtype), setting, RATE)
    assert len(state.worst) == N_COMPONENTS
    forget_epoch_(state)
    assert not state.fired.any()
    assert not state.worst


def trained_state(rng, kind, dtype=torch.float32):
    """A state whose moments are not zero, at the beginning of an epoch."""
    state = make_state(rng, kind, dtype)
    X = normalize(torch.from_numpy(rng.normal(size=(40, N_FEATURES))).to(dtype))
    for _ in range(3):
        train_step(state, X, setting_of(kind), RATE)
    for optimizer in state.optimizers.values():
        optimizer.first += 1
    forget_epoch_(state)
    return state


@pytest.mark.parametrize("n_missing", [2, 3, 9])
def test_revival_replaces_only_what_is_dead(kind, n_missing, rng):
    state = trained_state(rng, kind)
    before = copy_of(state, torch.float32)
    moments = {name: o.first.clone() for name, o in state.optimizers.items()}
    dead = [2, 11, 19]
    state.fired[:] = True
    state.fired[dead] = False
    missing = torch.from_numpy(rng.normal(size=(n_missing, N_FEATURES))).float()
    state.worst.extend([torch.zeros(N_FEATURES), *missing])
    assert revive_(state, make_generator(0)) == 3
    changed = (state.decoder != before.decoder).any(dim=1)
    assert set(changed.nonzero().squeeze(1).tolist()) <= set(dead)
    assert changed.sum() == min(3, n_missing)
    directions = normalize(missing)
    nearest = (state.decoder[changed] @ directions.T).max(dim=1)
    assert_close(nearest.values, torch.ones(len(nearest.values)))
    assert len(set(nearest.indices.tolist())) == len(nearest.indices)
    assert not state.intercept[changed].any()
    assert_array_equal(state.intercept[~changed], before.intercept[~changed])
    if state.encoder is not None:
        alive = before.encoder[[i for i in range(N_COMPONENTS) if i not in dead]]
        length = alive.norm(dim=1).mean()
        assert_close(state.encoder[changed], state.decoder[changed] * length)
        assert_array_equal(state.encoder[~changed], before.encoder[~changed])
    for name, optimizer in state.optimizers.items():
        assert not optimizer.first[changed].any()
        assert not optimizer.second[changed].any()
        assert optimizer.first[~changed].any()
        assert_array_equal(optimizer.first[~changed], moments[name][~changed])
    assert not state.fired.any()
    assert not state.worst


@pytest.mark.parametrize("worst", [[], [torch.zeros(N_FEATURES)]])
def test_nothing_is_missing(kind, worst, rng):
    state = trained_state(rng, kind)
    before = copy_of(state, torch.float32).parameters()
    state.worst.extend(worst)
    assert revive_(state, make_generator(0)) == N_COMPONENTS
    for name, tensor in state.parameters().items():
        assert_array_equal(tensor, before[name])


@pytest.mark.parametrize("tied", [False, True])
def test_training_brings_planted_dead_latents_to_life(tied, rng):
    """Latents that look where no row is; without revival they stay dead."""

    def train(revive):
        state = start(X[:10], N_COMPONENTS, tied, make_generator(0), CPU)
        for matrix in (state.decoder, state.encoder_rows):
            matrix[10:] = torch.eye(N_FEATURES)[6]
        losses = []
        for _ in range(12):
            forget_epoch_(state)
            for batch in X.split(25):
                losses.append(train_step(state, batch, setting, RATE))
                norms = state.decoder.double().norm(dim=1)
                assert_close(norms, torch.ones_like(norms), rtol=0, atol=1e-6)
            n_dead = int((~state.fired).sum())
            if revive:
                assert revive_(state, make_generator(1)) == n_dead
        return n_dead, losses

    setting = SETTING._replace(levels=(1, 2, 4), weights=(0.25, 0.5, 1.0))
    X = torch.from_numpy(rng.normal(size=(200, N_FEATURES))).float()
    X[:, 6] = 0
    X = normalize(X)
    n_dead, losses = train(revive=False)
    assert n_dead == 10
    n_dead, revived = train(revive=True)
    assert n_dead == 0
    assert sum(revived[-8:]) < sum(losses[-8:]) < 0.9 * sum(losses[:8])


def test_state_goes_through_arrays(kind, X, rng):
    state = trained_state(rng, kind)
    arrays = state.to_arrays()
    assert all(isinstance(a, np.ndarray | int | float) for a in arrays.values())
    assert ("encoder" in arrays) == ("free" in kind)
    kept = {name: np.copy(array) for name, array in arrays.items()}
    again = Autoencoder.from_arrays(arrays, CPU)
    for one in (state, again):
        train_step(one, X.float(), setting_of(kind), RATE)
    for name, tensor in state.parameters().items():
        assert_array_equal(tensor, again.parameters()[name])
        assert_array_equal(state.optimizers[name].first, again.optimizers[name].first)
    for name, array in arrays.items():
        assert_array_equal(array, kept[name])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("n_rows", [0, 1, 6, N_COMPONENTS])
def test_start(n_rows, tied, rng):
    rows = normalize(torch.from_numpy(rng.normal(size=(n_rows, 7))).float())
    state, same = (
        start(rows, N_COMPONENTS, tied, make_generator(0), CPU) for _ in range(2)
    )
    assert_close(state.decoder[:n_rows], rows)
    assert_close(state.decoder.norm(dim=1), torch.ones(N_COMPONENTS))
    assert len(torch.unique(state.decoder, dim=0)) == N_COMPONENTS
    assert_array_equal(state.encoder_rows, state.decoder)
    assert (state.encoder is None) == tied
    assert tied or state.encoder.data_ptr() != state.decoder.data_ptr()
    assert_array_equal(state.intercept, np.zeros(N_COMPONENTS))
    assert_array_equal(state.decoder, same.decoder)


@pytest.mark.parametrize("n_nonzero", [1, 4, N_COMPONENTS])
def test_encode(kind, dtype, n_nonzero, X, rng):
    state, positive = make_state(rng, kind, dtype), "positive" in kind
    coder = state.encoder_rows, state.intercept
    codes = encode(X.to(dtype), *coder, n_nonzero, positive)
    expected = dense_codes(X, *(t.double() for t in coder), n_nonzero, positive)
    assert_allclose(codes.toarray(), expected, atol=1e-5)
    lengths = np.diff(codes.indptr)
    assert lengths[5] == 0
    assert lengths.max() <= n_nonzero
    assert positive or (lengths == n_nonzero).sum() == 15
    assert codes.data.all()
    assert codes.has_sorted_indices
    assert codes.dtype == (np.float32 if dtype == torch.float32 else np.float64)
    alone = encode(X[:1].to(dtype), *coder, n_nonzero, positive)
    assert_allclose(alone.toarray(), codes[[0]].toarray(), atol=1e-6)


def test_shorter_codes_are_the_beginnings_of_longer_ones(dtype, rng):
    E, b = rng.normal(size=(90, N_FEATURES)), rng.normal(size=90)
    X = normalize(torch.from_numpy(rng.normal(size=(30, N_FEATURES)))).to(dtype)
    coder = [torch.from_numpy(array).to(dtype) for array in (E, b)]
    short, long = (encode(X, *coder, n, False).toarray() for n in (16, 32))
    smallest_kept = np.sort(np.abs(long), axis=1)[:, [-16]]
    assert_array_equal(short, np.where(np.abs(long) >= smallest_kept, long, 0))
