"""Ranking scorers as `scoring` of scikit-learn's searches."""

import numpy as np
import pytest
from joblib import parallel_config
from sklearn import config_context
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline

from sksparse_rec.model_selection import holdout_split, make_ranking_scorer

N_USERS = 60
GRID = {"power": [-1, 1]}


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_grid_search(Popularity, X, n_jobs):
    scorer = make_ranking_scorer(k=5)
    search = GridSearchCV(Popularity(), GRID, scoring=scorer, cv=3, n_jobs=n_jobs)
    # Processes take seconds to start; test_pickle_and_repr covers what they need.
    with parallel_config(backend="threading"):
        search.fit(X)
        again = clone(search).fit(X)
    assert again.best_score_ == search.best_score_
    assert search.best_params_ == {"power": 1}
    folds = KFold(3).split(X)
    expected = [scorer(Popularity().fit(X[train]), X[test]) for train, test in folds]
    found = [search.cv_results_[f"split{i}_test_score"][1] for i in range(3)]
    np.testing.assert_allclose(found, expected)
    assert search.score(X) == scorer(search.best_estimator_, X)


def test_grid_search_with_several_metrics(Popularity, X):
    scoring = {
        "ndcg": make_ranking_scorer(k=5),
        "recall": make_ranking_scorer("recall", k=3),
    }
    search = GridSearchCV(Popularity(), GRID, scoring=scoring, refit="recall", cv=2)
    search.fit(X)
    assert search.best_params_ == {"power": 1}
    assert {"mean_test_ndcg", "mean_test_recall"} <= set(search.cv_results_)


def test_grid_search_with_targets(Popularity, X):
    history, targets = holdout_split(X, random_state=4)
    scorer = make_ranking_scorer(k=5)
    search = GridSearchCV(Popularity(), GRID, scoring=scorer, cv=2)
    search.fit(history, targets)
    assert search.score(history, targets) == scorer(
        search.best_estimator_, history, targets
    )


def test_grid_search_in_a_pipeline(Popularity, X):
    model = make_pipeline(TfidfTransformer(), Popularity())
    scorer = make_ranking_scorer(k=5)
    search = GridSearchCV(model, {"popularity__power": [-1, 1]}, scoring=scorer, cv=2)
    assert search.fit(X).best_params_ == {"popularity__power": 1}


def test_nested_cross_validation(Popularity, X):
    scorer = make_ranking_scorer(k=5)
    search = GridSearchCV(Popularity(), GRID, scoring=scorer, cv=2)
    nested = cross_val_score(search, X, scoring=scorer, cv=2)
    plain = cross_val_score(Popularity(), X, scoring=scorer, cv=2)
    np.testing.assert_allclose(nested, plain)


def test_halving_search(Popularity, X):
    search = HalvingGridSearchCV(
        Popularity(),
        {"power": [-2, -1, 1]},
        scoring=make_ranking_scorer(k=5),
        cv=2,
        min_resources=20,
        random_state=0,
    )
    assert search.fit(X).best_params_ == {"power": 1}


def test_sample_weight_reaches_the_scorer_without_routing(Popularity, X):
    weights = np.arange(1.0, N_USERS + 1)
    scorer = make_ranking_scorer(k=5)
    for scoring in (scorer, {"ndcg": scorer}):
        search = GridSearchCV(Popularity(), GRID, scoring=scoring, cv=2, refit=False)
        search.fit(X, sample_weight=weights)
        name = "ndcg" if isinstance(scoring, dict) else "score"
        first = np.arange(N_USERS // 2)
        model = Popularity().fit(X[N_USERS // 2 :])
        expected = scorer(model, X[first], sample_weight=weights[first])
        assert search.cv_results_[f"split0_test_{name}"][1] == pytest.approx(expected)


def test_metadata_routing(Popularity, X):
    weights = np.arange(1.0, N_USERS + 1)
    times = X.copy()
    times.data = np.arange(X.nnz, 0, -1)
    with config_context(enable_metadata_routing=True):
        scorer = make_ranking_scorer(k=5)
        scorer.set_score_request(sample_weight="importance", timestamps=True)
        for scoring in (scorer, {"ndcg": scorer}):
            search = GridSearchCV(
                Popularity(), GRID, scoring=scoring, cv=2, refit=False
            )
            search.fit(X, importance=weights, timestamps=times)
            model = Popularity().fit(X[30:])
            expected = scorer(
                model, X[:30], sample_weight=weights[:30], timestamps=times[:30]
            )
            name = "ndcg" if isinstance(scoring, dict) else "score"
            found = search.cv_results_[f"split0_test_{name}"][1]
            assert found == pytest.approx(expected)


def test_metadata_that_nobody_asked_for(Popularity, X):
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(Popularity(), GRID, scoring=make_ranking_scorer(), cv=2)
        with pytest.raises(ValueError, match=r"timestamps.* not explicitly set"):
            search.fit(X, timestamps=X)
        scorer = make_ranking_scorer().set_score_request(sample_weight=False)
        scorer.set_score_request(timestamps=True)  # keeps the other request
        request = scorer.get_metadata_routing().score.requests
        assert request == {"sample_weight": False, "timestamps": True}
    with pytest.raises(RuntimeError, match="enable_metadata_routing=True"):
        make_ranking_scorer().set_score_request(sample_weight=True)
