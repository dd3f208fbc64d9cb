"""Compiled products against plain torch, on rows too wide for the small problems."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec._numerics import products_torch
from sksparse_rec._numerics.batching import Batch
from sksparse_rec._numerics.optimizer import NAdam
from sksparse_rec._numerics.rows import SparseRows
from sksparse_rec._numerics.threads import thread_count

products_numba = pytest.importorskip("sksparse_rec._numerics.products_numba")

N_ITEMS, N_USERS = 300, 40


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


@pytest.fixture(params=[64, 70_000], ids=["16 bit columns", "32 bit columns"])
def n_components(request):
    return request.param


@pytest.fixture(params=[1, 6, 17], name="A")
def make_rows(request, rng, dtype, n_components):
    """Rows of every length up to the width, the column 0 stored in every other one."""
    width = request.param
    # Few latents, so that latents meet.
    latents = np.linspace(1, n_components - 1, 40).astype(np.int32)
    columns = np.zeros((N_ITEMS, width), dtype=np.int32)
    live = np.arange(width) < rng.integers(0, width + 1, (N_ITEMS, 1))
    for item in range(N_ITEMS):
        columns[item] = np.sort(rng.choice(latents, width, replace=False))
    columns[::2, 0] = 0
    values = rng.normal(size=columns.shape).astype(dtype)
    values[~live], columns[~live] = 0, 0
    return SparseRows(*map(torch.from_numpy, (values, columns)), n_components)


@pytest.fixture
def batch(rng, dtype):
    users = np.sort(rng.integers(0, N_USERS, 900))
    users = users[users != 3]  # a user without interactions
    items = rng.integers(0, N_ITEMS, len(users))
    values = rng.random(len(users)).astype(dtype)
    return Batch(*map(torch.from_numpy, (users, items, values)), N_USERS, N_ITEMS)


def profiles_like(rng, rows, n_users):
    U = rng.normal(size=(n_users, rows.n_components))
    return torch.from_numpy(U).to(rows.values.dtype)


def assert_same(name, *arguments):
    """Compare the two ways, and the compiled one on one and on three threads."""
    expected = getattr(products_torch, name)(*arguments)
    results = []
    for n_threads in (1, 3):
        with thread_count(n_threads):
            results.append(getattr(products_numba, name)(*arguments))
    if not isinstance(expected, tuple):
        expected, results = (expected,), [(result,) for result in results]
    for result in results:
        assert_close_to(expected, result)
    return results


def assert_close_to(expected, result):
    for one, other in zip(result, expected, strict=True):
        tolerance = 2e-5 if other.dtype == torch.float32 else 1e-12
        assert one.dtype == other.dtype
        assert_allclose(one, other, atol=tolerance, rtol=tolerance)


@pytest.fixture(autouse=True)
def always_threads(monkeypatch):
    monkeypatch.setattr(products_numba, "WORTH_THREADS", 1)


def test_profiles(A, batch):
    one, three = assert_same("profiles", A, batch)
    assert_array_equal(one[0], three[0])


def test_profiles_adjoint(A, batch, rng):
    dU = profiles_like(rng, A, N_USERS)
    before = torch.from_numpy(rng.normal(size=A.values.shape)).to(dU.dtype)

    def add(products, n_threads):
        gradient = before.clone()
        with thread_count(n_threads):
            products.profiles_adjoint(A, batch, dU, gradient)
        return gradient

    one, three = add(products_numba, 1), add(products_numba, 3)
    assert_close_to([add(products_torch, 1)], [one])
    assert_array_equal(one, three)
    assert (one != before).any()


@pytest.mark.parametrize("n_components", [64], indirect=True)
def test_gram(A):
    one, three = assert_same("gram", A)
    assert_array_equal(one[0], three[0])


@pytest.mark.parametrize("n_components", [64], indirect=True)
@pytest.mark.parametrize("look_up", [0, 1000])
def test_gram_adjoint(A, rng, monkeypatch, look_up):
    monkeypatch.setattr(products_torch, "LOOK_UP", look_up)
    H = profiles_like(rng, A, A.n_components)
    one, three = assert_same("gram_adjoint", A, H + H.T)
    assert_array_equal(one[0], three[0])


@pytest.mark.parametrize("n_components", [1, 16, 33, 64], indirect=True)
@pytest.mark.parametrize("A", [1], indirect=True)
def test_gram_is_symmetric(A, dtype):
    """Whether or not tiles fill the matrix; every latent is in some row."""
    values = torch.arange(1, N_ITEMS + 1, dtype=A.values.dtype)[:, None] / N_ITEMS
    columns = torch.arange(N_ITEMS, dtype=torch.int32)[:, None] % A.n_components
    pairs = torch.cat([columns, (columns + 1) % A.n_components], dim=1)
    pairs = pairs.sort(dim=1).values if A.n_components > 1 else columns
    rows = SparseRows(values.repeat(1, pairs.shape[1]), pairs, A.n_components)
    (one,), (three,) = assert_same("gram", rows)
    assert_array_equal(one, one.T)
    assert_array_equal(one, three)
    assert (one.diagonal() > 0).all()


@pytest.mark.parametrize("n_components", [64], indirect=True)
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("part", [slice(0, N_ITEMS), slice(3, 7)], ids=str)
def test_whole_rows(A, half, part):
    """The rows as dense ones, rounded as torch rounds."""
    rows = replace(A, half=half)
    dense = torch.zeros(N_ITEMS, A.n_components, dtype=A.values.dtype)
    for row, columns, values in zip(dense, A.columns, A.values, strict=True):
        row.index_add_(0, columns, values)
    expected = dense[part].bfloat16() if half else dense[part]
    for products in (products_numba, products_torch):
        for n_threads in (1, 3):
            with thread_count(n_threads):
                result = products.whole_rows(rows, part)
            assert result.dtype == expected.dtype
            assert torch.equal(result, expected)


@pytest.mark.parametrize("products", [products_numba, products_torch])
def test_whole_rows_round_ties_to_even(products):
    """And the other way nothing is lost; padding of -0 hides no stored column 0."""
    ulp = 2.0**-7  # of bfloat16, between 1 and 2
    values = [[1 + ulp / 2, -1 - 3 * ulp / 2, 1 + 5 * ulp / 8, 1e-40], [-3, -0.0, 0, 0]]
    columns = [[0, 1, 2, 3], [0, 0, 0, 0]]
    rows = SparseRows(
        torch.tensor(values), torch.tensor(columns, dtype=torch.int32), 5, half=True
    )
    whole = products.whole_rows(rows, slice(0, 2))
    tiny = torch.tensor(1e-40).bfloat16().item()
    expected = [[1, -1 - 2 * ulp, 1 + ulp, tiny, 0], [-3, 0, 0, 0, 0]]
    assert_array_equal(whole.float(), torch.tensor(expected))
    gradient = torch.empty(2, 4)
    products.at_pattern(rows, slice(0, 2), whole, gradient)
    assert_array_equal(gradient[0], torch.tensor(expected[0][:4]))
    assert_array_equal(gradient[1], torch.full((4,), -3.0))


@pytest.mark.parametrize("products", [products_numba, products_torch])
def test_whole_rows_hide_nothing(products):
    """What a diverging fit has made reaches the loss, through bfloat16 too."""
    values = torch.tensor([[torch.inf, -torch.inf, torch.nan, -torch.nan]])
    columns = torch.arange(4, dtype=torch.int32)[None]
    rows = SparseRows(values, columns, 4, half=True)
    whole = products.whole_rows(rows, slice(0, 1))
    assert_array_equal(whole.float(), values)
    gradient = torch.empty(1, 4)
    products.at_pattern(rows, slice(0, 1), whole, gradient)
    assert_array_equal(gradient, values)


@pytest.mark.parametrize("n_components", [64], indirect=True)
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("part", [slice(0, N_ITEMS), slice(3, 7)], ids=str)
def test_at_pattern(A, rng, half, part):
    """Reads whole rows at the entries, and writes no others."""
    rows = replace(A, half=half)
    whole = torch.from_numpy(rng.normal(size=(N_ITEMS, A.n_components)))
    whole = whole.to(torch.bfloat16 if half else A.values.dtype)
    before = torch.full_like(A.values, 7)
    expected = before.clone()
    expected[part] = whole.to(A.values.dtype).gather(1, A.columns.long())[part]
    for products in (products_numba, products_torch):
        for n_threads in (1, 3):
            gradient = before.clone()
            with thread_count(n_threads):
                products.at_pattern(rows, part, whole[part], gradient)
            assert_array_equal(gradient, expected)


@pytest.mark.parametrize("m", [1, 16, 33])
def test_mirror(rng, m):
    G = torch.from_numpy(rng.normal(size=(m, m)))
    expected = G.triu() + G.triu(1).T
    for products in (products_numba, products_torch):
        assert_array_equal(products.mirror_(G.clone()), expected)


@pytest.mark.parametrize(("width", "is_wide"), [(1, False), (30, True)])
def test_wide_rows_are_multiplied_whole(width, is_wide, monkeypatch):
    whole = []
    monkeypatch.setattr(
        SparseRows, "gram_adjoint_of_whole_rows", lambda self, H: whole.append(H)
    )
    columns = torch.arange(width, dtype=torch.int32).repeat(4, 1)
    rows = SparseRows(torch.ones(4, width), columns, 100)
    rows.gram_adjoint(torch.ones(100, 100))
    assert bool(whole) == is_wide


@pytest.mark.parametrize("m", [1, 2, 50])
def test_cosines(rng, dtype, m):
    """Users of every kind: without a history, and without a prediction."""
    A = rng.normal(size=(30, m))
    A[0] = np.eye(m)[0]
    if m > 1:
        A[1:, 0] = 0  # the first item is orthogonal to all others
    X = rng.normal(size=(40, 30)) * (rng.random((40, 30)) < 0.3)
    X[::5], X[1::5], X[2::5, 0] = 0, np.eye(30)[0], 0
    U, G, x_squared = X @ A, A.T @ A, (X**2).sum(axis=1)
    U, UG, x_squared = (
        torch.from_numpy(array.astype(dtype)) for array in (U, U @ G, x_squared)
    )

    def compute(products, n_threads):
        with thread_count(n_threads):
            return products.cosines_(U, UG.clone(), x_squared)

    one, three = compute(products_numba, 1), compute(products_numba, 3)
    assert_close_to(compute(products_torch, 1), one)
    for first, second in zip(one, three, strict=True):
        assert_array_equal(first, second)
    for part in one:
        assert not part[::5].any()
        assert part.isfinite().all()
        assert part[2::5].any(dim=-1).all()
    assert m == 1 or not any(part[1::5].any() for part in one)


@pytest.mark.parametrize("n_components", [64], indirect=True)
def test_scores(A, rng):
    UT = profiles_like(rng, A, 20).T.contiguous()
    one, three = assert_same("scores", A, UT)
    assert_array_equal(one[0], three[0])


@pytest.mark.parametrize("n_components", [64], indirect=True)
def test_scores_adjoint(A, rng):
    UT = profiles_like(rng, A, 20).T.contiguous()
    dYT = torch.from_numpy(rng.normal(size=(N_ITEMS, 20))).to(UT.dtype)
    assert_same("scores_adjoint", A, UT, dYT)


@pytest.mark.parametrize("n_components", [64], indirect=True)
def test_unit_rows(A):
    assert not A.values.any(dim=1).all()
    one, three = assert_same("unit_rows", A.values)
    for first, second in zip(one, three, strict=True):
        assert_array_equal(first, second)


# In a row of a single entry nothing but rounding is left of the gradient.
@pytest.mark.parametrize("A", [6, 17], indirect=True)
@pytest.mark.parametrize("n_components", [64], indirect=True)
def test_descend(A, rng):
    """Three steps, on the way of which the momentum builds up."""
    gradients = rng.normal(size=(3, *A.values.shape))

    def descend(products, n_threads):
        values, state = A.values.clone(), NAdam.start(A.values)
        with thread_count(n_threads):
            for gradient in gradients:
                units, norms = products.unit_rows(values)
                # A copy, as the gradient is used up.
                gradient = torch.tensor(gradient, dtype=values.dtype)
                products.descend_(state, values, gradient, units, norms, 0.1)
        assert state.n_steps == 3
        return values, state.first, state.second

    one, three = descend(products_numba, 1), descend(products_numba, 3)
    assert_close_to(descend(products_torch, 1), one)
    for first, second in zip(one, three, strict=True):
        assert_array_equal(first, second)
