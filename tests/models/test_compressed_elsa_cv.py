"""CompressedELSACV: grid, folds, rules, budgets, refit, and what it inherits."""

import logging
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneOut,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer
from sklearn.utils.estimator_checks import parametrize_with_checks

from sksparse_rec import CompressedELSA, CompressedELSACV, top_items
from sksparse_rec.model_selection import holdout_split, make_ranking_scorer
from sksparse_rec.models import _compressed_elsa_cv
from sksparse_rec.models._levels import select_level, sparsity_grid
from sksparse_rec.models._path import fit_path

SMALL = {
    "n_components": 16,
    "n_nonzero": (8, 4, 2),
    "cv": 2,
    "max_iter": 2,
    "max_iter_per_level": 1,
    "batch_size": 64,
    "random_state": 0,
}


def make_cv(**options):
    return CompressedELSACV(**(SMALL | options))


def estimator_of(cv):
    """The model of a path, with the parameters of the search."""
    shared = set(CompressedELSA().get_params()) & set(cv.get_params())
    return CompressedELSA(
        **{name: getattr(cv, name) for name in shared - {"n_nonzero"}}
    )


def train_path(cv, X, levels):
    return fit_path(
        estimator_of(cv), X, levels, max_iter_per_level=cv.max_iter_per_level
    )


class ScoreTable:
    """A scorer that knows the answer: levels to scores, the same in every fold."""

    def __init__(self, **scores):
        self.scores = {int(level[1:]): score for level, score in scores.items()}

    def __call__(self, estimator, X, y=None):
        return self.scores[estimator.n_nonzero]


@pytest.fixture(scope="module")
def fitted_cv(planted):
    """A search on the planted clusters; tests must not change it."""
    return make_cv().fit(planted.train)


@parametrize_with_checks([make_cv(n_components=8, n_nonzero=(4, 2))])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_defaults_are_those_of_the_plain_estimator():
    plain, cv = CompressedELSA().get_params(), CompressedELSACV().get_params()
    for name in _compressed_elsa_cv.PASSED_ON:
        assert cv[name] == plain[name]
    assert cv["n_nonzero"] == (256, 128, 64, 32, 16, 8)


# The grid and the budgets


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


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_bytes_per_item": 64}, [8, 4, 2]),
        ({"max_bytes_per_item": 63.9}, [7, 4, 2]),
        ({"max_bytes_per_item": 8}, [1]),
        ({"max_bytes_per_item": 1e300}, [8, 4, 2]),
        ({"max_bytes": 8 * 12 * 5}, [5, 4, 2]),
        ({"max_bytes": 8 * 12 * 5 - 1}, [4, 2]),
        ({"max_bytes": 1e9}, [8, 4, 2]),
        ({"max_bytes": 8 * 12 * 3, "max_bytes_per_item": 48}, [3, 2]),
        ({"max_bytes": 8 * 12 * 6, "max_bytes_per_item": 24}, [3, 2]),
    ],
)
def test_budgets(tiny, options, expected):
    model = make_cv(**options).fit(tiny)
    np.testing.assert_array_equal(model.n_nonzero_grid_, expected)
    held = 8 * np.diff(model.item_embeddings_.indptr)
    budget = options.get("max_bytes_per_item", np.inf)
    assert held.max() <= model.bytes_per_item_ <= budget
    assert held.sum() <= options.get("max_bytes", np.inf)
    assert model.item_embeddings_.dtype == np.float32
    assert model.item_embeddings_.indices.dtype == np.int32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_bytes_per_item": 7}, "max_bytes_per_item=7 .* must be at least 8"),
        ({"max_bytes": 95.5}, "max_bytes=95.5 .* 12 items: it must be at least 96"),
    ],
)
def test_a_budget_below_one_nonzero_names_the_smallest(tiny, options, message):
    with pytest.raises(ValueError, match=message):
        make_cv(**options).fit(tiny)


def test_levels_are_clipped_to_components_and_items(tiny):
    model = make_cv(n_nonzero=(100, 2), n_components=5).fit(tiny)
    np.testing.assert_array_equal(model.n_nonzero_grid_, [5, 2])
    model = make_cv(n_nonzero=(100, 2), n_components=64).fit(tiny)
    np.testing.assert_array_equal(model.n_nonzero_grid_, [12, 2])


def test_levels_that_the_data_cannot_fill(checkerboard):
    # An item meets half of the others.
    model = make_cv(n_components=30, n_nonzero=(30, 20, 10)).fit(checkerboard)
    np.testing.assert_array_equal(model.n_nonzero_grid_, [30, 20, 10])
    assert np.diff(model.item_embeddings_.indptr).max() <= 15


# The rules


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


@pytest.mark.parametrize(
    ("rule", "selected"), [("best", 8), (0.01, 8), (0.1, 4), (0.5, 2)]
)
def test_the_rule_decides_the_refit(planted, rule, selected):
    scoring = ScoreTable(n8=0.50, n4=0.46, n2=0.26)
    model = make_cv(rule=rule, scoring=scoring).fit(planted.train)
    np.testing.assert_array_equal(
        model.score_path_, [[0.5] * 2, [0.46] * 2, [0.26] * 2]
    )
    assert model.n_nonzero_ == model.best_estimator_.n_nonzero_ == selected
    assert model.bytes_per_item_ == 8 * selected
    assert model.n_nonzero_grid_[model.best_index_] == selected
    assert model.best_score_ == pytest.approx(scoring.scores[selected])
    assert np.diff(model.item_embeddings_.indptr).max() == selected


def test_one_standard_error_needs_two_folds(tiny):
    split = ShuffleSplit(1, random_state=0)
    with pytest.raises(ValueError, match="at least 2 folds, but cv makes 1"):
        make_cv(cv=split, rule="one_standard_error").fit(tiny)
    assert make_cv(cv=split, rule=0.1).fit(tiny).score_path_.shape == (3, 1)


# Folds, scores and the refit


def test_scores_are_those_of_paths_trained_by_hand(fitted_cv, planted):
    X = planted.train
    for fold, (train, test) in enumerate(KFold(2).split(X)):
        models = train_path(fitted_cv, X[train], [8, 4, 2])
        expected = [model.score(X[test]) for model in models]
        np.testing.assert_allclose(fitted_cv.score_path_[:, fold], expected)
    assert len(np.unique(fitted_cv.score_path_)) == 6


@pytest.mark.parametrize("rule", ["best", 0.9])
def test_the_refit_is_a_path_on_all_users(planted, rule):
    model = make_cv(rule=rule).fit(planted.train)
    levels = model.n_nonzero_grid_[: model.best_index_ + 1]
    assert rule == "best" or len(levels) == 3
    expected = train_path(model, planted.train, levels)[-1]
    assert (expected.item_embeddings_ != model.item_embeddings_).nnz == 0
    assert model.n_iter_ == len(model.loss_curve_) == expected.n_iter_
    np.testing.assert_array_equal(model.anchors_, expected.anchors_)
    np.testing.assert_array_equal(
        model.item_popularity_, (planted.train > 0).sum(axis=0)
    )


def test_one_level_equals_the_plain_estimator(planted):
    cv = make_cv(n_nonzero=(4,)).fit(planted.train)
    plain = estimator_of(cv).set_params(n_nonzero=4).fit(planted.train)
    assert (cv.item_embeddings_ != plain.item_embeddings_).nnz == 0
    assert cv.n_nonzero_ == 4
    assert cv.score_path_.shape == (1, 2)


@pytest.mark.parametrize(
    "scoring", [make_ranking_scorer("recall", k=5), make_ranking_scorer(k=10)]
)
def test_other_scorers(planted, scoring):
    model = make_cv(scoring=scoring).fit(planted.train)
    train, test = next(KFold(2).split(planted.train))
    models = train_path(model, planted.train[train], [8, 4, 2])
    expected = [scoring(m, planted.train[test]) for m in models]
    np.testing.assert_allclose(model.score_path_[:, 0], expected)


@pytest.mark.parametrize(
    ("cv", "n_folds"),
    [
        (3, 3),
        (KFold(2, shuffle=True, random_state=0), 2),
        (ShuffleSplit(4, test_size=10, random_state=0), 4),
        ([(np.arange(20), np.arange(20, 40))], 1),
        (((np.arange(40) % 2 == i, np.arange(40) % 2 != i) for i in (0, 1)), 2),
    ],
    ids=["int", "KFold", "ShuffleSplit", "list", "generator of masks"],
)
def test_kinds_of_folds(tiny, cv, n_folds):
    model = make_cv(cv=cv).fit(tiny)
    assert model.score_path_.shape == (3, n_folds)
    assert np.all((model.score_path_ > 0) & (model.score_path_ <= 1))


def test_labels_reach_the_splitter(tiny):
    labels = np.repeat([0, 1], [30, 10])
    seen = []

    def scoring(estimator, X, y):
        seen.append(y)
        return estimator.score(X, y)

    folds = StratifiedKFold(2)
    make_cv(cv=folds, scoring=scoring).fit(tiny, labels)
    assert [y.sum() for y in seen] == [5] * 6
    plain = make_cv(cv=folds.split(tiny, labels)).fit(tiny)
    labelled = make_cv(cv=folds).fit(tiny, labels)
    np.testing.assert_array_equal(plain.score_path_, labelled.score_path_)


@pytest.mark.parametrize("container", [sp.csr_array, sp.coo_matrix, np.asarray])
def test_targets_reach_the_scorer(planted, container):
    history, targets = holdout_split(planted.train, random_state=3)
    as_given = container(targets.toarray() if container is np.asarray else targets)
    model = make_cv().fit(history, as_given)
    train, test = next(KFold(2).split(history))
    models = train_path(model, history[train], [8, 4, 2])
    expected = [m.score(history[test], targets[test]) for m in models]
    np.testing.assert_allclose(model.score_path_[:, 0], expected)


def test_folds_are_of_users(tiny):
    with pytest.raises(ValueError, match=r"n_splits=3 greater than.*n_samples=2"):
        make_cv(cv=3).fit(tiny[:2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make_cv().fit(tiny, np.zeros(7))


def test_leave_one_out_hides_items_of_a_single_user(tiny):
    model = make_cv(cv=LeaveOneOut(), n_nonzero=(2,)).fit(tiny[:5])
    assert model.score_path_.shape == (1, 5)


def test_a_catalogue_of_one_item_cannot_be_ranked(tiny):
    with pytest.raises(ValueError, match=r"1 feature\(s\) while a minimum of 2"):
        make_cv().fit(tiny[:, [0]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_must_be_finite(tiny, value):
    scoring = ScoreTable(n8=0.1, n4=value, n2=0.1)
    with pytest.raises(ValueError, match=f"scoring returned {value} in fold 0 for 4"):
        make_cv(scoring=scoring).fit(tiny)


def test_users_of_a_fold_must_have_something_to_hide(tiny):
    single = sp.csr_array(np.eye(12))
    with pytest.raises(ValueError, match="None of the 6 users has targets"):
        make_cv().fit(single)


@pytest.mark.parametrize(
    "options",
    [
        {"rule": "worst"},
        {"rule": 0.0},
        {"rule": 1.0},
        {"n_nonzero": 8},
        {"scoring": ["ndcg"]},
        {"scoring": "no such score"},
        {"cv": 1},
        {"cv": "three"},
        {"max_bytes": 0},
        {"max_bytes_per_item": -8},
        {"max_bytes_per_item": np.inf},
        {"max_iter_per_level": 0},
        {"max_iter": 0},
        {"n_components": 0},
    ],
)
def test_parameters_out_of_range(tiny, options):
    model = make_cv(**options)
    before = set(vars(model))
    with pytest.raises(ValueError):
        model.fit(tiny)
    assert set(vars(model)) == before


# The methods of the selected model


def test_methods_are_those_of_the_selected_model(fitted_cv, planted):
    X, best = planted.test, fitted_cv.best_estimator_
    assert isinstance(best, CompressedELSA)
    pairs = [
        (fitted_cv.transform(X), best.transform(X)),
        (fitted_cv.recommend(X, 5, deny=[1]), best.recommend(X, 5, deny=[1])),
        (fitted_cv.similar_items([0, 3]), best.similar_items([0, 3])),
        (fitted_cv.explain(X[[0]], [1]).by_latent, best.explain(X[[0]], [1]).by_latent),
        (fitted_cv.encode_items(X[:, [0]], X), best.encode_items(X[:, [0]], X)),
        (fitted_cv.components_, best.components_),
    ]
    for found, expected in pairs:
        assert found.shape == expected.shape
        assert (found != expected).nnz == 0
    np.testing.assert_array_equal(fitted_cv.predict(X, k=4), best.predict(X, k=4))
    assert fitted_cv.score(X) == best.score(X) > 0.2
    Z = fitted_cv.transform(X)
    np.testing.assert_array_equal(
        fitted_cv.inverse_transform(Z), best.inverse_transform(Z)
    )
    assert list(fitted_cv.get_feature_names_out()[:2]) == [
        "compressedelsacv0",
        "compressedelsacv1",
    ]
    assert fitted_cv.item_embeddings_ is best.item_embeddings_


def test_the_interactions_of_fit_encode_new_items(planted):
    model = make_cv().fit(planted.train)
    codes = model.encode_items(planted.train[:, [0, 5]])
    expected = model.encode_items(planted.train[:, [0, 5]], planted.train)
    np.testing.assert_allclose(codes.toarray(), expected.toarray(), atol=1e-6)
    copy = pickle.loads(pickle.dumps(model))
    with pytest.raises(ValueError, match="not known any more"):
        copy.encode_items(planted.train[:, [0]])


def test_predict_is_absent_for_labels_of_few_items(tiny):
    # As in CompressedELSA: scikit-learn's checks take it for a predictor of labels.
    model = make_cv().fit(tiny[:, :8], np.arange(40) % 2)
    assert not hasattr(model, "predict")
    assert not hasattr(model.best_estimator_, "predict")
    model.fit(tiny[:, :8])
    assert hasattr(model, "predict")


def test_an_unfitted_estimator_says_so(planted):
    for call in (
        lambda model: model.recommend(planted.test),
        lambda model: model.encode_items(planted.test, planted.test),
        lambda model: model.score(planted.test),
    ):
        with pytest.raises(NotFittedError):
            call(make_cv())


@pytest.mark.parametrize("interface", ["sparray", "spmatrix"])
def test_sparse_results_have_the_configured_flavour(fitted_cv, planted, interface):
    with config_context(sparse_interface=interface):
        for S in (fitted_cv.transform(planted.test), fitted_cv.recommend(planted.test)):
            assert isinstance(S, getattr(sp, interface))


NAMES = [f"item {i:02d}" for i in range(12)]


def test_names_go_in_and_out(tiny):
    frame = pd.DataFrame(tiny.toarray(), columns=NAMES)
    named, plain = make_cv().fit(frame), make_cv().fit(tiny)
    np.testing.assert_array_equal(named.score_path_, plain.score_path_)
    np.testing.assert_array_equal(named.feature_names_in_, NAMES)
    names = np.array([*NAMES, None], dtype=object)
    for model in (named, named.best_estimator_):
        predicted = model.predict(frame, k=3)
        np.testing.assert_array_equal(predicted, names[plain.predict(tiny, k=3)])
        assert model.recommend(frame, allow=["item 01"]).nnz <= len(frame)
    # Names of an earlier fit do not survive.
    named.fit(tiny)
    assert not hasattr(named, "feature_names_in_")
    assert not hasattr(named.best_estimator_, "feature_names_in_")


def test_set_output_is_refused_in_the_words_of_scikit_learn(tiny):
    frame = pd.DataFrame(tiny.toarray(), columns=NAMES)
    model = make_cv().set_output(transform="pandas").fit(frame)
    with pytest.raises(ValueError, match="outputs a scipy sparse matrix"):
        model.transform(frame)


# Inside scikit-learn


def test_in_a_pipeline(tiny):
    pipeline = make_pipeline(Binarizer(), make_cv()).fit(tiny)
    model = make_cv().fit(Binarizer().fit_transform(tiny))
    np.testing.assert_array_equal(pipeline[-1].score_path_, model.score_path_)
    np.testing.assert_array_equal(
        pipeline.predict(tiny, k=3), model.predict(tiny > 0, k=3)
    )
    labelled = make_pipeline(Binarizer(), make_cv()).fit(tiny, np.arange(40) % 2)
    assert labelled.score(tiny, np.arange(40) % 2) == pipeline.score(tiny)


def test_in_a_grid_search(planted):
    search = GridSearchCV(make_cv(), {"n_components": [2, 16]}, cv=2)
    search.fit(planted.train)
    assert search.best_params_ == {"n_components": 16}
    train, test = next(KFold(2).split(planted.train))
    expected = make_cv(n_components=2).fit(planted.train[train])
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(
        expected.score(planted.train[test])
    )
    ids, _ = top_items(search.best_estimator_.recommend(planted.test, k=3))
    assert ids.shape == (80, 3)


def test_a_search_by_a_ranking_scorer_scores_the_search(planted):
    scorer = make_ranking_scorer("recall", k=5)
    model = make_cv(scoring=scorer).fit(planted.train)
    expected = scorer(model.best_estimator_, planted.test)
    assert scorer(model, planted.test) == expected


def test_clone_and_pickle(fitted_cv, planted):
    copy = clone(fitted_cv)
    assert copy.get_params() == fitted_cv.get_params()
    with pytest.raises(NotFittedError):
        copy.recommend(planted.test)
    copy = pickle.loads(pickle.dumps(fitted_cv))
    np.testing.assert_array_equal(
        copy.predict(planted.test), fitted_cv.predict(planted.test)
    )
    np.testing.assert_array_equal(copy.score_path_, fitted_cv.score_path_)


def test_html_links_to_the_documentation(fitted_cv):
    assert "sksparse_rec.CompressedELSACV.html" in fitted_cv._repr_html_()


# What fit promises besides


def state_of(model):
    return {name: pickle.dumps(value) for name, value in vars(model).items()}


def test_fit_starts_over_and_repeats(fitted_cv, planted):
    model = make_cv(n_nonzero=(5, 3)).fit(planted.test)
    model.set_params(n_nonzero=(8, 4, 2)).fit(planted.train)
    np.testing.assert_array_equal(model.score_path_, fitted_cv.score_path_)
    assert (model.item_embeddings_ != fitted_cv.item_embeddings_).nnz == 0


@pytest.mark.parametrize("random_state", [0, None, "instance"])
def test_global_generators_and_threads_are_left_alone(tiny, random_state):
    if random_state == "instance":
        random_state = np.random.RandomState(0)
    state, torch_state = np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    make_cv(random_state=random_state, n_jobs=2).fit(tiny)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(torch_state, torch.get_rng_state())
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("where", [1, 3, 7], ids=["first fold", "fold", "last fold"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_fit_leaves_the_estimator_as_it_was(tiny, where, error):
    frame = pd.DataFrame(tiny.toarray(), columns=NAMES)
    model = make_cv(cv=3).fit(frame)
    saved = state_of(model)
    calls = []

    def scoring(estimator, X, y):
        calls.append(1)
        if len(calls) == where:
            raise error
        return 0.5

    model.scoring = scoring
    with pytest.raises(error):
        model.fit(np.ones((9, 5)))
    model.scoring = None
    assert state_of(model) == saved
    fresh = make_cv(cv=3, scoring=scoring)
    before = set(vars(fresh))
    calls.clear()
    with pytest.raises(error):
        fresh.fit(frame)
    assert set(vars(fresh)) == before


def test_an_interrupted_refit_leaves_the_estimator_as_it_was(tiny, monkeypatch):
    model = make_cv().fit(tiny)
    saved, n_calls = state_of(model), []

    def interrupted(*arguments, **options):
        n_calls.append(1)
        if len(n_calls) == 3:
            raise KeyboardInterrupt
        return fit_path(*arguments, **options)

    monkeypatch.setattr(_compressed_elsa_cv, "fit_path", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(tiny[:30])
    assert state_of(model) == saved


def test_inputs_are_left_alone(tiny):
    levels = [2, 8, 4, 8]
    X = tiny.copy()
    make_cv(n_nonzero=levels).fit(X)
    assert levels == [2, 8, 4, 8]
    assert (X != tiny).nnz == 0


def test_any_container_gives_the_same(tiny):
    expected = make_cv().fit(tiny).score_path_
    for container in (sp.csr_matrix, sp.coo_array, sp.csc_array):
        model = make_cv().fit(container(tiny))
        np.testing.assert_array_equal(model.score_path_, expected)
    np.testing.assert_array_equal(make_cv().fit(tiny.toarray()).score_path_, expected)


def test_interactions_in_files(tiny, tmp_path):
    arrays = []
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{name}.npy", getattr(tiny, name))
        arrays.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    mapped = sp.csr_array(tuple(arrays), shape=tiny.shape)
    model = make_cv(cv=ShuffleSplit(2, random_state=0))
    expected = clone(model).fit(tiny)
    np.testing.assert_array_equal(model.fit(mapped).score_path_, expected.score_path_)


@pytest.mark.parametrize("verbose", [0, 1])
def test_verbose_logs_the_scores_of_the_folds(tiny, caplog, verbose):
    with caplog.at_level(logging.INFO, logger="sksparse_rec"):
        model = make_cv(verbose=verbose).fit(tiny)
    assert len(caplog.messages) == 2 * verbose
    if verbose:
        assert caplog.messages[1].startswith("fold 2 of 2: ")
        assert f"{model.score_path_[2, 1]:.4f} at 2" in caplog.messages[1]
