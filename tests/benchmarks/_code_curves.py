"""Curves of neighbours kept against bytes, from records of `bench_codes.py`."""

import statistics

from _codes import LABELS, LEVELS, QUANTIZERS, SAES, SPACES
from _pages import done

# Queries are searched as they are: nothing of them is rounded or left out.
WHOLE_QUERIES = ("dense", *QUANTIZERS)


def make_curves(records):
    """Group the points of records by family and bytes.

    Parameters
    ----------
    records : list of dict
        Of one corpus.

    Returns
    -------
    dict
        ``curves[family][n_bytes][seed]`` is a point; families in order, bytes
        ascending. A family with other parameters is ``family@name=value``.
    """
    curves = {}
    for record in done(records):
        for point in record["points"]:
            sizes = curves.setdefault(family_of(record, point), {})
            sizes.setdefault(point["bytes"], {})[record["seed"]] = point
    return {name: dict(sorted(curves[name].items())) for name in in_order(curves)}


def family_of(record, point):
    """Return the curve that a point belongs to."""
    base, at, settings = record["family"].partition("@")
    return point.get("family", base) + at + settings


def in_order(families):
    """Return families in the order of the tables, variants after what they vary."""
    order = list(labels())
    return sorted(
        families, key=lambda name: (order.index(name.partition("@")[0]), name)
    )


def labels():
    """Return how pages and figures call the curves, in order.

    Returns
    -------
    dict
        By family; those of sparse codes end in the space that is searched.
    """
    named = {}
    for family, label in LABELS.items():
        if family in SAES:
            named |= {
                f"{family}-{space}": f"{label}, {text}"
                for space, text in SPACES.items()
            }
        else:
            named[family] = label
        if family in QUANTIZERS:
            named[f"{family}-symmetric"] = f"{label}, symmetric"
    return named


def label_of(family):
    """Return how pages and figures call a curve."""
    base, _, settings = family.partition("@")
    return labels()[base] + (f", {settings.replace(',', ', ')}" if settings else "")


def compresses_queries(family):
    """Return whether the query is as small as what it is compared with."""
    base = family.partition("@")[0]
    return base not in WHOLE_QUERIES and not base.endswith("-asymmetric")


def at_level(sizes, level):
    """Return the largest size of a curve that fits into a level and into none below.

    Parameters
    ----------
    sizes : dict
        A curve of `make_curves`.
    level : int
        One of ``LEVELS``.

    Returns
    -------
    n_bytes : int or None
    """
    below = max((other for other in LEVELS if other < level), default=0)
    return max((size for size in sizes if below < size <= level), default=None)


def scores(seeds, metric):
    """Return the scores of a size, one for each seed."""
    return [seeds[seed]["metrics"][metric] for seed in sorted(seeds)]


def mean_at(curves, family, level, metric="recall@100"):
    """Return the mean score of a family at a level.

    Parameters
    ----------
    curves : dict
        From `make_curves`.
    family : str
    level : int
    metric : str

    Returns
    -------
    float or None
        None where the family was not run at the level.
    """
    sizes = curves.get(family, {})
    size = at_level(sizes, level)
    return None if size is None else statistics.fmean(scores(sizes[size], metric))


def best_at(curves, level, allowed):
    """Return the family with the best recall@100 in as many bytes as a level, or less.

    Parameters
    ----------
    curves : dict
    level : int
    allowed : callable
        Which families take part.

    Returns
    -------
    tuple of (str, float) or None
    """
    found = {}
    for family in filter(allowed, curves):
        # Quantisers end where every dimension has a byte.
        sizes = [size for size in LEVELS if size <= level]
        means = [mean_at(curves, family, size) for size in sizes]
        means = [mean for mean in means if mean is not None]
        if means:
            found[family] = max(means)
    if not found:
        return None
    best = max(found, key=found.get)
    return best, found[best]


def for_display(curves, families, metric="recall@100"):
    """Return curves as `CompressionTradeoffDisplay` takes them.

    Parameters
    ----------
    curves : dict
    families : iterable of str
    metric : str

    Returns
    -------
    dict
        ``(bytes, scores)`` by label; scores of the seeds that all sizes have.
    """
    drawn = {}
    for family in families:
        sizes = {n: p for n, p in curves.get(family, {}).items() if n <= LEVELS[-1]}
        if not sizes:
            continue
        common = set.intersection(*(set(seeds) for seeds in sizes.values()))
        if common:
            drawn[label_of(family)] = (
                list(sizes),
                [
                    [seeds[seed]["metrics"][metric] for seed in sorted(common)]
                    for seeds in sizes.values()
                ],
            )
    return drawn
