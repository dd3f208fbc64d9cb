"""CompressedELSA(calibration=True): quality, and the same contract as without."""

import pickle
from copy import copy

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse_rec import (
    CompressedELSA,
    CompressedELSACV,
    compressed_elsa_path,
    top_items,
)
from sksparse_rec.datasets import open_interactions, save_interactions
from sksparse_rec.metrics import ndcg_at_k
from sksparse_rec.model_selection import holdout_split
from sksparse_rec.models._fit import hold_out
from sksparse_rec.models._resources import draw_seed

ITEMS = np.arange(90)


@pytest.fixture(name="calibrating", scope="session")
def make_calibrating_model(make):
    """A function that makes a small model with calibration."""

    def calibrating(**options):
        return make(**{"calibration": True, "validation_fraction": 0.2} | options)

    return calibrating


@pytest.fixture(scope="session")
def calibrated(calibrating, planted):
    """A calibrated model of the planted clusters; tests must not change it."""
    return calibrating().fit(planted.train)


@pytest.fixture(scope="session")
def baskets():
    """Independent items of Zipf popularity: train, and history and targets of others.

    Users have two items and more.
    """
    rng = np.random.default_rng(0)
    probability = np.minimum(0.6, 1 / np.arange(1, 121))
    X = rng.random((1500, 120)) < rng.permutation(probability)
    X = sp.csr_array(X[X.sum(axis=1) > 1], dtype=np.float32)
    history, targets = holdout_split(X[1100:], random_state=0)
    return X[:1100], sp.csr_array(history), targets


def dense_scores(model, X):
    """``s_i ⟨u, a_i⟩ + b_i ‖u‖``, user by user."""
    A = model.item_embeddings_.toarray().astype(np.float64)
    scores = []
    for x in sp.csr_array(X).toarray().astype(np.float64):
        u = x @ A
        along = model.item_slopes_ * (A @ u)
        scores.append(along + model.item_intercepts_ * np.linalg.norm(u))
    return np.array(scores)


def uncalibrated(model):
    """The same embeddings with the scores of a model without calibration."""
    plain = copy(model)
    plain.item_slopes_ = plain.item_intercepts_ = None
    return plain


def assert_same_lists(first, second, **tolerance):
    np.testing.assert_array_equal(first.indptr, second.indptr)
    np.testing.assert_array_equal(first.indices, second.indices)
    np.testing.assert_allclose(first.data, second.data, **tolerance)


def assert_same_model(first, second):
    assert (first.item_embeddings_ != second.item_embeddings_).nnz == 0
    np.testing.assert_array_equal(first.item_slopes_, second.item_slopes_)
    np.testing.assert_array_equal(first.item_intercepts_, second.item_intercepts_)


# What is learned


def test_fitted_attributes(fitted, calibrated):
    assert fitted.item_slopes_ is None
    assert fitted.item_intercepts_ is None
    for values in (calibrated.item_slopes_, calibrated.item_intercepts_):
        assert values.dtype == np.float32
        assert values.shape == (90,)
        assert np.isfinite(values).all()
    assert np.all(calibrated.item_slopes_ >= 0)
    assert calibrated.item_slopes_.max() > 0


def test_the_embeddings_are_those_of_a_fit_without_the_held_out_users(
    make, calibrating, calibrated, planted
):
    model = calibrating()
    train, held_out = hold_out(model, planted.train, draw_seed(model.random_state))
    assert held_out.shape[0] == 44
    plain = make().fit(train)
    assert (plain.item_embeddings_ != calibrated.item_embeddings_).nnz == 0
    np.testing.assert_array_equal(calibrated.item_popularity_, plain.item_popularity_)
    assert calibrated.loss_curve_ == plain.loss_curve_


def test_it_is_reproducible(calibrating, calibrated, planted):
    assert_same_model(calibrating().fit(planted.train), calibrated)


@pytest.mark.parametrize("factor", [1e-20, 3.0, 1e20])
def test_the_unit_of_the_values_does_not_matter(
    calibrating, calibrated, planted, factor
):
    model = calibrating().fit(factor * planted.train)
    for name in ("item_slopes_", "item_intercepts_"):
        np.testing.assert_allclose(
            getattr(model, name), getattr(calibrated, name), atol=1e-3
        )


@pytest.mark.parametrize(
    "options", [{}, {"init": "dense"}, {"n_nonzero": None}, {"loss": "relu"}]
)
def test_not_worse_on_planted_clusters(make, calibrating, planted, options):
    plain = make(**options).fit(planted.train).score(planted.test)
    found = calibrating(**options).fit(planted.train).score(planted.test)
    assert found > plain - 0.02


def test_baskets_are_ranked_by_popularity(make, calibrating, baskets):
    train, history, targets = baskets
    nothing = sp.csr_array(history.shape, dtype=np.float32)
    model = make(n_nonzero=8).fit(train)
    popular = model.recommend(nothing, k=100, deny=history)
    popularity = ndcg_at_k(targets, popular, k=100)
    plain = ndcg_at_k(targets, model.recommend(history, k=100), k=100)
    assert plain < popularity - 0.05
    model = calibrating(n_nonzero=8).fit(train)
    R = model.recommend(history, k=100)
    assert ndcg_at_k(targets, R, k=100) >= 0.98 * popularity
    # What is left of the scores moves no popular item.
    assert model.item_slopes_.max() < 0.05
    first = top_items(model.recommend(history, k=5))[0]
    popular = top_items(model.recommend(nothing, k=5, deny=history))[0]
    assert (first == popular).mean() > 0.9


def test_users_with_a_single_item_do_not_hide_the_signal(make, calibrating, planted):
    singles = np.eye(90)[np.random.default_rng(0).integers(0, 90, 1500)]
    train = sp.vstack([planted.train, singles], format="csr")
    plain = make().fit(train).score(planted.test)
    assert calibrating().fit(train).score(planted.test) > plain - 0.02


# One score, however it is asked for


def test_recommend_inverse_transform_and_explain_agree(calibrated, planted):
    X = 3.5 * planted.test.astype(np.float64)
    expected = dense_scores(calibrated, X)
    R = calibrated.recommend(X, k=90, exclude_seen=False)
    np.testing.assert_allclose(R.toarray(), expected, atol=1e-6)
    Z = calibrated.transform(X)
    for profiles in (Z, sp.csr_matrix(Z), Z.toarray()):
        scores = calibrated.inverse_transform(profiles)
        assert isinstance(scores, np.ndarray)
        np.testing.assert_allclose(scores, expected, atol=1e-6)
    for user in (0, 5, 33):
        explanation = calibrated.explain(X[[user]], ITEMS)
        assert explanation.by_latent.shape == (90, 16)
        assert explanation.by_history.shape == (90, 90)
        for part in (explanation.by_latent, explanation.by_history):
            assert part.format == "csr"
            sums = np.ravel(part.sum(axis=1))
            np.testing.assert_allclose(sums, expected[user], atol=1e-6)
        assert set(explanation.by_history.indices) <= set(X[[user]].indices)


def test_explanations_of_repeated_and_of_no_items(calibrated, planted):
    x = planted.test[[0]]
    explanation = calibrated.explain(x, [4, 4, 2])
    expected = dense_scores(calibrated, x)[0]
    for part in explanation.values():
        sums = np.ravel(part.sum(axis=1))
        np.testing.assert_allclose(sums, expected[[4, 4, 2]], atol=1e-6)
    assert calibrated.explain(x, []).by_latent.shape == (0, 16)
    nothing = calibrated.explain(np.zeros(90), [1, 2])
    assert nothing.by_latent.sum() == nothing.by_history.sum() == 0


def test_profiles_in_float32(calibrated, planted):
    Z = calibrated.transform(planted.test.astype(np.float32))
    assert Z.dtype == np.float32
    expected = dense_scores(calibrated, planted.test)
    np.testing.assert_allclose(calibrated.inverse_transform(Z), expected, atol=1e-5)
    # Squares that float32 cannot hold.
    large = calibrated.inverse_transform(Z * np.float32(1e25))
    np.testing.assert_allclose(large / 1e25, expected, atol=1e-5)


def test_profiles_are_the_plain_ones(calibrated, planted):
    Z = calibrated.transform(planted.test)
    expected = planted.test @ calibrated.item_embeddings_.astype(np.float64)
    np.testing.assert_allclose(Z.toarray(), expected.toarray())


def test_similar_items_know_no_calibration(calibrated):
    assert_same_lists(
        calibrated.similar_items(ITEMS, k=7),
        uncalibrated(calibrated).similar_items(ITEMS, k=7),
        rtol=0,
    )


def test_score_ranks_by_calibrated_scores(calibrated, planted):
    history, targets = holdout_split(planted.test, random_state=0)
    history = sp.csr_array(history)
    scores = dense_scores(calibrated, history)
    scores[history.toarray() > 0] = -np.inf
    order = np.argsort(-scores, axis=1)
    expected = ndcg_at_k(targets, order, k=100)
    assert calibrated.score(history, targets) == pytest.approx(expected, abs=1e-6)
    assert expected != pytest.approx(uncalibrated(calibrated).score(history, targets))


# Lists


@pytest.mark.parametrize("working_memory", [1e-6, 0.02, 1])
@pytest.mark.parametrize("exclude_seen", [True, False])
def test_lists_do_not_depend_on_the_working_memory(
    calibrated, planted, working_memory, exclude_seen
):
    options = {"k": 7, "exclude_seen": exclude_seen}
    expected = calibrated.recommend(planted.test, **options)
    with config_context(working_memory=working_memory):
        found = calibrated.recommend(planted.test, **options)
    assert_same_lists(found, expected, rtol=0)


def test_a_batch_equals_single_users(calibrated, planted):
    together = calibrated.recommend(planted.test[:9], k=7)
    alone = [calibrated.recommend(planted.test[[user]], k=7) for user in range(9)]
    assert_same_lists(together, sp.vstack(alone, format="csr"), rtol=0)


@pytest.mark.parametrize("k", [1, 5, 89])
def test_lists_are_those_of_the_dense_scores(calibrated, planted, k):
    scores = dense_scores(calibrated, planted.test)
    scores[planted.test.toarray() > 0] = -np.inf
    R = calibrated.recommend(planted.test, k=k)
    assert R.multiply(planted.test).nnz == 0
    ids, values = top_items(R)
    for user, row in enumerate(ids):
        found = row[row >= 0]
        assert len(found) == min(k, np.isfinite(scores[user]).sum())
        best = np.sort(scores[user])[::-1][: len(found)]
        np.testing.assert_allclose(scores[user, found], best, atol=1e-9)
        np.testing.assert_allclose(values[user, : len(found)], best, atol=1e-6)


def test_filters(calibrated, planted):
    X = planted.test[:20]
    scores = dense_scores(calibrated, X)
    R = calibrated.recommend(X, k=90, allow=[1, 2, 3], deny=[2], exclude_seen=False)
    assert set(R.indices) == {1, 3}
    mask = sp.random_array((20, 90), density=0.3, rng=np.random.default_rng(0))
    mask = mask.toarray() > 0
    allowed = calibrated.recommend(
        X, k=90, allow=sp.csr_array(mask), exclude_seen=False
    )
    denied = calibrated.recommend(X, k=90, deny=sp.csr_array(~mask), exclude_seen=False)
    for found in (allowed, denied):
        np.testing.assert_array_equal(np.diff(found.indptr), mask.sum(axis=1))
        np.testing.assert_allclose(found.toarray(), scores * mask, atol=1e-6)


def test_ties_go_to_the_more_popular_item_then_to_the_lower_index(calibrated, planted):
    model = copy(calibrated)
    model.item_slopes_ = np.zeros(90, np.float32)
    model.item_intercepts_ = np.where(ITEMS % 3 == 0, 0.5, 0.25).astype(np.float32)
    popularity = model.item_popularity_
    expected = sorted(ITEMS, key=lambda i: (i % 3 > 0, -popularity[i], i))
    assert len(set(popularity)) < 90
    ids, _ = top_items(model.recommend(planted.test, k=90, exclude_seen=False))
    np.testing.assert_array_equal(ids, np.tile(expected, (80, 1)))


def test_users_without_history_get_the_most_popular_items(calibrated, planted):
    X = sp.vstack([planted.test[:1], sp.csr_array((2, 90))], format="csr")
    ids, scores = top_items(calibrated.recommend(X, k=90, exclude_seen=False))
    popularity = calibrated.item_popularity_
    expected = sorted(ITEMS, key=lambda i: (-popularity[i], i))
    np.testing.assert_array_equal(ids[1:], [expected, expected])
    np.testing.assert_array_equal(scores[1:], 0)


def test_users_and_items_without_interactions(calibrating, tiny):
    X = sp.block_diag([tiny, np.zeros((5, 3))], format="csr")
    model = calibrating().fit(X)
    np.testing.assert_array_equal(model.item_intercepts_[12:], 0)
    R = model.recommend(X, k=15)
    assert np.isfinite(R.data).all()
    np.testing.assert_allclose(
        model.recommend(X, k=15, exclude_seen=False).toarray(),
        dense_scores(model, X),
        atol=1e-6,
    )


def test_names(calibrating, calibrated, planted):
    frame = pd.DataFrame(
        planted.train.toarray(), columns=[f"item {i:02d}" for i in ITEMS]
    )
    model = calibrating().fit(frame)
    assert_same_model(model, calibrated)
    ids = calibrated.predict(planted.train)
    np.testing.assert_array_equal(model.predict(frame), frame.columns.to_numpy()[ids])


# In scikit-learn


@parametrize_with_checks([CompressedELSA(32, max_iter=2, calibration=True)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_pickle(calibrated, planted):
    loaded = pickle.loads(pickle.dumps(calibrated))
    assert_same_model(loaded, calibrated)
    assert_same_lists(
        loaded.recommend(planted.test), calibrated.recommend(planted.test), rtol=0
    )


def test_clone(calibrating, calibrated, planted):
    copied = clone(calibrated)
    assert copied.calibration is True
    assert not hasattr(copied, "item_slopes_")
    assert_same_model(copied.fit(planted.train), calibrated)
    copied.set_params(calibration=False).fit(planted.train)
    assert copied.item_slopes_ is None
    assert copied.item_intercepts_ is None


def test_a_grid_search_takes_what_suits_the_data(make, calibrating, baskets):
    grid = {"calibration": [False, True]}
    search = GridSearchCV(make(), grid, cv=2).fit(baskets[0])
    assert search.best_params_ == {"calibration": True}
    plain, with_calibration = search.cv_results_["mean_test_score"]
    assert with_calibration > plain + 0.05
    assert search.best_estimator_.item_slopes_.shape == (120,)


def test_with_early_stopping(calibrating, planted):
    options = {"max_iter": 8, "n_iter_no_change": 2, "early_stopping": True}
    model = calibrating(**options).fit(planted.train)
    plain = calibrating(**options, calibration=False).fit(planted.train)
    # Both hold the same users out, and epochs are compared without calibration.
    assert (model.item_embeddings_ != plain.item_embeddings_).nnz == 0
    assert model.validation_scores_ == plain.validation_scores_
    assert model.item_slopes_.shape == (90,)
    np.testing.assert_allclose(
        model.recommend(planted.test, k=90, exclude_seen=False).toarray(),
        dense_scores(model, planted.test),
        atol=1e-6,
    )


def test_partial_fit_keeps_the_calibration(calibrating, planted):
    model = calibrating().fit(planted.train)
    slopes, intercepts = model.item_slopes_, model.item_intercepts_
    model.partial_fit(planted.train)
    np.testing.assert_array_equal(model.item_slopes_, slopes)
    np.testing.assert_array_equal(model.item_intercepts_, intercepts)
    A = model.item_embeddings_.toarray().astype(np.float64)
    U = planted.test.toarray() @ A
    expected = U @ A.T * slopes + np.linalg.norm(U, axis=1)[:, None] * intercepts
    R = model.recommend(planted.test, k=90, exclude_seen=False)
    np.testing.assert_allclose(R.toarray(), expected, atol=1e-5)
    # Nobody is held out of the first epoch of a series.
    assert calibrating().partial_fit(planted.train).item_slopes_ is None


def test_warm_start_calibrates_again(calibrating, planted):
    model = calibrating(warm_start=True).fit(planted.train)
    slopes = model.item_slopes_
    model.fit(planted.train)
    assert model.item_slopes_.shape == (90,)
    assert not np.array_equal(model.item_slopes_, slopes)


class Look:
    """A callback that remembers the slopes of every task, and may interrupt one."""

    def __init__(self, interrupt_at=None):
        self.interrupt_at, self.seen = interrupt_at, []

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.seen.append((context.task_name, fitted_estimator.item_slopes_))
        if len(self.seen) == self.interrupt_at:
            raise KeyboardInterrupt


def test_callbacks_see_the_calibrated_model_at_the_end(calibrating, planted):
    look = Look()
    model = calibrating().set_callbacks(look).fit(planted.train)
    *epochs, (task, slopes) = look.seen
    assert task == "fit"
    np.testing.assert_array_equal(slopes, model.item_slopes_)
    assert epochs == [("epoch", None)] * 3


def test_a_resumed_fit_has_the_same_calibration(
    calibrating, calibrated, planted, tmp_path
):
    model = calibrating(checkpoint=tmp_path).set_callbacks(Look(interrupt_at=2))
    with pytest.raises(KeyboardInterrupt):
        model.fit(planted.train)
    assert list(tmp_path.iterdir())
    model = calibrating(checkpoint=tmp_path).fit(planted.train)
    assert_same_model(model, calibrated)


# Errors


def test_memory_mapped_interactions(calibrating, calibrated, planted, tmp_path):
    save_interactions(planted.train, tmp_path / "X")
    opened = open_interactions(tmp_path / "X")
    assert_same_model(calibrating().fit(opened), calibrated)
    with (
        config_context(working_memory=1e-3),
        pytest.raises(
            ValueError,
            match=r"calibration copies.*memory-mapped.*MiB: set calibration=False",
        ),
    ):
        calibrating().fit(opened)


def test_nobody_left_to_train_on(calibrating, tiny):
    with pytest.raises(
        ValueError,
        match=r"calibration holds 3 of 3 users out.*validation_fraction=0\.9.*"
        "calibration=False",
    ):
        calibrating(validation_fraction=0.9).fit(tiny[:3])
    assert calibrating().fit(tiny[:2]).item_slopes_.shape == (12,)


def test_held_out_users_of_one_item_confirm_nothing(calibrating, planted):
    X = planted.train.tolil()
    model = calibrating()
    order = np.arange(1.0, 221)[:, None]
    marked = sp.csr_array(np.hstack([order, np.ones((220, 1))]))
    _, held_out = hold_out(model, marked, draw_seed(model.random_state))
    for user in held_out[:, [0]].toarray().ravel().astype(int) - 1:
        X[user] = 0
        X[user, user % 90] = 1
    model.fit(sp.csr_array(X))
    np.testing.assert_array_equal(model.item_slopes_, 0)
    ids, _ = top_items(model.recommend(planted.test, k=90, exclude_seen=False))
    popularity = model.item_popularity_
    expected = sorted(ITEMS, key=lambda i: (-popularity[i], i))
    np.testing.assert_array_equal(ids, np.tile(expected, (80, 1)))


def test_paths_refuse_it(planted):
    with pytest.raises(ValueError, match="calibration=True belongs to a single fit"):
        compressed_elsa_path(
            planted.train, n_components=16, n_nonzero=[4], calibration=True
        )
    with pytest.raises(TypeError, match="calibration"):
        CompressedELSACV(calibration=True)


@pytest.mark.parametrize("value", [None, "yes", 0.5])
def test_it_is_a_boolean(make, tiny, value):
    with pytest.raises(ValueError, match="'calibration' parameter"):
        make(calibration=value).fit(tiny)
