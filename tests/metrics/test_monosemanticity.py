"""Monosemanticity against loops over pairs, and scikit-learn's area under the curve."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import entropy, rankdata
from sklearn import config_context
from sklearn.metrics import roc_auc_score

from sksparse_rec.metrics import monosemanticity
from sksparse_rec.metrics._columns import column_ranks, first_duplicates

CONTAINERS = [sp.csr_array, sp.csc_matrix, sp.coo_array, sp.lil_matrix, np.asarray]
N_ITEMS, N_NEURONS, N_CONCEPTS = 80, 14, 6


@pytest.fixture(name="X", scope="module")
def signed_activations():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ITEMS, N_NEURONS)).round(1)
    X *= rng.random(X.shape) < 0.3
    # Dead; all positive; dense; the same twice; mirrored; few and equal values.
    X[:, 1] = 0
    X[:, 2] = np.abs(X[:, 2])
    X[:, 3] = rng.normal(size=N_ITEMS)
    X[:, 5] = 3 * X[:, 4]
    X[:, 6] = -X[:, 4]
    X[:, 7] = np.arange(N_ITEMS) % 3 - 1
    return X


@pytest.fixture(name="Y", scope="module")
def memberships():
    rng = np.random.default_rng(1)
    Y = (rng.random((N_ITEMS, N_CONCEPTS)) < 0.3) * rng.integers(1, 4, N_CONCEPTS)
    Y[:, 4] = 1
    Y[3:, 5] = 0
    return Y


def judge(x, Y, min_items, min_active=10, min_precision=0.5, min_lift=2):
    """Judge a neuron pair by pair."""
    counts = (Y > 0).sum(axis=0)
    judged = np.flatnonzero((counts >= min_items) & (counts < len(Y)))
    found = []
    for concept, sign in itertools.product(judged, (1, -1)):
        has, a = Y[:, concept] > 0, np.maximum(sign * x, 0)
        if np.any(a[has] > 0):
            precision = a[has].sum() / a.sum()
            is_clear = precision >= max(min_precision, min_lift * has.mean())
            is_clear &= np.sum(a > 0) >= min_active
            area = roc_auc_score(has, sign * x)
            found.append((not is_clear, -area, -has.sum(), concept, -sign, precision))
    if not found:
        return -1, False, 0, np.nan, np.nan, np.nan, np.nan
    unclear, area, _, best, sign, precision = min(found)
    a = np.maximum(-sign * x, 0)
    means = np.array([a[Y[:, c] > 0].mean() for c in judged])
    inside, others = a[Y[:, best] > 0].mean(), a[Y[:, best] == 0].mean()
    selectivity = (inside - others) / (inside + others)
    spread = entropy(means) / np.log(len(judged))
    return best, not unclear, -sign, -area, precision, selectivity, spread


FIELDS = ("best_concept", "is_clear", "side", "auc", "precision", "selectivity")


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("min_items", [1, 10])
def test_every_measure_is_its_definition(X, Y, min_items, positive):
    X = np.maximum(X, 0) if positive else X
    rule = {"min_items": min_items, "min_precision": 0.35, "min_lift": 1.3}
    rule |= {"min_active": 12}
    result = monosemanticity(X, Y, **rule)
    expected = [judge(X[:, j], Y, **rule) for j in range(N_NEURONS)]
    for field, values in zip(
        (*FIELDS, "entropy"), np.array(expected, dtype=float).T, strict=True
    ):
        np.testing.assert_allclose(result[field], values, atol=1e-12, err_msg=field)
    assert (-1 in result.side) is not positive
    assert 0 < result.is_clear.sum() < N_NEURONS
    assert result.clear_share == result.is_clear.mean()
    np.testing.assert_array_equal(result.n_active, (X != 0).sum(axis=0))


def test_a_clear_concept_comes_before_one_of_larger_area():
    # Concept 1 has all ten items of the neuron and others; 0 has two of them only.
    X, Y = np.zeros((100, 1)), np.zeros((100, 2))
    X[:10], Y[:2, 0], Y[:30, 1] = 1, 1, 1
    areas = [roc_auc_score(Y[:, c], X[:, 0]) for c in (0, 1)]
    assert areas[0] > areas[1]
    result = monosemanticity(X, Y, min_items=2)
    assert result.best_concept[0] == 1
    assert result.is_clear[0]
    assert result.auc[0] == areas[1]
    assert result.precision[0] == 1
    for unclear in ({"min_active": 11}, {"min_lift": 3.4}):
        result = monosemanticity(X, Y, min_items=2, **unclear)
        assert result.best_concept[0] == 0
        assert not result.is_clear[0]
        assert result.precision[0] == pytest.approx(0.2)


def test_dead_neurons_and_duplicates_are_counted(X, Y):
    result = monosemanticity(X, Y)
    np.testing.assert_array_equal(np.flatnonzero(result.is_dead), [1])
    expected = np.full(N_NEURONS, -1)
    expected[[5, 6]] = 4
    np.testing.assert_array_equal(result.duplicate_of, expected)
    assert result.dead_share == 1 / N_NEURONS
    assert result.duplicate_share == 2 / N_NEURONS
    assert np.isnan(result.auc[1])
    assert result.best_concept[1] == -1
    assert result.side[1] == 0


def test_ranks_are_those_of_scipy(X):
    differences, zero_ranks = column_ranks(sp.csc_array(X))
    for column in range(N_NEURONS):
        ranks = rankdata(X[:, column])
        found = differences[:, [column]].toarray().ravel() + zero_ranks[column]
        np.testing.assert_array_equal(found, ranks)


@pytest.mark.parametrize("density", [0.03, 0.6])
def test_duplicates_are_those_of_all_cosines(density):
    rng = np.random.default_rng(0)
    X = sp.random_array((300, 40), density=density, rng=rng).toarray()
    X[:, 20:30] = X[:, 5:15] * rng.choice([-2.0, 0.5], 10)
    X[:, 30:35] = X[:, 20:25] + 0.02 * X[:, 1:6]
    norms = np.linalg.norm(X, axis=0)
    cosines = np.abs(X.T @ X) / np.outer(norms, norms)
    for threshold in (0.3, 0.99, 1.0):
        close = np.triu(cosines >= threshold - 1e-12, 1)
        expected = np.where(close.any(axis=0), close.argmax(axis=0), -1)
        assert (expected >= 0).sum() >= 10
        found = first_duplicates(sp.csc_array(X), threshold)
        np.testing.assert_array_equal(found, expected)
        with config_context(working_memory=2e-2):
            found = first_duplicates(sp.csc_array(X), threshold)
        np.testing.assert_array_equal(found, expected)


def assert_same(result, other):
    for key, value in result.items():
        np.testing.assert_array_equal(other[key], value, err_msg=key)


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_and_blocks_change_nothing(X, Y, container):
    expected = monosemanticity(X, Y)
    activations, concepts = container(X), container(Y)
    assert_same(expected, monosemanticity(activations, concepts))
    with config_context(working_memory=1e-3):
        assert_same(expected, monosemanticity(activations, concepts))
    np.testing.assert_array_equal(sp.csr_array(activations).toarray(), X)


def test_stored_zeros_and_duplicates_of_entries_do_not_count(X, Y):
    rows, columns = np.nonzero(X)
    halves = np.tile(X[rows, columns] / 2, 2)
    entries = (
        np.append(halves, np.zeros(5)),
        (
            np.concatenate([rows, rows, np.arange(5)]),
            np.concatenate([columns, columns, np.full(5, 1)]),
        ),
    )
    twice = sp.coo_array(entries, shape=X.shape)
    before = twice.data.copy()
    assert_same(monosemanticity(X, Y), monosemanticity(twice, Y))
    np.testing.assert_array_equal(twice.data, before)


def test_planted_concepts_are_clear_and_random_directions_are_not():
    rng = np.random.default_rng(0)
    Y = np.eye(8)[rng.integers(0, 8, 400)]
    planted = Y * rng.random((400, 8)) + 0.05 * (rng.random((400, 8)) < 0.05)
    clear = monosemanticity(planted, Y)
    assert clear.clear_share == 1
    np.testing.assert_array_equal(clear.best_concept, np.arange(8))
    assert clear.selectivity.min() > 0.9
    assert clear.entropy.max() < 0.2
    directions = rng.normal(size=(400, 200))
    chance = monosemanticity(directions, Y)
    assert chance.clear_share == 0
    assert chance.entropy.min() > 0.9


def test_a_neuron_that_fires_at_random_has_no_concept_however_large_one_is():
    # Without the sizes of concepts its entropy would be that of 0.8, 0.1, 0.1.
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 5000, p=[0.8, 0.1, 0.1])
    result = monosemanticity(rng.random((5000, 1)) < 0.5, labels)
    assert result.entropy[0] > 0.99
    assert abs(result.auc[0] - 0.5) < 0.05


def test_a_concept_that_no_active_item_has_is_never_the_best():
    # Its absence tells the neuron, but a neuron without negative values has no side
    # for it.
    X = np.zeros((60, 1))
    X[20:] = 1
    result = monosemanticity(X, np.repeat([0, 1, 2], 20))
    assert result.auc[0] == 0.75
    assert result.best_concept[0] == 1
    X[20:40] = 0
    only_first = (np.arange(60) < 20)[:, None]
    result = monosemanticity(X, only_first)
    assert result.best_concept[0] == -1
    assert not result.is_dead[0]
    assert np.isnan(result.selectivity[0])


def test_ties_go_to_the_larger_concept_then_to_the_lower_one():
    X = np.zeros((9, 1))
    X[:6] = 1
    Y = np.zeros((9, 4))
    Y[:2, 0], Y[:3, 1], Y[3:6, 2], Y[4:6, 3] = 1, 1, 1, 1
    for order, best in (([0, 1, 2, 3], 1), ([0, 2, 3, 1], 1), ([1, 3, 0, 2], 0)):
        result = monosemanticity(X, Y[:, order], min_items=1)
        assert result.best_concept[0] == best


def test_one_concept_has_no_entropy(X, Y):
    result = monosemanticity(X, Y[:, [0]])
    assert np.isnan(result.entropy).all()
    assert np.isfinite(result.auc[0])


def test_frame_text_and_copies(X, Y):
    names = [f"tag {concept}" for concept in range(N_CONCEPTS)]
    result = monosemanticity(X, Y, concept_names=names)
    frame = result.to_frame()
    assert frame.concept[0] == names[result.best_concept[0]]
    assert frame.concept[1] is None or pd.isna(frame.concept[1])
    np.testing.assert_array_equal(frame.auc, result.auc)
    np.testing.assert_array_equal(frame.neuron, np.arange(N_NEURONS))
    assert repr(result).startswith("14 neurons: ")
    assert repr(result).endswith("7.1 % dead, 14.3 % duplicates")
    copy = pickle.loads(pickle.dumps(result))
    assert type(copy) is type(result)
    assert_same(result, copy)
    columns = pd.DataFrame(Y, columns=names)
    np.testing.assert_array_equal(monosemanticity(X, columns).concept_names, names)


def test_bad_input(X, Y):
    with pytest.raises(ValueError, match="no concept has at least min_items=70 of the"):
        monosemanticity(X, Y, min_items=70)
    with pytest.raises(ValueError, match="concepts has 79 rows, but there are 80"):
        monosemanticity(X, Y[1:])
    wrong = X.copy()
    wrong[4, 2] = np.nan
    with pytest.raises(ValueError, match=r"activations\[4, 2\] is nan"):
        monosemanticity(wrong, Y)
    wrong = Y - 1.0
    with pytest.raises(ValueError, match="concepts contains a negative value"):
        monosemanticity(X, wrong)
    with pytest.raises(ValueError, match="'min_precision' parameter"):
        monosemanticity(X, Y, min_precision=1.4)


def test_memory_follows_the_working_memory(peak_of):
    rng = np.random.default_rng(0)
    X = sp.csr_array(sp.random_array((500, 2000), density=0.01, rng=rng))
    Y = sp.random_array((500, 400), density=0.1, rng=rng)
    whole, peak = peak_of(lambda: monosemanticity(X, Y))
    with config_context(working_memory=2):
        blocks, low = peak_of(lambda: monosemanticity(X, Y))
    assert_same(whole, blocks)
    assert low < 5 * 2**20 < 30 * 2**20 < peak
