"""Child process: dense ELSA of its authors' package, in the rivals' interpreter."""

import warnings

import torch
from _process import run_task
from _ranking import best_unseen, choose
from elsa import ELSA

PACKAGES = ("numpy", "scipy", "torch", "elsarec")
# The package converts users one by one, and torch remarks on it.
warnings.filterwarnings("ignore", message="Sparse invariant checks")


class Elsarec:
    """The authors' ELSA as the benchmark calls a model."""

    def __init__(self, task):
        torch.set_num_threads(task["threads"])
        self.seed = task["seed"]
        self.params = dict(task["params"])
        self.epoch_grid = self.params.pop("epoch_grid")
        self.n_epochs = self.epoch_grid[0]
        self.validation_scores = None

    def prepare(self, data):
        """Choose the number of epochs on validation users."""

        def fit_and_recommend(n_epochs, data):
            self.n_epochs = n_epochs
            self.fit(data)
            return self._recommend(data.history, 100)

        self.n_epochs, self.validation_scores = choose(
            self.epoch_grid, fit_and_recommend, data
        )
        del self.model

    def fit(self, data):
        """Train."""
        torch.manual_seed(self.seed)
        self.model = ELSA(
            n_items=data.train.shape[1],
            n_dims=self.params["n_dims"],
            lr=self.params["lr"],
            device=torch.device("cpu"),
        )
        self.model.fit(
            data.train,
            epochs=self.n_epochs,
            batch_size=self.params["batch_size"],
            shuffle=True,
            verbose=False,
        )

    def answers(self, history, k):
        """Yield the lists of the one model."""
        size = self.params["n_dims"]
        facts = {"size": size, "is_sparse": False, "values_per_item": size}
        yield facts, self._recommend(history, k)

    def _recommend(self, history, k):
        def score(users):
            return self.model.predict(history[users], batch_size=len(users)).numpy()

        return best_unseen(score, history, k)

    def describe(self):
        """Describe what was chosen."""
        return {"n_epochs": self.n_epochs, "validation_scores": self.validation_scores}


if __name__ == "__main__":
    run_task(Elsarec, PACKAGES)
