import threading

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from sksparse_rec._numerics.device import (
    make_generator,
    resolve_device,
    thread_count,
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


def test_generator_is_its_own():
    before = torch.random.get_rng_state()
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
    draws = [torch.rand(5, generator=make_generator(seed)) for seed in (3, 3, 4)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


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


@pytest.fixture
def threads():
    """Start from a count that no block below asks for; put it back."""
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    yield 5
    torch.set_num_threads(before)


def test_thread_count_is_restored(threads):
    with thread_count(2):
        assert torch.get_num_threads() == 2
        with thread_count(3):
            assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == threads
    with thread_count(None):
        assert torch.get_num_threads() == threads


def test_thread_count_is_restored_after_an_error(threads):
    with pytest.raises(KeyError), thread_count(2):
        raise KeyError
    assert torch.get_num_threads() == threads
    with thread_count(3):
        pass
    assert torch.get_num_threads() == threads


def test_inner_block_gives_the_outer_its_count_back(threads):
    with thread_count(2):
        with thread_count(3):
            pass
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == threads


def test_overlapping_threads_restore_what_the_first_found(threads):
    """First in, first out: the later block found the count of the earlier one."""
    first_inside, second_inside = threading.Event(), threading.Event()
    first_left = threading.Event()
    counts = {}

    def first():
        with thread_count(2):
            first_inside.set()
            assert second_inside.wait(10)
        counts["first"] = torch.get_num_threads()
        first_left.set()

    def second():
        assert first_inside.wait(10)
        with thread_count(3):
            counts["inside"] = torch.get_num_threads()
            second_inside.set()
            assert first_left.wait(10)
        counts["second"] = torch.get_num_threads()

    workers = [threading.Thread(target=work) for work in (first, second)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert counts == {"inside": 3, "first": threads, "second": threads}
    assert torch.get_num_threads() == threads
    # A thread that starts afterwards finds it too.
    late = []
    worker = threading.Thread(target=lambda: late.append(torch.get_num_threads()))
    worker.start()
    worker.join(20)
    assert late == [threads]
