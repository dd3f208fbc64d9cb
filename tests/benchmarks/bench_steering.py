"""Steering towards concepts against what people do otherwise; see README.md."""

import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from _data import split_dataset
from _harness import Job, run_system, save_split, task_of
from _plan import keep, make_parser, run_jobs
from _segment_data import TAGGED
from _steering import (
    MAX_CONCEPTS,
    MAX_MAPPED,
    MAX_SCORES,
    MAX_USERS,
    METHODS,
    MIN_ITEMS,
    N_NEURONS,
    OWN,
    STEERING_SYSTEMS,
)
from _steering_measures import SHARES, sum_up
from bench_segments import describe_tagged

# Facets with enough concepts to steer.
FACETS = {
    "debian": ("debtags", "section"),
    "ml-1m": ("genres",),
    "ml-latest-small": ("genres",),
    "citeulike-a": ("tags",),
}
MAPPINGS_ON = ("debian", "ml-1m")


def main():
    """Run what is asked for and not yet recorded."""
    parser = make_parser(__doc__)
    parser.add_argument("--datasets", nargs="+", choices=TAGGED, default=tuple(TAGGED))
    parser.add_argument(
        "--systems", nargs="+", choices=STEERING_SYSTEMS, default=("latents", "sae")
    )
    parser.add_argument("--facets", nargs="+", help="default: those of each data set")
    parser.add_argument(
        "--mappings-on",
        nargs="*",
        default=MAPPINGS_ON,
        metavar="DATASET",
        help="compare all mappings of neurons there",
    )
    parser.add_argument("--curves", type=Path, help="folder to keep all curves in")
    options = parser.parse_args()
    jobs = [
        Job(f"{name}-{facet}", STEERING_SYSTEMS[name], TAGGED[dataset], seed, name)
        for dataset in options.datasets
        for seed in options.seeds
        for facet in options.facets or FACETS[dataset]
        for name in options.systems
    ]
    run_jobs(jobs, options, "steering", run_steering)


def run_steering(tagged, jobs, options, folder, deadline):
    """Steer the test users of a data set.

    The arguments are those of ``run_dataset`` in `_plan.run_jobs`.
    """
    X, tags, names = tagged.dataset.load(), tagged.load_tags(), tagged.load_names()
    described = describe_tagged(tagged.name, X, tags)
    n_users = min(MAX_USERS, MAX_SCORES // X.shape[1], tagged.dataset.max_test_users)
    for job in jobs:
        if time.monotonic() >= deadline:
            return
        train, history, targets = split_dataset(X, job.seed, n_users)
        sizes = {"n_train_users": train.shape[0], "n_test_users": history.shape[0]}
        facet = job.name.removeprefix(f"{job.family}-")
        chosen, concepts = choose_concepts(tags[facet])
        of_facet = [str(name) for name in names[facet][is_steered(tags[facet])]]
        with tempfile.TemporaryDirectory() as place:
            place = Path(place)
            paths = save_split(place, train, history)
            for name, part in (("targets", targets), ("tags", chosen)):
                paths[name] = str(place / f"{name}.npz")
                sp.save_npz(paths[name], part)
            mapped = tagged.name in options.mappings_on
            task = _task_of(job, X.shape, paths, place, options, concepts, mapped)
            record = run_system(
                job, described | sizes, task, place, options.timeout, None
            )
            record |= {"facet": facet, "n_concepts": len(of_facet)}
            if record["status"] == "ok":
                steered = [of_facet[concept] for concept in concepts]
                record = add_curves(record, task, steered)
                if options.curves is not None:
                    keep_curves(options.curves, tagged.name, job, task["curves"])
        keep(record, folder, job, summarize_steering)


def is_steered(tags):
    """Tell of every concept whether enough items have it."""
    return np.diff(sp.csc_array(tags).indptr) >= MIN_ITEMS


def choose_concepts(tags):
    """Return the concepts of enough items, and the places of those that are steered.

    The latter are the same for all seeds and systems.

    Parameters
    ----------
    tags : csr_array of shape (n_items, n_tags)

    Returns
    -------
    csr_array, list of int
    """
    chosen = sp.csr_array(tags[:, is_steered(tags)])
    n_concepts = chosen.shape[1]
    places = np.arange(n_concepts)
    if n_concepts > MAX_CONCEPTS:
        places = np.random.default_rng(0).permutation(n_concepts)[:MAX_CONCEPTS]
    return chosen, [int(place) for place in np.sort(places)]


def _task_of(job, shape, paths, place, options, concepts, mapped):
    """Return what the child process reads."""
    step = max(1, -(-len(concepts) // MAX_MAPPED))
    return task_of(job, shape, paths, place, options.threads) | {
        "concepts": concepts,
        "mapped": concepts[::step] if mapped else [],
        "methods": list(METHODS) if mapped else [],
        "n_neurons": list(N_NEURONS),
        "curves": str(place / "curves.npz"),
        "grids": str(place / "grids.npz"),
    }


def add_curves(record, task, names):
    """Return the record with the names of its concepts and what the curves say."""
    with np.load(task["curves"]) as curves, np.load(task["grids"]) as grids:
        ways = {way: sum_up(curves[way], grids[way]) for way in curves.files}
    concepts = [
        {"name": name, **facts}
        for name, facts in zip(names, record["concepts"], strict=True)
    ]
    own = {way: each for way, each in ways.items() if not is_mapping(way)}
    mappings = {way: trimmed(each) for way, each in ways.items() if is_mapping(way)}
    return {**record, "concepts": concepts, "ways": own, "mappings": mappings}


def is_mapping(way):
    """Tell whether a curve is that of a mapping of neurons to concepts."""
    return way.rpartition(", ")[0] in METHODS


def trimmed(way):
    """Return what the page compares of a mapping."""
    kept = {name: way[name] for name in ("last_share", "fall")}
    for place in ("first", *(f"at {at}" for at in SHARES)):
        kept[place] = {name: way[place][name] for name in ("ndcg", "liker_ndcg")}
    return kept


def keep_curves(folder, dataset, job, path):
    """Keep the curves of a run for a closer look."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{dataset}-{job.name}-seed{job.seed}.npz"
    kept.write_bytes(Path(path).read_bytes())


def summarize_steering(record):
    """Summarize how far and how evenly the share rises."""
    own = record["ways"][OWN]
    falls = [fall > 0 for fall in own["fall"]]
    first, last = own["mean"]["share"][0], own["mean"]["share"][-1]
    return (
        f"share {first:.3f} to {last:.3f}, rising for "
        f"{1 - sum(falls) / len(falls):.0%} of {len(falls)} concepts; "
        f"{record['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
