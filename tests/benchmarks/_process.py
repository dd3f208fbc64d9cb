"""What every child process does: read a task, fit, recommend, hand back lists.

Runs in the interpreters of the rivals too, so it imports numpy and scipy only.
"""

import json
import platform
import resource
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

# More items than the largest model has non-zeros, so that all of its code runs.
WARM_UP_SHAPE = (300, 300)


class Data(NamedTuple):
    """What a system sees: CSR matrices of users by items.

    ``train`` is what it learns from and ``history`` what it knows of the test users.
    ``validation`` is the same training data split again, for systems that choose
    settings: training, history and targets. None where there is nothing to choose.
    """

    train: sp.csr_matrix
    history: sp.csr_matrix
    validation: tuple | None = None

    def for_validation(self):
        """Return the data of a trial on the validation users."""
        return Data(*self.validation[:2])


def run_task(make_model, packages):
    """Run the task that the command line names.

    Parameters
    ----------
    make_model : callable
        ``make_model(task)`` gives an object with ``prepare(data)`` (choose settings,
        not counted as training), ``fit(data)``, ``answers(history, k)`` and
        ``describe()`` (facts for the record). ``answers`` yields a dictionary that
        describes what is stored for an item (``size``, ``is_sparse``,
        ``values_per_item``) and the lists made from it: item indices, best first,
        padded with -1; several of them where one fit gives models of several sizes.
    packages : iterable of str
        Distributions whose versions are recorded.
    """
    task = json.loads(Path(sys.argv[1]).read_text())
    data = _load(task["paths"])
    # First calls load libraries and start threads; that is not training.
    _warm_up(make_model(task), data.train)
    model = make_model(task)
    started = time.perf_counter()
    model.prepare(data)
    report = {"prepare_seconds": time.perf_counter() - started}
    report |= timed_fit(model, data)
    points, lists = _recommend(model, data.history, task["k"])
    hand_back(task, report, model, points, lists, packages)


def timed_fit(model, data):
    """Train a model, and return what that took.

    Parameters
    ----------
    model : object
        With ``fit(data)``.
    data : object

    Returns
    -------
    dict
        Facts for the record.
    """
    baseline, gpu = reset_peak_memory(), used_gpu()
    if gpu is not None:
        gpu.reset_peak_memory_stats()
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(data)
    if gpu is not None:
        gpu.synchronize()
    report = {
        "baseline_bytes": baseline,
        "fit_seconds": time.perf_counter() - wall,
        "fit_cpu_seconds": time.process_time() - cpu,
        "fit_peak_bytes": peak_memory(),
    }
    if gpu is not None:
        report["accelerator"] = gpu.get_device_name()
        report["accelerator_peak_bytes"] = gpu.max_memory_allocated()
    return report


def used_gpu():
    """Return torch's module for the GPU if the warm-up has used one, or None."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return torch.cuda


def hand_back(task, report, model, points, lists, packages):
    """Write the report and the lists where the task says.

    Parameters
    ----------
    task, report : dict
    model : object
        With ``describe()``.
    points : list of dict
    lists : list of ndarray
        Those of each point.
    packages : iterable of str
    """
    report |= {
        "points": points,
        "process_peak_bytes": peak_memory(),
        "versions": versions_of(packages),
        **model.describe(),
    }
    np.savez(task["lists"], *lists)
    Path(task["report"]).write_text(json.dumps(report))


def _load(paths):
    def load(name):
        return sp.csr_matrix(sp.load_npz(paths[name]))

    validation = None
    if "validation_train" in paths:
        names = ("validation_train", "validation_history", "validation_targets")
        validation = tuple(load(name) for name in names)
    return Data(load("train"), load("history"), validation)


def _recommend(model, history, k):
    points, lists = [], []
    started = time.perf_counter()
    for facts, ids in model.answers(history, k):
        seconds = time.perf_counter() - started
        points.append({**facts, "recommend_seconds": seconds})
        lists.append(ids)
        started = time.perf_counter()
    return points, lists


def _warm_up(model, train):
    rng = np.random.default_rng(0)
    X = sp.csr_matrix((rng.random(WARM_UP_SHAPE) < 0.2).astype(train.dtype))
    # Every type of index is compiled for itself.
    X.indices, X.indptr = (
        array.astype(given.dtype)
        for array, given in ((X.indices, train.indices), (X.indptr, train.indptr))
    )
    model.fit(Data(X, X))
    list(model.answers(X, 10))


def reset_peak_memory():
    """Forget the peak so far, where the system can, and return the memory in use.

    Returns
    -------
    int
        Bytes.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return peak_memory()


def peak_memory():
    """Return the peak of resident memory since the last reset.

    Linux lets a process inherit ``ru_maxrss`` from the one that started it, so the
    kernel's own high-water mark of this process is preferred.

    Returns
    -------
    int
        Bytes.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def versions_of(packages):
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            # Run from a source tree on the path, or absent because optional.
            module = sys.modules.get(package.replace("-", "_"))
            if module is not None:
                versions[package] = getattr(module, "__version__", "unknown")
    return versions
