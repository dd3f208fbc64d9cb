"""The entries of the allow-list for steering, and for what may be steered.

Of scikit-learn that is `TruncatedSVD`, whose fitted state is four arrays, and
`FrozenEstimator`, which holds nothing but another estimator.
"""

from collections import Counter

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.frozen import FrozenEstimator

from sksparse_rec._format import PersistenceError
from sksparse_rec.persistence._estimators import SavedEstimator
from sksparse_rec.persistence._kinds import (
    Array,
    Csr,
    Either,
    Fields,
    Flag,
    Float,
    Integer,
    Kept,
    Model,
    Names,
    Nullable,
    Optional,
    Ordered,
)
from sksparse_rec.steering import ConceptMap, SteerableRecommender

ITEMS, LATENTS, DIMENSIONS = "n_items", "n_components", "n_dimensions"
NEURONS, CONCEPTS = "n_neurons", "n_concepts"
REAL = "float32 float64"
RECOMMENDERS = "CompressedELSA CompressedELSACV TruncatedSVD"
# Attributes that are there where concepts are mapped, and not otherwise.
MAPPED = ("concept_map_", "concept_directions_", "item_concepts_")
# By how much the length of a direction may differ from 1.
ROUNDING = 1e-6


def _check_rows(M, name):
    """Raise unless each row of a matrix has length 1, or is empty."""
    with np.errstate(over="ignore"):
        squares = M.multiply(M) if sp.issparse(M) else M**2
        lengths = np.sqrt(np.asarray(squares.sum(axis=1)).ravel())
    wrong = np.flatnonzero((lengths > 0) & (np.abs(lengths - 1) > ROUNDING))
    if len(wrong):
        raise PersistenceError(
            f"row {wrong[0]} of {name} has length {lengths[wrong[0]]:.6g}, and should "
            "have length 1 or be empty"
        )


def _check_concept_map(state):
    """Raise unless names are unique and the weights are some of the scores."""
    for name in ("concept_names_", "neuron_names_"):
        repeated = [n for n, count in Counter(state[name]).items() if count > 1]
        if repeated:
            raise PersistenceError(f"{name} has {repeated[0]!r:.100} twice")
    n_sides = state["neuron_concepts_"].shape[1]
    if n_sides != 2:
        raise PersistenceError(
            f"neuron_concepts_ has {n_sides} columns, and should have 2, one a side"
        )
    weights, scores = state["weights_"], state["scores_"]
    _check_rows(weights, "weights_")
    # Where both are stored their signs agree, and weights are stored nowhere else.
    same_side = weights.sign().multiply(scores.sign())
    if same_side.sum() != weights.nnz:
        raise PersistenceError("weights_ has entries that are not those of scores_")


def _check_steering(state):
    """Raise unless recommender, autoencoder and concepts have each other's sizes."""
    recommender, sae = (_unfrozen(state[key]) for key in ("recommender_", "sae_"))
    embeddings = getattr(recommender, "item_embeddings_", None)
    if embeddings is None:
        n_dimensions = len(recommender.components_)
    else:
        n_dimensions = embeddings.shape[1]
    n_neurons = n_dimensions if sae is None else len(sae.components_)
    sizes = [
        ("recommender_", "items", recommender.n_features_in_, state["n_features_in_"]),
        (
            "item_activations_",
            "neurons",
            state["item_activations_"].shape[1],
            n_neurons,
        ),
    ]
    if sae is not None:
        sizes.append(("sae_", "dimensions", sae.n_features_in_, n_dimensions))
    elif embeddings is None:
        raise PersistenceError(
            "sae_ is null, but recommender_ has no sparse latents to steer"
        )
    found = [key for key in MAPPED if key in state]
    if found and len(found) < len(MAPPED):
        raise PersistenceError(f"of {', '.join(MAPPED)} there are only {found}")
    if found:
        sizes += _check_concepts(state, n_dimensions, n_neurons)
    for name, what, size, expected in sizes:
        if size != expected:
            raise PersistenceError(
                f"{name} has {size} {what}, and should have {expected}"
            )
    if found:
        _check_rows(state["concept_directions_"], "concept_directions_")


def _check_concepts(state, n_dimensions, n_neurons):
    """Check what concepts have, and return sizes that have to agree."""
    directions, concept_map = state["concept_directions_"], state["concept_map_"]
    if sp.issparse(directions) != (state["sae_"] is None):
        raise PersistenceError(
            "concept_directions_ must be a matrix without sae_, and an array with it"
        )
    n_concepts = len(concept_map.concept_names_)
    return [
        ("concept_map_", "neurons", concept_map.n_features_in_, n_neurons),
        ("concept_directions_", "concepts", directions.shape[0], n_concepts),
        ("concept_directions_", "dimensions", directions.shape[1], n_dimensions),
        ("item_concepts_", "concepts", state["item_concepts_"].shape[1], n_concepts),
    ]


def _unfrozen(estimator):
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return estimator


CONCEPT_MAP = SavedEstimator(
    ConceptMap,
    Fields(
        {
            "n_features_in_": Integer(dimension=NEURONS),
            "feature_names_in_": Optional(Names(NEURONS)),
            "concept_names_": Names(CONCEPTS),
            "concept_counts_": Array("int64", (CONCEPTS,), low=0),
            "scores_": Csr((CONCEPTS, NEURONS), "float64"),
            "weights_": Csr((CONCEPTS, NEURONS), "float64"),
            "neuron_names_": Names(NEURONS),
            "neuron_concepts_": Array(
                "int64", (NEURONS, "sides of a neuron"), low=-1, below=CONCEPTS
            ),
        },
        _check_concept_map,
    ),
)

STEERABLE_RECOMMENDER = SavedEstimator(
    SteerableRecommender,
    Fields(
        {
            "n_features_in_": Integer(dimension=ITEMS),
            "feature_names_in_": Optional(Names(ITEMS)),
            "recommender_": Kept(Model(RECOMMENDERS, frozen=True), "recommender"),
            "sae_": Nullable(Kept(Model("CompresSAE", frozen=True), "sae")),
            "item_popularity_": Array("int64", (ITEMS,), low=0),
            "item_activations_": Csr((ITEMS, NEURONS)),
            "insertion_loss_": Float(nan=True),
            "_has_labels": Flag(),
            "concept_map_": Optional(Model("ConceptMap")),
            "concept_directions_": Optional(
                Either(
                    Array("float64", (CONCEPTS, DIMENSIONS)),
                    Csr((CONCEPTS, DIMENSIONS), "float64"),
                )
            ),
            "item_concepts_": Optional(Csr((ITEMS, CONCEPTS), "bool")),
        },
        _check_steering,
    ),
)

TRUNCATED_SVD = SavedEstimator(
    TruncatedSVD,
    Fields(
        {
            "n_features_in_": Integer(dimension=ITEMS),
            "feature_names_in_": Optional(Names(ITEMS)),
            "components_": Ordered(Array(REAL, (LATENTS, ITEMS))),
            "explained_variance_": Array(REAL, (LATENTS,), low=0),
            "explained_variance_ratio_": Array(REAL, (LATENTS,)),
            "singular_values_": Array(REAL, (LATENTS,), low=0),
        }
    ),
)

# Its estimator is a parameter, so there is nothing fitted.
FROZEN_ESTIMATOR = SavedEstimator(FrozenEstimator, Fields({}))
