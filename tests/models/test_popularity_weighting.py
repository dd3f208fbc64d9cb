"""item_weighting and popularity_weighting: what counts in profiles and in scores."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec import (
    CompressedELSA,
    CompressedELSACV,
    compressed_elsa_path,
    top_items,
)
from sksparse_rec._numerics.calibration import calibrate
from sksparse_rec._numerics.encoding import encode_columns
from sksparse_rec.models._fit import hold_out
from sksparse_rec.models._resources import draw_seed

IN, OUT = 0.3, 0.4
WEIGHTINGS = {"item_weighting": IN, "popularity_weighting": OUT}


@pytest.fixture(name="X", scope="module")
def make_interactions():
    """Items from popular to unknown, and users of counts."""
    rng = np.random.default_rng(3)
    chance = np.linspace(0.6, 0, 30)
    X = (rng.random((150, 30)) < chance) * rng.integers(1, 4, (150, 30))
    return sp.csr_array(X)


def make(**options):
    options = {"n_nonzero": 6, "max_iter": 3, "batch_size": 30} | options
    return CompressedELSA(12, random_state=0, **options)


@pytest.fixture(scope="module", params=["anchors", "dense"])
def model(request, X):
    return make(init=request.param, **WEIGHTINGS).fit(X)


def power_of(X, exponent):
    users = (X.toarray() > 0).sum(axis=0) + 1
    return (users / users.mean()) ** exponent


def scores_of(model, X, item_weighting=IN, popularity_weighting=OUT):
    """Scores by the formula, from the popularity of ``model.fit``'s data."""
    users = model.item_popularity_ + 1
    p = users / users.mean()
    A = model.item_embeddings_.toarray().astype(np.float64)
    return (X.toarray() * p**-item_weighting) @ A @ A.T * p**popularity_weighting


def test_weights_are_powers_of_the_popularity(model, X):
    assert_allclose(model.item_weights_, power_of(X, -IN), rtol=1e-6)
    assert_allclose(model.item_slopes_, power_of(X, OUT), rtol=1e-6)
    assert model.item_intercepts_ is None
    assert model.item_weights_[0] < 1 < model.item_weights_[-1]


def test_without_weighting_there_is_nothing(X):
    model = make().fit(X)
    assert model.item_weights_ is model.item_slopes_ is model.item_intercepts_ is None


@pytest.mark.parametrize("loss", ["gram", "direct", "relu"])
@pytest.mark.parametrize("n_nonzero", [6, None])
def test_training_is_that_of_weighted_columns(X, loss, n_nonzero):
    options = {"init": "dense", "loss": loss, "n_nonzero": n_nonzero}
    model = make(**options, item_weighting=IN).fit(X)
    by_hand = make(**options).fit(X @ sp.diags_array(power_of(X, -IN)))
    assert_allclose(model.loss_curve_, by_hand.loss_curve_, rtol=1e-4)
    A, B = (m.item_embeddings_.toarray() for m in (model, by_hand))
    assert_allclose(A, B, atol=2e-3)
    assert abs(A - make(**options).fit(X).item_embeddings_.toarray()).max() > 0.01


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_recommendations(model, X, exclude_seen):
    scores = scores_of(model, X)
    if exclude_seen:
        scores[X.toarray() > 0] = -np.inf
    ids, found = top_items(model.recommend(X, k=5, exclude_seen=exclude_seen))
    expected = -np.sort(-scores, axis=1)[:, :5]
    assert_allclose(np.where(ids < 0, -np.inf, found), expected, rtol=1e-5, atol=1e-6)
    if exclude_seen:
        assert_array_equal(ids, model.predict(X, k=5))


def test_profiles_and_their_scores(model, X):
    U = model.transform(X)
    A = model.item_embeddings_.toarray().astype(np.float64)
    assert_allclose(
        U.toarray(), X.toarray() * power_of(X, -IN) @ A, rtol=1e-5, atol=1e-6
    )
    scores = model.inverse_transform(U)
    assert_allclose(scores, scores_of(model, X), rtol=1e-5, atol=1e-6)


def test_explanations_sum_to_the_scores(model, X):
    items = [0, 3, 7, 29]
    explanation = model.explain(X[:1], items)
    scores = scores_of(model, X[:1])[0, items]
    for part in (explanation.by_latent, explanation.by_history):
        assert_allclose(part.toarray().sum(axis=1), scores, rtol=1e-5, atol=1e-6)
    assert set(explanation.by_history.indices) <= set(X[:1].indices)


def test_neighbours_are_cosines_still(model):
    A = model.item_embeddings_.toarray().astype(np.float64)
    found = model.similar_items([2], k=3)
    assert_allclose(found.data, (A @ A[2])[found.indices], rtol=1e-6)


def test_one_without_the_other(X):
    model = make(item_weighting=IN).fit(X)
    assert model.item_slopes_ is None
    scores = model.inverse_transform(model.transform(X))
    assert_allclose(scores, scores_of(model, X, IN, 0), rtol=1e-5, atol=1e-6)
    model = make(popularity_weighting=OUT).fit(X)
    assert model.item_weights_ is None
    assert_allclose(
        model.item_embeddings_.toarray(), make().fit(X).item_embeddings_.toarray()
    )
    scores = model.inverse_transform(model.transform(X))
    assert_allclose(scores, scores_of(model, X, 0, OUT), rtol=1e-5, atol=1e-6)


def test_popular_items_are_recommended_more(X):
    users = (X.toarray() > 0).sum(axis=0)
    mean_users = [
        users[make(popularity_weighting=w).fit(X).predict(X[:, :], k=3)].mean()
        for w in (0, 1)
    ]
    assert mean_users[1] > mean_users[0] + 1


def test_partial_fit_follows_the_popularity(X):
    model = make(**WEIGHTINGS).partial_fit(X).partial_fit(X[:20])
    users = (X.toarray() > 0).sum(axis=0) + (X[:20].toarray() > 0).sum(axis=0) + 1
    assert_allclose(model.item_weights_, (users / users.mean()) ** -IN, rtol=1e-6)
    assert_allclose(model.item_slopes_, (users / users.mean()) ** OUT, rtol=1e-6)


@pytest.mark.parametrize("late", [5, 20])
def test_partial_fit_is_that_of_weighted_columns(X, late):
    """By the popularity of all calls, also for an item that comes with the second."""
    first = X.toarray()
    first[:, late] = 0
    first, options = sp.csr_array(first), {"init": "dense", "n_nonzero": 12}
    model = make(**options, item_weighting=IN).partial_fit(first)
    assert not model.item_embeddings_[[late]].nnz
    by_hand = make(**options).partial_fit(first @ sp.diags_array(model.item_weights_))
    model.partial_fit(X)
    by_hand.partial_fit(X @ sp.diags_array(model.item_weights_))
    assert_allclose(model.loss_curve_, by_hand.loss_curve_, rtol=1e-4)
    A, B = (m.item_embeddings_.toarray() for m in (model, by_hand))
    assert_allclose(A, B, atol=2e-3)
    assert model.item_embeddings_[[late]].nnz


def test_partial_fit_keeps_calibration_or_weights(X):
    both = make(calibration=True, popularity_weighting=OUT)
    with pytest.raises(ValueError, match="choose one"):
        both.partial_fit(X)
    model = make(calibration=True, validation_fraction=0.2).fit(X)
    model.set_params(calibration=False, popularity_weighting=OUT)
    with pytest.raises(ValueError, match="and call fit"):
        model.partial_fit(X)


def test_values_near_the_end_of_float32(X):
    """Weights above 1 do not push them over it."""
    large = sp.csr_array(X * np.float32(1e38), dtype=np.float32)
    model = make(item_weighting=0.5).fit(large)
    assert model.item_weights_.max() > 4
    expected = make(item_weighting=0.5).fit(X)
    assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-3)


def test_warm_start_and_new_items(X):
    model = make(**WEIGHTINGS, warm_start=True).fit(X[:, :]).fit(X)
    codes = model.encode_items(X[:, :4])
    weighted = X @ sp.diags_array(power_of(X, -IN))
    expected = encode_columns(X[:, :4], weighted, model.item_embeddings_, 6)
    assert_allclose(codes.toarray(), expected.toarray(), atol=1e-6)


def test_items_that_come_later_are_placed_by_weighted_profiles(X):
    late = X.toarray()
    late[:, 5] = 0
    first = sp.csr_array(late)
    options = {**WEIGHTINGS, "init": "dense", "warm_start": True, "max_iter": 1}
    model = make(**options).fit(first)
    assert not model.item_embeddings_[[5]].nnz
    weights = power_of(X, -IN)
    expected = encode_columns(
        X[:, [5]], X, model.item_embeddings_, 6, item_weights=weights
    )
    plain = encode_columns(X[:, [5]], X, model.item_embeddings_, 6)
    assert abs(expected - plain).max() > 1e-4
    model.set_params(learning_rate=1e-9).fit(X)
    assert_allclose(
        model.item_embeddings_[[5]].toarray(), expected.toarray(), atol=1e-4
    )


def test_calibration_learns_what_popularity_weighting_sets(X):
    with pytest.raises(ValueError, match=r"popularity_weighting=0\.4 sets it"):
        make(**WEIGHTINGS, calibration=True).fit(X)
    model = make(item_weighting=IN, calibration=True, validation_fraction=0.2).fit(X)
    X_train, held_out = hold_out(model, X, draw_seed(model.random_state))
    W = sp.diags_array(model.item_weights_)
    expected = calibrate(X_train @ W, held_out @ W, model.item_embeddings_)
    assert_allclose(model.item_slopes_, expected[0], rtol=1e-4)
    assert_allclose(model.item_intercepts_, expected[1], rtol=1e-4, atol=1e-6)
    weighted = X.toarray() * model.item_weights_
    U = weighted @ model.item_embeddings_.toarray().astype(np.float64)
    scores = U @ model.item_embeddings_.toarray().T * model.item_slopes_
    scores += model.item_intercepts_ * np.linalg.norm(U, axis=1)[:, None]
    assert_allclose(model.inverse_transform(model.transform(X)), scores, rtol=1e-4)
    explanation = model.explain(X[:1], [1, 2])
    assert_allclose(
        explanation.by_history.toarray().sum(axis=1), scores[0, [1, 2]], rtol=1e-4
    )


def test_early_stopping_scores_with_weights(X):
    options = {"early_stopping": True, "validation_fraction": 0.3, "n_nonzero": 12}
    weighted, plain = (
        make(**options, **kind).fit(X).validation_scores_
        for kind in ({"popularity_weighting": 1.0}, {})
    )
    assert not np.allclose(weighted, plain)


def test_path_and_selection(X):
    options = {"max_iter": 3, "max_iter_per_level": 2, "batch_size": 30}
    params = options | WEIGHTINGS | {"random_state": 0}
    model = CompressedELSACV(12, n_nonzero=[6, 3], **params).fit(X)
    assert_allclose(model.item_weights_, power_of(X, -IN), rtol=1e-6)
    scores = model.inverse_transform(model.transform(X))
    assert_allclose(scores, scores_of(model, X), rtol=1e-5, atol=1e-6)
    path = compressed_elsa_path(X, n_components=12, n_nonzero=[6, 3], **params)
    plain = params | {"item_weighting": 0.0}
    other = compressed_elsa_path(X, n_components=12, n_nonzero=[6, 3], **plain)
    assert all(abs(a - b).max() > 1e-3 for a, b in zip(path, other, strict=True))


@pytest.mark.parametrize("max_iter", [2, 5])
def test_path_is_that_of_weighted_columns(X, max_iter):
    """In the common run, which 2 epochs leave out, and at every level."""
    options = {"n_components": 12, "n_nonzero": [6, 3], "max_iter_per_level": 2}
    options |= {"max_iter": max_iter, "batch_size": 30, "init": "dense"}
    path = compressed_elsa_path(X, **options, item_weighting=IN, random_state=0)
    weighted = X @ sp.diags_array(power_of(X, -IN))
    by_hand = compressed_elsa_path(weighted, **options, random_state=0)
    for A, B in zip(path, by_hand, strict=True):
        assert_allclose(A.toarray(), B.toarray(), atol=3e-3)


def test_copies_and_names(model, X):
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.predict(X), model.predict(X))
    names = [f"i{i}" for i in range(X.shape[1])]
    named = make(**WEIGHTINGS).fit(pd.DataFrame(X.toarray(), columns=names))
    found = named.predict(pd.DataFrame(X.toarray()[:3], columns=names))
    assert set(found[0]) <= {*names, None}
