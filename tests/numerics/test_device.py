import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from sksparse_rec._numerics.device import (
    copy_generator,
    has_bfloat16,
    make_generator,
    resolve_device,
    to_csr,
    to_device,
    to_numpy,
)


@pytest.fixture
def without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("without_cuda")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_absent_cuda_is_named_with_the_way_out(device):
    with pytest.raises(
        ValueError, match=r"device='cuda.*no CUDA device.*device='auto'"
    ):
        resolve_device(device)


@pytest.mark.usefixtures("without_cuda")
@pytest.mark.parametrize("device", ["auto", "cpu", torch.device("cpu")])
def test_cpu_is_there_always(device):
    assert resolve_device(device) == torch.device("cpu")


def test_auto_takes_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == resolve_device("cuda:0").type == "cuda"
    assert resolve_device("cpu").type == "cpu"


def test_a_device_that_nothing_is_computed_on():
    with pytest.raises(ValueError, match=r"device='meta' is not supported: pass 'au"):
        resolve_device("meta")


@pytest.mark.parametrize("answer", [True, False])
def test_bfloat16_in_hardware(monkeypatch, answer):
    # A GPU is asked for its own, and not for what it emulates.
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation: answer or including_emulation,
    )
    assert has_bfloat16(torch.device("cuda")) is answer
    assert not has_bfloat16(torch.device("mps"))
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not has_bfloat16(torch.device("cpu"))
    monkeypatch.setattr(
        torch.cpu, "_is_amx_tile_supported", lambda: answer, raising=False
    )
    assert has_bfloat16(torch.device("cpu")) is answer


def test_generator_is_its_own():
    before = torch.random.get_rng_state()
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
    draws = [torch.rand(5, generator=make_generator(seed)) for seed in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_a_copy_of_a_generator_draws_what_it_would_draw():
    generator = make_generator(3)
    torch.rand(5, generator=generator)
    copy = copy_generator(generator)
    drawn = torch.rand(5, generator=copy)
    assert torch.equal(torch.rand(5, generator=generator), drawn)
    assert not torch.equal(torch.rand(5, generator=copy), drawn)


def test_arrays_survive_the_way_to_the_device_and_back():
    array = np.arange(12.0).reshape(3, 4)
    tensor = to_device(array[:, ::-1].T, "cpu", torch.float32)
    assert tensor.dtype == torch.float32
    assert_array_equal(to_numpy(tensor), array[:, ::-1].T)
    assert_array_equal(to_numpy(tensor.clone().requires_grad_()), array[:, ::-1].T)


def test_to_csr_drops_padding_and_zeros():
    values = torch.tensor([[1.0, 2.0, 0.0], [5.0, 9.0, 9.0], [0.0, 0.0, 0.0]])
    columns = torch.tensor([[4, 1, 2], [0, 0, 0], [0, 0, 0]], dtype=torch.int32)
    live = torch.tensor([[True, True, True], [True, False, False], [False] * 3])
    matrix = to_csr(values, columns, live, 5)
    assert_array_equal(
        matrix.toarray(), [[0, 2, 0, 0, 1], [5, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    )
    assert_array_equal(matrix.indices, [1, 4, 0])
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert matrix.dtype == np.float32
    assert matrix.has_canonical_format


def test_to_csr_without_padding():
    values = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    columns = torch.tensor([[0, 2], [2, 1]], dtype=torch.int32)
    matrix = to_csr(values, columns, None, 3)
    assert_array_equal(matrix.toarray(), [[1, 0, 0], [0, 4, 3]])
    assert matrix.nnz == 3
