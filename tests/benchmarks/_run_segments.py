"""Child process: LatentSegments, in the interpreter of the package."""

import torch
from _estimators import on_device
from _segment_clusters import make_factors
from _segment_process import MIN_SIZE, run_trainings
from sklearn.preprocessing import normalize

from sksparse_rec import (
    CompresSAE,
    CompressedELSA,
    LatentSegments,
    audience_embeddings,
)

PACKAGES = ("numpy", "scipy", "torch", "numba", "scikit-learn", "sksparse-rec")


def fit_segments(task, X, seed):
    """Train a model and group its items.

    Returns
    -------
    model, segments : fitted estimators
    rows : csr_array of shape (n_items, n_components)
        What the segments were made of.
    """
    params = {"random_state": seed, **on_device(task)}
    if task["kind"] == "codes":
        model = CompresSAE(**task["params"]["coder"], **params)
        model.fit(normalize(make_factors(X, seed)))
    else:
        model = CompressedELSA(**task["params"]["estimator"], **params).fit(X)
    segments = LatentSegments(min_size=MIN_SIZE, **task["params"]["segments"])
    rows = model.item_embeddings_
    if task["params"].get("audience"):
        rows = audience_embeddings(X, rows)
    return model, segments.fit(rows), rows


def make_trainer(task):
    """Make what the task asks for."""
    torch.set_num_threads(task["threads"])

    def train(X, seed):
        _, segments, rows = fit_segments(task, X, seed)
        return segments.labels_, rows

    return train


if __name__ == "__main__":
    run_trainings(make_trainer, PACKAGES)
