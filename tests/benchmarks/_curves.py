"""Curves of quality against bytes, from records."""

import statistics

from _budgets import LABELS
from _pages import BYTES_PER_NONZERO, BYTES_PER_VALUE, done

DENSE = "elsa-dense"
# Families of the systems that other benchmarks run with the same settings.
SAME_RUNS = {
    "popularity": "popularity",
    "paper-exponential-rewind": "paper",
    "compresso": "compresso",
    "elsa-dense": "elsa-dense",
    "ease": "ease",
}


def make_curves(records):
    """Group the points of records by family and bytes per item.

    Parameters
    ----------
    records : list of dict
        Of one data set.

    Returns
    -------
    dict
        ``curves[family][n_bytes][seed]`` is the metrics of a point; families in order,
        bytes ascending.
    """
    curves = {}
    for record in done(records):
        for point in record["points"]:
            family = point.get("family", record["family"])
            width = BYTES_PER_NONZERO if point["is_sparse"] else BYTES_PER_VALUE
            sizes = curves.setdefault(family, {})
            seeds = sizes.setdefault(point["size"] * width, {})
            seeds[record["seed"]] = point["metrics"]
    return {name: dict(sorted(curves[name].items())) for name in in_order(curves)}


def same_runs(records):
    """Return runs of other benchmarks that are points of the curves.

    They have the settings and the seeds of the runs of this one.

    Parameters
    ----------
    records : list of dict

    Returns
    -------
    list of dict
        Named by the families of the curves.
    """
    return [
        record | {"family": SAME_RUNS[record["system"]]}
        for record in records
        if record["system"] in SAME_RUNS
    ]


def in_order(families):
    """Return families in the order of ``LABELS``, variants after what they vary."""
    order = list(LABELS)
    return sorted(families, key=lambda name: (order.index(base_of(name)), name))


def base_of(family):
    """Return a family without its other parameters."""
    return family.partition("@")[0]


def label_of(family):
    """Return how pages and figures call a curve.

    Parameters
    ----------
    family : str
        A key of ``LABELS``, or one with other parameters: ``family@name=value``.

    Returns
    -------
    str
    """
    base, _, settings = family.partition("@")
    return LABELS[base] + (f", {settings.replace(',', ', ')}" if settings else "")


def values(seeds, metric):
    """Return a metric of every seed, in the order of the seeds."""
    return [seeds[seed][metric] for seed in sorted(seeds)]


def best_dense(curves, metric="ndcg@100"):
    """Return the bytes of the best dense ELSA, or None where none was run.

    Parameters
    ----------
    curves : dict
        From `make_curves`.
    metric : str

    Returns
    -------
    int or None
    """
    sizes = curves.get(DENSE)
    if not sizes:
        return None
    return max(sizes, key=lambda n: statistics.fmean(values(sizes[n], metric)))


def kept_share(curves, family, n_bytes, metric="ndcg@100"):
    """Return quality as a share of the best dense ELSA, over the seeds that both have.

    Parameters
    ----------
    curves : dict
    family : str
    n_bytes : int
    metric : str

    Returns
    -------
    float or None
        None where the size was not run, or no dense ELSA, or no seed is common.
    """
    own = curves.get(family, {}).get(n_bytes, {})
    largest = best_dense(curves, metric)
    dense = {} if largest is None else curves[DENSE][largest]
    seeds = own.keys() & dense.keys()
    if not seeds:
        return None
    total = sum(own[seed][metric] for seed in seeds)
    return total / sum(dense[seed][metric] for seed in seeds)


def bytes_needed(curves, family, share):
    """Return the smallest size measured that keeps a share of the best dense ELSA.

    Parameters
    ----------
    curves : dict
    family : str
    share : float

    Returns
    -------
    int or None
        None where no size does.
    """
    for n_bytes in curves.get(family, ()):
        kept = kept_share(curves, family, n_bytes)
        if kept is not None and kept >= share:
            return n_bytes
    return None
