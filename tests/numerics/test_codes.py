"""Products of codes against dense formulas, and the compiled ones against torch's."""

import copy
from importlib import import_module
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch.nn.functional import normalize
from torch.testing import assert_close

from sksparse_rec._numerics import autoencoder, codes_dense, codes_torch
from sksparse_rec._numerics.autoencoder import Autoencoder, kernels_of
from sksparse_rec._numerics.products_torch import tangent_
from sksparse_rec._numerics.threads import thread_count

N_FEATURES = 5
# (n_rows, n_components, levels)
SHAPES = {
    "one level": (40, 30, (4,)),
    "levels": (40, 30, (2, 4, 11)),
    "repeated levels": (40, 30, (3, 3, 7, 7)),
    "one entry": (40, 30, (1,)),
    "every latent": (9, 12, (5, 12)),
    "one latent": (9, 1, (1,)),
    "one row": (1, 30, (2, 6)),
    "no latent twice": (3, 4000, (2, 4)),
    "wide": (130, 700, (16, 32, 128)),
}


class Case(NamedTuple):
    columns: torch.Tensor
    values: torch.Tensor
    n_components: int
    levels: tuple

    def dense(self, level=None):
        """The codes as a matrix, differentiably; of the first ``level`` entries."""
        S = self.values.new_zeros(len(self.values), self.n_components)
        return S.scatter(1, self.columns[:, :level].long(), self.values[:, :level])


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


@pytest.fixture(params=["torch", "dense", "numba"])
def kernels(request):
    """All ways, with the type whose gradients can be checked best."""
    if request.param != "numba":
        module = codes_torch if request.param == "torch" else codes_dense
        return module, torch.float64
    return load_compiled(), torch.float32


@pytest.fixture
def codes_numba(monkeypatch):
    """The compiled way, with threads for the smallest work."""
    monkeypatch.setattr(load_compiled(), "WORTH_THREADS", 1)
    return load_compiled()


def load_compiled():
    pytest.importorskip("numba")
    return import_module("sksparse_rec._numerics.codes_numba")


def make_case(rng, shape, dtype=torch.float32):
    n_rows, n_components, levels = shape
    activations = torch.from_numpy(rng.normal(size=(n_rows, n_components)))
    columns, values = codes_torch.select(activations, levels[-1], False)
    return Case(columns, values.to(dtype), n_components, levels)


def normal(rng, *shape, dtype=torch.float32):
    return torch.from_numpy(rng.normal(size=shape)).to(dtype)


def assert_near(ours, theirs):
    tolerance = 3e-5 if theirs.dtype == torch.float32 else 1e-12
    assert ours.dtype == theirs.dtype
    assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def sorted_columns(activations, width, positive):
    """What ``select`` is, of magnitudes that may tie."""
    magnitudes = activations.clamp(min=0) if positive else activations.abs()
    return magnitudes.sort(dim=1, descending=True, stable=True).indices[:, :width]


@pytest.mark.parametrize("positive", [False, True])
def test_select(kernels, shape, positive, rng):
    module, dtype = kernels
    n_rows, n_components, levels = shape
    activations = normal(rng, n_rows, n_components, dtype=dtype)
    columns, values = module.select(activations, levels[-1], positive)
    assert columns.dtype == torch.int32
    expected = sorted_columns(activations, levels[-1], positive)
    kept = activations.clamp(min=0) if positive else activations
    assert_close(values, kept.gather(1, expected), rtol=0, atol=0)
    # The columns of zeros are anyone's.
    assert_array_equal(columns[values != 0], expected[values != 0])
    assert_array_equal(kept.gather(1, columns.long()), values)
    assert all(len(set(row.tolist())) == levels[-1] for row in columns)


@pytest.mark.parametrize("positive", [False, True])
def test_select_of_rows_of_every_scale(kernels, positive, rng):
    """What a row says about the limit of the next one is of no use here."""
    module, dtype = kernels
    activations = normal(rng, 60, 300, dtype=dtype)
    scales = 10.0 ** rng.integers(-30, 30, 60)
    scales[::7] = 1e-44  # below the normal numbers of float32
    scales[::9] = 0
    activations = (activations * torch.from_numpy(scales)[:, None]).to(dtype)
    activations[20] = torch.linspace(1, 1.0001, 300)
    activations[21] = activations[20] * 1e-3
    columns, values = module.select(activations, 9, positive)
    kept = activations.clamp(min=0) if positive else activations
    expected = kept.gather(1, sorted_columns(activations, 9, positive))
    assert_array_equal(values.abs(), expected.abs())
    assert_array_equal(kept.gather(1, columns.long()), values)


@pytest.mark.parametrize("positive", [False, True])
def test_select_in_bfloat16(kernels, shape, positive, rng):
    """The same choice from half the bits; values go on in float32."""
    module, _ = kernels
    n_rows, n_components, levels = shape
    activations = normal(rng, n_rows, n_components).bfloat16()
    columns, values = module.select(activations, levels[-1], positive)
    assert values.dtype == torch.float32
    kept = (activations.clamp(min=0) if positive else activations).float()
    expected = sorted_columns(activations.float(), levels[-1], positive)
    assert_array_equal(values.abs(), kept.gather(1, expected).abs())
    assert_array_equal(kept.gather(1, columns.long()), values)


def test_select_of_fewer_positive_entries_than_wanted(kernels, rng):
    module, dtype = kernels
    activations = -normal(rng, 4, 20, dtype=dtype).abs()
    activations[1, 7], activations[2, [3, 9]] = 1, torch.tensor([2, 5], dtype=dtype)
    activations[3] = -0.0
    columns, values = module.select(activations, 5, True)
    assert_array_equal((values > 0).sum(dim=1), [0, 1, 2, 0])
    assert not values[values <= 0].any()
    assert columns[1, 0] == 7
    assert_array_equal(columns[2, :2], [9, 3])
    assert_array_equal(values[2, :2], [5, 2])
    for row in columns:
        assert len(set(row.tolist())) == 5
        assert 0 <= row.min() <= row.max() < 20


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("width", [1, 6, 64])
def test_ties_go_to_the_lower_column(codes_numba, rng, width, n_threads, positive):
    activations = torch.from_numpy(rng.integers(-3, 4, (50, 64)).astype(np.float32))
    activations[4], activations[5], activations[6] = 0, -0.0, -2
    with thread_count(n_threads):
        columns, _ = codes_numba.select(activations, width, positive)
    assert_array_equal(columns, sorted_columns(activations, width, positive))


@pytest.mark.parametrize("positive", [False, True])
def test_nan_comes_first(kernels, positive, rng):
    """So that a training that diverges notices, wherever it began."""
    module, dtype = kernels
    activations = normal(rng, 5, 80, dtype=dtype)
    activations[1, 33] = torch.nan
    activations[2] = torch.nan
    activations[3, [8, 9]] = torch.tensor([torch.inf, -torch.inf], dtype=dtype)
    columns, values = module.select(activations, 6, positive)
    assert columns.min() >= 0
    assert columns.max() < 80
    assert_array_equal(values.isnan().sum(dim=1), [0, 1, 6, 0, 0])
    assert columns[1, 0] == 33
    assert columns[3, 0] == 8 or not positive
    assert_array_equal(values.isinf().sum(dim=1), [0, 0, 0, 2 - positive, 0])


def test_decode(kernels, shape, rng):
    module, dtype = kernels
    case = make_case(rng, shape, dtype)
    decoder = normal(rng, case.n_components, N_FEATURES, dtype=dtype)
    Y = module.decode(case.columns, case.values, decoder, case.levels)
    expected = torch.stack([case.dense(level) @ decoder for level in case.levels])
    assert_near(Y, expected)


def test_gradient_of_decode(kernels, shape, rng):
    module, dtype = kernels
    case = make_case(rng, shape, dtype)
    decoder = normal(rng, case.n_components, N_FEATURES, dtype=dtype)
    dY = normal(rng, len(case.levels), len(case.values), N_FEATURES, dtype=dtype)
    dvalues = module.decode_adjoint(case.columns, decoder, case.levels, dY)
    assert not dvalues.requires_grad
    case.values.requires_grad_()
    Y = torch.stack([case.dense(level) @ decoder for level in case.levels])
    assert_near(dvalues, torch.autograd.grad(Y, case.values, dY)[0])


def make_state(rng, n_components, tied, dtype=torch.float32):
    """Parameters with moments, as in the middle of a training."""
    tensors = [normal(rng, n_components, N_FEATURES, dtype=dtype) for _ in range(2)]
    intercept = normal(rng, n_components, dtype=dtype)
    encoder = None if tied else tensors[1]
    state = Autoencoder.of(normalize(tensors[0]), encoder, intercept)
    for optimizer in state.optimizers.values():
        optimizer.first += normal(rng, *optimizer.first.shape, dtype=dtype)
        optimizer.second += normal(rng, *optimizer.first.shape, dtype=dtype) ** 2
        optimizer.n_steps, optimizer.momentum_product = 3, 0.2
    return state


@pytest.mark.parametrize("tied", [False, True])
def test_descend(kernels, shape, tied, rng):
    """It follows the gradients of decoding and of encoding, both by autograd."""
    module, dtype = kernels
    case = make_case(rng, shape, dtype)
    state = make_state(rng, case.n_components, tied, dtype)
    X = normal(rng, len(case.values), N_FEATURES, dtype=dtype)
    dY = normal(rng, len(case.levels), *X.shape, dtype=dtype)
    dvalues = normal(rng, *case.values.shape, dtype=dtype)
    before = {name: t.clone() for name, t in state.parameters().items()}
    leaves = {name: t.clone().requires_grad_() for name, t in before.items()}
    D = normalize(leaves["decoder"])
    Y = torch.stack([case.dense(level) @ D for level in case.levels])
    values = X @ leaves.get("encoder", leaves["decoder"]).T + leaves["intercept"]
    total = (Y * dY).sum() + (values.gather(1, case.columns.long()) * dvalues).sum()
    gradients = torch.autograd.grad(total, list(leaves.values()))
    if tied:
        # Encoding is along the raw rows: the part that stretches them is projected out.
        gradients = [tangent_(gradients[0], before["decoder"], 1), gradients[1]]
    optimizers = copy.deepcopy(state.optimizers)
    for (name, tensor), gradient in zip(before.items(), gradients, strict=True):
        optimizers[name].step_(tensor, gradient.clone(), 0.01)
    before["decoder"] = normalize(before["decoder"])
    codes = case.columns, case.values
    module.descend_(state, codes, case.levels, dY, dvalues, X, 0.01)
    for name, tensor in before.items():
        assert_near(state.parameters()[name], tensor)
        for moment in ("first", "second"):
            ours = getattr(state.optimizers[name], moment)
            assert_near(ours, getattr(optimizers[name], moment))
        assert state.optimizers[name].n_steps == 4


@pytest.mark.parametrize("zeros", [[2], [0, 1, 2, 3]])
def test_descend_leaves_rows_of_zeros_alone(kernels, zeros, rng):
    module, dtype = kernels
    state = make_state(rng, 4, False, dtype)
    state.decoder[zeros] = 0
    for optimizer in state.optimizers.values():
        optimizer.first.zero_()
    codes = torch.zeros(3, 1, dtype=torch.int32), torch.zeros(3, 1, dtype=dtype)
    dY, X = normal(rng, 1, 3, N_FEATURES, dtype=dtype), torch.ones(3, N_FEATURES)
    module.descend_(state, codes, (1,), dY, codes[1], X.to(dtype), 0.01)
    assert not state.decoder[zeros].any()
    assert state.decoder.isfinite().all()


def test_products_and_their_gradient(kernels, shape, rng):
    module, dtype = kernels
    case = make_case(rng, shape, dtype)
    n_rows = len(case.values)
    dP = normal(rng, n_rows, n_rows, dtype=dtype)
    dP = dP + dP.T
    P = module.products(case.columns, case.values, case.n_components)
    arguments = case.columns, case.values, case.n_components
    gradient = module.products_adjoint(*arguments, dP)
    case.values.requires_grad_()
    expected = case.dense() @ case.dense().T
    assert_near(P, expected.detach())
    # Each product is met from both sides.
    (both,) = torch.autograd.grad(expected, case.values, dP)
    assert_near(gradient, both / 2)


def results_of(module, case, rng):
    """Everything that the module computes of a case."""
    n_rows, n_components, levels = len(case.values), case.n_components, case.levels
    decoder = normal(rng, n_components, N_FEATURES)
    dY = normal(rng, len(levels), n_rows, N_FEATURES)
    X, dP = normal(rng, n_rows, N_FEATURES), normal(rng, n_rows, n_rows)
    codes = case.columns, case.values
    state = make_state(rng, n_components, False)
    module.descend_(state, codes, levels, dY, normal(rng, *codes[1].shape), X, 0.01)
    return {
        "select": module.select(normal(rng, n_rows, n_components), levels[-1], False),
        "decode": (module.decode(*codes, decoder, levels),),
        "decode_adjoint": (module.decode_adjoint(codes[0], decoder, levels, dY),),
        "descend_": tuple(state.parameters().values()),
        "products": (module.products(*codes, n_components),),
        "products_adjoint": (module.products_adjoint(*codes, n_components, dP + dP.T),),
    }


def test_compiled_equals_torch_on_any_number_of_threads(codes_numba, shape, rng):
    case = make_case(rng, shape)
    results = []
    for n_threads in (1, 3):
        with thread_count(n_threads):
            draws = np.random.default_rng(1)
            results.append(results_of(codes_numba, case, draws))
    expected = results_of(codes_torch, case, np.random.default_rng(1))
    for name, tensors in expected.items():
        one, three = (result[name] for result in results)
        for first, second, other in zip(one, three, tensors, strict=True):
            assert_array_equal(first, second, err_msg=name)
            assert_near(first, other)


def test_dense_equals_torch(shape, rng):
    case = make_case(rng, shape)
    dense, plain = (
        results_of(module, case, np.random.default_rng(1))
        for module in (codes_dense, codes_torch)
    )
    assert dense.keys() == plain.keys()
    for name, tensors in plain.items():
        assert_same(dense[name], tensors)


def tidy(argument):
    return argument.contiguous() if torch.is_tensor(argument) else argument


def assert_same(one, other):
    for ours, theirs in zip(one, other, strict=True):
        assert_near(ours, theirs)


def test_strided_tensors(kernels, rng):
    """Beginnings of codes, and what a transposition leaves."""
    module, dtype = kernels
    wide = make_case(rng, (20, 30, (3, 9)), dtype)
    columns, values = wide.columns[:, :5], wide.values[:, :5]

    def turned(*shape):
        return normal(rng, *shape[::-1], dtype=dtype).T

    activations, decoder = turned(20, 30), turned(30, N_FEATURES)
    dY, X = normal(rng, 2, N_FEATURES, 20, dtype=dtype).mT, turned(20, N_FEATURES)
    assert not any(t.is_contiguous() for t in (columns, values, decoder, dY, X))
    for name, codes, others in (
        ("select", (), (activations, 5, False)),
        ("decode", (columns, values), (decoder, (3, 5))),
        ("decode_adjoint", (columns,), (decoder, (3, 5), dY)),
        ("descend", (columns, values), ((3, 5), dY, values, X)),
        ("products", (columns, values), (30,)),
        ("products_adjoint", (columns, values), (30, X @ X.T)),
    ):
        function = descended(module) if name == "descend" else getattr(module, name)
        assert_same(function(*codes, *others), function(*map(tidy, codes + others)))


def descended(module):
    """What ``descend_`` makes of a state, as a function without side effects."""

    def function(columns, values, levels, dY, dvalues, X):
        state = make_state(np.random.default_rng(2), 30, False, values.dtype)
        module.descend_(state, (columns, values), levels, dY, dvalues, X, 0.01)
        return tuple(state.parameters().values())

    return function


def test_compiled_codes_are_for_float32_on_the_cpu():
    compiled = load_compiled()
    assert kernels_of(torch.ones(2)) is compiled
    assert kernels_of(torch.ones(2, dtype=torch.float64)) is codes_torch


def test_torch_without_numba(monkeypatch):
    monkeypatch.setattr(autoencoder, "load_compiled_codes", lambda: None)
    assert kernels_of(torch.ones(2)) is codes_torch
