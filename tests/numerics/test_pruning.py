"""Sparsity schedules, and what a row keeps."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sksparse_rec._numerics.optimizer import NAdam
from sksparse_rec._numerics.pruning import (
    SPARSE_SHARE,
    SparsitySchedule,
    n_nonzero_at,
    prune,
)
from sksparse_rec._numerics.rows import DenseRows, SparseRows

KINDS = ["constant", "stepwise", "linear", "exponential"]


def path(kind, n_epochs=12, start=256, target=16):
    schedule = SparsitySchedule(kind, n_epochs, start, target, rewind=False)
    return [n_nonzero_at(epoch, schedule) for epoch in range(n_epochs + 3)]


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_schedules_fall_from_start_to_target(kind, n_epochs):
    values = path(kind, n_epochs)
    assert values[0] == 256
    assert set(values[n_epochs:]) == {16}
    assert all(isinstance(value, int) for value in values)
    assert (np.diff(values) <= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_schedule_of_no_epochs_is_at_the_target(kind):
    assert set(path(kind, n_epochs=0)) == {16}


@pytest.mark.parametrize("kind", KINDS)
def test_schedule_without_a_way_to_go_is_flat(kind):
    assert set(path(kind, start=16)) == {16}


def test_constant_is_at_the_target_after_one_epoch():
    assert path("constant")[1:] == [16] * 14


def test_linear_loses_the_same_number():
    assert np.ptp(np.diff(path("linear")[:13])) <= 1


def test_exponential_loses_the_same_share():
    values = np.array(path("exponential")[:13])
    assert_allclose(values[1:] / values[:-1], (16 / 256) ** (1 / 12), rtol=0.03)


def test_stepwise_takes_few_steps_on_the_exponential_path():
    steps, smooth = path("stepwise")[:13], path("exponential")[:13]
    assert len(set(steps)) == 5
    assert set(steps) <= set(smooth)
    assert all(a >= b for a, b in zip(steps, smooth, strict=True))


@pytest.fixture
def optimizer(rows, rng):
    live = 1.0 if rows.live is None else rows.live
    first, second = rng.normal(size=rows.values.shape), rng.random(rows.values.shape)
    return NAdam(
        torch.from_numpy(first) * live, torch.from_numpy(second) * live, 7, 0.5
    )


def largest(dense, n_nonzero):
    """Zero all but the largest absolute values of each row."""
    order = np.argsort(-np.abs(dense), axis=1, kind="stable")
    kept = np.zeros(dense.shape, dtype=bool)
    np.put_along_axis(kept, order[:, :n_nonzero], True, axis=1)
    return np.where(kept, dense, 0), kept & (dense != 0)


@pytest.mark.parametrize("n_nonzero", [1, 2, 3])
def test_keeps_the_largest_and_their_moments(rows, optimizer, densify, n_nonzero):
    before = densify(rows, rows.values).numpy()
    first, second = (
        densify(rows, moment).numpy() for moment in (optimizer.first, optimizer.second)
    )
    pruned, initial, after = prune(rows, n_nonzero, None, optimizer)
    expected, kept = largest(before, n_nonzero)
    assert initial is None
    assert_allclose(densify(pruned, pruned.values), expected)
    assert_allclose(densify(pruned, after.first), np.where(kept, first, 0))
    assert_allclose(densify(pruned, after.second), np.where(kept, second, 0))
    assert (after.n_steps, after.momentum_product) == (7, 0.5)


@pytest.mark.parametrize("n_nonzero", [1, 2, 3])
def test_rewinding_restores_the_start(rows, optimizer, densify, n_nonzero, rng):
    live = 1.0 if rows.live is None else rows.live
    start = torch.from_numpy(rng.normal(size=rows.values.shape)) * live
    _, kept = largest(densify(rows, rows.values).numpy(), n_nonzero)
    expected = np.where(kept, densify(rows, start), 0)
    pruned, initial, after = prune(rows, n_nonzero, start, optimizer, rewind=True)
    assert_allclose(densify(pruned, pruned.values), expected)
    assert_allclose(densify(pruned, initial), expected)
    assert (after.n_steps, after.momentum_product) == (0, 1.0)
    assert not after.first.any()
    assert not after.second.any()
    # Training changes the values in place: the start must be a copy.
    pruned.values.add_(1)
    assert_allclose(densify(pruned, initial), expected)


def test_start_follows_the_pattern_without_rewinding(rows, optimizer, densify, rng):
    live = 1.0 if rows.live is None else rows.live
    start = torch.from_numpy(rng.normal(size=rows.values.shape)) * live
    _, kept = largest(densify(rows, rows.values).numpy(), 2)
    expected = np.where(kept, densify(rows, start), 0)
    pruned, initial, _ = prune(rows, 2, start, optimizer)
    assert_allclose(densify(pruned, initial), expected)


def test_what_was_pruned_stays_away(rows, optimizer, densify):
    """Pruning in two steps is pruning in one."""
    at_once, _, _ = prune(rows, 1, None, NAdam.start(rows.values))
    half, _, optimizer = prune(rows, 2, None, optimizer)
    twice, _, _ = prune(half, 1, None, optimizer)
    assert_allclose(densify(twice, twice.values), densify(at_once, at_once.values))


def test_rows_become_sparse_when_few_columns_are_left():
    values = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    rows, optimizer = DenseRows(values), NAdam.start(values)
    boundary = int(SPARSE_SHARE * 16)
    masked, _, optimizer = prune(rows, boundary + 1, None, optimizer)
    assert isinstance(masked, DenseRows)
    assert masked.live.sum(dim=1).tolist() == [boundary + 1] * 5
    sparse, _, optimizer = prune(masked, boundary, None, optimizer)
    assert isinstance(sparse, SparseRows)
    assert sparse.live is None
    assert sparse.values.shape == optimizer.first.shape == (5, boundary)
    assert (sparse.columns.diff(dim=1) > 0).all()


def test_masked_rows_know_how_wide_they_are():
    """A pattern at its target has nothing left to prune."""
    values = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    masked, _, _ = prune(DenseRows(values), 9, None, NAdam.start(values))
    assert masked.width == 9


def test_padding_is_kept_apart_from_column_0(rows, optimizer):
    pruned, _, _ = prune(rows, 2, None, optimizer)
    # Row 7 has one value, row 8 none.
    assert pruned.live[7:].sum(dim=1).tolist() == [1, 0]
    assert not pruned.values[~pruned.live].any()
    if isinstance(pruned, SparseRows):
        assert not pruned.columns[~pruned.live].any()


def test_ties_are_kept_up_to_the_number():
    values = torch.ones(3, 8)
    pruned, _, _ = prune(DenseRows(values), 2, None, NAdam.start(values))
    assert (pruned.values != 0).sum(dim=1).tolist() == [2, 2, 2]
