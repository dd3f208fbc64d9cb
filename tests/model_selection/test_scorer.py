"""Ranking scorers, called directly."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sksparse_rec.metrics import ndcg_at_k, recall_at_k
from sksparse_rec.model_selection import (
    RankingScorer,
    holdout_split,
    make_ranking_scorer,
    score_ranking,
)

N_USERS, N_ITEMS = 60, 20


def test_hides_and_scores(X, model):
    history, targets = holdout_split(X, random_state=0)
    expected = ndcg_at_k(targets, model.recommend(history, k=100), 100)
    score = make_ranking_scorer()(model, X)
    assert isinstance(score, float)
    assert score == expected
    assert score_ranking(model.recommend, X) == expected
    history, targets = holdout_split(X, test_count=2, min_history=3, random_state=5)
    expected = recall_at_k(targets, model.recommend(history, k=4), 4)
    options = {"k": 4, "test_count": 2, "min_history": 3, "random_state": 5}
    for metric in ("recall", recall_at_k):
        assert make_ranking_scorer(metric, **options)(model, X) == expected


@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix, sp.coo_array])
def test_containers_agree(X, model, container):
    scorer = make_ranking_scorer(k=5)
    assert scorer(model, container(X.toarray())) == scorer(model, X)


@pytest.mark.parametrize("frame", ["pandas", "pandas-sparse", "polars"])
@pytest.mark.parametrize("steps", [[], [TfidfTransformer(use_idf=False)]])
def test_data_frames_keep_their_names(Popularity, X, frame, steps):
    names = [f"item {i}" for i in range(N_ITEMS)]
    if frame == "pandas":
        X = pd.DataFrame(X.toarray(), columns=names)
    elif frame == "pandas-sparse":
        X = pd.DataFrame.sparse.from_spmatrix(X, columns=names)
    else:
        X = pl.DataFrame(X.toarray(), schema=names)
    model = make_pipeline(*steps, Popularity())
    scorer = make_ranking_scorer(k=5)
    # A warning that names are missing would fail the test.
    assert scorer(model.fit(X), X) > 0
    assert cross_val_score(model, X, scoring=scorer, cv=2).min() > 0


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array, np.asarray])
def test_targets_given(X, model, container):
    history, targets = holdout_split(X, random_state=9)
    expected = ndcg_at_k(targets, model.recommend(history, k=5), 5)
    targets = container(targets.toarray())
    assert make_ranking_scorer(k=5)(model, history, targets) == expected


def test_labels_are_ignored(X, model):
    scorer = make_ranking_scorer(k=5)
    assert scorer(model, X, np.zeros(N_USERS)) == scorer(model, X)
    assert scorer(model, X, ["label"] * N_USERS) == scorer(model, X)


def test_targets_of_another_shape(X, model):
    with pytest.raises(ValueError, match=r"y has shape \(60, 3\) but X has shape"):
        make_ranking_scorer()(model, X, X[:, :3])


def test_targets_and_timestamps(X, model):
    with pytest.raises(ValueError, match="pass one of both"):
        make_ranking_scorer()(model, X, X, timestamps=X)


def test_no_user_can_be_split(model):
    with pytest.raises(ValueError, match="None of the 20 users has targets"):
        make_ranking_scorer()(model, np.eye(N_ITEMS))


def test_score_does_not_depend_on_the_order_of_users(X, model):
    scorer = make_ranking_scorer(k=5)
    order = np.random.default_rng(0).permutation(N_USERS)
    assert scorer(model, X[order]) == pytest.approx(scorer(model, X))


def test_sample_weight_and_timestamps(X, model):
    times = X.copy()
    times.data = np.arange(X.nnz, 0, -1)
    weights = np.arange(N_USERS)
    scorer = make_ranking_scorer(k=5)
    history, targets = holdout_split(X, timestamps=times)
    expected = ndcg_at_k(
        targets, model.recommend(history, k=5), 5, sample_weight=weights
    )
    assert scorer(model, X, sample_weight=weights, timestamps=times) == expected


def keep_first_half(X):
    return X.multiply(np.arange(N_ITEMS) < N_ITEMS // 2).tocsr()


def test_pipeline_recommends_from_what_the_last_step_sees(Popularity, X, model):
    scorer = make_ranking_scorer(k=5)
    first = FunctionTransformer(keep_first_half, accept_sparse=True)
    steps = make_pipeline(first, Popularity()).fit(X)
    history, targets = holdout_split(X, random_state=0)
    y_pred = steps[-1].recommend(keep_first_half(history), k=5)
    assert scorer(steps, X) == ndcg_at_k(targets, y_pred, 5)
    assert scorer(steps, X) != scorer(model, X)
    assert scorer(make_pipeline(Popularity()).fit(X), X) == scorer(model, X)
    nested = Pipeline(
        [("outer", FunctionTransformer(accept_sparse=True)), ("m", steps)]
    )
    assert scorer(nested, X) == scorer(steps, X)


def test_estimator_without_recommend(X):
    for estimator in (TfidfTransformer(), make_pipeline(TfidfTransformer())):
        message = f"{type(estimator).__name__} cannot be scored as a recommender"
        with pytest.raises(TypeError, match=message):
            make_ranking_scorer()(estimator.fit(X), X)


def count_hits(y_true, y_pred, k):
    return float(y_true.nnz > 0)


def test_metric_without_sample_weight(X, model):
    scorer = make_ranking_scorer(count_hits)
    assert scorer(model, X) == 1.0
    assert not scorer._accept_sample_weight()


def test_pickle_and_repr(X, model):
    scorer = make_ranking_scorer(recall_at_k, k=7, random_state=3)
    copy = pickle.loads(pickle.dumps(scorer))
    assert isinstance(copy, RankingScorer)
    assert copy(model, X) == scorer(model, X)
    assert repr(copy) == repr(scorer)
    assert repr(scorer).startswith("RankingScorer(recall_at_k, k=7, test_share=0.2,")
    assert repr(make_ranking_scorer()).startswith("RankingScorer('ndcg', k=100,")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "map"}, "'metric' parameter of RankingScorer"),
        ({"k": 0}, "'k' parameter of RankingScorer"),
        ({"test_share": 2.0}, "'test_share' parameter of RankingScorer"),
        ({"random_state": None}, "'random_state' parameter of RankingScorer"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make_ranking_scorer(**options)


def test_global_generator_is_left_alone(X, model):
    before = np.random.get_state()  # noqa: NPY002
    make_ranking_scorer()(model, X)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]
