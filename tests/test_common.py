"""What every estimator of the package has in common, and every recommender."""

import inspect
import io
import pickle
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from numpydoc.validate import validate
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import sksparse_rec
import sksparse_rec.datasets
import sksparse_rec.export
import sksparse_rec.metrics
import sksparse_rec.model_selection
import sksparse_rec.plotting
import sksparse_rec.steering
from sksparse_rec import (
    CompresSAE,
    CompressedELSA,
    CompressedELSACV,
    ConceptMap,
    LatentSegments,
    SteerableRecommender,
    top_items,
)

VARIANTS = {
    "anchors": {},
    "dense start": {"init": "dense"},
    "dense": {"n_nonzero": None},
    "relu": {"loss": "relu"},
}
SMALL = {
    "n_components": 16,
    "n_nonzero": 8,
    "max_iter": 12,
    "batch_size": 4,
    "random_state": 0,
}


RECOMMENDERS = {
    name: CompressedELSA(**(SMALL | options)) for name, options in VARIANTS.items()
} | {"cv": CompressedELSACV(**(SMALL | {"n_nonzero": (8,)}))}


@parametrize_with_checks(
    [
        *(CompressedELSA(**options) for options in VARIANTS.values()),
        CompressedELSACV(n_nonzero=(4, 2), cv=2, max_iter=2),
        CompresSAE(),
        CompresSAE(64, positive=True, center=True),
        CompresSAE(64, init="random", encoder="tied", nested=True),
        LatentSegments(),
        LatentSegments(min_size=1, n_latents=2, namer="ids"),
        LatentSegments(min_size=2, assign="nearest", n_latents=3),
        ConceptMap(),
        ConceptMap(method="probe", n_neurons=2),
        SteerableRecommender(CompressedELSA(16, n_nonzero=4, max_iter=2)),
        SteerableRecommender(
            CompressedELSA(8, n_nonzero=None, max_iter=2),
            sae=CompresSAE(16, max_iter=2),
        ),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module", params=RECOMMENDERS.values(), ids=RECOMMENDERS)
def unfitted(request):
    return clone(request.param)


@pytest.fixture(scope="module")
def model(unfitted, checkerboard):
    return clone(unfitted).fit(checkerboard)


def lists_of(R):
    """The items and scores of every row, in order."""
    R = sp.csr_array(R)
    starts = R.indptr[1:-1]
    return np.split(R.indices, starts), np.split(R.data, starts)


def assert_same_lists(first, second):
    for items, others in zip(*(lists_of(R)[0] for R in (first, second)), strict=True):
        np.testing.assert_array_equal(items, others)
    np.testing.assert_allclose(first.data, second.data, atol=1e-6)


def test_the_withheld_item_comes_first(model, checkerboard):
    ids, _ = top_items(model.recommend(checkerboard, k=1))
    np.testing.assert_array_equal(ids.ravel(), np.arange(len(ids)))
    np.testing.assert_array_equal(model.predict(checkerboard, k=1), ids)


def test_seen_items_are_left_out_unless_asked_for(model, checkerboard):
    n = checkerboard.shape[1]
    R = model.recommend(checkerboard, k=n)
    np.testing.assert_array_equal(
        np.diff(R.indptr), n - np.diff(checkerboard.indptr), strict=False
    )
    assert sp.csr_array(R).multiply(checkerboard).nnz == 0
    everything = model.recommend(checkerboard, k=n, exclude_seen=False)
    np.testing.assert_array_equal(np.diff(everything.indptr), n)


def test_scores_are_those_of_the_linear_model(model, checkerboard):
    A = model.item_embeddings_.toarray().astype(float)
    expected = checkerboard.toarray() @ A @ A.T
    R = model.recommend(checkerboard, k=len(A), exclude_seen=False)
    np.testing.assert_allclose(R.toarray(), expected, atol=1e-6)
    R = model.recommend(checkerboard, k=5).tocoo()
    np.testing.assert_allclose(R.data, expected[R.row, R.col], atol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 29, 1000])
def test_lists_are_sorted_without_repetition_and_prefixes_of_longer_ones(
    model, checkerboard, k
):
    ids, scores = lists_of(model.recommend(checkerboard, k=k, exclude_seen=False))
    longer, _ = lists_of(model.recommend(checkerboard, k=30, exclude_seen=False))
    for row, values, prefix in zip(ids, scores, longer, strict=True):
        assert len(row) == min(k, 30) == len(set(row))
        assert np.all(np.diff(values) <= 0)
        np.testing.assert_array_equal(row, prefix[:k])


def test_a_batch_equals_single_users(model, checkerboard):
    together = model.recommend(checkerboard, k=7, exclude_seen=False)
    alone = [
        model.recommend(checkerboard[[user]], k=7, exclude_seen=False)
        for user in range(checkerboard.shape[0])
    ]
    assert_same_lists(together, sp.vstack(alone, format="csr"))
    np.testing.assert_allclose(
        model.transform(checkerboard)[[3]].toarray(),
        model.transform(checkerboard[[3]]).toarray(),
    )


def test_filters_are_respected(model, checkerboard):
    R = model.recommend(checkerboard, k=30, allow=[1, 2, 3], deny=[2])
    assert set(R.indices) == {1, 3}
    mask = sp.random_array((30, 30), density=0.3, rng=np.random.default_rng(0))
    allowed = model.recommend(checkerboard, k=30, exclude_seen=False, allow=mask)
    assert_same_pattern(allowed, mask)
    denied = model.recommend(checkerboard, k=30, exclude_seen=False, deny=mask)
    assert_same_pattern(denied, mask.toarray() == 0)


def assert_same_pattern(R, mask):
    mask = mask.toarray() if sp.issparse(mask) else mask
    found = np.zeros(R.shape, dtype=bool)
    R = R.tocoo()
    found[R.row, R.col] = True
    np.testing.assert_array_equal(found, mask != 0)


def test_similar_items_are_mostly_of_the_same_parity(model):
    ids, scores = top_items(model.similar_items(np.arange(30), k=3))
    # Chance would be a half.
    assert (ids % 2 == np.arange(30)[:, None] % 2).mean() > 0.85
    assert np.all(ids != np.arange(30)[:, None])
    assert np.all(np.diff(scores, axis=1) <= 0)


def joblib_dump_and_load(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize(
    "copied", [lambda m: pickle.loads(pickle.dumps(m)), joblib_dump_and_load]
)
def test_pickle_and_joblib_round_trips(model, checkerboard, copied):
    copy = copied(model)
    assert_same_lists(copy.recommend(checkerboard), model.recommend(checkerboard))
    assert copy.score(checkerboard) == model.score(checkerboard)
    assert copy.get_params() == model.get_params()
    learner = getattr(copy, "best_estimator_", copy)
    learner.partial_fit(checkerboard)
    assert len(learner.loss_curve_) == len(model.loss_curve_) + 1


def test_fitted_state_holds_no_tensors(model):
    seen = []

    class Recorder(pickle.Pickler):
        def reducer_override(self, thing):
            seen.append(type(thing).__module__.split(".")[0])
            return NotImplemented

    Recorder(io.BytesIO()).dump(model)
    assert "sksparse_rec" in seen
    assert "torch" not in seen


def test_clone_and_set_params(unfitted, checkerboard):
    copy = clone(unfitted)
    assert copy.get_params() == unfitted.get_params()
    copy.set_params(n_components=5, max_iter=1).fit(checkerboard)
    assert copy.item_embeddings_.shape == (30, 5)
    assert copy.n_iter_ == 1
    again = clone(copy)
    assert again.get_params() == copy.get_params()
    with pytest.raises(NotFittedError):
        again.recommend(checkerboard)
    with pytest.raises(ValueError, match="Invalid parameter 'factors'"):
        copy.set_params(factors=3)


def test_methods_leave_the_model_and_their_input_alone(model, checkerboard):
    before = pickle.dumps(model)
    X = checkerboard.copy()
    model.recommend(X), model.predict(X), model.score(X), model.transform(X)
    model.similar_items([0]), model.explain(X[[0]], [0]), model.encode_items(X[:, [0]])
    model.inverse_transform(model.transform(X))
    assert pickle.dumps(model) == before
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(X, name), getattr(checkerboard, name))


# numpydoc's codes that are not asked for.
IGNORED = {
    # Examples, links and a second paragraph are asked of classes: methods are parts
    # of those. RT02: like scikit-learn, methods give a single returned value a name.
    "method": {"EX01", "SA01", "ES01", "RT02"},
    # The first line and the parameters of a function may say everything.
    "function": {"ES01"},
    "class": set(),
}
MODULES = [
    sksparse_rec,
    sksparse_rec.datasets,
    sksparse_rec.export,
    sksparse_rec.metrics,
    sksparse_rec.model_selection,
    sksparse_rec.plotting,
    sksparse_rec.steering,
]


def public_names():
    """Yield the dotted name and the kind of everything that users call."""
    for module in MODULES:
        for name in module.__all__:
            thing = getattr(module, name)
            dotted = f"{module.__name__}.{name}"
            if inspect.isclass(thing):
                yield dotted, "class"
                for method, _ in inspect.getmembers(thing):
                    static = inspect.getattr_static(thing, method)
                    function = getattr(static, "fget", getattr(static, "fn", static))
                    origin = getattr(function, "__module__", "") or ""
                    if not method.startswith("_") and origin.startswith("sksparse_rec"):
                        yield f"{dotted}.{method}", "method"
            elif callable(thing):
                yield dotted, "function"


@pytest.mark.parametrize(("name", "kind"), list(public_names()))
def test_docstrings_follow_numpydoc(name, kind):
    with warnings.catch_warnings():
        # numpydoc warns of sections it does not know, which the errors name too.
        warnings.simplefilter("ignore")
        errors = validate(name)["errors"]
    wrong = [f"{code}: {text}" for code, text in errors if code not in IGNORED[kind]]
    assert not wrong, f"{name}: " + "; ".join(wrong)


def test_every_public_method_is_validated():
    names = [name for name, _ in public_names()]
    for method in ("fit", "partial_fit", "transform", "recommend", "predict"):
        assert f"sksparse_rec.CompressedELSA.{method}" in names
    for method in ("fit", "partial_fit", "transform", "recommend", "similar_items"):
        assert f"sksparse_rec.CompresSAE.{method}" in names
