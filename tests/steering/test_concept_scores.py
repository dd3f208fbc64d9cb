"""Scores of neurons for concepts, against dense definitions entry by entry."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.linear_model import orthogonal_mp_gram
from sklearn.metrics import mutual_info_score

from sksparse_rec._sparse import keep_top_per_row
from sksparse_rec.steering import _concept_scores
from sksparse_rec.steering._concept_scores import (
    METHODS,
    RIDGE,
    concept_blocks,
    correlation_scores,
    mean_scores,
    mutual_information_scores,
    probe_scores,
    pursue,
    score_sides,
    specificity_scores,
)
from sksparse_rec.steering._sides import join_sides, split_sides

N_ITEMS, N_NEURONS, N_CONCEPTS = 60, 12, 7


@pytest.fixture(scope="module")
def data():
    """Weights of concepts and activations, dense; one of each is empty."""
    rng = np.random.default_rng(0)
    Y = rng.random((N_ITEMS, N_CONCEPTS)) * (rng.random((N_ITEMS, N_CONCEPTS)) < 0.3)
    S = rng.random((N_ITEMS, N_NEURONS)) * (rng.random((N_ITEMS, N_NEURONS)) < 0.4)
    # A neuron that belongs to concept 0, one that never fires, one always the same.
    S[:, 3] += 2 * (Y[:, 0] > 0)
    S[:, 5], S[:, 6] = 0, 0.1
    Y[:, 4] = 0
    return sp.csr_array(Y.T), sp.csr_array(S), Y, S


def by_pairs(Y, S, score):
    """Score every pair of columns that meet, 0 for the others."""
    scores = np.zeros((Y.shape[1], S.shape[1]))
    for c, j in np.ndindex(*scores.shape):
        if np.any((Y[:, c] > 0) & (S[:, j] > 0)):
            scores[c, j] = score(Y[:, c], S[:, j])
    return scores


def assert_scores(found, expected):
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-12)
    assert np.all(found.data > 0)


def test_mean(data):
    C, S, Y, dense = data
    expected = by_pairs(Y, dense, lambda y, x: np.average(x, weights=y))
    assert_scores(mean_scores(C, S), expected)


def test_specificity(data):
    C, S, Y, dense = data
    means = dense.mean(axis=0)
    floor = 0.1 * means[means > 0].mean()

    def specificity(y, x):
        mean = np.average(x, weights=y)
        return mean * max(0, np.log(mean / (x.mean() + floor)))

    expected = by_pairs(Y, dense, specificity)
    assert expected[0].argmax() == 3
    assert 0 < (expected == 0).mean() < 1
    assert_scores(specificity_scores(C, S), expected)


def test_correlation(data):
    C, S, Y, dense = data
    constant = 6

    def correlation(y, x):
        return 0 if np.ptp(x) == 0 else max(0, np.corrcoef(y, x)[0, 1])

    expected = by_pairs(Y, dense, correlation)
    assert not expected[:, constant].any()
    assert_scores(correlation_scores(C, S), expected)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_correlation_keeps_its_digits_far_from_zero(offset):
    rng = np.random.default_rng(1)
    Y, dense = (rng.random((50, 2)) < 0.4) * 1.0, rng.random((50, 4))
    dense += offset
    found = correlation_scores(sp.csr_array(Y.T), sp.csr_array(dense)).toarray()
    expected = np.corrcoef(Y.T, dense.T)[:2, 2:].clip(0)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_mutual_information(data):
    C, S, Y, dense = data

    def information(y, x):
        y, x = y > 0, x > 0
        together = np.mean(y & x) > y.mean() * x.mean()
        return mutual_info_score(y, x) if together else 0

    assert_scores(mutual_information_scores(C, S), by_pairs(Y, dense, information))


def test_mutual_information_of_the_same_is_the_entropy():
    C = sp.csr_array([[1.0, 1, 0, 0, 0, 0, 0, 0]])
    found = mutual_information_scores(C, sp.csr_array(C.T)).toarray()
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert found.item() == pytest.approx(entropy)


def test_pursuit_is_that_of_scikit_learn():
    rng = np.random.default_rng(2)
    Z = rng.normal(size=(80, 10))
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    target = Z @ np.array([3, 0, 0, 2, 0, 1.5, 0, 0, 1, 0]) + rng.normal(size=80)
    gram = Z.T @ Z / 80 + RIDGE * np.eye(10)
    correlations = Z.T @ (target - target.mean()) / 80 / target.std()
    for n_nonzero in (1, 2, 4):
        expected = orthogonal_mp_gram(gram, correlations, n_nonzero_coefs=n_nonzero)
        assert np.all(expected >= 0)
        np.testing.assert_allclose(pursue(gram, correlations, n_nonzero), expected)


def test_pursuit_ends_where_nothing_is_left():
    assert pursue(np.eye(3), np.array([0.0, 0.6, 0.0]), 3).tolist() == [0, 0.6, 0]
    assert not pursue(np.eye(2), np.array([-0.5, 0.0]), 2).any()
    assert pursue(np.eye(2) + RIDGE, np.array([0.5, 0.5]), 1).tolist()[1] == 0


def test_probe_is_a_pursuit_of_standardised_columns(data):
    C, S, Y, dense = data
    found = probe_scores(C, S, 3)
    assert np.diff(found.indptr).max() <= 3
    varies = np.flatnonzero(dense.std(axis=0) > 1e-12)
    Z = dense[:, varies]
    Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    gram = Z.T @ Z / N_ITEMS + RIDGE * np.eye(len(varies))
    for concept in np.flatnonzero(Y.any(axis=0)):
        target = (Y[:, concept] - Y[:, concept].mean()) / Y[:, concept].std()
        correlations = Z.T @ target / N_ITEMS
        # Candidates are correlated positively by themselves.
        own = np.flatnonzero(correlations > 0)
        expected = np.zeros(dense.shape[1])
        expected[varies[own]] = pursue(gram[np.ix_(own, own)], correlations[own], 3)
        np.testing.assert_allclose(found[[concept]].toarray()[0], expected, atol=1e-9)


def test_the_probe_takes_neurons_that_complement_each_other():
    # Neurons 0 and 1 have the same half of the concept, 2 has the other and more.
    y = np.repeat([1.0, 1.0, 0.0, 0.0], 10)
    first, second = (np.repeat(half, 10) for half in ([1.0, 0, 0, 0], [0, 1.0, 0, 0]))
    noisy = first.copy()
    noisy[15] = 0.1
    second[25] = 0.5
    S = sp.csr_array(np.column_stack([first, noisy, second]))
    C = sp.csr_array(y[None])
    best = correlation_scores(C, S).toarray()[0].argsort()[-2:]
    assert set(best) == {0, 1}
    assert set(probe_scores(C, S, 2).indices) == {1, 2}


def test_the_probe_looks_at_the_best_candidates_only(data, monkeypatch):
    C, S, _, _ = data
    monkeypatch.setattr(_concept_scores, "N_CANDIDATES", 1)
    best = keep_top_per_row(correlation_scores(C, S), 1)
    np.testing.assert_array_equal(probe_scores(C, S, 5).indices, best.indices)


def test_sides_of_signed_activations():
    X = sp.csr_array([[1.0, 0, -2], [0, -3, 4]])
    S = split_sides(X)
    np.testing.assert_array_equal(S.toarray(), [[1, 0, 0, 0, 0, 2], [0, 0, 0, 3, 4, 0]])
    np.testing.assert_array_equal(
        S.toarray()[:, ::2] - S.toarray()[:, 1::2], X.toarray()
    )
    positive = split_sides(abs(X))
    np.testing.assert_array_equal(positive.toarray(), abs(X).toarray())


def test_the_larger_side_wins_and_the_positive_one_of_a_tie():
    scores = sp.csr_array([[1.0, 2, 3, 3, 0, 5, 7, 0], [0, 0, 2, 1, 0, 0, 0, 4]])
    joined = join_sides(scores, 4)
    np.testing.assert_array_equal(joined.toarray(), [[-2, 3, -5, 7], [0, 2, 0, -4]])
    np.testing.assert_array_equal(joined.indptr, [0, 4, 6])
    assert join_sides(scores, 8) is scores


@pytest.mark.parametrize("method", METHODS)
def test_blocks_change_nothing(data, method):
    C, S, _, _ = data
    together = score_sides(C, S, method, 4)
    assert len(concept_blocks(C, S)) == 1
    with config_context(working_memory=2e-3):
        # The concept without items takes no room of its own.
        assert len(concept_blocks(C, S)) == N_CONCEPTS - 1
        apart = score_sides(C, S, method, 4)
    np.testing.assert_array_equal(apart.toarray(), together.toarray())
    np.testing.assert_array_equal(apart.indptr, together.indptr)


@pytest.mark.parametrize("method", METHODS)
def test_scale_and_order_of_neurons(data, method):
    C, S, _, _ = data
    scores = score_sides(C, S, method, 4).toarray()
    order = np.random.default_rng(0).permutation(N_NEURONS)
    np.testing.assert_allclose(
        score_sides(C, S[:, order], method, 4).toarray(), scores[:, order], atol=1e-12
    )
    factor = 1e-9 if method in ("mean", "specificity") else 1.0
    scaled = score_sides(C, sp.csr_array(S * 1e-9), method, 4).toarray()
    np.testing.assert_allclose(scaled / factor, scores, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_memory_follows_the_working_memory(peak_of, method):
    rng = np.random.default_rng(0)
    C = sp.csr_array(sp.random_array((400, 500), density=0.05, rng=rng))
    S = sp.csr_array(rng.random((500, 1000)) < 0.01, dtype=np.float64)
    options = (2,) if method == "probe" else ()

    def sizes():
        # Scores are thrown away, so that only what a block takes is left.
        blocks = concept_blocks(C, S)
        return [METHODS[method](C[rows], S, *options).nnz for rows in blocks]

    whole, peak = peak_of(sizes)
    with config_context(working_memory=1):
        blocks, low = peak_of(sizes)
    assert sum(blocks) == sum(whole)
    assert low < 2 * 2**20 < peak
