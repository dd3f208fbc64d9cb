"""The path: every level from one common run."""

import pickle
import threading

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from sklearn.utils._param_validation import InvalidParameterError

from sksparse_rec import CompressedELSA, compressed_elsa_path
from sksparse_rec._numerics import elsa
from sksparse_rec._numerics.threads import n_parts
from sksparse_rec.datasets import (
    load_debian,
    make_interactions,
    open_interactions,
    save_interactions,
)
from sksparse_rec.models import _path
from sksparse_rec.models._path import fit_path

SMALL = {
    "n_components": 16,
    "n_nonzero": (8, 4, 2),
    "max_iter": 4,
    "max_iter_per_level": 3,
    "batch_size": 64,
    "random_state": 0,
}
WAYS = {
    "anchors": {},
    "relu": {"loss": "relu"},
    "linear": {"pruning": "linear"},
    "narrow start": {"n_nonzero_start": 4},
    "no pruning phase": {"pruning_share": 0},
    "rewinding": {"rewind": True},
    "dense start": {"init": "dense"},
}


def path_of(X, **options):
    return compressed_elsa_path(X, **SMALL | options)


@pytest.fixture(scope="module")
def models(planted, make):
    """Fitted models of three levels; tests must not change them."""
    estimator = make(max_iter=6)
    return fit_path(estimator, planted.train, [8, 4, 2], max_iter_per_level=4)


def lengths_of(A):
    return np.diff(A.indptr)


def assert_same(path, expected):
    assert len(path) == len(expected)
    for A, B in zip(path, expected, strict=True):
        np.testing.assert_array_equal(A.toarray(), B.toarray())


# Levels


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_levels_are_sparse_rows_of_unit_length(planted, options):
    path = path_of(planted.train, **options)
    for A, level in zip(path, (8, 4, 2), strict=True):
        assert A.shape == (90, 16)
        assert A.dtype == np.float32
        assert A.format == "csr"
        assert A.has_canonical_format
        assert (lengths_of(A) == level).all()
        np.testing.assert_allclose(sp.linalg.norm(A, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "n_nonzero",
    [
        (2, 4, 8),
        (4, 8, 2),
        [8, 4, 2, 4, 8],
        np.array([4, 2, 8], dtype=np.uint8),
        pd.Series([2, 8, 4]),
    ],
    ids=str,
)
def test_the_order_is_the_callers(planted, n_nonzero):
    by_level = dict(zip((8, 4, 2), path_of(planted.train), strict=True))
    path = path_of(planted.train, n_nonzero=n_nonzero)
    assert_same(path, [by_level[int(level)] for level in n_nonzero])


def test_levels_are_clipped_to_the_components(planted):
    path = path_of(planted.train, n_nonzero=(100, 20, 16, 4))
    assert [lengths_of(A).max() for A in path] == [16, 16, 16, 4]
    assert_same(path, path_of(planted.train, n_nonzero=(16, 16, 16, 4)))


def test_components_beyond_the_type_of_the_levels(tiny):
    path = path_of(tiny, n_components=300, n_nonzero=np.array([8, 4], dtype=np.uint8))
    assert_same(path, path_of(tiny, n_components=300, n_nonzero=[8, 4]))


def test_one_level(planted):
    (A,) = path_of(planted.train, n_nonzero=[3])
    assert (lengths_of(A) == 3).all()


@pytest.mark.parametrize("init", ["anchors", "dense"])
def test_a_catalogue_smaller_than_the_components(tiny, init):
    path = path_of(tiny, n_components=40, n_nonzero=(64, 20, 12, 3), init=init)
    widest = 12 if init == "anchors" else 40
    assert [A.shape for A in path] == [(12, 40)] * 4
    for A, level in zip(path, (64, 20, 12, 3), strict=True):
        assert lengths_of(A).max() <= min(level, widest)
        np.testing.assert_allclose(sp.linalg.norm(A, axis=1), 1, rtol=1e-5)
    assert lengths_of(path[-1]).max() == 3


def test_items_without_interactions_or_anchors(planted):
    X = sp.csr_array(planted.train * (np.arange(90) % 9 > 0))
    for A in path_of(X):
        assert (lengths_of(A)[::9] == 0).all()
        assert lengths_of(A).max() > 0
    # Few anchors, and an item that meets none of them.
    X = sp.csr_array([[1.0, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]])
    for A in path_of(X, n_components=1, n_nonzero=(2, 1)):
        np.testing.assert_array_equal(lengths_of(A), [1, 1, 0])


# The run


@pytest.mark.parametrize("random_state", [0, None, np.random.RandomState(0)])
def test_random_state(planted, random_state):
    if random_state is None:
        first, second = (path_of(planted.train, random_state=None) for _ in range(2))
        assert (first[0] != second[0]).nnz > 0
        return
    again = 0 if random_state == 0 else np.random.RandomState(0)
    expected = path_of(planted.train, random_state=again)
    assert_same(path_of(planted.train, random_state=random_state), expected)
    other = path_of(planted.train, random_state=1)
    assert (other[0] != expected[0]).nnz > 0


@pytest.mark.parametrize(
    ("max_iter", "per_level", "common"), [(4, 3, 1), (7, 2, 5), (3, 3, 0), (2, 5, 0)]
)
def test_epochs(make, planted, monkeypatch, max_iter, per_level, common):
    """The common run once, and every level by itself."""
    seen = []
    original = elsa.train_step

    def train_step(batch, state, setting, rate, generator):
        seen.append((rate, state.rows.width))
        return original(batch, state, setting, rate, generator)

    monkeypatch.setattr(elsa, "train_step", train_step)
    models = fit_path(
        make(max_iter=max_iter, learning_rate=0.2),
        planted.train,
        [8, 4, 2],
        max_iter_per_level=per_level,
    )
    assert len(seen) == 4 * (common + 3 * per_level)
    # In common half the rate and the widest pattern; then, for each level, from the
    # whole rate and one and a half times its non-zeros.
    assert seen[: 4 * common] == [(0.1, 12)] * 4 * common
    firsts = [seen[4 * (common + level * per_level)] for level in range(3)]
    assert firsts == [(0.2, 12), (0.2, 6), (0.2, 3)]
    assert [model.n_iter_ for model in models] == [per_level] * 3
    assert [model.n_steps_ for model in models] == [4 * per_level] * 3
    for model in models:
        assert (lengths_of(model.item_embeddings_) == model.n_nonzero).all()


@pytest.mark.parametrize(
    ("options", "widths"),
    [
        # Three times the level up to an eighth of the components, or half as much.
        ({"n_components": 64}, [12, 8, 6]),
        ({"n_components": 80}, [12, 10, 6]),
        ({"n_components": 256}, [24, 12, 6]),
        ({"n_components": 10}, [10, 6, 3]),
        # What is asked for.
        ({"n_components": 64, "n_nonzero_start": 9}, [9, 9, 9]),
        ({"n_components": 64, "n_nonzero_start": 3}, [8, 4, 3]),
        ({"n_components": 64, "pruning_share": 0}, [8, 4, 2]),
    ],
)
def test_where_levels_start(make, planted, monkeypatch, options, widths):
    seen = []
    original = _path.train_state

    def train_state(model, X, state, *args, **kwargs):
        seen.append(state.rows.width)
        return original(model, X, state, *args, **kwargs)

    monkeypatch.setattr(_path, "train_state", train_state)
    fit_path(
        make(max_iter=3, **options), planted.train, [8, 4, 2], max_iter_per_level=2
    )
    common, *levels = seen
    assert common == widths[0]
    assert levels == widths


def test_levels_do_not_change_each_other(make, planted):
    """Below the largest, for which the common run is made."""
    whole = path_of(planted.train, n_nonzero=(8, 4, 3, 2))
    assert_same(whole[:1], path_of(planted.train, n_nonzero=(8,)))
    assert_same(whole[::3], path_of(planted.train, n_nonzero=(8, 2)))
    (model,) = fit_path(
        make(max_iter=4), planted.train, [2], max_iter_per_level=3, largest=8
    )
    assert_same(whole[3:], [model.item_embeddings_])


@pytest.mark.parametrize("n_jobs", [2, 3, 16])
@pytest.mark.parametrize("init", ["anchors", "dense"])
def test_threads_do_not_change_levels(planted, init, n_jobs):
    options = {"n_nonzero": (8, 4, 3, 2, 1), "init": init}
    one = path_of(planted.train, n_jobs=1, **options)
    several = path_of(planted.train, n_jobs=n_jobs, **options)
    for A, B in zip(one, several, strict=True):
        np.testing.assert_allclose(A.toarray(), B.toarray(), atol=1e-4)


@pytest.mark.parametrize("n_jobs", [None, 2, 3])
def test_threads_of_levels(make, planted, monkeypatch, n_jobs):
    """Each of them takes its share, and its model tells what was asked for."""
    seen = {}
    original = elsa.train_step

    def train_step(batch, state, *arguments):
        seen.setdefault(state.rows.width, set()).add(n_parts())
        return original(batch, state, *arguments)

    monkeypatch.setattr(elsa, "train_step", train_step)
    # Pruning ends at once, so that a width tells the level.
    estimator = make(max_iter=3, pruning_share=0, n_jobs=n_jobs)
    models = fit_path(estimator, planted.train, [9, 3], max_iter_per_level=3)
    widest = {None: 1, 2: 1, 3: 2}[n_jobs]
    assert seen == {9: {widest}, 3: {1}}
    assert [model.n_jobs for model in models] == [n_jobs] * 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError])
@pytest.mark.parametrize("broken", [8, 2])
def test_an_error_in_a_level_ends_the_path(planted, monkeypatch, error, broken):
    original, n_steps = elsa.train_step, 0

    def train_step(batch, state, *arguments):
        nonlocal n_steps
        if state.rows.width == broken:
            raise error
        n_steps += 1
        return original(batch, state, *arguments)

    monkeypatch.setattr(elsa, "train_step", train_step)
    options = {"pruning_share": 0, "max_iter_per_level": 1000, "n_jobs": 3}
    threads = threading.active_count(), torch.get_num_threads()
    with pytest.raises(error):
        path_of(planted.train, **options)
    # Not to the end of any other level.
    assert n_steps < 1000
    assert (threading.active_count(), torch.get_num_threads()) == threads


def test_an_accelerator_trains_one_level_after_the_other():
    assert _path._shares([256, 8], 4, torch.device("cpu")) == [3, 1]
    assert _path._shares([256, 8], 4, torch.device("cuda")) == [4, 4]


@pytest.mark.parametrize("options", [{"n_nonzero_start": 8}, {"pruning_share": 0}])
def test_entries_are_lost_and_none_is_won(planted, options):
    """The widest level starts with its own entries, and the others with some."""
    widest, *path = path_of(planted.train, **options)
    for A in path:
        assert not ((A.toarray() != 0) & (widest.toarray() == 0)).any()


def test_a_user_of_the_path_is_not_its_estimator(make, planted):
    estimator = make(max_iter=6)
    before = dict(vars(estimator))
    models = fit_path(estimator, planted.train, [4, 2], max_iter_per_level=2)
    assert vars(estimator) == before
    for model, level in zip(models, (4, 2), strict=True):
        assert model.get_params() == estimator.get_params() | {"n_nonzero": level}


# Models


def test_every_model_is_a_fitted_one(models, planted):
    for model, level in zip(models, (8, 4, 2), strict=True):
        assert model.n_nonzero_ == level
        assert model.n_features_in_ == 90
        assert len(model.loss_curve_) == model.n_iter_ == 4
        assert model.validation_scores_ is None
        np.testing.assert_array_equal(
            model.item_popularity_, np.diff(planted.train.tocsc().indptr)
        )
        np.testing.assert_array_equal(model.anchors_, models[0].anchors_)
        R = model.recommend(planted.test, k=5)
        assert (lengths_of(R) == 5).all()
        assert model.predict(planted.test).shape == (80, 10)
        assert model.transform(planted.test).shape == (80, 16)
        assert model.similar_items([1, 2]).shape == (2, 90)
        codes = model.encode_items(planted.train[:, [0, 3]], planted.train)
        assert (lengths_of(codes) == level).all()
        with pytest.raises(ValueError, match="pass X"):
            model.encode_items(planted.train[:, [0]])
        loaded = pickle.loads(pickle.dumps(model))
        assert loaded.score(planted.test) == model.score(planted.test)


def test_every_model_trains_on(models, planted):
    loaded = pickle.loads(pickle.dumps(models))
    for model, level in zip(loaded, (8, 4, 2), strict=True):
        before, score = model.loss_curve_[-1], model.score(planted.test)
        model.partial_fit(planted.train)
        assert model.n_iter_ == 5
        assert (lengths_of(model.item_embeddings_) == level).all()
        # With small steps, as after a fit of max_iter epochs.
        assert model.loss_curve_[-1] < before + 0.005
        assert model.score(planted.test) > score - 0.02
        assert model._training_state["n_epochs"] == 7
    # Each has a state of its own.
    values = [model._training_state["values"] for model in models]
    for i, first in enumerate(values):
        assert not any(np.shares_memory(first, other) for other in values[:i])


@pytest.mark.parametrize("way", ["frame", "dense", "int", "mapped"])
def test_interactions_in_any_container(planted, tmp_path, way):
    X = planted.train
    expected = path_of(X)
    if way == "frame":
        X = pd.DataFrame(X.toarray(), columns=[f"item {i}" for i in range(90)])
    elif way == "dense":
        X = X.toarray()
    elif way == "int":
        X = X.astype(np.int64)
    else:
        save_interactions(X, tmp_path / "X")
        X = open_interactions(tmp_path / "X")
    assert_same(path_of(X), expected)


@pytest.mark.parametrize(
    ("flavour", "container"), [("sparray", sp.sparray), ("spmatrix", sp.spmatrix)]
)
def test_the_configured_flavour(planted, flavour, container):
    with config_context(sparse_interface=flavour):
        assert all(isinstance(A, container) for A in path_of(planted.train))


# Errors


@pytest.mark.parametrize(
    "n_nonzero",
    [(), [4.0, 2.0], [4, None], [True, False], [[4, 2]], ["4"], [10**30]],
    ids=str,
)
def test_levels_that_are_no_integers(tiny, n_nonzero):
    with pytest.raises(ValueError, match=r"n_nonzero must be a sequence of .* got"):
        path_of(tiny, n_nonzero=n_nonzero)


@pytest.mark.parametrize("level", [0, -3])
def test_levels_below_one(tiny, level):
    with pytest.raises(ValueError, match=rf"at least 1, got \[8, {level}, 2\]"):
        path_of(tiny, n_nonzero=[8, level, 2])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_nonzero", 8),
        ("n_nonzero", None),
        ("n_components", 0),
        ("max_iter_per_level", 0),
        ("max_iter_per_level", 1.5),
        ("max_iter", 0),
        ("batch_size", -1),
        ("precision", "float8"),
        ("init", "random"),
        ("early_stopping", "yes"),
    ],
)
def test_parameters_out_of_their_range(tiny, name, value):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
        path_of(tiny, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("early_stopping", True), ("warm_start", True), ("checkpoint", "folder")],
)
def test_parameters_of_a_single_fit(tiny, name, value):
    with pytest.raises(ValueError, match=f"{name}={value!r} belongs to a single fit"):
        path_of(tiny, **{name: value})


def test_unknown_parameters(tiny):
    with pytest.raises(TypeError, match="'levels'"):
        path_of(tiny, levels=3)


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_bad_interactions(value):
    with pytest.raises(ValueError, match=r"X\[0, 0\] is"):
        path_of(np.full((3, 5), value))


# Quality


def assert_good_levels(train, test, levels, options, *, above):
    models = fit_path(
        CompressedELSA(**options, random_state=0), train, levels, max_iter_per_level=6
    )
    scores = [model.score(test) for model in models]
    assert min(scores) > above
    plain = CompressedELSA(**options, n_nonzero=levels[0], random_state=0).fit(train)
    assert scores[0] > plain.score(test) - 0.03
    return scores


def test_quality_on_planted_clusters(popularity_score):
    X = sp.csr_array(
        make_interactions(700, 120, 9000, n_clusters=6, noise=0.05, random_state=0)
    )
    options = {"n_components": 32, "batch_size": 64}
    train, test = X[:550], X[550:]
    above = popularity_score(train, test) + 0.1
    assert_good_levels(train, test, [16, 8, 4, 2], options, above=above)


def test_quality_on_packages(popularity_score):
    X = load_debian().data[::3]
    held_out = np.arange(X.shape[0]) % 6 == 0
    options = {"n_components": 64, "batch_size": 256}
    train, test = X[~held_out], X[held_out]
    above = popularity_score(train, test) + 0.05
    scores = assert_good_levels(train, test, [16, 8, 4], options, above=above)
    # More entries, better lists.
    assert scores == sorted(scores, reverse=True)
