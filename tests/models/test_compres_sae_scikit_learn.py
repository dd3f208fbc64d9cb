"""CompresSAE inside scikit-learn: pipelines, searches, names, callbacks, pickling."""

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sksparse_rec import CompressedELSA, top_items

GRID = {"n_nonzero": [1, 8], "n_components": [8, 64]}
NAMES = [f"dimension {i:02d}" for i in range(32)]


def assert_equal(model, expected):
    for name in ("components_", "encoder_components_", "encoder_intercept_"):
        assert_array_equal(getattr(model, name), getattr(expected, name))
    assert_array_equal(
        model.item_embeddings_.toarray(), expected.item_embeddings_.toarray()
    )


# Pipelines


@pytest.mark.parametrize(
    "before",
    [Normalizer(), StandardScaler(), PCA(16, random_state=0), TruncatedSVD(8)],
    ids=lambda step: type(step).__name__,
)
def test_pipeline_equals_its_steps(make_sae, vectors, before):
    before = before.set_params(random_state=0) if "SVD" in repr(before) else before
    pipeline = make_pipeline(clone(before), make_sae()).fit(vectors.train)
    step = clone(before).fit(vectors.train)
    model = make_sae().fit(step.transform(vectors.train))
    Z = step.transform(vectors.test)
    assert_array_equal(
        pipeline.transform(vectors.test).toarray(), model.transform(Z).toarray()
    )
    assert pipeline.score(vectors.test) == model.score(Z)
    codes = pipeline.transform(vectors.test)
    rebuilt = pipeline[-1].inverse_transform(codes)
    assert rebuilt.shape == Z.shape
    if hasattr(before, "inverse_transform"):
        assert pipeline.inverse_transform(codes).shape == vectors.test.shape


def test_codes_may_be_a_step_before_others(make_sae, vectors):
    # Sparse codes go into whatever takes sparse matrices; labels are left alone.
    labels = vectors.train[:, 0] > 0
    pipeline = make_pipeline(Normalizer(), make_sae(n_nonzero=8), RidgeClassifier())
    pipeline.fit(vectors.train, labels)
    assert pipeline.score(vectors.test, vectors.test[:, 0] > 0) > 0.7
    plain = make_sae(n_nonzero=8).fit(Normalizer().fit_transform(vectors.train))
    assert_equal(pipeline[1], plain)


def test_factors_of_a_dense_recommender_are_compressed(make_sae, planted):
    recommender = CompressedELSA(16, n_nonzero=None, max_iter=4, random_state=0)
    factors = recommender.fit(planted.train).item_embeddings_
    assert factors.nnz == factors.shape[0] * 16
    model = make_sae(n_components=32, batch_size=20, max_iter=12).fit(factors)
    # The sparse container of dense factors is the same table.
    assert_equal(clone(model).fit(factors.toarray()), model)
    ids, _ = top_items(model.similar_items(np.arange(90), k=5))
    clusters = planted.item_clusters
    # Chance would be a fifth.
    assert (clusters[ids] == clusters[:, None]).mean() > 0.8


# Model selection


def test_grid_search_by_the_default_score(make_sae, vectors):
    search = GridSearchCV(make_sae(max_iter=2), GRID, cv=2).fit(vectors.train)
    results = search.cv_results_
    for fold, (train, test) in enumerate(KFold(2).split(vectors.train)):
        for place, parameters in enumerate(results["params"]):
            model = make_sae(max_iter=2, **parameters).fit(vectors.train[train])
            expected = model.score(vectors.train[test])
            found = results[f"split{fold}_test_score"][place]
            assert found == pytest.approx(expected, abs=1e-6)
    # More latents and longer codes rebuild better.
    assert search.best_params_ == {"n_nonzero": 8, "n_components": 64}
    assert search.best_estimator_.components_.shape == (64, 32)
    assert search.score(vectors.test) == search.best_estimator_.score(vectors.test)
    assert search.transform(vectors.test).shape == (100, 64)


def test_grid_search_in_threads_of_joblib(make_sae, vectors):
    alone = GridSearchCV(make_sae(max_iter=2), GRID, cv=2).fit(vectors.train)
    with parallel_config(backend="threading"):
        search = GridSearchCV(make_sae(max_iter=2), GRID, cv=2, n_jobs=2)
        search.fit(vectors.train)
    scores = (found.cv_results_["mean_test_score"] for found in (search, alone))
    assert_allclose(*scores, atol=1e-6)


def test_grid_search_inside_a_pipeline_by_neighbours(make_sae, vectors):
    def same_cluster(pipeline, X, y):
        codes = pipeline.transform(X).toarray()
        nearest = np.argsort(-(codes @ codes.T), axis=1)[:, 1:3]
        return (y[nearest] == y[:, None]).mean()

    pipeline = make_pipeline(Normalizer(), make_sae(max_iter=2))
    grid = {"compressae__n_nonzero": [1, 4]}
    search = GridSearchCV(pipeline, grid, scoring=same_cluster, cv=2)
    search.fit(vectors.train, vectors.labels)
    assert search.best_params_ == {"compressae__n_nonzero": 4}


def test_cross_validation_ignores_labels(make_sae, vectors):
    plain = cross_val_score(make_sae(max_iter=1), vectors.train, cv=KFold(3))
    labelled = cross_val_score(
        make_sae(max_iter=1), vectors.train, vectors.labels, cv=KFold(3)
    )
    assert_array_equal(plain, labelled)
    assert np.all((plain > 0.5) & (plain < 1))


# Copies


def joblib_dump_and_load(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize("options", [{}, {"encoder": "tied", "center": True}])
@pytest.mark.parametrize(
    "copied", [lambda m: pickle.loads(pickle.dumps(m)), joblib_dump_and_load]
)
def test_pickle_and_joblib_round_trips(make_sae, vectors, copied, options):
    model = make_sae(**options).fit(vectors.train)
    copy = copied(model)
    assert copy.get_params() == model.get_params()
    assert copy.score(vectors.test) == model.score(vectors.test)
    R, S = copy.recommend(vectors.test), model.recommend(vectors.test)
    assert_array_equal(R.indices, S.indices)
    assert_array_equal(R.data, S.data)
    assert_equal(copy.partial_fit(vectors.test), model.partial_fit(vectors.test))


def test_a_model_mapped_from_a_file_works(fitted_sae, vectors, tmp_path):
    # joblib hands such models to its workers; torch has no read-only tensors.
    joblib.dump(fitted_sae, tmp_path / "model")
    mapped = joblib.load(tmp_path / "model", mmap_mode="r")
    assert not mapped.components_.flags.writeable
    for space in ("sparse", "reconstructed", "asymmetric"):
        assert_array_equal(
            mapped.recommend(vectors.test, space=space).data,
            fitted_sae.recommend(vectors.test, space=space).data,
        )
    assert mapped.partial_fit(vectors.test).n_iter_ == 7


def test_fitted_state_holds_no_tensors(fitted_sae):
    seen = []

    class Recorder(pickle.Pickler):
        def reducer_override(self, thing):
            seen.append(type(thing).__module__.split(".")[0])
            return NotImplemented

    Recorder(io.BytesIO()).dump(fitted_sae)
    assert "sksparse_rec" in seen
    assert "torch" not in seen


def test_clone_and_set_params(make_sae, vectors):
    model = make_sae(positive=True)
    copy = clone(model.fit(vectors.train))
    assert copy.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        copy.recommend(vectors.test)
    copy.set_params(n_components=5, max_iter=1).fit(vectors.train)
    assert copy.item_embeddings_.shape == (600, 5)
    assert copy.n_iter_ == 1
    with pytest.raises(ValueError, match="Invalid parameter 'factors'"):
        copy.set_params(factors=3)


# Names and containers


@pytest.fixture(params=[pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def frame(request, vectors):
    return request.param(dict(zip(NAMES, vectors.train.T, strict=True)))


def test_names_must_match(make_sae, vectors, frame):
    model = make_sae(max_iter=1).fit(frame)
    assert list(model.feature_names_in_) == NAMES
    assert model.transform(frame).shape == (600, 64)
    for method in (model.partial_fit, model.transform, model.recommend, model.score):
        with pytest.raises(ValueError, match="feature names"):
            method(frame[NAMES[::-1]])
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            method(vectors.test)
    assert not hasattr(model.fit(vectors.train), "feature_names_in_")


def test_names_of_the_latents(fitted_sae):
    names = fitted_sae.get_feature_names_out()
    assert_array_equal(names, [f"compressae{i}" for i in range(64)])


def test_set_output(make_sae, frame):
    model = make_sae(max_iter=1).set_output(transform="default").fit(frame)
    assert sp.issparse(model.transform(frame))
    # scikit-learn makes no data frames of sparse results, and says so.
    model.set_output(transform="pandas")
    for transform in (model.transform, model.fit_transform):
        with pytest.raises(ValueError, match="outputs a scipy sparse matrix"):
            transform(frame)
    assert sp.issparse(model.recommend(frame))


@pytest.mark.parametrize(
    ("flavour", "container"), [("sparray", sp.sparray), ("spmatrix", sp.spmatrix)]
)
def test_sparse_results_have_the_configured_flavour(
    fitted_sae, vectors, flavour, container
):
    expected = top_items(fitted_sae.recommend(vectors.test))[0]
    with config_context(sparse_interface=flavour):
        R = fitted_sae.recommend(vectors.test)
        results = [R, fitted_sae.transform(vectors.test), fitted_sae.similar_items([1])]
        rebuilt = fitted_sae.inverse_transform(results[1])
    for result in results:
        assert isinstance(result, container)
        assert result.format == "csr"
    assert type(rebuilt) is np.ndarray
    # Conversion must not sort the columns of the lists.
    assert_array_equal(top_items(R)[0], expected)


def test_html_links_to_the_documentation(make_sae, fitted_sae):
    for model in (make_sae(), fitted_sae, make_pipeline(Normalizer(), make_sae())):
        assert "sksparse_rec.CompresSAE.html" in model._repr_html_()


def test_no_argument_is_mistaken_for_metadata(make_sae):
    assert not hasattr(make_sae(), "set_inverse_transform_request")


# Callbacks


class Recorder:
    """Remembers every call; asks to stop after `stop_after` epochs."""

    def __init__(self, stop_after=None, error=None):
        self.stop_after, self.error = stop_after, error
        self.calls, self.scores = [], []

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
        self.scores.append(fitted_estimator.score(X))
        assert fitted_estimator.recommend(X[:5], space="reconstructed").nnz == 50
        return epochs == self.stop_after


def test_callbacks_see_every_epoch(make_sae, vectors):
    recorder = Recorder()
    model = make_sae(max_iter=3).set_callbacks(recorder).fit(vectors.train)
    assert recorder.calls == [
        ("setup", 3),
        ("begin", "fit"),
        *[("begin", "epoch"), ("end", "epoch")] * 3,
        ("end", "fit"),
        ("teardown", "fit"),
    ]
    assert recorder.scores[-1] == model.score(vectors.train)
    assert recorder.scores[0] < recorder.scores[-1]
    assert_equal(make_sae(max_iter=3).fit(vectors.train), model)


@pytest.mark.parametrize("options", [{}, {"init": "random", "n_nonzero_start": 12}])
def test_a_callback_can_stop_the_training(make_sae, vectors, options):
    model = make_sae(max_iter=6, **options).set_callbacks(Recorder(stop_after=2))
    model.fit(vectors.train)
    assert model.n_iter_ == len(model.loss_curve_) == 2
    assert np.diff(model.item_embeddings_.indptr).max() == 4
    assert model.partial_fit(vectors.train).n_iter_ == 3


def test_a_callback_that_interrupts_is_torn_down(make_sae, vectors):
    recorder = Recorder(error=KeyboardInterrupt())
    model = make_sae().set_callbacks(recorder)
    before = set(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(vectors.train)
    assert recorder.calls[-1] == ("teardown", "fit")
    assert set(vars(model)) == before


def test_progress_bar_and_monitor(make_sae, vectors, capsys):
    def cosine(estimator, X, y=None):
        return estimator.score(X)

    # The monitor of scikit-learn 1.9 wants several scores, in a dict, and labels.
    monitor = ScoringMonitor(scoring={"cosine": cosine})
    model = make_sae(max_iter=3).set_callbacks(ProgressBar(), monitor)
    model.fit(vectors.train, vectors.labels)
    assert "CompresSAE" in capsys.readouterr().out
    rows = monitor.get_logs().data
    epochs = [row["cosine"] for row in rows if row["task_name"] == "epoch"]
    assert len(epochs) == 3
    assert epochs[-1] == pytest.approx(model.score(vectors.train))
