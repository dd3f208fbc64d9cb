"""Save one small steerable recommender and a map, as the format is now.

    python tests/artefacts/make_steering.py

As the models of ``make_models.py`` they are made once in each version of the format.
``steering.json`` has what they answered.
"""

import numpy as np
from make_models import histories
from saved_answers import FOLDER, write_answers
from sklearn.decomposition import TruncatedSVD
from sklearn.frozen import FrozenEstimator

from sksparse_rec import (
    CompresSAE,
    ConceptMap,
    SteerableRecommender,
    save_model,
    top_items,
)


def concepts():
    """Three concepts of six items, the last of which none has."""
    return np.array([[1, 0, 0], [0, 1, 0]] * 3)


def steerable():
    """A frozen recommender of somebody else, and an autoencoder."""
    X = histories()
    svd = TruncatedSVD(3, algorithm="arpack", random_state=0).fit(X.to_numpy())
    few = {"max_iter": 2, "random_state": 0, "precision": "float32", "device": "cpu"}
    return SteerableRecommender(
        FrozenEstimator(svd),
        sae=CompresSAE(8, n_nonzero=2, positive=True, **few),
        concept_map=ConceptMap(n_neurons=2),
    ).fit(X, item_concepts=concepts(), concept_names=["odd", "梨", "none"])


def answers(model):
    """Return what a loaded model has to repeat."""
    X = histories()
    said = {}
    for name, steer in (("plain", None), ("steered", {"梨": ("set", 0.5)})):
        ids, scores = top_items(model.recommend(X, k=2, steer=steer))
        said[name] = [ids.tolist(), np.where(np.isfinite(scores), scores, 0).tolist()]
    neurons, scores = model.concept_map_.neurons_of("odd")
    return said | {
        "levels": model.concept_levels(X).tolist(),
        "activations": model.transform(X).toarray().tolist(),
        "neurons": [neurons.tolist(), scores.tolist()],
        "names": model.get_feature_names_out().tolist(),
    }


def main():
    model = steerable()
    save_model(model, FOLDER / "SteerableRecommender")
    save_model(model.concept_map_, FOLDER / "ConceptMap")
    write_answers("steering.json", answers(model))


if __name__ == "__main__":
    main()
