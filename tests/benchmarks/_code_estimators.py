"""CompresSAE in the ways in which the benchmarks run it."""

import statistics
import time

import numpy as np
import torch
from _code_search import sparse_level
from _estimators import EpochClock, own_params, plain_params

from sksparse_rec import CompresSAE, top_items

ENCODE_REPEATS = 5
QUERY_REPEATS = 5
ROWS_PER_PRODUCT = 2048
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Compressor:
    """A CompresSAE, at its own size and at smaller ones."""

    def __init__(self, task):
        self.sizes = sorted(task["sizes"], reverse=True)
        self.estimator = CompresSAE(**own_params(task), random_state=task["seed"])
        self.clock = EpochClock()
        self.estimator.set_callbacks(self.clock)

    def fit(self, X):
        """Train."""
        self.clock.start()
        self.estimator.fit(X)

    def levels(self):
        """Yield the size that was trained, or that model at all sizes."""
        decoder = self.estimator.components_
        if not self.sizes:
            own = int(self.estimator.n_nonzero_)
            yield sparse_level("sae", own, self.estimator.transform, decoder)
        for size in self.sizes:
            yield sparse_level(
                "one",
                size,
                lambda X, size=size: self.estimator.transform(X, n_nonzero=size),
                decoder,
            )

    def describe(self):
        """Describe the training, all parameters of it, and the speed of `recommend`."""
        estimator = self.estimator
        return {
            "start_seconds": self.clock.start_seconds,
            "epoch_seconds": self.clock.epochs,
            "n_iter": int(estimator.n_iter_),
            "n_steps": int(estimator.n_steps_),
            "dead_fraction": float(estimator.dead_fraction_),
            "reconstruction_cosine": float(estimator.reconstruction_cosine_),
            "all_params": plain_params(estimator),
        }


class Searched(Compressor):
    """A CompresSAE that is also timed where users search it, in `recommend`."""

    def levels(self):
        """Yield as before, and keep some vectors to search for."""
        for level in super().levels():
            yield level._replace(encode=self._keeping(level.encode))

    def _keeping(self, encode):
        def encode_and_keep(X):
            self.queries = X[:256]
            return encode(X)

        return encode_and_keep

    def describe(self):
        """Add the seconds of a batch of 256 in both spaces."""
        seconds = {}
        for space in ("sparse", "reconstructed"):

            def recommend(space=space):
                return top_items(
                    self.estimator.recommend(self.queries, 100, space=space)
                )

            seconds[space] = median_seconds(recommend, QUERY_REPEATS)
        return {**super().describe(), "recommend_seconds": seconds}


class Encoding(Compressor):
    """The speed of `transform` beside that of the bare product with the encoder."""

    def fit(self, X):
        """Train, and keep the vectors."""
        super().fit(X)
        self.X = X

    def levels(self):
        """Nothing is searched."""
        return ()

    def describe(self):
        """Time both, in turns."""
        dtype = DTYPES[self.estimator.get_params()["precision"]]
        W = torch.from_numpy(np.asarray(self.estimator.encoder_components_)).to(dtype)
        X = torch.from_numpy(self.X).to(dtype)

        def product():
            for rows in X.split(ROWS_PER_PRODUCT):
                rows @ W.T

        seconds = {"transform": [], "product": []}
        for _ in range(ENCODE_REPEATS):
            for name, run in (
                ("transform", lambda: self.estimator.transform(self.X)),
                ("product", product),
            ):
                seconds[name].append(median_seconds(run, 1))
        return {
            **super().describe(),
            "n_encoded": len(self.X),
            "encoding_seconds": {
                name: statistics.median(found) for name, found in seconds.items()
            },
        }


def median_seconds(run, repeats):
    """Return the median of what a call takes."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
