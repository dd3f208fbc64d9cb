"""Losses of codes and their gradients, against autograd of dense formulas."""

import math
from importlib import import_module

import pytest
import torch
from torch.nn.functional import kl_div, normalize
from torch.testing import assert_close

from sksparse_rec._numerics import codes_dense, codes_torch
from sksparse_rec._numerics.code_losses import cosine_loss, neighbor_loss

N_COMPONENTS, N_FEATURES, WIDTH = 14, 6, 4


@pytest.fixture(params=["torch", "dense", "numba"])
def kernels(request):
    """All ways, with the type whose gradients can be checked best."""
    if request.param != "numba":
        module = codes_torch if request.param == "torch" else codes_dense
        return module, torch.float64
    pytest.importorskip("numba")
    return import_module("sksparse_rec._numerics.codes_numba"), torch.float32


def units(rng, n_rows, dtype=torch.float64):
    return normalize(torch.from_numpy(rng.normal(size=(n_rows, N_FEATURES)))).to(dtype)


def codes(rng, n_rows, dtype=torch.float64):
    activations = torch.from_numpy(rng.normal(size=(n_rows, N_COMPONENTS)))
    return codes_torch.select(activations.to(dtype), WIDTH, False)


def dense_neighbor_loss(columns, values, X, temperature):
    """The formula, row by row."""
    S = values.new_zeros(len(values), N_COMPONENTS).scatter(1, columns.long(), values)
    S = normalize(S)
    total = 0
    for i in range(len(X)):
        others = [j for j in range(len(X)) if j != i]
        target = torch.softmax(X[others] @ X[i] / temperature, 0)
        found = torch.log_softmax(S[others] @ S[i] / temperature, 0)
        total = total + kl_div(found, target, reduction="sum")
    return total / len(X)


def assert_near(ours, theirs, scale=1.0):
    tolerance = scale * (2e-5 if theirs.dtype == torch.float32 else 1e-11)
    assert ours.dtype == theirs.dtype
    assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("weights", [(1.0,), (0.25, 0.5, 1, 0.125)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cosine_loss(rng, weights, dtype):
    X = units(rng, 7, dtype)
    Y = torch.from_numpy(rng.normal(size=(len(weights), 7, N_FEATURES))).to(dtype)
    Y[0, 2] *= 1e-5
    Y[0, 3] = -X[3]  # as far away as can be
    Y[0, 4] = 2 * X[4]
    loss, dY, cosines = cosine_loss(Y, X, weights)
    Y.requires_grad_()
    expected_cosines = torch.cosine_similarity(Y, X[None], dim=2)
    expected = (1 - expected_cosines.mean(dim=1)) @ Y.new_tensor(weights)
    assert_near(loss, expected.detach())
    assert_near(cosines, expected_cosines.detach())
    (gradient,) = torch.autograd.grad(expected, Y)
    # The steep row is compared at its own scale.
    assert_near(dY[0, 2], gradient[0, 2], scale=1e5)
    gradient[0, 2] = dY[0, 2]
    assert_near(dY, gradient)


def test_cosine_loss_ignores_lengths(rng):
    X, Y = units(rng, 5), torch.from_numpy(rng.normal(size=(2, 5, N_FEATURES)))
    one, dY, _ = cosine_loss(Y, X, (1, 2))
    other, shallower, _ = cosine_loss(8 * Y, X, (1, 2))
    assert_near(other, one)
    assert_near(8 * shallower, dY)
    assert_near((dY * Y).sum(dim=2), torch.zeros(2, 5, dtype=Y.dtype))


def test_cosine_loss_of_zeros(rng):
    """What has no direction has no gradient, and counts as orthogonal."""
    X, Y = units(rng, 4), torch.from_numpy(rng.normal(size=(2, 4, N_FEATURES)))
    X[0] = 0
    Y[0, 1] = 0
    Y[1, 2] = 1e-12
    loss, dY, cosines = cosine_loss(Y, X, (1, 1))
    assert not cosines[:, 0].any()
    assert cosines[0, 1] == cosines[1, 2] == 0
    assert not dY[:, 0].any()
    assert not dY[0, 1].any()
    assert not dY[1, 2].any()
    assert dY[1, 1].any()
    assert_near(loss, (2 - cosines.sum() / 4))


@pytest.mark.parametrize("temperature", [0.05, 0.3])
@pytest.mark.parametrize("n_rows", [2, 3, 25])
def test_neighbor_loss(kernels, rng, n_rows, temperature):
    module, dtype = kernels
    X, (columns, values) = units(rng, n_rows), codes(rng, n_rows)
    values[-1] *= 1e3  # the length of a code does not count
    loss, gradient = neighbor_loss(
        module, columns, values.to(dtype), N_COMPONENTS, X.to(dtype), temperature
    )
    assert (n_rows == 2) == (loss == 0)  # all attention on the only other row
    values.requires_grad_()
    expected = dense_neighbor_loss(columns, values, X, temperature)
    (expected_gradient,) = torch.autograd.grad(expected, values)
    assert_near(loss, expected.detach().to(dtype))
    assert_near(gradient, expected_gradient.to(dtype), scale=1 / temperature)


def test_neighbor_loss_of_the_same_neighborhoods_is_zero(kernels):
    """Codes that are the vectors themselves, times what does not count."""
    module, _ = kernels
    X = normalize(torch.rand(9, 5, generator=torch.Generator().manual_seed(0)))
    columns = torch.arange(5, dtype=torch.int32).repeat(9, 1)
    loss, gradient = neighbor_loss(module, columns, 7 * X, 5, X, 0.1)
    assert abs(float(loss)) < 1e-6
    assert_close(gradient, torch.zeros(9, 5), rtol=0, atol=1e-6)


def test_neighbor_loss_of_one_row(kernels, rng):
    """Without another row there is no attention to spread."""
    module, dtype = kernels
    columns, values = codes(rng, 1, dtype)
    X = units(rng, 1, dtype)
    loss, gradient = neighbor_loss(module, columns, values, N_COMPONENTS, X, 0.1)
    assert loss == 0
    assert_close(gradient, torch.zeros_like(values), rtol=0, atol=0)


def test_neighbor_loss_of_equal_rows(kernels, rng):
    """All attention is even already."""
    module, dtype = kernels
    columns, values = (part.repeat(6, 1) for part in codes(rng, 1, dtype))
    X = units(rng, 1, dtype).repeat(6, 1)
    loss, gradient = neighbor_loss(module, columns, values, N_COMPONENTS, X, 0.1)
    assert abs(float(loss)) < 1e-6
    assert_near(gradient, torch.zeros_like(values))


def test_neighbor_loss_of_empty_codes(kernels, rng):
    """They are orthogonal to everything and stay, and the others learn as ever."""
    module, dtype = kernels
    X, (columns, values) = units(rng, 8), codes(rng, 8)
    X[3] = 0
    values[[3, 5]] = 0
    loss, gradient = neighbor_loss(
        module, columns, values.to(dtype), N_COMPONENTS, X.to(dtype), 0.2
    )
    values.requires_grad_()
    expected = dense_neighbor_loss(columns, values, X, 0.2)
    (expected_gradient,) = torch.autograd.grad(expected, values)
    assert_near(loss, expected.detach().to(dtype))
    assert not gradient[[3, 5]].any()
    others = [0, 1, 2, 4, 6, 7]
    assert_near(gradient[others], expected_gradient[others].to(dtype), scale=5)
    # No loss of precision beside what is empty.
    assert gradient.abs().max() < 10


def test_neighbor_loss_of_nothing_but_empty_codes(kernels, rng):
    module, dtype = kernels
    columns, values = codes(rng, 5, dtype)
    X = units(rng, 5, dtype)
    loss, gradient = neighbor_loss(module, columns, 0 * values, N_COMPONENTS, X, 0.1)
    assert math.isfinite(loss)
    assert loss > 0
    assert not gradient.any()


def test_sharp_attention_is_finite(kernels, rng):
    """Most weights vanish at this temperature."""
    module, dtype = kernels
    X, (columns, values) = units(rng, 20, dtype), codes(rng, 20, dtype)
    loss, gradient = neighbor_loss(module, columns, values, N_COMPONENTS, X, 1e-3)
    assert math.isfinite(loss)
    assert gradient.isfinite().all()
