"""CompressedELSA in the ways in which the benchmarks run it."""

import copy
import time

import numpy as np
import scipy.sparse as sp

import sksparse_rec
from sksparse_rec import CompresSAE, CompressedELSA, top_items
from sksparse_rec._sparse import keep_top_per_row, normalize_rows


class EpochClock:
    """A callback of scikit-learn that times the start and every epoch of a fit."""

    def start(self):
        """Start anew; ``setup`` would be called when the first pattern is there."""
        self.began, self.epochs, self.start_seconds = time.perf_counter(), [], None

    def setup(self, estimator, context):
        """Nothing to prepare."""

    def teardown(self, estimator, context):
        """Nothing to release."""

    def on_fit_task_begin(self, estimator, context):
        """Note the time of the first epoch, and of every epoch."""
        if context.task_name == "epoch":
            self.epoch_began = time.perf_counter()
            if self.start_seconds is None:
                self.start_seconds = self.epoch_began - self.began

    def on_fit_task_end(self, estimator, context):
        """Note what an epoch took; never ask to stop."""
        if context.task_name == "epoch":
            self.epochs.append(time.perf_counter() - self.epoch_began)
        return False


class Elsa:
    """A CompressedELSA."""

    def __init__(self, task):
        self.estimator = CompressedELSA(**own_params(task), random_state=task["seed"])
        self.clock = EpochClock()
        self.estimator.set_callbacks(self.clock)

    def prepare(self, data):
        """Nothing is chosen before training."""

    def fit(self, data):
        """Train."""
        self.clock.start()
        self.estimator.fit(data.train)

    def answers(self, history, k):
        """Yield the lists of the one model."""
        yield describe_items(self.estimator), recommend(self.estimator, history, k)

    def describe(self):
        """Describe the training, and all parameters of it."""
        return {
            "start_seconds": self.clock.start_seconds,
            "epoch_seconds": self.clock.epochs,
            "n_steps": int(self.estimator.n_steps_),
            "n_iter": int(self.estimator.n_iter_),
            "all_params": plain_params(self.estimator),
        }


class PrunedElsa(Elsa):
    """Dense ELSA, whole and pruned to every level after its training."""

    def __init__(self, task):
        super().__init__(task)
        self.levels = sorted(task["sizes"], reverse=True)

    def answers(self, history, k):
        """Yield the lists of the dense model, and then of every level."""
        for facts, ids in super().answers(history, k):
            yield {"family": "elsa-dense", **facts}, ids
        yield from self.sparse_answers(history, k)

    def sparse_answers(self, history, k):
        """Yield the lists of every level."""
        for level, A in self.sparse_rows():
            sparse = copy.copy(self.estimator)
            sparse.item_embeddings_ = A
            facts = {"size": level, "is_sparse": True, "values_per_item": level}
            yield facts, recommend(sparse, history, k)

    def sparse_rows(self):
        """Yield the levels and their item embeddings."""
        A = sp.csr_array(self.estimator.item_embeddings_)
        for level in self.levels:
            A = keep_top_per_row(A, level)
            yield level, normalize_rows(A)


class CodedElsa(PrunedElsa):
    """Dense ELSA, and a CompresSAE of its item factors for every level."""

    def fit(self, data):
        """Train the one, and then the others."""
        super().fit(data)
        factors = self.estimator.item_embeddings_.toarray()
        same = {
            name: getattr(self.estimator, name) for name in ("device", "random_state")
        }
        self.coders = [
            CompresSAE(factors.shape[1], n_nonzero=level, **same)
            for level in self.levels
        ]
        for coder in self.coders:
            coder.fit(factors)

    def answers(self, history, k):
        """Yield the lists of every level; the dense model is that of another run."""
        yield from self.sparse_answers(history, k)

    def sparse_rows(self):
        """Yield the levels and their codes, as rows of unit length."""
        for level, coder in zip(self.levels, self.coders, strict=True):
            yield level, coder.item_embeddings_

    def describe(self):
        """Describe both trainings."""
        params = plain_params(self.coders[0]) | {"n_nonzero": self.levels}
        return super().describe() | {"coder_params": params}


class ElsaPath:
    """All levels of one path."""

    def __init__(self, task):
        self.levels = sorted(task["sizes"], reverse=True)
        params = own_params(task)
        self.options = {
            name: params.pop(name) for name in ("max_iter_per_level",) if name in params
        }
        self.estimator = CompressedELSA(**params, random_state=task["seed"])

    def prepare(self, data):
        """Nothing is chosen before training."""

    def fit(self, data):
        """Train all levels."""
        # Not a public name: compressed_elsa_path gives matrices, this estimators.
        from sksparse_rec.models._path import fit_path

        default = sksparse_rec.CompressedELSACV().max_iter_per_level
        self.options = {"max_iter_per_level": default, **self.options}
        self.models = fit_path(self.estimator, data.train, self.levels, **self.options)

    def answers(self, history, k):
        """Yield the lists of every level."""
        for level, model in zip(self.levels, self.models, strict=True):
            facts = describe_items(model)
            yield {**facts, "size": level}, recommend(model, history, k)

    def describe(self):
        """Describe the parameters and the epochs of every level."""
        return {
            "n_iter": [int(model.n_iter_) for model in self.models],
            "all_params": plain_params(self.estimator) | self.options,
        }


def own_params(task):
    """Return the parameters of our estimator, with the device that is asked for."""
    return {**task["params"], **on_device(task)}


def on_device(task):
    """Return the parameter of the device that is asked for, if any is."""
    device = task.get("device")
    return {} if device is None else {"device": device}


def recommend(estimator, history, k):
    """Return item indices of shape (n_users, k), best first, padded with -1."""
    return top_items(estimator.recommend(history, k=k))[0]


def describe_items(estimator):
    """Describe what a fitted model stores for an item."""
    A = estimator.item_embeddings_
    if estimator.n_nonzero is None:
        return {"size": A.shape[1], "is_sparse": False, "values_per_item": A.shape[1]}
    return {
        "size": int(estimator.n_nonzero_),
        "is_sparse": True,
        "values_per_item": int(np.diff(A.indptr).max()),
    }


def plain_params(estimator):
    """Return the parameters that can be written as JSON."""
    return {
        name: value
        for name, value in estimator.get_params().items()
        if isinstance(value, (bool, float, int, str, type(None)))
    }
