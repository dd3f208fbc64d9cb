"""Saved steering: the same when it is loaded, and refused when it is wrong."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import NMF, TruncatedSVD
from sklearn.frozen import FrozenEstimator

from sksparse_rec import (
    CompresSAE,
    CompressedELSA,
    CompressedELSACV,
    ConceptMap,
    PersistenceError,
    SteerableRecommender,
    load_model,
    save_model,
)
from sksparse_rec._format import read_folder, write_folder

FEW = {"max_iter": 2, "random_state": 0}
ELSA = CompressedELSA(16, n_nonzero=4, batch_size=64, **FEW)
DENSE = CompressedELSA(8, n_nonzero=None, batch_size=64, **FEW)
SEARCH = CompressedELSACV(8, n_nonzero=(4, 2), cv=2, batch_size=64, **FEW)
SAE = CompresSAE(24, n_nonzero=4, positive=True, batch_size=64, **FEW)
SVD = TruncatedSVD(8, random_state=0)
NAMES = ["tea", "jazz ě梨", "hiking", "chess", "opera", "nothing"]

MODELS = {
    "own latents": SteerableRecommender(ELSA),
    "calibrated": SteerableRecommender(
        CompressedELSA(16, n_nonzero=4, calibration=True, **FEW)
    ),
    "search": SteerableRecommender(SEARCH, concept_map=ConceptMap(n_neurons=2)),
    "dense": SteerableRecommender(DENSE, sae=SAE, residual=False),
    "SVD": SteerableRecommender(SVD, sae=SAE, train_on="both"),
    "centred": SteerableRecommender(SVD, sae=CompresSAE(24, center=True, **FEW)),
}


@pytest.fixture(scope="module")
def concepts(planted):
    tags = np.zeros((90, 6))
    tags[np.arange(90), planted.item_clusters] = 1
    return sp.csr_array(tags)


def fit(model, X, concepts):
    model = copy.deepcopy(model)
    return model.fit(X, item_concepts=concepts, concept_names=NAMES)


@pytest.fixture(scope="module", params=MODELS.values(), ids=MODELS)
def model(request, X, concepts):
    """A fitted one; tests must not change it."""
    return fit(request.param, X, concepts)


@pytest.fixture(scope="module")
def steerable(histories, concepts):
    """With an autoencoder; tests must not change it."""
    return fit(MODELS["SVD"], histories["named"], concepts)


@pytest.fixture(scope="module")
def own(histories, concepts):
    """Without one; tests must not change it."""
    return fit(MODELS["own latents"], histories["named"], concepts)


def answers(model, X):
    """Everything that a steerable recommender says, for many users and for one."""
    steer = {"tea": 0.4, 1: ("lower", 0.5), "chess": ("clamp", 0.1, 0.3)}
    said = {}
    for name, users in (("all", X), ("one", X[3:4])):
        said[name] = {
            "plain": model.recommend(users),
            "steered": model.recommend(users, steer=steer),
            "seen": model.recommend(users, k=90, steer=steer, exclude_seen=False),
            "predict": model.predict(users),
            "levels": model.concept_levels(users),
            "transform": model.transform(users),
        }
    return said | {
        "inverse": model.inverse_transform(model.transform(X)),
        "score": model.score(X),
        "names": model.get_feature_names_out(),
        "neurons": model.concept_map_.neurons_of("tea"),
        "concepts": model.concept_map_.concepts_of(0),
        "report": dict(vars(model.steering_report(X, ["jazz ě梨"], strengths=[0, 1]))),
    }


def test_steerable_recommenders(model, again, X, assert_same):
    loaded = again(model)
    assert_same(loaded, model)
    assert repr(loaded) == repr(model)
    assert_same(answers(loaded, X), answers(model, X))
    assert_same(again(loaded), model)


def test_a_map_of_its_own(model, again, assert_same):
    assert_same(again(model.concept_map_), model.concept_map_)
    for method in ("mean", "probe"):
        other = ConceptMap(method=method, n_neurons=3)
        X = np.random.default_rng(0).normal(size=(20, 4))
        other.fit(X, np.arange(20) % 3)
        assert_same(again(other), other)


def test_concepts_are_mapped_again(model, again, concepts, assert_same):
    loaded, kept = again(model), copy.deepcopy(model)
    for steerable in (loaded, kept):
        steerable.map_concepts(concepts[:, :2], ["a", "b"])
    assert_same(loaded, kept)


def test_without_concepts(own, histories, again, assert_same):
    plain = copy.deepcopy(own).fit(histories["named"])
    loaded = again(plain)
    assert_same(loaded, plain)
    assert not hasattr(loaded, "concept_map_")
    with pytest.raises(ValueError, match="there are no concepts to steer"):
        loaded.recommend(histories["named"], steer={"tea": 0.5})


def test_unfitted(again, assert_same, histories, concepts):
    for model in (*MODELS.values(), ConceptMap(method="mean")):
        assert repr(again(model)) == repr(model)
    loaded, fitted = again(MODELS["SVD"]), copy.deepcopy(MODELS["SVD"])
    for model in (loaded, fitted):
        model.fit(histories["matrix"], item_concepts=concepts)
    assert_same(loaded, fitted)


@pytest.mark.parametrize("wrap", [lambda fitted: fitted, FrozenEstimator])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_was_fitted_before_is_there_once(
    wrap, dtype, histories, concepts, again, path, assert_same
):
    X = histories["matrix"].astype(dtype)
    svd = copy.deepcopy(SVD).fit(X)
    sae = copy.deepcopy(SAE).fit(svd.transform(X))
    model = fit(SteerableRecommender(wrap(svd), sae=wrap(sae)), X, concepts)
    loaded = again(model)
    assert_same(answers(loaded, X), answers(model, X))
    assert loaded.recommender_ is loaded.recommender
    assert loaded.sae_ is loaded.sae
    names = read_folder(path).arrays
    assert [name for name in names if "mean_" in name or "sae_." in name] == []
    np.testing.assert_array_equal(
        getattr(loaded.recommender, "estimator", loaded.recommender).components_,
        svd.components_,
        strict=True,
    )


def test_a_loss_that_is_not_known(again):
    X = sp.csr_array(np.eye(6)[[0, 0, 1, 2, 3, 4, 5]])
    model = SteerableRecommender(TruncatedSVD(3), sae=CompresSAE(4, **FEW)).fit(X)
    assert np.isnan(model.insertion_loss_)
    assert np.isnan(again(model).insertion_loss_)


class Own(TruncatedSVD):
    """A recommender of somebody else."""


@pytest.mark.parametrize(
    ("recommender", "name"),
    [
        (NMF(4, init="nndsvda"), r"sklearn\.decomposition\._nmf\.NMF"),
        (Own(4), r"test_steering\.Own"),
        (FrozenEstimator(Own(4)), r"test_steering\.Own"),
    ],
)
def test_other_recommenders_are_refused(recommender, name, histories, path):
    X = histories["matrix"]
    model = SteerableRecommender(recommender, sae=SAE)
    says = rf"{name}, which is none of the classes .*joblib\.dump .*skops\.io\.dump"
    with pytest.raises(PersistenceError, match=rf"^recommender\S* is a \S*{says}"):
        save_model(model, path)
    if not isinstance(recommender, FrozenEstimator):
        model.fit(X).set_params(recommender=SVD)
        with pytest.raises(PersistenceError, match=rf"^recommender_ is a \S*{says}"):
            save_model(model, path)
    assert not path.exists()


def test_models_within_have_to_be_fitted_and_of_the_right_kind(steerable, path):
    model = copy.deepcopy(steerable)
    for name, value, says in (
        ("recommender_", SVD, "fitted CompressedELSA or CompressedELSACV or Trunc"),
        ("recommender_", FrozenEstimator(SVD), "recommender_ must be a fitted"),
        ("recommender_", steerable.sae_, "recommender_ must be a fitted"),
        ("sae_", SAE, "sae_ must be a fitted CompresSAE"),
        ("sae_", steerable.recommender_, "sae_ must be a fitted CompresSAE"),
        ("concept_map_", ConceptMap(), "concept_map_ must be a fitted ConceptMap"),
    ):
        vars(model).update(vars(steerable) | {name: value})
        with pytest.raises(PersistenceError, match=says):
            save_model(model, path)
    assert not path.exists()


def put(name, place, value):
    def put(arrays, fitted):
        arrays[name] = arrays[name].copy()
        arrays[name][place] = value

    return put


def cut(name):
    def cut(arrays, fitted):
        arrays[name] = np.ascontiguousarray(arrays[name][..., :-1])

    return cut


def scale(name, factor):
    def scale(arrays, fitted):
        arrays[name] = arrays[name] * factor

    return scale


def drop(*names):
    def drop(arrays, fitted):
        for name in names:
            del fitted[name]
            for key in [key for key in arrays if key.startswith(name)]:
                del arrays[key]

    return drop


def as_parameter(name):
    def as_parameter(arrays, fitted):
        drop(name)(arrays, fitted)
        fitted[name] = name.removesuffix("_")

    return as_parameter


def null(name):
    def null(arrays, fitted):
        drop(name)(arrays, fitted)
        fitted[name] = None

    return null


def reshape(name, *shape):
    def reshape(arrays, fitted):
        fitted[name]["shape"] = list(shape)
        indptr = arrays[f"{name}.indptr"]
        last = np.full(max(shape[0] + 1 - len(indptr), 0), indptr[-1])
        arrays[f"{name}.indptr"] = np.append(indptr, last)[: shape[0] + 1]

    return reshape


def wrong(model, path, spoil):
    """Write a model whose arrays and attributes are spoiled, and load it."""
    save_model(model, path, overwrite=True)
    folder = read_folder(path)
    arrays = dict(folder.arrays)
    spoil(arrays, folder.content["fitted"])
    write_folder(path, folder.kind, arrays, folder.content, overwrite=True)
    return load_model(path)


NEURON_NAMES = "concept_map_.neuron_names_"


def twice(arrays, fitted):
    """Give all neurons the same name."""
    n_neurons = len(arrays[f"{NEURON_NAMES}.starts"]) - 1
    arrays[f"{NEURON_NAMES}.text"] = np.full(n_neurons, ord("x"), np.uint8)
    arrays[f"{NEURON_NAMES}.starts"] = np.arange(n_neurons + 1)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (put("concept_directions_", (0, 0), np.nan), "directions_ must be finite"),
        (put("concept_directions_", (1, 0), 9), "row 1 of concept_directions_ has len"),
        (scale("concept_directions_", 1e300), "row 0 of concept_directions_ has len"),
        (cut("concept_directions_"), "directions_ has 7 dimensions, and should have 8"),
        (put("item_popularity_", 0, -1), "item_popularity_ must be at least 0"),
        (cut("item_popularity_"), "item_popularity_ makes n_items 89"),
        (put("item_activations_.data", 0, np.inf), "item_activations_ holds values"),
        (put("item_activations_.indices", 0, 24), "item_activations_ has the index 24"),
        (reshape("item_activations_", 90, 25), "has 25 neurons, and should have 24"),
        (reshape("item_concepts_", 90, 7), "item_concepts_ makes n_concepts 7"),
        (put("recommender_.components_", (0, 0), np.nan), "components_ must be finite"),
        (cut("recommender_.components_"), r"recommender_\.components_ makes n_items"),
        (put("sae_.components_", (0, 0), np.inf), "sae_.components_ must be finite"),
        (twice, "neuron_names_ has 'x' twice"),
        (scale("concept_map_.weights_.data", 2), "row 0 of weights_ has length 2"),
        (scale("concept_map_.weights_.data", -1), "weights_ has entries that are not"),
        (put("concept_map_.neuron_concepts_", 0, 6), "neuron_concepts_ must be less"),
        (cut("concept_map_.neuron_concepts_"), "neuron_concepts_ has 1 columns"),
        (put("concept_map_.concept_counts_", 0, -1), "concept_counts_ must be at le"),
        (put("concept_map_.scores_.data", 0, np.nan), "scores_ holds values"),
        (drop("concept_map_"), "there are only .'concept_directions_', 'item_conc"),
        (drop("item_concepts_"), "there are only .'concept_map_', 'concept_dir"),
        (drop("recommender_"), "recommender_ is missing"),
        (as_parameter("recommender_"), "recommender_ must be a fitted"),
        (as_parameter("sae_"), "sae_ must be a fitted CompresSAE"),
        (null("recommender_"), "there is no model in None"),
        (null("sae_"), "sae_ is null, but recommender_ has no sparse latents"),
    ],
)
def test_wrong_models_are_refused(steerable, path, spoil, match):
    with pytest.raises(PersistenceError, match=match):
        wrong(steerable, path, spoil)


def test_wrong_latents_are_refused(own, path):
    for spoil, match in (
        (reshape("concept_directions_", 6, 17), "has 17 dimensions, and should have"),
        (reshape("item_activations_", 90, 17), "has 17 neurons, and should have 16"),
        (scale("concept_directions_.data", 0.5), "row 0 of concept_directions_ has"),
    ):
        with pytest.raises(PersistenceError, match=match):
            wrong(own, path, spoil)


def test_parts_of_different_models_are_refused(steerable, own, concepts, path):
    other = copy.deepcopy(steerable).map_concepts(concepts[:, :4])
    narrow = copy.deepcopy(steerable).sae_.fit(np.eye(7))
    few = copy.deepcopy(SVD).fit(np.eye(9))
    model = copy.deepcopy(steerable)
    for attributes, says in (
        ({"concept_map_": other.concept_map_}, "directions_ has 6 concepts, .* have 4"),
        ({"concept_map_": own.concept_map_}, "has 16 neurons, and should have 24"),
        ({"sae_": narrow}, "sae_ has 7 dimensions, and should have 8"),
        ({"recommender_": few}, "recommender_ has 9 items, and should have 90"),
        (
            {"concept_directions_": sp.csr_array(steerable.concept_directions_)},
            "must be a matrix without sae_, and an array with it",
        ),
    ):
        vars(model).update(vars(steerable) | attributes)
        with pytest.raises(PersistenceError, match=says):
            save_model(model, path)
    assert not path.exists()
