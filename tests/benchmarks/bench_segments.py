"""Segments against curated tags, other groupings and lists; see README.md."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from _data import describe_dataset, split_dataset
from _harness import Job, run_system, save_split, task_of
from _plan import keep, make_parser, run_jobs
from _segment_data import TAGGED
from _segment_rows import judge
from _segment_scores import score_groups, score_match
from _segments import CLUSTERS, PAGES, SEGMENT_SYSTEMS

# It has profiles of users too.
PAGE_KIND = "segments"


def main():
    """Run what is asked for and not yet recorded."""
    parser = make_parser(__doc__)
    parser.add_argument("--datasets", nargs="+", choices=TAGGED, default=tuple(TAGGED))
    parser.add_argument(
        "--systems", nargs="+", choices=SEGMENT_SYSTEMS, default=tuple(SEGMENT_SYSTEMS)
    )
    parser.add_argument(
        "--parts", nargs="+", choices=("groups", "pages"), default=("groups", "pages")
    )
    options = parser.parse_args()
    jobs = [
        Job(name, SEGMENT_SYSTEMS[name], TAGGED[dataset], seed)
        for dataset in options.datasets
        for seed in options.seeds
        for name in options.systems
    ]
    if "groups" in options.parts:
        run_jobs(jobs, options, "segments", run_groups)
    if "pages" in options.parts:
        elsa = [job for job in jobs if job.system.kind == PAGE_KIND]
        run_jobs(elsa, options, "segment-pages", run_pages)


def run_groups(tagged, jobs, options, folder, deadline):
    """Group the items of a data set, and score that.

    The arguments are those of ``run_dataset`` in `_plan.run_jobs`.
    """
    X, tags = tagged.dataset.load(), tagged.load_tags()
    described = describe_tagged(tagged.name, X, tags)
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        sp.save_npz(place / "train.npz", X, compressed=False)
        for job in jobs:
            if time.monotonic() >= deadline:
                return
            paths = {
                "train": str(place / "train.npz"),
                "groups": str(place / "groups.npz"),
                "factors": str(place / f"factors-{job.seed}.npz"),
            }
            task = _task_of(job, X.shape, paths, place, options)
            # Three trainings of the rival would take most of all the time.
            task["retrain"] = not job.system.is_rival
            limits = place, options.timeout, options.rival_python
            record = run_system(job, described, task, *limits)
            if record["status"] == "ok":
                clusters = _with_script(job, CLUSTERS)
                other = run_system(clusters, described, task, *limits)
                record = add_scores(record, other, task["found"], tags)
            keep(record, folder, job, summarize_groups)


def _task_of(job, shape, paths, place, options):
    found = {"found": str(place / "found.npz")}
    return task_of(job, shape, paths, place, options.threads) | found


def _with_script(job, script):
    return job._replace(system=replace(job.system, script=script))


def describe_tagged(name, X, tags):
    """Describe a data set and its facets for a record."""
    facets = {}
    for facet, table in tags.items():
        n_tagged = int(np.sum(np.diff(table.indptr) > 0))
        facets[facet] = {
            "n_tags": table.shape[1],
            "n_items": n_tagged,
            "tags_per_item": table.nnz / max(1, n_tagged),
        }
    return {**describe_dataset(name, X), "facets": facets}


def add_scores(record, clusters, found_path, tags):
    """Return the record of a grouping with the scores of it and of clusterings."""
    if clusters["status"] != "ok":
        return {**record, **{name: clusters.get(name) for name in ("status", "error")}}
    with np.load(found_path) as file:
        found = {name: file[name] for name in file.files}
    points = []
    for point in clusters["points"]:
        labels = found[f"{point['name']} {point['coverage']}"]
        points.append(
            {
                **point,
                "n_groups": len(np.unique(labels[labels >= 0])),
                "share": float(np.mean(labels >= 0)),
                "scores": {
                    facet: score_groups(labels, table, record["seed"])
                    for facet, table in tags.items()
                },
            }
        )
    stability = {
        name: {
            other: score_match(found[f"{name} covered"], found[f"{name} {other}"])
            for other in ("other seed", "retrained")
            if f"{name} {other}" in found
        }
        for name in ("latents", "kmeans-svd")
    }
    versions = {**clusters["versions"], **record["versions"]}
    more = {"points": points, "stability": stability, "versions": versions}
    return {**record, **more}


def run_pages(tagged, jobs, options, folder, deadline):
    """Lay out pages for test users, and look for what was hidden of them.

    The arguments are those of ``run_dataset`` in `_plan.run_jobs`.
    """
    X, tags = tagged.dataset.load(), tagged.load_tags()
    described = describe_tagged(tagged.name, X, tags)
    for job in jobs:
        if time.monotonic() >= deadline:
            return
        parts = split_dataset(X, job.seed, tagged.dataset.max_test_users)
        train, history, targets = parts
        sizes = {"n_train_users": train.shape[0], "n_test_users": history.shape[0]}
        with tempfile.TemporaryDirectory() as place:
            place = Path(place)
            paths = save_split(place, train, history)
            paths["tags"] = str(place / "tags.npz")
            sp.save_npz(paths["tags"], tags[tagged.rows])
            task = _task_of(job, X.shape, paths, place, options)
            record = run_system(
                _with_script(job, PAGES),
                described | sizes | {"rows": tagged.rows},
                task,
                place,
                options.timeout,
                options.rival_python,
            )
            if record["status"] == "ok":
                with np.load(task["found"]) as found:
                    points = [
                        judge(name, found[name], targets, tags[tagged.rows])
                        for name in found.files
                    ]
                record["points"] = points
        keep(record, folder, job, summarize_pages)


def summarize_groups(record):
    """Summarize the purity of the groups and of k-means."""
    lines = []
    for point in record["points"]:
        if point["name"] in ("latents", "kmeans-svd"):
            scores = ", ".join(
                f"{facet} {each['purity']:.3f}"
                for facet, each in point["scores"].items()
                if each["n_items"]
            )
            lines.append(
                f"{point['name']} {point['coverage']} ({point['n_groups']} groups of "
                f"{point['share']:.0%}): {scores}"
            )
    return "; ".join(lines)


def summarize_pages(record):
    """Summarize the recall of whole pages."""
    return ", ".join(
        f"{point['name']}: {point['corners'][-1]['recall']:.3f}"
        for point in record["points"]
    )


if __name__ == "__main__":
    main()
