"""Seconds of an exact search of sparse embeddings; see README.md."""

import tempfile
import time
from pathlib import Path

from _harness import Job, run_system
from _plan import keep, make_parser, run_jobs
from _search import SEARCH_SYSTEMS
from _search_data import Catalogue, describe_catalogue

SIZES = (100_000, 1_000_000)


def main():
    """Run what is asked for and not yet recorded."""
    parser = make_parser(__doc__, seeds=[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument(
        "--systems", nargs="+", choices=SEARCH_SYSTEMS, default=tuple(SEARCH_SYSTEMS)
    )
    options = parser.parse_args()
    jobs = [
        Job(name, SEARCH_SYSTEMS[name], Catalogue(size), seed)
        for size in options.sizes
        for seed in options.seeds
        for name in options.systems
    ]
    run_jobs(jobs, options, "search", run_catalogue)


def run_catalogue(catalogue, jobs, options, folder, deadline):
    """Run jobs on a catalogue.

    The arguments are those of ``run_dataset`` in `_plan.run_jobs`.
    """
    for job in jobs:
        if time.monotonic() >= deadline:
            return
        with tempfile.TemporaryDirectory() as place:
            task = {
                "kind": job.system.kind,
                "params": job.system.params,
                "n_items": catalogue.n_items,
                "seed": job.seed,
                "threads": options.threads,
                "report": str(Path(place) / "report.json"),
            }
            record = run_system(
                job,
                describe_catalogue(catalogue, job.seed),
                task,
                Path(place),
                options.timeout,
                options.rival_python,
            )
        keep(record, folder, job, summarize_search)


def summarize_search(record):
    """Summarize the milliseconds of each load."""
    return ", ".join(
        f"{point['load']} {point['seconds'] * 1e3:.2f} ms" for point in record["points"]
    )


if __name__ == "__main__":
    main()
