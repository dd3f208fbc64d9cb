"""Levels of sparsity: the grid, and which of it a rule selects."""

import numpy as np
import pytest

from sksparse_rec.models._levels import select_level, sparsity_grid


@pytest.mark.parametrize(
    ("levels", "largest", "budget", "expected"),
    [
        ((8, 4, 2), 16, None, [8, 4, 2]),
        ([2, 8, 4, 8], 16, None, [8, 4, 2]),
        (np.array([2, 8, 4], dtype=np.int8), 1000, None, [8, 4, 2]),
        (np.array([2**63, 4], dtype=np.uint64), 16, None, [16, 4]),
        ((64, 32, 4), 16, None, [16, 4]),
        ((64, 32, 4), 4, None, [4]),
        ((64, 32, 4), 100, 10, [10, 4]),
        ((64, 32, 4), 100, 32, [32, 4]),
        ((64, 32, 4), 100, 33, [33, 32, 4]),
        ((64, 32, 4), 100, 64, [64, 32, 4]),
        # A budget caps the levels that were asked for, it adds none above them.
        ((64, 32, 4), 100, 90, [64, 32, 4]),
        ((64, 32, 4), 100, 1, [1]),
        ((64, 32, 4), 20, 40, [20, 4]),
    ],
)
def test_grid(levels, largest, budget, expected):
    grid = sparsity_grid(levels, largest, budget)
    np.testing.assert_array_equal(grid, expected)
    assert grid.dtype == np.int64


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((), "at least one level"),
        ([[4, 2]], r"at least one level, got shape \(1, 2\)"),
        (8, r"at least one level, got shape \(\): pass"),
        ((4, 0), r"at least 1, got \[4, 0\]"),
        ((4, -1), "at least 1"),
        ((4.0, 2.0), r"integers.*\[4.0, 2.0\]"),
        ((True, True), "integers"),
        (("8", "4"), "integers"),
    ],
)
def test_levels_that_are_none(levels, message):
    with pytest.raises(ValueError, match=message):
        sparsity_grid(levels, 16)


def slowly_selected(scores, rule):
    """Try the levels from the smallest on, in words."""
    means = [sum(row) / len(row) for row in scores]
    best = max(means)
    spread = scores[means.index(best)]
    error = (sum((s - best) ** 2 for s in spread) / (len(spread) - 1)) ** 0.5
    loss = {
        "best": 0,
        "one_standard_error": error / len(spread) ** 0.5,
    }.get(rule, rule if isinstance(rule, str) else rule * abs(best))
    for index in reversed(range(len(means))):
        if means[index] >= best - loss:
            return index
    raise AssertionError


@pytest.mark.parametrize("rule", ["best", "one_standard_error", 0.025, 0.4])
@pytest.mark.parametrize("sign", [1, -1])
def test_selection_equals_a_slow_search(rule, sign):
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = sign * rng.random((6, 4)).round(2)
        assert select_level(scores, rule) == slowly_selected(scores.tolist(), rule)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("best", 1),
        # The best level has mean 0.5 and standard error 0.02 / sqrt(2).
        ("one_standard_error", 2),
        (0.001, 1),
        (0.025, 2),
        # The dip at the fourth level does not hide the fifth.
        (0.05, 4),
        (0.5, 5),
    ],
)
def test_selection_by_hand(rule, expected):
    scores = np.array(
        [[0.48, 0.50], [0.48, 0.52], [0.47, 0.51], [0.4, 0.4], [0.47, 0.49], [0.3, 0.3]]
    )
    scores[1] = [0.5 - 0.02 / np.sqrt(2), 0.5 + 0.02 / np.sqrt(2)]
    assert select_level(scores, rule) == expected


def test_ties_go_to_fewer_bytes():
    assert select_level(np.full((4, 3), 0.25), "best") == 3
    assert select_level(np.zeros((4, 3)), "one_standard_error") == 3
    assert select_level(np.zeros((4, 1)), 0.1) == 3
