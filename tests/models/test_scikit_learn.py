"""Recommenders inside scikit-learn: pipelines, searches, names, callbacks."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.feature_selection import VarianceThreshold
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, MaxAbsScaler

from sksparse_rec import CompressedELSA, top_items
from sksparse_rec.model_selection import holdout_split, make_ranking_scorer

GRID = {"n_nonzero": [1, 8]}


# Pipelines


@pytest.mark.parametrize(
    "before",
    [
        Binarizer(),
        TfidfTransformer(),
        MaxAbsScaler(),
        FunctionTransformer(np.sqrt),
        FunctionTransformer(lambda X: X.tocoo(), accept_sparse=True),
    ],
    ids=lambda step: type(step).__name__,
)
def test_pipeline_equals_its_steps(make, tiny, before):
    pipeline = make_pipeline(clone(before), make()).fit(tiny)
    Z = clone(before).fit_transform(tiny)
    model = make().fit(Z)
    np.testing.assert_array_equal(pipeline.predict(tiny), model.predict(Z))
    np.testing.assert_array_equal(pipeline.predict(tiny, k=3), model.predict(Z, k=3))
    assert pipeline.score(tiny) == model.score(Z)
    np.testing.assert_allclose(
        pipeline.transform(tiny).toarray(), model.transform(Z).toarray()
    )


def test_pipeline_with_a_selection_of_columns(make, tiny):
    X = sp.hstack([tiny, np.zeros((40, 3))], format="csr")
    pipeline = make_pipeline(VarianceThreshold(), make()).fit(X)
    ids = pipeline.predict(X, k=20)
    assert ids.max() < 12
    np.testing.assert_array_equal(ids, make().fit(tiny).predict(tiny, k=20))


def test_a_pipeline_keeps_the_names_of_a_data_frame(make, tiny):
    frame = as_frame(pd.DataFrame, tiny)
    frame["never"] = 0.0
    pipeline = make_pipeline(
        VarianceThreshold().set_output(transform="pandas"), make()
    ).fit(frame)
    assert set(pipeline.predict(frame).ravel()) <= {*NAMES, None}
    assert list(pipeline[-1].feature_names_in_) == NAMES


def test_labels_in_a_pipeline_are_ignored(make, tiny):
    labels = np.arange(40) % 2
    labelled = make_pipeline(Binarizer(), make()).fit(tiny, labels)
    plain = make_pipeline(Binarizer(), make()).fit(tiny)
    np.testing.assert_array_equal(labelled.predict(tiny), plain.predict(tiny))
    assert labelled.score(tiny, labels) == plain.score(tiny)


# Model selection


def test_grid_search_by_the_default_score_in_processes(make, planted):
    alone = GridSearchCV(make(), GRID, cv=2).fit(planted.train)
    search = GridSearchCV(make(), GRID, cv=2, n_jobs=2).fit(planted.train)
    for i, (train, test) in enumerate(KFold(2).split(planted.train)):
        for level, n_nonzero in enumerate(GRID["n_nonzero"]):
            model = make(n_nonzero=n_nonzero).fit(planted.train[train])
            expected = model.score(planted.train[test])
            for found in (search, alone):
                score = found.cv_results_[f"split{i}_test_score"][level]
                assert score == pytest.approx(expected, abs=1e-6)
    best = int(np.argmax(search.cv_results_["mean_test_score"]))
    assert search.best_params_ == {"n_nonzero": GRID["n_nonzero"][best]}
    assert search.best_estimator_.n_nonzero_ == GRID["n_nonzero"][best]
    assert search.score(planted.test) == search.best_estimator_.score(planted.test)
    assert search.predict(planted.test).shape == (80, 10)


def test_grid_search_with_several_metrics_and_refit(make, planted):
    scoring = {
        "ndcg": make_ranking_scorer(k=10),
        "recall": make_ranking_scorer("recall", k=5),
    }
    grid = {"n_nonzero": [1, 8], "n_components": [1, 16]}
    search = GridSearchCV(make(), grid, scoring=scoring, refit="recall", cv=2)
    search.fit(planted.train)
    assert search.best_params_["n_components"] == 16
    scores = search.cv_results_["mean_test_ndcg"]
    # The first two have one component, the last two sixteen.
    assert scores[:2].max() < scores[2:].min()
    assert search.score(planted.test) == pytest.approx(
        scoring["recall"](search.best_estimator_, planted.test)
    )


@pytest.mark.parametrize("scoring", [None, make_ranking_scorer(k=100)])
def test_grid_search_with_fixed_targets(make, planted, scoring):
    history, targets = holdout_split(planted.train, random_state=3)
    search = GridSearchCV(make(), GRID, scoring=scoring, cv=2).fit(history, targets)
    train, test = next(KFold(2).split(history))
    model = make(n_nonzero=8).fit(history[train])
    expected = model.score(history[test], targets[test])
    assert search.cv_results_["split0_test_score"][1] == pytest.approx(expected)
    assert search.score(history, targets) == pytest.approx(
        search.best_estimator_.score(history, targets)
    )


def test_metadata_routing(make, planted):
    weights = np.arange(1.0, 221)
    with config_context(enable_metadata_routing=True):
        scorer = make_ranking_scorer(k=10).set_score_request(sample_weight=True)
        pipeline = make_pipeline(Binarizer(), make())
        grid = {"compressedelsa__n_nonzero": [2, 8]}
        search = GridSearchCV(pipeline, grid, scoring=scorer, cv=2, refit=False)
        search.fit(planted.train, sample_weight=weights)
        train, test = next(KFold(2).split(planted.train))
        model = make(n_nonzero=8).fit(planted.train[train])
        expected = scorer(model, planted.train[test], sample_weight=weights[test])
        assert search.cv_results_["split0_test_score"][1] == pytest.approx(expected)


def test_no_argument_is_mistaken_for_metadata():
    # Z of inverse_transform is the data, whatever its name.
    assert not hasattr(CompressedELSA, "set_inverse_transform_request")


def test_halving_search(make, planted):
    search = HalvingGridSearchCV(
        make(),
        {"n_components": [1, 2, 16]},
        scoring=make_ranking_scorer(k=20),
        cv=2,
        min_resources=60,
        random_state=0,
    ).fit(planted.train)
    assert search.best_params_ == {"n_components": 16}
    assert search.n_iterations_ > 1


def test_halving_search_over_epochs(make, planted):
    search = HalvingGridSearchCV(
        make(n_nonzero=8),
        {"learning_rate": [1e-9, 0.1]},
        resource="max_iter",
        min_resources=1,
        max_resources=2,
        factor=2,
        cv=2,
        random_state=0,
    ).fit(planted.train)
    assert search.n_resources_ == [1, 2]


def test_randomized_search_and_cross_validation(make, planted):
    search = RandomizedSearchCV(
        make(), {"n_components": [1, 16]}, n_iter=2, cv=2, random_state=0
    ).fit(planted.train)
    assert search.best_params_ == {"n_components": 16}
    scores = cross_val_score(make(), planted.train, cv=3)
    assert scores.shape == (3,)
    assert np.all((scores > 0) & (scores < 1))
    results = cross_validate(make(), planted.train, cv=2, return_estimator=True)
    assert all(e.n_nonzero_ == 4 for e in results["estimator"])


# The flavour of sparse results


@pytest.mark.parametrize(
    ("flavour", "container"), [("sparray", sp.sparray), ("spmatrix", sp.spmatrix)]
)
@pytest.mark.parametrize("given", [sp.csr_array, sp.csr_matrix])
def test_sparse_results_have_the_configured_flavour(
    fitted, planted, flavour, container, given
):
    X = given(planted.test)
    expected = top_items(fitted.recommend(planted.test))[0]
    with config_context(sparse_interface=flavour):
        R = fitted.recommend(X)
        explanation = fitted.explain(X[[0]] if given is sp.csr_array else X[0], [1])
        results = [
            R,
            fitted.transform(X),
            fitted.similar_items([1, 2]),
            fitted.encode_items(X[:, [0]], X),
            explanation.by_latent,
            explanation.by_history,
        ]
    for result in results:
        assert isinstance(result, container)
        assert result.format == "csr"
    # Conversion must not sort the columns of the lists.
    np.testing.assert_array_equal(top_items(R)[0], expected)


# Names

NAMES = [f"item {i:02d}" for i in range(12)]


def as_frame(library, X):
    return library(dict(zip(NAMES, X.toarray().T, strict=True)))


@pytest.fixture(params=[pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def frame(request, tiny):
    return as_frame(request.param, tiny)


def test_names_go_in_and_out(make, tiny, frame):
    named, plain = make().fit(frame), make().fit(tiny)
    np.testing.assert_array_equal(named.feature_names_in_, NAMES)
    assert named.feature_names_in_.dtype == object
    names = np.array([*NAMES, None], dtype=object)
    predicted = named.predict(frame, k=12)
    assert predicted.dtype == object
    np.testing.assert_array_equal(predicted, names[plain.predict(tiny, k=12)])
    assert named.score(frame) == plain.score(tiny)
    for kind in (list, np.array, pd.Series, pd.Index, pl.Series):
        wanted = kind(["item 01", "item 03"])
        np.testing.assert_array_equal(
            named.recommend(frame, allow=wanted).toarray(),
            plain.recommend(tiny, allow=[1, 3]).toarray(),
        )
        np.testing.assert_array_equal(
            named.recommend(frame, deny=wanted).toarray(),
            plain.recommend(tiny, deny=[1, 3]).toarray(),
        )
        np.testing.assert_array_equal(
            named.similar_items(wanted).toarray(), plain.similar_items([1, 3]).toarray()
        )
        np.testing.assert_array_equal(
            named.explain(frame[:1], wanted).by_latent.toarray(),
            plain.explain(tiny[[0]], [1, 3]).by_latent.toarray(),
        )
    # Positions work for named items too, and a single name is a list of one.
    np.testing.assert_array_equal(
        named.similar_items([3]).toarray(), named.similar_items("item 03").toarray()
    )


def test_names_must_match(make, tiny, frame):
    model = make().fit(frame)
    with pytest.raises(ValueError, match="feature names"):
        model.recommend(frame.rename(columns={"item 00": "other"})) if isinstance(
            frame, pd.DataFrame
        ) else model.recommend(frame.rename({"item 00": "other"}))
    with pytest.raises(ValueError, match="feature names"):
        model.partial_fit(frame[NAMES[::-1]])
    with pytest.raises(ValueError, match="'item 99'"):
        model.similar_items(["item 99"])
    with pytest.raises(ValueError, match="'item 99'"):
        model.recommend(frame, allow=["item 01", "item 99"])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.recommend(tiny)


def test_names_of_items_that_have_none(fitted, planted):
    for method in ("allow", "deny"):
        with pytest.raises(
            ValueError, match=f"{method}.*'item 01'.*without item names"
        ):
            fitted.recommend(planted.test, **{method: ["item 01"]})


def test_a_sparse_data_frame(make, tiny):
    frame = pd.DataFrame.sparse.from_spmatrix(tiny, columns=NAMES)
    model = make().fit(frame)
    np.testing.assert_array_equal(
        model.item_embeddings_.toarray(), make().fit(tiny).item_embeddings_.toarray()
    )
    assert model.predict(frame)[0, 0] in NAMES


def test_names_of_the_latents(fitted):
    names = fitted.get_feature_names_out()
    np.testing.assert_array_equal(names, [f"compressedelsa{i}" for i in range(16)])


def test_set_output(make, tiny, frame):
    model = make().set_output(transform="default").fit(frame)
    assert sp.issparse(model.transform(frame))
    # scikit-learn makes no data frames of sparse results, and says so.
    model.set_output(transform="pandas")
    for transform in (model.transform, model.fit_transform):
        with pytest.raises(ValueError, match="outputs a scipy sparse matrix"):
            transform(frame)
    assert sp.issparse(model.recommend(frame))


def test_html_links_to_the_documentation(make, fitted):
    for model in (make(), fitted, make_pipeline(Binarizer(), make())):
        html = model._repr_html_()
        assert "sksparse_rec.CompressedELSA.html" in html
        assert "https://" in html


# Callbacks


class Recorder:
    """Remembers every call; asks to stop after `stop_after` epochs."""

    def __init__(self, stop_after=None, error=None):
        self.stop_after, self.error = stop_after, error
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.max_subtasks))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self.calls.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.calls.append(("end", context.task_name))
        epochs = self.calls.count(("end", "epoch"))
        if self.error is not None and epochs == 2:
            raise self.error
        self.lists = fitted_estimator.predict(X)
        return epochs == self.stop_after


def test_callbacks_see_every_epoch(make, planted):
    recorder = Recorder()
    model = make(max_iter=3).set_callbacks(recorder).fit(planted.train)
    epochs = [("begin", "epoch"), ("end", "epoch")] * 3
    assert recorder.calls == [
        ("setup", 3),
        ("begin", "fit"),
        *epochs,
        ("end", "fit"),
        ("teardown", "fit"),
    ]
    np.testing.assert_array_equal(recorder.lists, model.predict(planted.train))
    quiet = make(max_iter=3).fit(planted.train)
    assert (quiet.item_embeddings_ != model.item_embeddings_).nnz == 0


@pytest.mark.parametrize("options", [{}, {"init": "dense"}, {"pruning": "linear"}])
def test_a_callback_can_stop_the_training(make, planted, options):
    model = make(max_iter=6, **options).set_callbacks(Recorder(stop_after=2))
    model.fit(planted.train)
    assert model.n_iter_ == len(model.loss_curve_) == 2
    assert np.diff(model.item_embeddings_.indptr).max() <= 4
    model.partial_fit(planted.train)
    assert model.n_iter_ == 3


@pytest.mark.parametrize("stop_after", [1, 2])
@pytest.mark.parametrize("pruning", ["exponential", "linear"])
def test_a_stopped_training_does_not_rewind(make, planted, stop_after, pruning):
    def stopped(*, rewind, stop_after):
        model = make(
            max_iter=6,
            init="dense",
            pruning=pruning,
            pruning_share=1.0,
            rewind=rewind,
        )
        model.set_callbacks(Recorder(stop_after=stop_after)).fit(planted.train)
        assert model.n_iter_ == stop_after
        return model.item_embeddings_.toarray()

    # Rewinding after the first epoch is what tells the trainings apart from the second
    # on, so only after one are the values of both the same.
    trained = stopped(rewind=False, stop_after=stop_after)
    rewound = stopped(rewind=True, stop_after=stop_after)
    if stop_after == 1:
        np.testing.assert_allclose(rewound, trained, atol=1e-6)
    else:
        assert not np.allclose(rewound, trained, atol=1e-3)


def test_callbacks_survive_clone_and_stay_out_of_the_parameters(make, planted):
    recorder = Recorder()
    model = make(max_iter=1).set_callbacks(recorder)
    copy = clone(model)
    assert copy.get_params() == make(max_iter=1).get_params()
    copy.fit(planted.train)
    # clone copies the estimator's callbacks; those of the copy were called.
    called = copy._skl_callbacks[0]
    assert ("end", "epoch") in called.calls


def test_progress_bar(make, planted, capsys):
    model = make().set_callbacks(ProgressBar()).fit(planted.train)
    assert "CompressedELSA" in capsys.readouterr().out
    assert model.n_iter_ == 3


def test_progress_bar_of_a_search(make, planted, capsys):
    search = GridSearchCV(make(max_iter=1), GRID, cv=2).set_callbacks(ProgressBar())
    search.fit(planted.train)
    output = capsys.readouterr().out
    assert "GridSearchCV" in output
    assert "CompressedELSA" in output


def test_monitor_of_held_out_targets(make, planted):
    history, targets = holdout_split(planted.train, random_state=0)
    # The monitor of scikit-learn 1.9 wants several scores, in a dict.
    monitor = ScoringMonitor(scoring={"score": make_ranking_scorer(k=100)})
    model = make(max_iter=4).set_callbacks(monitor).fit(history, targets)
    rows = monitor.get_logs().data
    epochs = [row["score"] for row in rows if row["task_name"] == "epoch"]
    assert len(epochs) == 4
    assert epochs[-1] == pytest.approx(model.score(history, targets))
    shorter = make(max_iter=4).set_callbacks(Recorder(stop_after=2))
    shorter.fit(history, targets)
    assert epochs[1] == pytest.approx(shorter.score(history, targets))


def test_a_callback_that_interrupts_is_torn_down(make, planted):
    recorder = Recorder(error=KeyboardInterrupt())
    model = make().set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        model.fit(planted.train)
    assert recorder.calls[-1] == ("teardown", "fit")
    assert set(vars(model)) == set(vars(make().set_callbacks(recorder)))
