"""What can be saved with a model, and what is said of the rest."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.random import RandomState
from sklearn.base import BaseEstimator
from sklearn.callback import ProgressBar
from sklearn.model_selection import KFold

from sksparse_rec import (
    CompresSAE,
    CompressedELSA,
    CompressedELSACV,
    PersistenceError,
    load_model,
    save_model,
)
from sksparse_rec._format import read_folder, write_folder
from sksparse_rec.model_selection import make_ranking_scorer
from sksparse_rec.persistence import _classes
from sksparse_rec.persistence._estimators import SavedEstimator, SavedObject
from sksparse_rec.persistence._kinds import Array, Fields, Model


def test_parameters_keep_their_types(again):
    params = {
        "n_nonzero": (16, [8, 4], ()),
        "scoring": "neg_log_loss",
        "rule": 0.05,
        "max_bytes": float("inf"),
        "max_bytes_per_item": 64,
        "random_state": 2**32 - 1,
        "learning_rate_decay": False,
        "learning_rate": 1e-300,
        "device": "cuda:1",
        "verbose": 1.0,
    }
    loaded = again(CompressedELSACV(**params)).get_params()
    for name, value in params.items():
        assert type(loaded[name]) is type(value)
        assert loaded[name] == value
    assert type(loaded["n_nonzero"][1]) is list


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (Path("a") / "b", str(Path("a") / "b")),
        (-0.0, -0.0),
    ],
)
def test_numbers_of_numpy_and_paths_become_plain(again, value, plain):
    loaded = again(CompressedELSA(checkpoint=value)).checkpoint
    assert (type(loaded), str(loaded)) == (type(plain), str(plain))


def test_not_a_number(again):
    assert np.isnan(again(CompressedELSA(dropout=float("nan"))).dropout)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float32", "float64", "bool"])
def test_arrays_as_parameters(again, dtype):
    grid = np.array([8, 4, 0], dtype=dtype)
    loaded = again(CompressedELSACV(n_nonzero=grid)).n_nonzero
    np.testing.assert_array_equal(loaded, grid, strict=True)


def scorer(estimator, X, y=None):
    return 0.0


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"scoring": scorer}, r"parameter scoring is <function scorer"),
        ({"scoring": make_ranking_scorer("ndcg")}, "parameter scoring is "),
        ({"cv": KFold(3)}, r"parameter cv is KFold\("),
        ({"random_state": RandomState(0)}, "parameter random_state is RandomState"),
        ({"n_nonzero": range(4, 9)}, r"parameter n_nonzero is range\(4, 9\)"),
        ({"n_nonzero": (8, scorer)}, r"parameter n_nonzero\[1\] is <function"),
        ({"n_nonzero": {4: 2}}, "parameter n_nonzero is {4: 2}"),
        ({"n_nonzero": np.array(["a"])}, "parameter n_nonzero is array"),
        ({"n_nonzero": np.ones((2, 2))}, "parameter n_nonzero is array"),
        ({"device": b"cpu"}, "parameter device is b'cpu'"),
    ],
)
def test_parameters_that_cannot_be_saved(params, says, path):
    model = CompressedELSACV(**params)
    with pytest.raises(PersistenceError, match=says) as error:
        save_model(model, path)
    name = next(iter(params))
    assert f"model.set_params({name}=...)" in str(error.value)
    assert not path.exists()
    # The way out.
    save_model(copy.deepcopy(model).set_params(**{name: None}), path)
    assert load_model(path).get_params()[name] is None


def test_the_parameters_of_a_model_within_a_model(histories, path):
    seed = RandomState(0)
    search = CompressedELSACV(8, n_nonzero=(2,), cv=2, max_iter=1, random_state=seed)
    search.fit(histories["matrix"]).set_params(random_state=None)
    best = search.best_estimator_
    best.set_params(random_state=seed)
    way_out = r"model\.best_estimator_\.set_params\(random_state=\.\.\.\)"
    with pytest.raises(PersistenceError, match=way_out):
        save_model(search, path)
    best.set_params(random_state=0)
    save_model(search, path)


def test_callbacks_and_other_attributes(elsa, path):
    model = copy.deepcopy(elsa).set_callbacks(ProgressBar())
    with pytest.raises(PersistenceError, match=r"has callbacks.*set_callbacks\(\)"):
        save_model(model, path)
    model.set_callbacks().note = "mine"
    with pytest.raises(PersistenceError, match="note is an attribute that has no plac"):
        save_model(model, path)
    del model.note, model.anchors_
    with pytest.raises(PersistenceError, match="anchors_ is missing"):
        save_model(model, path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("anchors_", [1, 2], "anchors_ must be an array"),
        ("anchors_", np.full(16, 90), "anchors_ must be less than 90"),
        ("anchors_", np.zeros(15, int), "anchors_ makes n_components 15|but anchors_"),
        ("item_embeddings_", np.ones((90, 16)), "must be a CSR array"),
        ("loss_curve_", [float("nan")], r"loss_curve_ must be finite"),
        ("item_intercepts_", np.ones(90, np.float32), "but no item_slopes_"),
        ("feature_names_in_", np.array([1] * 90), r"holds .*1.*, which is no string"),
    ],
)
def test_what_could_not_be_loaded_is_not_written(elsa, path, name, value, says):
    model = copy.deepcopy(elsa)
    setattr(model, name, value)
    with pytest.raises(PersistenceError, match=says):
        save_model(model, path)
    assert not path.exists()


def test_a_search_that_was_edited(histories, path):
    search = CompressedELSACV(8, n_nonzero=(2,), cv=2, max_iter=1, random_state=0)
    search.fit(histories["matrix"])
    search.item_embeddings_ = search.item_embeddings_ * 2
    with pytest.raises(PersistenceError, match="not that of best_estimator_"):
        save_model(search, path)


class Own(CompressedELSA):
    """A subclass."""


@pytest.mark.parametrize("model", [Own(), BaseEstimator(), {}, None, CompressedELSA])
def test_other_classes(model, path):
    with pytest.raises(PersistenceError, match="none of the classes that can be saved"):
        save_model(model, path)


def test_a_class_of_the_same_name(path):
    other = type("CompresSAE", (CompressedELSA,), {})
    with pytest.raises(PersistenceError, match="none of the classes"):
        save_model(other(), path)


def test_arguments_are_checked(elsa, path):
    with pytest.raises(ValueError, match="'path' parameter of save_model"):
        save_model(elsa, 3)
    with pytest.raises(ValueError, match="'overwrite' parameter of save_model"):
        save_model(elsa, path, overwrite="no")
    save_model(elsa, path)
    with pytest.raises(ValueError, match="'max_bytes' parameter of load_model"):
        load_model(path, max_bytes=-1)
    with pytest.raises(PersistenceError, match="raise max_bytes"):
        load_model(path, max_bytes=1000)
    load_model(path, max_bytes=10**6)


def test_parameters_younger_than_the_file_have_their_defaults(elsa, path):
    save_model(elsa, path)
    folder = read_folder(path)
    del folder.content["parameters"]["calibration"]
    arrays, content = folder.arrays, folder.content
    write_folder(path, "CompressedELSA", arrays, content, overwrite=True)
    assert load_model(path).calibration is False


# Classes to come join by one entry


class Steered(BaseEstimator):
    """Has models as a parameter and as a fitted attribute."""

    def __init__(self, recommender, *, sae=None):
        self.recommender, self.sae = recommender, sae

    def fit(self, recommender, weights):
        self.recommender_, self.weights_, self.n_iter_ = recommender, weights, 1
        return self


class Index:
    """Takes itself apart."""

    def __init__(self, ids):
        self.ids = ids

    def _to_saved(self):
        return {"ids": self.ids}, {"n_items": len(self.ids)}

    @classmethod
    def _from_saved(cls, arrays, content):
        if arrays.keys() != {"ids"} or content != {"n_items": len(arrays["ids"])}:
            raise PersistenceError("the index is damaged")
        return cls(arrays["ids"])


@pytest.fixture
def more_classes(monkeypatch):
    steered = Fields(
        {
            "recommender_": Model("CompressedELSA"),
            "weights_": Array("float64", ("n_concepts",)),
            # Its own n_items is not that of the model within.
            "n_iter_": _classes.Integer(dimension="n_items"),
        }
    )
    monkeypatch.setitem(_classes.CLASSES, "Steered", SavedEstimator(Steered, steered))
    monkeypatch.setitem(_classes.CLASSES, "Index", SavedObject(Index))


@pytest.mark.usefixtures("more_classes")
def test_an_estimator_of_models(elsa, again, assert_same):
    model = Steered(CompressedELSA(), sae=CompresSAE(8, random_state=0))
    loaded = again(model)
    assert repr(loaded) == repr(model)
    model.fit(elsa, np.arange(3.0)).set_params(recommender=elsa)
    loaded = again(model)
    for found in (loaded.recommender, loaded.recommender_):
        assert_same(found, elsa)
    np.testing.assert_array_equal(loaded.weights_, np.arange(3.0))
    model.recommender_ = CompressedELSA()
    with pytest.raises(PersistenceError, match="must be a fitted CompressedELSA"):
        again(model)


@pytest.mark.usefixtures("more_classes")
def test_a_class_that_takes_itself_apart(again, path):
    loaded = again(Index(np.arange(3)))
    np.testing.assert_array_equal(loaded.ids, np.arange(3))
    # The folder is the one of the class itself.
    arrays, content = loaded._to_saved()
    write_folder(path, "Index", arrays, content, overwrite=True)
    np.testing.assert_array_equal(load_model(path).ids, np.arange(3))
    write_folder(path, "Index", arrays, content | {"n_items": 4}, overwrite=True)
    with pytest.raises(PersistenceError, match="cannot be loaded: the index is damag"):
        load_model(path)


@pytest.mark.usefixtures("more_classes")
def test_an_index_within_an_estimator(elsa, again, path):
    model = Steered(Index(np.arange(3)), sae=Index(np.arange(4)))
    loaded = again(model.fit(elsa, np.ones(1)))
    assert [len(loaded.recommender.ids), len(loaded.sae.ids)] == [3, 4]
    content = json.loads((path / "manifest.json").read_text())["content"]
    assert content["parameters"]["sae"]["class"] == "Index"


@pytest.mark.parametrize(
    ("check", "state", "reason"),
    [
        (
            _classes._check_entries,
            {"columns": None, "n_components": 4, "width": 4, "values": np.ones((6, 3))},
            "has 3 entries a row, and should have 4",
        ),
        (
            _classes._check_level,
            {"best_index_": 2, "n_nonzero_grid_": [8, 4]},
            "best_index_ is 2, but there are 2 levels",
        ),
        (
            _classes._check_encoder,
            {"encoder.first": 0, "decoder.first": 0},
            r"has of the encoder only \['encoder.first'\]",
        ),
    ],
)
def test_parts_that_do_not_fit_together(check, state, reason):
    with pytest.raises(PersistenceError, match=reason):
        check(state)
