"""Child process: the systems that run in the interpreter of the package."""

import numpy as np
import scipy.sparse as sp
import torch
from _baselines import EASE, Popularity
from _process import run_task

from sksparse_rec import CompressedELSA, top_items

PACKAGES = ("numpy", "scipy", "torch", "scikit-learn", "sksparse-rec")


class OwnModel:
    """CompressedELSA as the benchmark calls a model."""

    def __init__(self, params, seed):
        self.estimator = CompressedELSA(**params, random_state=seed)

    def prepare(self, train):
        """Nothing is chosen before training."""

    def fit(self, train):
        """Train."""
        self.estimator.fit(train)

    def recommend(self, history, k):
        """Return item indices of shape (n_users, k), best first."""
        return top_items(self.estimator.recommend(history, k=k))[0]

    def describe(self):
        """Describe what the model stores for an item, and what it was asked for."""
        A = self.estimator.item_embeddings_
        is_sparse = self.estimator.n_nonzero is not None
        longest = np.diff(A.indptr).max() if sp.issparse(A) else A.shape[1]
        return {
            "is_sparse": is_sparse,
            "values_per_item": int(longest) if is_sparse else int(A.shape[1]),
            "n_iter": int(self.estimator.n_iter_),
            "all_params": {
                name: value
                for name, value in self.estimator.get_params().items()
                if isinstance(value, (bool, float, int, str, type(None)))
            },
        }


def make_model(task):
    """Make the model that a task asks for."""
    torch.set_num_threads(task["threads"])
    if task["kind"] == "popularity":
        return Popularity()
    if task["kind"] == "ease":
        return EASE(task["seed"])
    return OwnModel(task["params"], task["seed"])


if __name__ == "__main__":
    run_task(make_model, PACKAGES)
