"""Quality, time and memory of CompressedELSA and its rivals; see README.md."""

import argparse
import shutil
import tempfile
from pathlib import Path

from _data import HAS_RATINGS, describe_dataset, load_dataset, split_dataset
from _harness import HERE, record_path, run_system, save_split, write_record
from _render import render_page
from _systems import RIVAL, SYSTEMS, default_systems


def main():
    """Run what is asked for and not yet recorded, or render the page."""
    args = parse_args()
    if args.render is not None:
        args.render.write_text(render_page(args.results))
        return
    if args.rival_python is None and "compresso" in (args.systems or SYSTEMS):
        print("no --rival-python: runs of compresso-recsys are left out")
    for dataset in args.datasets:
        plan = [
            (seed, system)
            for seed in args.seeds
            for system in args.systems or default_systems(dataset)
            if is_missing(args, dataset, seed, system)
        ]
        if plan:
            run_plan(args, dataset, plan)


def parse_args():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--datasets", nargs="+", choices=HAS_RATINGS, default=list(HAS_RATINGS)
    )
    parser.add_argument(
        "--systems",
        nargs="+",
        choices=SYSTEMS,
        help="default: all on ml-1m, and all but the ablations elsewhere",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2, help="of every process")
    parser.add_argument(
        "--timeout", type=float, default=7200, help="seconds that one run may take"
    )
    parser.add_argument(
        "--rival-python", help="interpreter with compresso-recsys installed"
    )
    parser.add_argument(
        "--force", action="store_true", help="run again what is recorded"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument(
        "--render",
        type=Path,
        metavar="PAGE",
        help="write the page from the records, and run nothing",
    )
    args = parser.parse_args()
    if args.rival_python is not None and shutil.which(args.rival_python) is None:
        parser.error(f"--rival-python: {args.rival_python} is no program")
    return args


def is_missing(args, dataset, seed, system):
    """Tell whether a run can be done and has not been done."""
    if SYSTEMS[system].script == RIVAL and args.rival_python is None:
        return False
    return args.force or not record_path(args.results, dataset, system, seed).exists()


def run_plan(args, dataset, plan):
    """Run pairs of a seed and a system on one data set."""
    X = load_dataset(dataset)
    description = describe_dataset(dataset, X)
    for seed in dict.fromkeys(seed for seed, _ in plan):
        train, history, targets = split_dataset(X, seed)
        sizes = {"n_train_users": train.shape[0], "n_test_users": history.shape[0]}
        with tempfile.TemporaryDirectory() as folder:
            split = save_split(Path(folder), train, history, targets)
            for system in (system for other, system in plan if other == seed):
                record = run_system(
                    system,
                    description | sizes,
                    split,
                    seed=seed,
                    threads=args.threads,
                    timeout=args.timeout,
                    rival_python=args.rival_python,
                )
                write_record(record_path(args.results, dataset, system, seed), record)
                print(
                    f"{dataset} {system} seed {seed}: {summarize(record)}", flush=True
                )


def summarize(record):
    """Summarize a record in a line."""
    if record["status"] != "ok":
        return f"{record['status']} {record.get('error', '')}"
    extra = (record["fit_peak_bytes"] - record["baseline_bytes"]) / 1e6
    metrics = record["metrics"]
    return (
        f"nDCG@100 {metrics['ndcg@100']:.4f}, recall@20 {metrics['recall@20']:.4f}, "
        f"fit {record['fit_seconds']:.1f} s, +{extra:.0f} MB"
    )


if __name__ == "__main__":
    main()
