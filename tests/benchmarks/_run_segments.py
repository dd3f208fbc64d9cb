"""Child process: LatentSegments, in the interpreter of the package."""

import torch
from _segment_process import MIN_SIZE, run_trainings

from sksparse_rec import CompressedELSA, LatentSegments

PACKAGES = ("numpy", "scipy", "torch", "numba", "scikit-learn", "sksparse-rec")


def fit_segments(task, X, seed):
    """Train a model and group its items."""
    params = dict(task["params"]["estimator"])
    if task.get("device") is not None:
        params["device"] = task["device"]
    model = CompressedELSA(**params, random_state=seed).fit(X)
    segments = LatentSegments(min_size=MIN_SIZE, **task["params"]["segments"])
    return model, segments.fit(model.item_embeddings_)


def make_trainer(task):
    """Make what the task asks for."""
    torch.set_num_threads(task["threads"])

    def train(X, seed):
        model, segments = fit_segments(task, X, seed)
        return segments.labels_, model.item_embeddings_

    return train


if __name__ == "__main__":
    run_trainings(make_trainer, PACKAGES)
