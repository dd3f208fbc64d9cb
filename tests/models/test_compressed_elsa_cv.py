"""CompressedELSACV: budgets, folds, scores, refit, and what it inherits."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
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
from sksparse_rec.models._path import fit_path


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


@parametrize_with_checks(
    [
        CompressedELSACV(
            8,
            n_nonzero=(4, 2),
            cv=2,
            max_iter=2,
            max_iter_per_level=1,
            batch_size=64,
            random_state=0,
        )
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_defaults_are_those_of_the_plain_estimator():
    plain, cv = CompressedELSA().get_params(), CompressedELSACV().get_params()
    for name in _compressed_elsa_cv.PASSED_ON:
        assert cv[name] == plain[name]
    assert cv["n_nonzero"] == (256, 128, 64, 32, 16, 8)


# The budgets


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
def test_budgets(make_cv, tiny, options, expected):
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
def test_a_budget_below_one_nonzero_names_the_smallest(make_cv, tiny, options, message):
    with pytest.raises(ValueError, match=message):
        make_cv(**options).fit(tiny)


def test_levels_are_clipped_to_components_and_items(make_cv, tiny):
    model = make_cv(n_nonzero=(100, 2), n_components=5).fit(tiny)
    np.testing.assert_array_equal(model.n_nonzero_grid_, [5, 2])
    model = make_cv(n_nonzero=(100, 2), n_components=64).fit(tiny)
    np.testing.assert_array_equal(model.n_nonzero_grid_, [12, 2])


def test_levels_that_the_data_cannot_fill(make_cv, checkerboard):
    # An item meets half of the others.
    model = make_cv(n_components=30, n_nonzero=(30, 20, 10)).fit(checkerboard)
    np.testing.assert_array_equal(model.n_nonzero_grid_, [30, 20, 10])
    assert np.diff(model.item_embeddings_.indptr).max() <= 15


# The rules


@pytest.mark.parametrize(
    ("rule", "selected"), [("best", 8), (0.01, 8), (0.1, 4), (0.5, 2)]
)
def test_the_rule_decides_the_refit(make_cv, planted, rule, selected):
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


def test_one_standard_error_needs_two_folds(make_cv, tiny):
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
def test_the_refit_is_a_path_on_all_users(make_cv, planted, rule):
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


def test_the_refit_trains_the_selected_level_only(make_cv, planted, monkeypatch):
    calls = []

    def train(estimator, X, levels, *, largest, **options):
        calls.append((X.shape[0], list(levels), largest))
        return fit_path(estimator, X, levels, largest=largest, **options)

    monkeypatch.setattr(_compressed_elsa_cv, "fit_path", train)
    make_cv(rule=0.5, scoring=ScoreTable(n8=0.5, n4=0.4, n2=0.1)).fit(planted.train)
    n_users = planted.train.shape[0]
    assert calls[:2] == [(n_users // 2, [8, 4, 2], 8)] * 2
    assert calls[2:] == [(n_users, [4], 8)]


def test_one_level_equals_the_plain_estimator(make_cv, planted):
    cv = make_cv(n_nonzero=(4,)).fit(planted.train)
    plain = estimator_of(cv).set_params(n_nonzero=4).fit(planted.train)
    assert (cv.item_embeddings_ != plain.item_embeddings_).nnz == 0
    assert cv.n_nonzero_ == 4
    assert cv.score_path_.shape == (1, 2)


@pytest.mark.parametrize(
    "scoring", [make_ranking_scorer("recall", k=5), make_ranking_scorer(k=10)]
)
def test_other_scorers(make_cv, planted, scoring):
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
def test_kinds_of_folds(make_cv, tiny, cv, n_folds):
    model = make_cv(cv=cv).fit(tiny)
    assert model.score_path_.shape == (3, n_folds)
    assert np.all((model.score_path_ > 0) & (model.score_path_ <= 1))


def test_labels_reach_the_splitter(make_cv, tiny):
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
def test_targets_reach_the_scorer(make_cv, planted, container):
    history, targets = holdout_split(planted.train, random_state=3)
    as_given = container(targets.toarray() if container is np.asarray else targets)
    model = make_cv().fit(history, as_given)
    train, test = next(KFold(2).split(history))
    models = train_path(model, history[train], [8, 4, 2])
    expected = [m.score(history[test], targets[test]) for m in models]
    np.testing.assert_allclose(model.score_path_[:, 0], expected)


def test_folds_are_of_users(make_cv, tiny):
    with pytest.raises(ValueError, match=r"n_splits=3 greater than.*n_samples=2"):
        make_cv(cv=3).fit(tiny[:2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make_cv().fit(tiny, np.zeros(7))


def test_leave_one_out_hides_items_of_a_single_user(make_cv, tiny):
    model = make_cv(cv=LeaveOneOut(), n_nonzero=(2,)).fit(tiny[:5])
    assert model.score_path_.shape == (1, 5)


def test_a_catalogue_of_one_item_cannot_be_ranked(make_cv, tiny):
    with pytest.raises(ValueError, match=r"1 feature\(s\) while a minimum of 2"):
        make_cv().fit(tiny[:, [0]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_must_be_finite(make_cv, tiny, value):
    scoring = ScoreTable(n8=0.1, n4=value, n2=0.1)
    with pytest.raises(ValueError, match=f"scoring returned {value} in fold 0 for 4"):
        make_cv(scoring=scoring).fit(tiny)


def test_users_of_a_fold_must_have_something_to_hide(make_cv, tiny):
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
def test_parameters_out_of_range(make_cv, tiny, options):
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


def test_the_interactions_of_fit_encode_new_items(make_cv, planted):
    model = make_cv().fit(planted.train)
    codes = model.encode_items(planted.train[:, [0, 5]])
    expected = model.encode_items(planted.train[:, [0, 5]], planted.train)
    np.testing.assert_allclose(codes.toarray(), expected.toarray(), atol=1e-6)
    copy = pickle.loads(pickle.dumps(model))
    with pytest.raises(ValueError, match="not known any more"):
        copy.encode_items(planted.train[:, [0]])


def test_predict_is_absent_for_labels_of_few_items(make_cv, tiny):
    # As in CompressedELSA: scikit-learn's checks take it for a predictor of labels.
    model = make_cv().fit(tiny[:, :8], np.arange(40) % 2)
    assert not hasattr(model, "predict")
    assert not hasattr(model.best_estimator_, "predict")
    model.fit(tiny[:, :8])
    assert hasattr(model, "predict")


def test_an_unfitted_estimator_says_so(make_cv, planted):
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


def test_names_go_in_and_out(make_cv, tiny):
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


def test_set_output_is_refused_in_the_words_of_scikit_learn(make_cv, tiny):
    frame = pd.DataFrame(tiny.toarray(), columns=NAMES)
    model = make_cv().set_output(transform="pandas").fit(frame)
    with pytest.raises(ValueError, match="outputs a scipy sparse matrix"):
        model.transform(frame)


# Inside scikit-learn


def test_in_a_pipeline(make_cv, tiny):
    pipeline = make_pipeline(Binarizer(), make_cv()).fit(tiny)
    model = make_cv().fit(Binarizer().fit_transform(tiny))
    np.testing.assert_array_equal(pipeline[-1].score_path_, model.score_path_)
    np.testing.assert_array_equal(
        pipeline.predict(tiny, k=3), model.predict(tiny > 0, k=3)
    )
    labelled = make_pipeline(Binarizer(), make_cv()).fit(tiny, np.arange(40) % 2)
    assert labelled.score(tiny, np.arange(40) % 2) == pipeline.score(tiny)


def test_in_a_grid_search(make_cv, planted):
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


def test_a_search_by_a_ranking_scorer_scores_the_search(make_cv, planted):
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
