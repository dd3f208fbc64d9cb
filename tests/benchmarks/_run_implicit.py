"""Child process: matrix factorisations of implicit, in the rivals' interpreter."""

import itertools

import numpy as np
import scipy.sparse as sp
from _process import run_task
from _ranking import choose
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from threadpoolctl import threadpool_limits

PACKAGES = ("numpy", "scipy", "implicit")
# What implicit scores an item with that must not be listed.
LEFT_OUT = -1e38


class Factorization:
    """What ALS and BPR share: every pair of settings of a grid is tried.

    ``params["grid"]`` maps names of parameters to what is tried; the rest is as it is.
    """

    def __init__(self, task):
        self.seed, self.threads = task["seed"], task["threads"]
        self.params = dict(task["params"])
        self.grid = self.params.pop("grid")
        self.chosen = tuple(values[0] for values in self.grid.values())
        self.validation_scores = None

    def prepare(self, data):
        """Choose settings on validation users."""

        def fit_and_recommend(candidate, data):
            self.chosen = candidate
            self.fit(data)
            return self._recommend(data.history, 100)

        self.chosen, self.validation_scores = choose(
            itertools.product(*self.grid.values()), fit_and_recommend, data
        )
        del self.model

    def _make(self, model_class):
        return model_class(
            **self.params,
            **dict(zip(self.grid, self.chosen, strict=True)),
            num_threads=self.threads,
            random_state=self.seed,
        )

    def answers(self, history, k):
        """Yield the lists of the one model."""
        size = self.model.item_factors.shape[1]
        facts = {"size": size, "is_sparse": False, "values_per_item": size}
        yield facts, self._recommend(history, k)

    def _list(self, users, history, k, **options):
        ids, scores = self.model.recommend(
            users, history, N=min(k, history.shape[1]), **options
        )
        return np.where(scores > LEFT_OUT, ids, -1)

    def describe(self):
        """Describe what was chosen."""
        return {
            "chosen": dict(zip(self.grid, self.chosen, strict=True)),
            "validation_scores": self.validation_scores,
        }


class ALS(Factorization):
    """Alternating least squares; test users are folded in."""

    def fit(self, data):
        """Train."""
        self.model = self._make(AlternatingLeastSquares)
        self.model.fit(data.train, show_progress=False)

    def _recommend(self, history, k):
        users = np.arange(history.shape[0])
        return self._list(users, history, k, recalculate_user=True)


class BPR(Factorization):
    """Bayesian personalised ranking.

    It has no vectors for users that it was not trained on, so the histories of the test
    users are part of its training data, which no other system is given.
    """

    def fit(self, data):
        """Train on the training users and the histories of the test users."""
        self.first = data.train.shape[0]
        self.model = self._make(BayesianPersonalizedRanking)
        users = sp.vstack([data.train, data.history], format="csr")
        self.model.fit(users, show_progress=False)

    def _recommend(self, history, k):
        return self._list(self.first + np.arange(history.shape[0]), history, k)


def make_model(task):
    """Make the model that a task asks for."""
    return {"als": ALS, "bpr": BPR}[task["kind"]](task)


if __name__ == "__main__":
    # As implicit recommends: it has threads of its own.
    with threadpool_limits(1, "blas"):
        run_task(make_model, PACKAGES)
