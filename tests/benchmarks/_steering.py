"""What is steered, and by which knobs."""

from _systems import System

STEERING = "_run_steering.py"
# The best of all mappings that are compared, over data sets and systems.
MAPPING = {"concept_map": {"method": "correlation", "n_neurons": 16}}
SPARSE_ELSA = {"estimator": "elsa", "settings": {}, **MAPPING}
DENSE_ELSA = {
    "estimator": "elsa",
    "settings": {"n_components": 256, "n_nonzero": None},
    **MAPPING,
}
SVD = {"estimator": "svd", "settings": {"n_components": 64}, **MAPPING}
SAE = {"n_components": 2048, "n_nonzero": 32, "positive": True, "max_iter": 10}

STEERING_SYSTEMS = {
    "latents": System("CompressedELSA", "latents", SPARSE_ELSA, STEERING),
    "sae": System(
        "dense ELSA, CompresSAE",
        "sae",
        {**DENSE_ELSA, "sae": SAE},
        STEERING,
    ),
    "svd-sae": System("SVD, CompresSAE", "sae", {**SVD, "sae": SAE}, STEERING),
}
# Concepts of fewer items are not steered, and of so many no more than these.
MIN_ITEMS = 20
MAX_CONCEPTS = 40
# Test users that are steered, and their scores in all.
MAX_USERS, MAX_SCORES = 1000, 20_000_000
METHODS = ("mean", "specificity", "correlation", "mutual_information", "probe")
N_NEURONS = (1, 8, 16, 32)
# Mappings are compared on so many of the concepts.
MAX_MAPPED = 12
OWN = "steered"
RANDOM = "random directions"
# How the page calls the ways to more of a concept.
WAYS = {
    OWN: "steered",
    "boost, relative": "boost, relative to the best score of the user",
    "boost, absolute": "boost, the same for all users",
    "places": "a share of places for tagged items",
    "filter": "tagged items only",
    "history, popular": "popular tagged items added to the history",
    "history, nearest": "tagged items best for the user added to the history",
    "mean embedding": "rotation to the mean embedding of tagged items",
}
