"""The loop over runs that compress vectors, and the scores of their lists."""

import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from _code_data import describe_corpus, split_corpus, true_neighbours, unit_rows
from _harness import run_job
from _plan import keep

CUT_OFFS = (10, 100)


def run_corpus(corpus, jobs, options, folder, deadline):
    """Run jobs on a corpus; those with a seed that follow each other share a split.

    The arguments are those of ``run_dataset`` in `_plan.run_jobs`.
    """
    for seed, of_seed in itertools.groupby(jobs, lambda job: job.seed):
        if time.monotonic() < deadline:
            _run_split(corpus, seed, list(of_seed), options, folder, deadline)


def _run_split(corpus, seed, jobs, options, folder, deadline):
    X = unit_rows(corpus.load())
    described = describe_corpus(corpus, X)
    catalog, queries = split_corpus(X, seed, corpus.n_queries)
    truth = true_neighbours(catalog, queries)
    with tempfile.TemporaryDirectory() as place:
        paths = save_vectors(Path(place), catalog, queries)
        for job in jobs:
            if time.monotonic() >= deadline:
                return
            record = run_job(
                job,
                described,
                paths,
                _as_targets(truth, len(catalog)),
                threads=options.threads,
                timeout=options.timeout,
                rival_python=options.rival_python,
            )
            if record["status"] == "ok":
                with np.load(Path(place) / "lists.npz") as lists:
                    found = [lists[name] for name in lists.files]
                for point, ids in zip(record["points"], found, strict=True):
                    point["metrics"] = neighbours_found(ids, truth)
            keep(record, folder, job, summarize_codes)


def save_vectors(folder, catalog, queries):
    """Write what the child processes see; the neighbours are not among it.

    Parameters
    ----------
    folder : Path
    catalog, queries : ndarray

    Returns
    -------
    dict
        Paths by the names that the harness has for what is learnt from and what is
        asked.
    """
    paths = {}
    for name, array in (("train", catalog), ("history", queries)):
        paths[name] = str(folder / f"{name}.npy")
        np.save(paths[name], array)
    return paths


def _as_targets(truth, n_vectors):
    """Return neighbours as the harness takes targets."""
    n_queries, k = truth.shape
    ones = np.ones(truth.size, dtype=np.float32)
    starts = np.arange(n_queries + 1) * k
    return sp.csr_array((ones, truth.ravel(), starts), shape=(n_queries, n_vectors))


def neighbours_found(ids, truth):
    """Return the share of the nearest vectors that lists of their length contain.

    Parameters
    ----------
    ids : ndarray of shape (n_queries, k)
        Positions, best first, padded with -1.
    truth : ndarray of shape (n_queries, n_neighbours)
        Nearest first.

    Returns
    -------
    dict
        By ``recall@10`` and ``recall@100``.
    """
    shares = {}
    for k in CUT_OFFS:
        pairs = zip(ids[:, :k], truth[:, :k], strict=True)
        found = [len(np.intersect1d(listed, nearest)) for listed, nearest in pairs]
        shares[f"recall@{k}"] = float(np.mean(found) / min(k, truth.shape[1]))
    return shares


def summarize_codes(record):
    """Summarize the neighbours that are kept at each size, and the seconds."""
    scores = ", ".join(
        f"{point.get('family', record['family'])} {point['bytes']} bytes "
        f"{point['metrics']['recall@100']:.3f}"
        for point in record["points"]
    )
    return f"recall@100 of {scores}; fit {record['fit_seconds']:.1f} s"
