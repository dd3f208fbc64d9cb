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

import numpy as np
import scipy.sparse as sp

WARM_UP_SHAPE = (64, 64)


def run_task(make_model, packages):
    """Run the task that the command line names.

    Parameters
    ----------
    make_model : callable
        ``make_model(task)`` gives an object with ``prepare(train)``, ``fit(train)``,
        ``recommend(history, k)`` (item indices, best first, padded with -1) and
        ``describe()``.
    packages : iterable of str
        Distributions whose versions are recorded.
    """
    task = json.loads(Path(sys.argv[1]).read_text())
    train, history = (
        sp.csr_matrix(sp.load_npz(task[name])) for name in ("train", "history")
    )
    # First calls load libraries and start threads; that is not training.
    _warm_up(make_model(task))
    model = make_model(task)
    model.prepare(train)
    baseline = reset_peak_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(train)
    report = {
        "fit_seconds": time.perf_counter() - wall,
        "fit_cpu_seconds": time.process_time() - cpu,
        "baseline_bytes": baseline,
        "fit_peak_bytes": peak_memory(),
    }
    wall = time.perf_counter()
    ids = model.recommend(history, task["k"])
    report |= {
        "recommend_seconds": time.perf_counter() - wall,
        "process_peak_bytes": peak_memory(),
        "versions": _versions(packages),
        **model.describe(),
    }
    np.savez(task["lists"], ids=ids)
    Path(task["report"]).write_text(json.dumps(report))


def _warm_up(model):
    rng = np.random.default_rng(0)
    X = sp.csr_matrix((rng.random(WARM_UP_SHAPE) < 0.2).astype(np.float32))
    model.fit(X)
    model.recommend(X, 10)


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


def _versions(packages):
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            # Run from a source tree on the path instead of an installation.
            module = sys.modules.get(package.replace("-", "_"))
            versions[package] = getattr(module, "__version__", "unknown")
    return versions
