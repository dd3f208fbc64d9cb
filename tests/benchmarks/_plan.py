"""The command line that the benchmarks share, and the loop over their runs."""

import argparse
import ast
import itertools
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from _data import describe_dataset, split_dataset, split_validation
from _environment import HERE
from _harness import Job, run_job, save_split, write_record

RESULTS = HERE / "results"


def make_parser(description, *, seeds=(0, 1, 2)):
    """Return a parser with the options that all benchmarks have.

    Parameters
    ----------
    description : str
    seeds : sequence of int or None
        Default of ``--seeds``; None leaves the option out.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = argparse.ArgumentParser(description=description)
    if seeds is not None:
        parser.add_argument("--seeds", nargs="+", type=int, default=list(seeds))
    parser.add_argument("--threads", type=int, default=2, help="of every process")
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        help="for systems that can use one; default: what each chooses",
    )
    parser.add_argument(
        "--timeout", type=float, default=7200, help="seconds that one run may take"
    )
    parser.add_argument(
        "--max-seconds",
        type=float,
        default=float("inf"),
        help="start no run after so many seconds; the next call goes on",
    )
    parser.add_argument(
        "--rival-python", help="interpreter with the rivals of README.md installed"
    )
    parser.add_argument(
        "--force", action="store_true", help="run again what is recorded"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be run, and stop"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser


def add_settings_option(parser, estimator="CompressedELSA"):
    """Let the command line change parameters of our estimator.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    estimator : str
        Its name, for the help.
    """
    parser.add_argument(
        "--set",
        dest="settings",
        nargs="+",
        type=_setting,
        default=[],
        metavar="NAME=VALUE",
        help=f"parameters of {estimator}; the runs get a name of their own",
    )


def _setting(text):
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def suffix(settings):
    """Return what is appended to the names of systems with other parameters.

    Parameters
    ----------
    settings : sequence of (str, object)
        From the option ``--set``.

    Returns
    -------
    str
    """
    named = ",".join(f"{name}={value}" for name, value in settings)
    return f"@{named}" if named else ""


def plan_families(options, datasets, own_families, runs_for):
    """Yield the runs of families of systems, a seed at a time.

    Parameters
    ----------
    options : argparse.Namespace
        With ``datasets``, ``seeds``, ``families`` and ``settings``.
    datasets : dict
        Data sets by name.
    own_families : sequence of str
        Those that ``--set`` changes.
    runs_for : callable
        ``runs_for(family, dataset, seed)`` gives systems by the names of their records.

    Yields
    ------
    Job
    """
    choices = itertools.product(options.datasets, options.seeds, options.families)
    for dataset, seed, family in choices:
        settings = options.settings if family in own_families else ()
        for name, system in runs_for(family, dataset, seed).items():
            yield Job(
                name + suffix(settings),
                system.with_settings(dict(settings)),
                datasets[dataset],
                seed,
                family + suffix(settings),
            )


def run_jobs(jobs, options, benchmark, run_dataset=None):
    """Run what is not recorded yet, in the given order, until the time is up.

    Jobs with the same data set that follow each other are run together.

    Parameters
    ----------
    jobs : iterable of Job
    options : argparse.Namespace
        Of `make_parser`.
    benchmark : str
        Folder of the records within ``options.results``.
    run_dataset : callable, default=None
        ``run_dataset(dataset, jobs, options, folder, deadline)``; None holds out users,
        once for the jobs with a seed that follow each other.
    """
    run_dataset = run_dataset or _run_dataset
    python = options.rival_python
    if python is not None and shutil.which(python) is None:
        raise SystemExit(f"--rival-python: {python} is no program")
    folder = options.results / benchmark
    jobs = [
        job._replace(system=replace(job.system, device=options.device))
        for job in jobs
        if options.force or not record_path(folder, job).exists()
    ]
    without = sorted({job.name for job in jobs if job.system.is_rival})
    if python is None and without:
        print(f"no --rival-python: left out are {', '.join(without)}")
        jobs = [job for job in jobs if not job.system.is_rival]
    if options.dry_run:
        for job in jobs:
            print(f"{job.dataset.name} {job.name} seed {job.seed}")
        return
    deadline = time.monotonic() + options.max_seconds
    for dataset, of_dataset in itertools.groupby(jobs, lambda job: job.dataset):
        if time.monotonic() < deadline:
            run_dataset(dataset, list(of_dataset), options, folder, deadline)
    if time.monotonic() >= deadline:
        print("the time is up: call again to go on")


def _run_dataset(dataset, jobs, options, folder, deadline):
    X = dataset.load()
    described = describe_dataset(dataset.name, X)
    for seed, of_seed in itertools.groupby(jobs, lambda job: job.seed):
        of_seed = list(of_seed)
        train, history, targets = split_dataset(X, seed, dataset.max_test_users)
        tuned = any(job.system.tuned for job in of_seed)
        validation = split_validation(train, seed) if tuned else None
        sizes = {"n_train_users": train.shape[0], "n_test_users": history.shape[0]}
        with tempfile.TemporaryDirectory() as place:
            paths = save_split(Path(place), train, history, validation)
            for job in of_seed:
                if time.monotonic() >= deadline:
                    return
                record = run_job(
                    job,
                    described | sizes,
                    paths,
                    targets,
                    threads=options.threads,
                    timeout=options.timeout,
                    rival_python=options.rival_python,
                )
                keep(record, folder, job, summarize)


def record_path(folder, job):
    """Return where the record of a job is."""
    return folder / job.dataset.name / f"{job.name}-seed{job.seed}.json"


def keep(record, folder, job, summarize):
    """Write the record of a job and say in a line what is in it.

    Parameters
    ----------
    record : dict
    folder : Path
    job : Job
    summarize : callable
        From a record of a run that went well to a str.
    """
    write_record(record_path(folder, job), record)
    line = f"{record['status']} {record.get('error', '')}"
    if record["status"] == "ok":
        line = summarize(record)
    print(f"{job.dataset.name} {job.name} seed {job.seed}: {line}", flush=True)


def summarize(record):
    """Summarize quality, seconds and memory."""
    extra = (record["fit_peak_bytes"] - record["baseline_bytes"]) / 1e6
    scores = ", ".join(
        f"{point['size']}: {point['metrics']['ndcg@100']:.4f}"
        for point in record["points"]
    )
    return f"nDCG@100 {scores}; fit {record['fit_seconds']:.1f} s, +{extra:.0f} MB"
