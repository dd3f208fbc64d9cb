"""Child process: compressed ELSA of compresso-recsys, in its own interpreter."""

import numpy as np
import torch
from _process import run_task
from compresso_recsys.models.elsa import (
    ELSACompressionConfig,
    ELSAConfig,
    ELSATrainer,
)

PACKAGES = ("numpy", "scipy", "torch", "compresso-recsys", "compresso-pytorch")


class Compresso:
    """ELSATrainer as the benchmark calls a model."""

    def __init__(self, task):
        torch.set_num_threads(task["threads"])
        params = task["params"]
        config = ELSAConfig(
            **params["config"],
            compression=ELSACompressionConfig(**params["compression"]),
            seed=task["seed"],
            show_progress=False,
        )
        self.trainer = ELSATrainer(config)
        self.params = params

    def prepare(self, train):
        """Nothing is chosen before training."""

    def fit(self, train):
        """Train."""
        self.trainer.fit(train)

    def recommend(self, history, k):
        """Return item indices of shape (n_users, k), best first."""
        n_unseen = history.shape[1] - np.diff(history.indptr)
        lists = self.trainer.predict(history, k=min(k, int(n_unseen.min())))
        return lists.cols.cpu().numpy()

    def describe(self):
        """Describe what the model stores for an item."""
        return {
            "is_sparse": True,
            "values_per_item": self.params["compression"]["k_target"],
        }


if __name__ == "__main__":
    run_task(Compresso, PACKAGES)
