"""What every child process does: fit, encode, search, and hand back lists.

Runs in the interpreter of the rivals too, so it imports numpy, scipy and torch only.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from _process import hand_back, timed_fit

QUERIES_PER_BATCH = 256
QUERY_REPEATS = 5
# Encoding is repeated until it took so long, but not more often than this.
ENCODE_SECONDS = 3.0
ENCODE_REPEATS = 3
WARM_UP_ROWS = 1000


class Search(NamedTuple):
    """A way to search codes.

    ``facts`` go to the record. ``prepare(codes)`` gives ``search(queries, k)``, which
    gives the positions of the k best, best first; queries are dense vectors.
    """

    facts: dict
    prepare: Callable


class Level(NamedTuple):
    """A size of code: ``encode(vectors)`` gives codes, and ``searches`` search them."""

    facts: dict
    encode: Callable
    searches: tuple


def run_codes(make_model, packages):
    """Run the task that the command line names.

    Parameters
    ----------
    make_model : callable
        ``make_model(task)`` gives an object with ``fit(X)``, ``levels()`` (an iterable
        of `Level`) and ``describe()`` (facts for the record).
    packages : iterable of str
        Distributions whose versions are recorded.
    """
    task = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(task["threads"])
    X, queries = (np.load(task["paths"][name]) for name in ("train", "history"))
    # First calls load libraries and start threads; that is not training.
    _warm_up(make_model(task), X.shape[1])
    model = make_model(task)
    report = timed_fit(model, X)
    points, lists = measure(model.levels(), X, queries, task["k"])
    hand_back(task, report, model, points, lists, packages)


def measure(levels, X, queries, k):
    """Encode and search at every level.

    Parameters
    ----------
    levels : iterable of Level
    X : ndarray of shape (n_vectors, n_features)
        What is encoded and searched.
    queries : ndarray of shape (n_queries, n_features)
    k : int
        Length of the lists.

    Returns
    -------
    points : list of dict
    lists : list of ndarray of shape (n_queries, k)
    """
    points, lists = [], []
    for level in levels:
        codes, seconds = _timed_encode(level.encode, X)
        facts = {**level.facts, "encode_seconds": seconds, "n_encoded": len(X)}
        facts["n_queries_timed"] = min(QUERIES_PER_BATCH, len(queries))
        if sp.issparse(codes):
            facts["dead_fraction"] = dead_fraction(codes)
        for way in level.searches:
            search = way.prepare(codes)
            points.append(
                {**facts, **way.facts, "query_seconds": _timed_search(search, queries)}
            )
            lists.append(search(queries, k))
    return points, lists


def dead_fraction(codes):
    """Return the share of latents that no code uses."""
    used = np.unique(codes.indices[codes.data != 0])
    return 1 - len(used) / codes.shape[1]


def _timed_encode(encode, X):
    seconds = []
    while sum(seconds) < ENCODE_SECONDS and len(seconds) < ENCODE_REPEATS:
        started = time.perf_counter()
        codes = encode(X)
        seconds.append(time.perf_counter() - started)
    return codes, statistics.median(seconds)


def _timed_search(search, queries, k=100):
    batch, seconds = queries[:QUERIES_PER_BATCH], []
    for _ in range(QUERY_REPEATS):
        started = time.perf_counter()
        search(batch, k)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _warm_up(model, n_features):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((WARM_UP_ROWS, n_features)).astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    # Some trainings are long whatever the size of the data.
    getattr(model, "warm_up", model.fit)(X)
    for level in model.levels():
        codes = level.encode(X)
        for way in level.searches:
            way.prepare(codes)(X[:10], 10)
