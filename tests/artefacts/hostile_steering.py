"""Whole files of a steerable recommender whose parts do not fit together."""

from saved_parts import edit, registry

HUGE = 1 << 40
STEERING, hostile, changed = registry()
NAN = float("nan")
MAP, SVD = "concept_map_", "recommender.estimator"


def _fitted(**attributes):
    return lambda saved: saved.fitted.update(attributes)


def _map(**attributes):
    return lambda saved: saved.fitted[MAP]["content"]["fitted"].update(attributes)


def _shape(name, *shape):
    return lambda saved: saved.fitted[name].update(shape=list(shape))


def _dropped(saved):
    del saved.fitted[MAP]
    for name in [name for name in saved.bodies() if name.startswith(MAP)]:
        saved.drop(name)


def _renamed(name, of):
    """Give an estimator within the recommender another class."""

    def change(saved):
        of(saved)["class"] = name

    return change


def _within(saved):
    return saved.parameters["recommender"]["content"]["parameters"]["estimator"]


def _no_estimator(saved):
    saved.parameters["recommender"]["content"]["parameters"]["estimator"] = 3
    for name in [name for name in saved.bodies() if name.startswith(SVD)]:
        saved.drop(name)


def _without_sae(value):
    """Put something in place of the autoencoder, whose arrays go."""

    def change(saved):
        for name in [name for name in saved.bodies() if name.startswith("sae_.")]:
            saved.drop(name)
        saved.fitted["sae_"] = value

    return change


for _name, _reason, _change in (
    (
        "directions-nan",
        "concept_directions_ must be finite",
        edit("concept_directions_", "d", _0=NAN),
    ),
    (
        "directions-long",
        "row 0 of concept_directions_ has length",
        edit("concept_directions_", "d", _0=1e300),
    ),
    (
        "directions-sparse",
        "the array 'concept_directions_.data' is missing",
        _fitted(concept_directions_={"type": "csr", "shape": [3, 3]}),
    ),
    (
        "directions-short",
        r"concept_directions_ has shape \(6,\), and should have",
        lambda saved: saved.put("concept_directions_", "d", [0.0] * 6),
    ),
    (
        "activations-wide",
        f"item_activations_ has {HUGE} neurons, and should have 8",
        _shape("item_activations_", 6, HUGE),
    ),
    (
        "activations-out-of-range",
        "item_activations_ has the index 8, out of range",
        edit("item_activations_.indices", "i", _1=8),
    ),
    (
        "concepts-of-items-wide",
        f"item_concepts_ makes n_concepts {HUGE}, but",
        _shape("item_concepts_", 6, HUGE),
    ),
    ("map-missing", "there are only .'concept_directions_', 'item_con", _dropped),
    (
        "map-of-numbers",
        "neuron_names_ must be names, and is .1, 2.",
        _map(neuron_names_=[1, 2]),
    ),
    (
        "map-width",
        "makes n_neurons 8, but n_features_in_|but concept_map_.n_features_in_",
        _map(n_features_in_=HUGE),
    ),
    (
        "map-weights-nan",
        "concept_map_.weights_ holds values that are not finite",
        edit("concept_map_.weights_.data", "d", _0=NAN),
    ),
    (
        "map-weights-long",
        "row 0 of weights_ has length",
        edit("concept_map_.weights_.data", "d", _0=7.0),
    ),
    (
        "map-neuron-concepts-far",
        "neuron_concepts_ must be less than 3",
        edit("concept_map_.neuron_concepts_", "q", _0=3),
    ),
    (
        "map-name-twice",
        "concept_names_ has 'odd' twice",
        lambda saved: (
            saved.put("concept_map_.concept_names_.text", "B", list(b"oddoddnone")),
            saved.put("concept_map_.concept_names_.starts", "q", [0, 3, 6, 10]),
        ),
    ),
    (
        "recommender-nothing",
        "there is no model in None",
        _fitted(recommender_=None),
    ),
    (
        "recommender-code",
        "there is no model in 'os.system'",
        _fitted(recommender_="os.system"),
    ),
    (
        "recommender-number",
        r"recommender_ must be a fitted .*FrozenEstimator\(estimator=3\)",
        _no_estimator,
    ),
    (
        "recommender-class",
        "the class 'NMF' is none of those",
        _renamed("NMF", _within),
    ),
    (
        "recommender-module",
        "the class 'sklearn.pipeline.Pipeline' is none of those",
        _renamed("sklearn.pipeline.Pipeline", _within),
    ),
    (
        "recommender-order",
        "components_ must be an array, and is .'type': 'array', 'order': 'K'",
        lambda saved: _within(saved)["content"]["fitted"].update(
            components_={"type": "array", "order": "K"}
        ),
    ),
    (
        "recommender-components-nan",
        "components_ must be finite",
        edit(f"{SVD}.components_", "d", _0=NAN),
    ),
    ("sae-nothing", "sae_ is null, but recommender_ has no", _without_sae(None)),
    ("sae-parameter", "sae_ must be a fitted CompresSAE", _without_sae("sae")),
    (
        "parameter-missing",
        "recommender is missing, which SteerableRecommender needs",
        lambda saved: saved.parameters.pop("recommender"),
    ),
    ("loss-text", "insertion_loss_ must be a number", _fitted(insertion_loss_="0")),
):
    changed(_reason, f"steering-{_name}", _change)
