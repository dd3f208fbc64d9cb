"""What every child process that trains and groups does; numpy and scipy only."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from _process import peak_memory, reset_peak_memory, versions_of

MIN_SIZE = 5
# A retrained model has seen so many of the users before.
USERS_BEFORE = 0.9
# Added to a seed for another one.
OTHER_SEED = 100


def run_trainings(make_trainer, packages):
    """Run the task that the command line names: train three times, and group.

    Parameters
    ----------
    make_trainer : callable
        ``make_trainer(task)`` gives a function of users' interactions and a seed that
        returns labels of items (-1 for none) and item embeddings, CSR.
    packages : iterable of str
        Distributions whose versions are recorded.
    """
    task = json.loads(Path(sys.argv[1]).read_text())
    X = sp.csr_matrix(sp.load_npz(task["paths"]["train"]))
    train, seed = make_trainer(task), task["seed"]
    baseline = reset_peak_memory()
    started = time.perf_counter()
    labels, embeddings = train(X, seed)
    report = {
        "baseline_bytes": baseline,
        "seconds": time.perf_counter() - started,
        "peak_bytes": peak_memory(),
        "versions": versions_of(packages),
    }
    groups = {"labels": labels}
    if task["retrain"]:
        groups["other seed"] = train(X, seed + OTHER_SEED)[0]
        groups["retrained"] = train(fewer_users(X, seed), seed)[0]
    save_groups(task["paths"]["groups"], groups, embeddings)
    Path(task["report"]).write_text(json.dumps(report))


def fewer_users(X, seed):
    """Return the users of an earlier training, drawn by the seed."""
    n_users = X.shape[0]
    order = np.random.default_rng(seed).permutation(n_users)
    return X[np.sort(order[: round(USERS_BEFORE * n_users)])]


def save_groups(path, groups, embeddings):
    """Write labels by name, and the embeddings that the first were made of."""
    embeddings = sp.csr_matrix(embeddings)
    parts = {name: getattr(embeddings, name) for name in ("data", "indices", "indptr")}
    np.savez(path, **groups, **parts, shape=embeddings.shape)


def load_groups(path):
    """Read what `save_groups` wrote."""
    with np.load(path) as file:
        groups = {name: file[name] for name in file.files}
    parts = [groups.pop(name) for name in ("data", "indices", "indptr")]
    return groups, sp.csr_array(tuple(parts), shape=tuple(groups.pop("shape")))
