"""Dense products in parts, against those of one thread."""

import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.overrides import TorchFunctionMode

from sksparse_rec._numerics import products_dense
from sksparse_rec._numerics.products_dense import add_gram_, multiply
from sksparse_rec._numerics.threads import run_parts, thread_count


@pytest.fixture
def worth_threads(monkeypatch):
    monkeypatch.setattr(products_dense, "WORTH_THREADS", 0)
    monkeypatch.setattr(products_dense, "WORTH_THREADS_HALF", 0)


@pytest.fixture
def parts_run(monkeypatch):
    """Numbers of the parts that products are cut into, as they are run."""
    seen = []

    def record(function, bounds):
        seen.append(len(bounds) - 1)
        return run_parts(function, bounds)

    monkeypatch.setattr(products_dense, "run_parts", record)
    return seen


@pytest.fixture
def matrix(rng):
    def draw(*shape, dtype=torch.float32):
        return torch.from_numpy(rng.normal(size=shape)).to(dtype)

    return draw


@pytest.mark.usefixtures("worth_threads")
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("n_rows", "n", "n_parts"), [(31, 8, 1), (40, 2, 2), (60, 8, 3), (90, 2, 5)]
)
def test_multiply_in_threads(matrix, parts_run, half, transposed, n_rows, n, n_parts):
    """It is the product of one thread, and leaves torch's count as it was."""
    A, B = matrix(n_rows, n), matrix(n, 7)
    if transposed:
        A = A.T.contiguous().T
    expected = (A.bfloat16() @ B.bfloat16()).float() if half else A @ B
    before = torch.get_num_threads()
    with thread_count(5, intra_op=4):
        result = multiply(A, B, half)
        assert torch.get_num_threads() == 4
    assert torch.get_num_threads() == before
    assert_array_equal(result, expected)
    assert half == (abs(result - A @ B) > 1e-4).any()
    # In bfloat16 the one side is converted in parts first.
    assert parts_run == ([] if n_parts == 1 else [n_parts] * (1 + half))


@pytest.mark.usefixtures("worth_threads")
@pytest.mark.parametrize("n_threads", [1, 3])
def test_multiply_what_is_in_bfloat16_already(matrix, parts_run, n_threads):
    """The result is too; nothing is converted first."""
    A, B = matrix(60, 8, dtype=torch.bfloat16), matrix(8, 7, dtype=torch.bfloat16)
    with thread_count(n_threads, intra_op=1):
        result = multiply(A, B, half=True)
    assert torch.equal(result, A @ B)
    assert parts_run == ([] if n_threads == 1 else [3])


@pytest.mark.parametrize("half", [False, True])
def test_where_threads_are_worth_it(matrix, monkeypatch, parts_run, half):
    """From a number of multiplications on, and where torch has no threads itself."""
    A = matrix(64, 8)
    dtype = torch.bfloat16 if half else torch.float32
    own, other = "WORTH_THREADS", "WORTH_THREADS_HALF"
    own, other = (other, own) if half else (own, other)
    monkeypatch.setattr(products_dense, other, 0)
    monkeypatch.setattr(products_dense, "STRIP", 2)
    # A Gram matrix takes half of its multiplications.
    for product, work in [
        (lambda: multiply(A, A[:8], half), 64 * 8 * 8),
        (lambda: add_gram_(torch.zeros(8, 8), A.to(dtype)), 64 * 8 * 8 // 2),
    ]:
        for worth, intra_op, is_cut in [
            (work + 1, 1, False),
            (work, 1, True),
            (0, 3, False),
        ]:
            monkeypatch.setattr(products_dense, own, worth)
            parts_run.clear()
            with thread_count(3, intra_op=intra_op):
                product()
            assert bool(parts_run) == is_cut


@pytest.mark.usefixtures("worth_threads")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("m", [1, 4, 18, 29], ids="{} latents".format)
@pytest.mark.parametrize("n_threads", [1, 2, 3, 12])
def test_add_gram(matrix, monkeypatch, parts_run, dtype, m, n_threads):
    """From the diagonal on, in strips: the same whatever the number of threads."""
    monkeypatch.setattr(products_dense, "STRIP", 4)
    block, before = matrix(50, m, dtype=dtype), matrix(m, m)
    G, one = before.clone(), before.clone()
    with thread_count(n_threads, intra_op=1):
        add_gram_(G, block)
    expected = before + (block.T @ block).float()
    # A sum next to the middle of two bfloat16 may be rounded to either.
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-5
    assert_allclose(G.triu(), expected.triu(), rtol=tolerance, atol=tolerance)
    n_pairs = -(-m // 8)
    n_parts = min(n_threads, n_pairs)
    assert parts_run == ([] if n_parts == 1 else [n_parts])
    with thread_count(1):
        add_gram_(one, block)
    assert_array_equal(G.triu(), one.triu())


@pytest.mark.usefixtures("worth_threads")
def test_strips_are_shared_evenly(matrix, monkeypatch):
    """Though the first rows are the longest."""
    G, entries = torch.zeros(40, 40), []

    def one_by_one(function, bounds):
        for part in range(len(bounds) - 1):
            before = G.clone()
            function(part, *bounds[part : part + 2])
            entries.append(int((before != G).sum()))

    monkeypatch.setattr(products_dense, "STRIP", 1)
    monkeypatch.setattr(products_dense, "run_parts", one_by_one)
    with thread_count(4, intra_op=1):
        add_gram_(G, matrix(50, 40))
    assert entries == [40 * 41 // 2 // 4] * 4


@pytest.mark.usefixtures("worth_threads")
def test_threads_are_not_for_devices(monkeypatch, parts_run):
    """There a product is in one piece, and a Gram matrix one product."""
    products = []
    monkeypatch.setattr(products_dense, "STRIP", 2)

    class Count(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function in (torch.Tensor.matmul, torch.Tensor.__matmul__):
                products.append(args[0].shape)
            return function(*args, **(kwargs or {}))

    A, G = (torch.zeros(shape, device="meta") for shape in [(64, 8), (8, 8)])
    with thread_count(3, intra_op=1), Count():
        add_gram_(G, A)
        assert products == [(8, 64)]
        for half in (False, True):
            assert multiply(A, G, half).shape == A.shape
    assert parts_run == []
