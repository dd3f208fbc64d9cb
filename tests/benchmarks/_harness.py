"""One run: a child process, its scores, and the record of both."""

import datetime
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from _data import Dataset
from _environment import HERE, describe_commit, describe_machine
from _systems import System

from sksparse_rec.metrics import evaluate_ranking

LIST_LENGTH = 100
METRICS = ("ndcg@100", "recall@20")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SESSION = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class Job(NamedTuple):
    """A run to be done: a system on a data set with a seed.

    ``name`` tells the records of a data set apart, ``family`` puts those together that
    differ in size only.
    """

    name: str
    system: System
    dataset: Dataset
    seed: int
    family: str | None = None


def save_split(folder, train, history, validation=None):
    """Write what the child processes see; the targets are not among it.

    Parameters
    ----------
    folder : Path
    train, history : CSR
    validation : tuple of CSR, default=None
        Training, history and targets of the validation users.

    Returns
    -------
    dict
        Paths by name.
    """
    parts = {"train": train, "history": history}
    if validation is not None:
        names = ("train", "history", "targets")
        parts |= {
            f"validation_{name}": part
            for name, part in zip(names, validation, strict=True)
        }
    paths = {name: str(folder / f"{name}.npz") for name in parts}
    for name, part in parts.items():
        sp.save_npz(paths[name], part, compressed=False)
    return paths


def task_of(job, shape, paths, place, threads):
    """Return what every child process reads that trains on one matrix.

    Parameters
    ----------
    job : Job
    shape : (int, int)
        Users and items of the matrix.
    paths : dict
        Files to read, by what they hold.
    place : Path
        Folder of what is written.
    threads : int

    Returns
    -------
    dict
    """
    return {
        "kind": job.system.kind,
        "params": job.system.params_for(*shape),
        "paths": paths,
        "device": job.system.device,
        "seed": job.seed,
        "threads": threads,
        "report": str(place / "report.json"),
    }


def run_job(job, described, paths, targets, *, threads, timeout, rival_python):
    """Run a system in a process of its own and score its lists.

    Parameters
    ----------
    job : Job
    described : dict
        From `_data.describe_dataset`.
    paths : dict
        From `save_split`.
    targets : CSR
    threads : int
    timeout : float
        Seconds that the process may take in all.
    rival_python : str
        Interpreter of the rivals.

    Returns
    -------
    dict
        The record. ``status`` is "ok", "timeout" or "failed"; ``points`` has the scores
        of every size of model that the run made.
    """
    folder = Path(paths["train"]).parent
    shape = described["n_users"], described["n_items"]
    task = task_of(job, shape, paths, folder, threads) | {
        "lists": str(folder / "lists.npz"),
        "sizes": job.system.sizes,
        "k": LIST_LENGTH,
    }
    Path(task["lists"]).unlink(missing_ok=True)
    record = run_system(job, described, task, folder, timeout, rival_python)
    if record["status"] == "ok":
        _add_metrics(record["points"], targets, task["lists"])
    return record


def run_system(job, described, task, folder, timeout, rival_python):
    """Run the child process of a system.

    Parameters
    ----------
    job : Job
    described : dict
        The data, for the record.
    task : dict
        What the child process reads, with ``params``, ``threads`` and the path
        ``report`` of what it writes.
    folder : Path
        Of temporary files.
    timeout : float
    rival_python : str

    Returns
    -------
    dict
        The record, with what the child reported where it ended well.
    """
    system, threads = job.system, task["threads"]
    record = {
        "system": job.name,
        "family": job.family or job.name,
        "label": system.label,
        "dataset": described,
        "seed": job.seed,
        "params": task["params"],
        "device": system.device,
        "threads": threads,
        "timeout": timeout,
        "session": SESSION,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load_average": list(os.getloadavg()),
        "machine": describe_machine(),
        "commit": describe_commit(),
    }
    Path(task["report"]).unlink(missing_ok=True)
    task_path = folder / "task.json"
    task_path.write_text(json.dumps(task))
    command = [
        rival_python if system.is_rival else sys.executable,
        str(HERE / system.script),
        str(task_path),
    ]
    environment = _environment(threads, inherit_path=not system.is_rival)
    outcome = _run_child(command, environment, timeout)
    if outcome["status"] == "ok":
        outcome |= json.loads(Path(task["report"]).read_text())
    return record | outcome


def _environment(threads, *, inherit_path):
    environment = dict(os.environ)
    environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    # The rivals' modules are those of their interpreter and no others.
    if not inherit_path:
        environment.pop("PYTHONPATH", None)
    return environment


def _run_child(command, environment, timeout):
    try:
        done = subprocess.run(
            command, env=environment, timeout=timeout, capture_output=True, text=True
        )
    except subprocess.TimeoutExpired:
        return {"status": "timeout"}
    except OSError as error:
        return {
            "status": "failed",
            "error": f"{type(error).__name__}: {error.strerror}",
        }
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return {"status": "failed", "error": f"ended by {name}"}
    if done.returncode > 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        print(done.stderr, file=sys.stderr)
        return {"status": "failed", "error": lines[-1]}
    return {"status": "ok"}


def _add_metrics(points, targets, lists_path):
    with np.load(lists_path) as lists:
        for point, name in zip(points, lists.files, strict=True):
            result = evaluate_ranking(targets, lists[name], metrics=METRICS)
            point["metrics"] = {
                **result.means,
                "n_users_evaluated": result.n_users_evaluated,
            }


def write_record(path, record):
    """Write a record; readers see all of it or nothing.

    Parameters
    ----------
    path : Path
    record : dict
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(draft, path)


def read_records(folder):
    """Read the records of a benchmark.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    list of dict
        Sorted by path; empty where there are none.
    """
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/*.json"))]
