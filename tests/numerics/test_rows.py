"""Products of both row classes, and their adjoints, against dense numpy."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sksparse_rec._numerics.products_torch import tangent_, unit_rows
from sksparse_rec._numerics.rows import DenseRows, SparseRows

pytestmark = pytest.mark.usefixtures("any_blocks", "any_products", "any_gram")


@pytest.fixture
def dense(rows, densify):
    return densify(rows, rows.values).numpy()


def profiles_adjoint(rows, batch, dU):
    """What is added to a gradient, which is not zero."""
    gradient = torch.ones_like(rows.values)
    rows.profiles_adjoint(batch, dU, gradient)
    return gradient - 1


def assert_at_pattern(actual, rows, expected, at_pattern):
    """Compare where the pattern is live: at padding an adjoint may be anything."""
    expected = at_pattern(rows, torch.from_numpy(expected))
    if rows.live is not None:
        actual, expected = actual * rows.live, expected * rows.live
    assert_allclose(actual, expected, atol=1e-12)


def test_profiles(rows, dense, batch, histories):
    assert_allclose(rows.profiles(batch), histories @ dense, atol=1e-12)


def test_profiles_adjoint(rows, batch, histories, rng, at_pattern):
    dU = rng.normal(size=(len(histories), rows.n_components))
    adjoint = profiles_adjoint(rows, batch, torch.from_numpy(dU))
    assert_at_pattern(adjoint, rows, histories.T @ dU, at_pattern)


@pytest.mark.parametrize(
    "users", [[1], [1, 1], [0, 1], [1, 0]], ids=lambda users: str(users)
)
def test_products_of_users_without_interactions(
    rows, dense, histories, users, make_batch, rng, at_pattern
):
    X = histories[users]
    batch = make_batch(X)
    assert_allclose(rows.profiles(batch), X @ dense, atol=1e-12)
    dU = rng.normal(size=(len(X), rows.n_components))
    adjoint = profiles_adjoint(rows, batch, torch.from_numpy(dU))
    assert_at_pattern(adjoint, rows, X.T @ dU, at_pattern)


def test_gram(rows, dense):
    assert_allclose(rows.gram(), dense.T @ dense, atol=1e-12)


def test_gram_adjoint(rows, dense, rng, at_pattern):
    H = rng.normal(size=(rows.n_components, rows.n_components))
    H = H + H.T
    adjoint = rows.gram_adjoint(torch.from_numpy(H))
    assert_at_pattern(adjoint, rows, dense @ H, at_pattern)
    if isinstance(rows, SparseRows):
        adjoint = rows.gram_adjoint_of_whole_rows(torch.from_numpy(H))
        assert_at_pattern(adjoint, rows, dense @ H, at_pattern)


def test_scores_and_their_adjoints(rows, dense, rng, at_pattern):
    U = rng.normal(size=(4, rows.n_components))
    dY = rng.normal(size=(4, len(dense)))
    UT, dYT = (torch.from_numpy(np.ascontiguousarray(M.T)) for M in (U, dY))
    assert_allclose(rows.scores(UT), dense @ U.T, atol=1e-12)
    dA, dUT = rows.scores_adjoint(UT, dYT)
    assert_at_pattern(dA, rows, dY.T @ U, at_pattern)
    assert_allclose(dUT, dense.T @ dY.T, atol=1e-12)


def test_adjoints_are_adjoint(rows, batch, rng):
    """``⟨A H, A⟩ = ⟨G, H⟩`` and ``⟨X A, dU⟩ = ⟨A, Xᵀ dU⟩``, whatever the pattern."""
    H = torch.from_numpy(rng.normal(size=(rows.n_components, rows.n_components)))
    H = H + H.T
    assert_allclose((rows.gram_adjoint(H) * rows.values).sum(), (rows.gram() * H).sum())
    dU = torch.from_numpy(rng.normal(size=(batch.n_users, rows.n_components)))
    assert_allclose(
        (profiles_adjoint(rows, batch, dU) * rows.values).sum(),
        (rows.profiles(batch) * dU).sum(),
    )


def test_take_selects_rows(rows, dense, densify):
    items = torch.tensor([7, 0, 3, 3])
    some = rows.take(items)
    assert_allclose(densify(some, some.values), dense[items])


def test_with_values_keeps_the_pattern(rows, densify):
    doubled = rows.with_values(rows.values * 2)
    assert type(doubled) is type(rows)
    assert doubled.live is rows.live
    assert_allclose(densify(doubled, doubled.values), 2 * densify(rows, rows.values))


def test_width_counts_what_a_row_may_have():
    values = torch.zeros(4, 6)
    assert DenseRows(values).width == DenseRows(values).n_components == 6
    columns = torch.zeros(4, 3, dtype=torch.int32)
    assert SparseRows(values[:, :3], columns, 6).width == 3


def test_unit_rows_leaves_zero_rows_alone(rows):
    unit, norms = unit_rows(rows.values)
    lengths = np.linalg.norm(rows.values, axis=1)
    assert_allclose(np.linalg.norm(unit, axis=1), lengths > 0)
    assert_allclose(norms[:, 0], np.where(lengths > 0, lengths, 1))
    assert_allclose(unit * norms, rows.values, atol=1e-15)


def test_tangent_is_the_gradient_of_normalisation(rows, rng):
    raw = rows.values.clone().requires_grad_()
    g = torch.from_numpy(rng.normal(size=raw.shape))
    used = raw.detach().norm(dim=1) > 0
    (raw[used] / raw[used].norm(dim=1, keepdim=True) * g[used]).sum().backward()
    values, norms = unit_rows(rows.values)
    gradient = tangent_(g.clone(), values, norms)
    assert_allclose(gradient[used], raw.grad[used], atol=1e-12)
    assert_allclose((gradient * values).sum(dim=1), 0, atol=1e-12)
    assert_allclose(gradient[~used], g[~used])
