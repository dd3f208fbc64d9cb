"""Child process: compressed ELSA of compresso-recsys, in the rivals' interpreter."""

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
            device=task.get("device") or "cpu",
            show_progress=False,
        )
        self.trainer = ELSATrainer(config)
        self.n_nonzero = params["compression"]["k_target"]

    def prepare(self, data):
        """Nothing is chosen before training."""

    def fit(self, data):
        """Train."""
        self.trainer.fit(data.train)

    def answers(self, history, k):
        """Yield the lists of the one model."""
        n_unseen = history.shape[1] - np.diff(history.indptr)
        lists = self.trainer.predict(history, k=min(k, int(n_unseen.min())))
        facts = {
            "size": self.n_nonzero,
            "is_sparse": True,
            "values_per_item": self.n_nonzero,
        }
        yield facts, lists.cols.cpu().numpy()

    def describe(self):
        """Return nothing to record beside the settings."""
        return {}


if __name__ == "__main__":
    run_task(Compresso, PACKAGES)
