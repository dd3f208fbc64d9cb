"""What every child process of the search benchmark does; numpy and scipy only."""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _process import peak_memory, reset_peak_memory, versions_of
from _search_data import make_items, make_queries, make_vectors

K = 100
# What float32 may move a score of unit vectors by.
ROUNDING = 4e-6
# A timing is repeated so often, or until it took so long.
REPEATS, SECONDS = 30, 5.0
# Single queries that are timed, one after the other.
N_SINGLE = 64
# Queries whose lists are compared with sorting everything.
N_COMPARED = 8


class Load(NamedTuple):
    """Queries that are answered at once, or one at a time."""

    kind: str
    n_queries: int


LOADS = {
    "profiles": Load("profiles", 256),
    "codes": Load("codes", 256),
    "one profile": Load("profiles", 1),
    "one code": Load("codes", 1),
}


def run_search(make_searcher, packages):
    """Run the task that the command line names.

    Parameters
    ----------
    make_searcher : callable
        ``make_searcher(task, items)`` gives an object with ``loads`` (names of
        `LOADS`), ``search(Q, k)`` for positions of shape (n_queries, k), ``nbytes`` and
        optionally ``facts``. ``items`` are dense vectors where the task has a number of
        features.
    packages : iterable of str
        Distributions whose versions are recorded.
    """
    task = json.loads(Path(sys.argv[1]).read_text())
    n_items, seed = task["n_items"], task["seed"]
    n_features = task["params"].get("n_features")
    if n_features is None:
        items = make_items(n_items, seed)
        profiles, codes = make_queries(items, seed)
        queries = {"profiles": profiles, "codes": codes}
    else:
        items = make_vectors(n_items, n_features, seed)
        vectors = make_vectors(256, n_features, seed + 1)
        queries = {"profiles": vectors, "codes": vectors}
    report = {"baseline_bytes": reset_peak_memory()}
    started = time.perf_counter()
    searcher = make_searcher(task, items)
    report["build_seconds"] = time.perf_counter() - started
    report["points"] = [
        {"load": name, **measure(searcher, queries[LOADS[name].kind], LOADS[name])}
        for name in searcher.loads
    ]
    for point in report["points"]:
        Q = queries[LOADS[point["load"]].kind][:N_COMPARED]
        point["share_right"] = share_right(searcher, items, Q)
    report |= {
        "bytes_per_item": searcher.nbytes / n_items,
        "process_peak_bytes": peak_memory(),
        "versions": versions_of(packages),
        **getattr(searcher, "facts", {}),
    }
    Path(task["report"]).write_text(json.dumps(report))


def measure(searcher, queries, load):
    """Return seconds of a call: of the batch, or of each of several single queries."""
    step = load.n_queries
    n_queries = queries.shape[0] if step > 1 else N_SINGLE
    batches = [queries[start : start + step] for start in range(0, n_queries, step)]
    searcher.search(batches[0], K)
    seconds, started = [], time.perf_counter()
    while len(seconds) < max(REPEATS, len(batches)):
        batch = batches[len(seconds) % len(batches)]
        before = time.perf_counter()
        searcher.search(batch, K)
        seconds.append(time.perf_counter() - before)
        if time.perf_counter() - started > SECONDS and len(seconds) >= 3:
            break
    return {
        "n_queries": step,
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "repeats": len(seconds),
    }


def share_right(searcher, items, Q):
    """Return the share of lists whose scores are those of sorting everything."""
    found, right = searcher.search(Q, K), 0
    dense = Q.toarray() if hasattr(Q, "toarray") else Q
    rounding = getattr(searcher, "rounding", ROUNDING)
    for q, positions in zip(dense.astype(np.float64), found, strict=True):
        scores = items @ q
        best = -np.sort(-scores)[:K]
        # Items are of unit length.
        tolerance = rounding * np.linalg.norm(q)
        positions = positions[positions >= 0]
        right += bool(
            len(positions) == K
            and np.allclose(scores[positions], best, rtol=0, atol=tolerance)
        )
    return right / len(dense)
