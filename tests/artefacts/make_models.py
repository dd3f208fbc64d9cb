"""Save one small model of each class, as the format is now.

    python tests/artefacts/make_models.py

A version of the format is made once: the folder stays as it is, and must stay loadable.
``expected.json`` has what the models answered when they were saved.
"""

import numpy as np
import pandas as pd
from saved_answers import FOLDER, write_answers

from sksparse_rec import (
    CompresSAE,
    CompressedELSA,
    CompressedELSACV,
    save_model,
    top_items,
)


def histories():
    """Twelve users of six items with names, in two groups."""
    rng = np.random.default_rng(0)
    same_group = np.add.outer(np.arange(12), np.arange(6)) % 2 == 0
    X = (same_group & (rng.random((12, 6)) < 0.8)).astype(float)
    return pd.DataFrame(X, columns=["apple", "ořech", "梨", "", "a b", "z"])


def vectors():
    """Twenty vectors of eight numbers."""
    return np.random.default_rng(0).normal(size=(20, 8))


def models():
    """Yield a name, a fitted model and what to ask it."""
    X, E = histories(), vectors()
    few = {"max_iter": 2, "random_state": 0, "precision": "float32", "device": "cpu"}
    yield (
        "CompressedELSA",
        CompressedELSA(4, n_nonzero=2, calibration=True, **few).fit(X),
        X,
    )
    yield (
        "CompressedELSACV",
        CompressedELSACV(4, n_nonzero=(3, 2), cv=2, **few).fit(X),
        X,
    )
    yield "CompresSAE", CompresSAE(16, n_nonzero=3, center=True, **few).fit(E), E


def answers(model, X):
    """Return lists and scores that a loaded model has to repeat."""
    ids, scores = top_items(model.recommend(X, k=2))
    return {
        "params": {key: repr(value) for key, value in model.get_params().items()},
        "ids": ids.tolist(),
        "scores": np.where(np.isfinite(scores), scores, 0).tolist(),
    }


def main():
    FOLDER.mkdir()
    expected = {}
    for name, model, X in models():
        save_model(model, FOLDER / name)
        expected[name] = answers(model, X)
    save_model(CompressedELSA(), FOLDER / "unfitted")
    write_answers("expected.json", expected)


if __name__ == "__main__":
    main()
