"""One run: a child process, its scores, and the record of both."""

import datetime
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from _systems import RIVAL, SYSTEMS

from sksparse_rec.metrics import evaluate_ranking

HERE = Path(__file__).resolve().parent
LIST_LENGTH = 100
METRICS = ("ndcg@100", "recall@20")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def save_split(folder, train, history, targets):
    """Write a split for the child processes, which get no targets.

    Parameters
    ----------
    folder : Path
    train, history, targets : CSR

    Returns
    -------
    dict
        What `run_system` takes as ``split``.
    """
    paths = {name: str(folder / f"{name}.npz") for name in ("train", "history")}
    sp.save_npz(paths["train"], train)
    sp.save_npz(paths["history"], history)
    return {"paths": paths, "targets": targets, "folder": folder}


def run_system(name, dataset, split, *, seed, threads, timeout, rival_python):
    """Run a system in a process of its own and score its lists.

    Parameters
    ----------
    name : str
        A key of ``SYSTEMS``.
    dataset : dict
        From `describe_dataset`.
    split : dict
        From `save_split`.
    seed, threads : int
    timeout : float
        Seconds that the process may take in all.
    rival_python : str
        Interpreter of the rivals.

    Returns
    -------
    dict
        The record. ``status`` is "ok", "timeout" or "failed".
    """
    system = SYSTEMS[name]
    folder = split["folder"]
    task = {
        **split["paths"],
        "lists": str(folder / "lists.npz"),
        "report": str(folder / "report.json"),
        "kind": system.kind,
        "params": system.params_for(dataset["n_users"], dataset["n_items"]),
        "seed": seed,
        "threads": threads,
        "k": LIST_LENGTH,
    }
    record = {
        "system": name,
        "dataset": dataset,
        "seed": seed,
        "params": task["params"],
        "threads": threads,
        "timeout": timeout,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load_average": list(os.getloadavg()),
        "machine": describe_machine(),
        "commit": describe_commit(),
    }
    for path in (task["lists"], task["report"]):
        Path(path).unlink(missing_ok=True)
    task_path = folder / "task.json"
    task_path.write_text(json.dumps(task))
    is_rival = system.script == RIVAL
    command = [
        rival_python if is_rival else sys.executable,
        str(HERE / system.script),
        str(task_path),
    ]
    environment = _environment(threads, inherit_path=not is_rival)
    outcome = _run_child(command, environment, timeout)
    if outcome["status"] == "ok":
        outcome |= json.loads(Path(task["report"]).read_text())
        outcome["metrics"] = _evaluate(split["targets"], task["lists"])
    return record | outcome


def _environment(threads, *, inherit_path):
    environment = dict(os.environ)
    environment.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    # The rival's modules are those of its interpreter and no others.
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


def _evaluate(targets, lists_path):
    with np.load(lists_path) as arrays:
        result = evaluate_ranking(targets, arrays["ids"], metrics=METRICS)
    return {**result.means, "n_users_evaluated": result.n_users_evaluated}


def describe_machine():
    """Describe the machine: processor, cores, memory and system.

    Returns
    -------
    dict
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor_model(),
        "cores": cores,
        "memory_bytes": memory,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor_model():
    """Name the processor, with family and model, since clouds hide the number."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or "unknown"
    parts = (line.partition(":") for line in lines)
    facts = {key.strip(): value.strip() for key, _, value in parts}
    name = facts.get("model name", platform.processor() or "unknown")
    if "cpu family" in facts and "model" in facts:
        name += f" (family {facts['cpu family']}, model {facts['model']})"
    return name


def describe_commit():
    """Return the commit of the source tree, or None outside of a repository.

    Returns
    -------
    str or None
        Ends in "+changes" where files of the package differ from the commit.
    """
    head = _git("rev-parse", "HEAD")
    if not head:
        return None
    changed = _git("status", "--porcelain", "--", "sksparse_rec")
    return f"{head}+changes" if changed else head


def _git(*arguments):
    command = ["git", "-C", str(HERE.parents[1]), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def record_path(folder, dataset, system, seed):
    """Return where a record lies.

    Parameters
    ----------
    folder : Path
    dataset, system : str
    seed : int

    Returns
    -------
    Path
    """
    return folder / dataset / f"{system}-seed{seed}.json"


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
