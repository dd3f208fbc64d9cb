"""Device code without the device: fake CUDA tensors have shapes and devices, no data.

An operation on tensors of different devices raises, as on a GPU. What reads data
(``int(tensor)``, ``nonzero``) cannot run here, and copies from the host go through
``_numerics.device``, which is replaced.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from sksparse_rec._numerics import (
    autoencoder,
    batching,
    codes_dense,
    losses,
    products_torch,
)
from sksparse_rec._numerics.autoencoder import Autoencoder, CodeSetting, active
from sksparse_rec._numerics.batching import Batch, Interactions, take_users, thin
from sksparse_rec._numerics.code_losses import cosine_loss, neighbor_loss
from sksparse_rec._numerics.elsa import train_step
from sksparse_rec._numerics.losses import LOSSES
from sksparse_rec._numerics.optimizer import NAdam
from sksparse_rec._numerics.products_torch import tangent_, unit_rows
from sksparse_rec._numerics.pruning import prune
from sksparse_rec._numerics.rows import DenseRows, SparseRows
from sksparse_rec._numerics.state import Setting, TrainingState

N_USERS, N_ITEMS, N_COMPONENTS, WIDTH, NNZ = 5, 9, 16, 3, 20
CUDA = torch.device("cuda")


class DataReadError(Exception):
    """The shape of a result is data."""


class Operators(TorchFunctionMode):
    """Reach operators without those Python bindings that ask for a real device."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.__getitem__:
            return self.read(*args)
        if function is torch.Tensor.__setitem__:
            tensor, key, value = args
            if isinstance(key, tuple) and isinstance(key[0], torch.Tensor):
                return tensor.index_put_(key, value)
            return torch.ops.aten.copy_.default(self.read(tensor, key), value)
        if function is torch.Tensor.contiguous:
            return args[0].clone(memory_format=torch.contiguous_format)
        return function(*args, **(kwargs or {}))

    def read(self, tensor, key):
        keys = key if isinstance(key, tuple) else (key,)
        if isinstance(keys[0], torch.Tensor):
            if keys[0].dtype == torch.bool:
                assert keys[0].device == tensor.device
                raise DataReadError
            return torch.ops.aten.index.Tensor(tensor, list(keys))
        dim = 0
        for position, part in enumerate(keys):
            if part is Ellipsis:
                dim = tensor.ndim - len(keys[position + 1 :])
            elif part is None:
                tensor, dim = tensor.unsqueeze(dim), dim + 1
            elif isinstance(part, slice):
                tensor = torch.ops.aten.slice.Tensor(tensor, dim, part.start, part.stop)
                dim += 1
            else:
                tensor = tensor.select(dim, part)
        return tensor


def all_users(batch, start, stop):
    """``losses._user_block`` of one block; the bounds of more are data."""
    assert (start, stop) == (0, batch.n_users)
    return batch


@pytest.fixture(autouse=True)
def fake_cuda(monkeypatch):
    monkeypatch.setattr(losses, "_user_block", all_users)
    with FakeTensorMode(), Operators():
        yield


@pytest.fixture
def batch():
    entries = torch.zeros(NNZ, dtype=torch.int64, device=CUDA)
    return Batch(entries, entries, torch.ones(NNZ, device=CUDA), N_USERS, N_ITEMS)


@pytest.fixture(params=["dense", "masked dense", "sparse", "padded sparse"])
def rows(request):
    sparse = "sparse" in request.param
    shape = N_ITEMS, WIDTH if sparse else N_COMPONENTS
    values = torch.ones(shape, device=CUDA)
    live = None
    if request.param in ("masked dense", "padded sparse"):
        live = torch.ones(shape, dtype=torch.bool, device=CUDA)
    if not sparse:
        return DenseRows(values, live)
    columns = torch.zeros(shape, dtype=torch.int32, device=CUDA)
    return SparseRows(values, columns, N_COMPONENTS, live)


def assert_on_cuda(tensor, *shape):
    assert tensor.device.type == "cuda"
    assert tensor.shape == shape


def test_mixing_devices_raises():
    """What all the tests below rely on."""
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(2, device=CUDA) + torch.ones(2)


@pytest.mark.usefixtures("any_blocks")
def test_products(rows, batch):
    shape = rows.values.shape
    dU = torch.ones(N_USERS, N_COMPONENTS, device=CUDA)
    H = torch.ones(N_COMPONENTS, N_COMPONENTS, device=CUDA)
    dYT = torch.ones(N_ITEMS, N_USERS, device=CUDA)
    assert_on_cuda(rows.profiles(batch), N_USERS, N_COMPONENTS)
    assert_on_cuda(rows.gram(), N_COMPONENTS, N_COMPONENTS)
    gradient = rows.gram_adjoint(H)
    rows.profiles_adjoint(batch, dU, gradient)
    assert_on_cuda(gradient, *shape)
    assert_on_cuda(rows.scores(dU.T.contiguous()), N_ITEMS, N_USERS)
    dA, dUT = rows.scores_adjoint(dU.T.contiguous(), dYT)
    assert_on_cuda(dA, *shape)
    assert_on_cuda(dUT, N_COMPONENTS, N_USERS)
    some = rows.take(torch.zeros(4, dtype=torch.int64, device=CUDA))
    assert_on_cuda(some.values, 4, shape[1])


@pytest.mark.usefixtures("any_blocks")
@pytest.mark.parametrize(
    ("half", "n_components", "ways"),
    [
        (False, 24, ["sums of rows"]),
        (False, 25, ["look-ups"]),
        (False, 60, ["look-ups"]),
        (False, 61, ["pairs", "look-ups"]),
        (True, 24, []),
        (True, 120, []),
        (True, 121, ["pairs", "look-ups"]),
    ],
)
def test_ways_to_products(monkeypatch, half, n_components, ways):
    """By the width, on a device; what takes no other way multiplies whole rows."""
    taken = []

    def record(module, name, way):
        function = getattr(module, name)

        def recorded(*args, **kwargs):
            taken.append(way)
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, recorded)

    record(products_torch, "gram", "pairs")
    record(products_torch, "embedding_bag", "sums of rows")
    record(torch, "bmm", "look-ups")
    columns = torch.zeros(N_ITEMS, WIDTH, dtype=torch.int32, device=CUDA)
    values = torch.ones(N_ITEMS, WIDTH, device=CUDA)
    rows = SparseRows(values, columns, n_components, half=half)
    H = torch.ones(n_components, n_components, device=CUDA)
    for result, shape in ((rows.gram(), H.shape), (rows.gram_adjoint(H), values.shape)):
        assert_on_cuda(result, *shape)
        assert result.dtype == torch.float32
    assert list(dict.fromkeys(taken)) == ways


def test_blocks_of_whole_rows(monkeypatch):
    """They hold as many entries on a device as other temporaries there."""
    parts, whole_rows = [], products_torch.whole_rows

    def record(rows, part):
        parts.append(part)
        return whole_rows(rows, part)

    monkeypatch.setattr(products_torch, "whole_rows", record)
    monkeypatch.setattr(products_torch, "DEVICE_BLOCK_ENTRIES", 4 * N_COMPONENTS)
    columns = torch.zeros(N_ITEMS, WIDTH, dtype=torch.int32, device=CUDA)
    values = torch.ones(N_ITEMS, WIDTH, device=CUDA)
    rows = SparseRows(values, columns, N_COMPONENTS, half=True)
    H = torch.ones(N_COMPONENTS, N_COMPONENTS, device=CUDA)
    for product in (rows.gram, lambda: rows.gram_adjoint(H)):
        parts.clear()
        product()
        assert parts == [slice(0, 4), slice(4, 8), slice(8, 12)]


@pytest.mark.parametrize("kind", LOSSES)
def test_losses(kind, rows, batch):
    loss, gradient = LOSSES[kind](batch, rows)
    assert_on_cuda(loss)
    assert_on_cuda(gradient, *rows.values.shape)


def test_normalisation(rows):
    values, norms = unit_rows(rows.values)
    assert_on_cuda(values, *rows.values.shape)
    assert_on_cuda(norms, N_ITEMS, 1)
    gradient = tangent_(torch.ones_like(values), values, norms)
    assert_on_cuda(gradient, *rows.values.shape)


def test_optimizer(rows):
    state = NAdam.start(rows.values)
    state.step_(rows.values, torch.ones_like(rows.values), 0.1)
    for tensor in (rows.values, state.first, state.second):
        assert_on_cuda(tensor, *rows.values.shape)


@pytest.mark.parametrize("rewind", [False, True])
def test_pruning_to_masked_rows(rewind):
    """To sparse rows the mask is read: no padding, no mask."""
    values = torch.ones(N_ITEMS, N_COMPONENTS, device=CUDA)
    pruned, initial, optimizer = prune(
        DenseRows(values), 9, values, NAdam.start(values), rewind=rewind
    )
    for tensor in (pruned.values, pruned.live, initial, optimizer.first):
        assert_on_cuda(tensor, N_ITEMS, N_COMPONENTS)


@pytest.mark.parametrize("loss", LOSSES)
def test_whole_step(loss, rows, batch):
    setting = Setting(
        loss=loss,
        batch_size=N_USERS,
        learning_rate=0.1,
        n_decay_epochs=None,
        dropout=0.0,
        max_output=None,
        dtype=torch.float32,
        device=CUDA,
    )
    state = TrainingState.start(rows, keep_initial=True)
    assert_on_cuda(train_step(batch, state, setting, 0.1, None))
    assert_on_cuda(state.rows.values, *rows.values.shape)


def test_cutting_batches(monkeypatch):
    """The number of entries is read; it is all that take_users reads."""
    monkeypatch.setattr(batching, "int", lambda tensor: NNZ, raising=False)
    interactions = Interactions(
        torch.zeros(N_USERS + 1, dtype=torch.int64, device=CUDA),
        torch.zeros(NNZ, dtype=torch.int32, device=CUDA),
        torch.ones(NNZ, device=CUDA),
        N_ITEMS,
    )
    users = torch.zeros(2, dtype=torch.int64, device=CUDA)
    batch = take_users(interactions, users)
    for tensor in batch[:3]:
        assert_on_cuda(tensor, NNZ)


def test_thinning(batch):
    """The draw is made on the host and moved over; the mask's count is data."""
    with pytest.raises(DataReadError):
        thin(batch, 0.5, None)


N_ROWS, N_FEATURES, LEVELS = 8, 6, (1, 2, 2, WIDTH)
# The device that has no data at all: Python's bindings of some operators ask a fake
# one for streams.
META = torch.device("meta")


@pytest.fixture(params=[CUDA, META], ids=str)
def place(request):
    return request.param


@pytest.fixture
def codes(place):
    columns = torch.zeros(N_ROWS, WIDTH, dtype=torch.int32, device=place)
    return columns, torch.ones(N_ROWS, WIDTH, device=place)


@pytest.fixture
def vectors(place):
    return torch.ones(N_ROWS, N_FEATURES, device=place)


@pytest.fixture
def latents(place):
    return torch.ones(N_COMPONENTS, N_FEATURES, device=place)


def assert_at(place, tensor, *shape):
    assert tensor.device.type == place.type
    assert tensor.shape == shape


@pytest.mark.parametrize("positive", [False, True])
def test_choosing_codes(place, vectors, latents, positive):
    """Away from the CPU the products are dense."""
    assert autoencoder.kernels_of(vectors) is codes_dense
    intercept = torch.zeros(N_COMPONENTS, device=place)
    columns, values = active(vectors, latents, intercept, WIDTH, positive)
    assert_at(place, columns, N_ROWS, WIDTH)
    assert_at(place, values, N_ROWS, WIDTH)
    assert columns.dtype == torch.int32


def test_products_of_codes(place, codes, latents):
    Y = codes_dense.decode(*codes, latents, LEVELS)
    assert_at(place, Y, len(LEVELS), N_ROWS, N_FEATURES)
    P = codes_dense.products(*codes, N_COMPONENTS)
    assert_at(place, P, N_ROWS, N_ROWS)
    dvalues = codes_dense.products_adjoint(*codes, N_COMPONENTS, P)
    assert_at(place, dvalues, N_ROWS, WIDTH)


def test_gradient_of_codes(place, codes, vectors, latents):
    dY = vectors.expand(len(LEVELS), N_ROWS, N_FEATURES)
    dvalues = codes_dense.decode_adjoint(codes[0], latents, LEVELS, dY)
    assert_at(place, dvalues, N_ROWS, WIDTH)


def test_losses_of_codes(place, codes, vectors):
    Y = vectors.expand(len(LEVELS), N_ROWS, N_FEATURES)
    loss, dY, cosines = cosine_loss(Y, vectors, (0.5,) * len(LEVELS))
    assert_at(place, loss)
    assert_at(place, dY, *Y.shape)
    assert_at(place, cosines, len(LEVELS), N_ROWS)
    loss, gradient = neighbor_loss(codes_dense, *codes, N_COMPONENTS, vectors, 0.1)
    assert_at(place, loss)
    assert_at(place, gradient, N_ROWS, WIDTH)


@pytest.fixture(params=["free", "tied"])
def code_state(request, place, latents):
    encoder = None if request.param == "tied" else latents.clone()
    return Autoencoder.of(latents, encoder, torch.zeros(N_COMPONENTS, device=place))


@pytest.mark.parametrize("place", [META], ids=str)
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_whole_step_of_codes(place, code_state, vectors, half, positive):
    """Nothing of it reads the device."""
    setting = CodeSetting(
        n_nonzero=2,
        levels=LEVELS,
        weights=(0.5,) * len(LEVELS),
        neighbor_levels=(1, 2),
        neighbor_weight=1.0,
        temperature=0.1,
        positive=positive,
        batch_size=N_ROWS,
        learning_rate=0.1,
        n_decay_epochs=None,
        device=place,
        half=half,
    )
    assert_at(place, autoencoder.train_step(code_state, vectors, setting, 0.1))
    for name, tensor in code_state.parameters().items():
        assert_at(place, tensor, *tensor.shape)
        assert_at(place, code_state.optimizers[name].first, *tensor.shape)


def test_remembering_what_fired(place, code_state, codes, vectors):
    cosines = torch.ones(N_ROWS, device=vectors.device)
    autoencoder._remember(code_state, vectors, *codes, vectors, cosines)
    assert_at(place, code_state.fired, N_COMPONENTS)
    assert_at(place, code_state.worst[-1], N_FEATURES)
