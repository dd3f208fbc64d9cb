"""From records of steering to comparisons and to reasons; the page shows them."""

import statistics

from _pages import by_dataset
from _segment_data import TAGGED
from _steering import OWN, STEERING_SYSTEMS
from _steering_measures import MIN_LIKERS, TOLERANCE

# Unsteered lists are a way too.
UNSTEERED = "unsteered"
# A direction of which fewer of the first items have the concept is called imprecise.
PRECISE = 0.5
GOAL = 0.5
NEVER, ALREADY, MET, MISSED = "never", "already", "met", "missed"


def by_facet(records):
    """Group records by data set and facet, in the order of the data sets."""
    groups = {}
    for name, group in by_dataset(records, TAGGED).items():
        for record in group:
            groups.setdefault((name, record["facet"]), []).append(record)
    return groups


def by_run(records):
    """Group records by data set, facet and system."""
    groups = {}
    for (name, facet), group in by_facet(records).items():
        for system in STEERING_SYSTEMS:
            runs = [record for record in group if record["family"] == system]
            if runs:
                groups[name, facet, system] = runs
    return groups


def rising_share(way, tolerance=0.0, falls="fall"):
    """Return the share of concepts whose share never falls by more than a tolerance.

    ``falls`` is "fall", at any strength, or "fall in tenths".
    """
    falls = way[falls]
    return sum(fall <= tolerance for fall in falls) / len(falls)


def paired(record, way, at, measure="ndcg"):
    """Return the nDCG of own steering and of another way at the same share.

    Parameters
    ----------
    record : dict
    way : str
    at : float
    measure : str
        "ndcg", "liker_ndcg" or "taker_ndcg".

    Returns
    -------
    list of (float, float)
        Of the concepts that both raise to that share, and that are not there already.
    """
    own, other = record["ways"][OWN], record["ways"][way]
    share = measure.replace("ndcg", "share")
    return [
        (mine, its)
        for concept, first, mine, its in zip(
            record["concepts"],
            own["first"][share],
            own[f"at {at}"][measure],
            other[f"at {at}"][measure],
            strict=True,
        )
        if None not in (first, mine, its)
        and first < at
        and (measure == "ndcg" or concept[f"n_{measure[:5]}s"] >= MIN_LIKERS)
    ]


def difference(pairs):
    """Return the mean difference of pairs, or None without any."""
    return statistics.fmean(a - b for a, b in pairs) if pairs else None


def share_above(pairs):
    """Return the share of pairs whose first is larger."""
    return sum(a > b for a, b in pairs) / len(pairs)


def best_other(record, place, measure, at=GOAL):
    """Return the best nDCG of other ways at a share of a concept, and the way."""
    found = [
        (ways[f"at {at}"][measure][place], name)
        for name, ways in record["ways"].items()
        if name not in (OWN, "filter") and ways[f"at {at}"][measure][place] is not None
    ]
    return max(found) if found else (None, "")


def above_all(record, at, measure="ndcg"):
    """Return the share of concepts for which steering is better than all other ways.

    Of those that it brings to a share from below; a way that does not get there does
    not count. None without any.
    """
    own = record["ways"][OWN]
    share = measure.replace("ndcg", "share")
    found = []
    for place, mine in enumerate(own[f"at {at}"][measure]):
        first = own["first"][share][place]
        if mine is not None and first is not None and first < at:
            other = best_other(record, place, measure, at)[0]
            found.append(other is None or mine > other)
    return sum(found) / len(found) if found else None


def liker_outcome(record, place):
    """Tell how steering to half of the list turns out for those who like a concept.

    Returns
    -------
    str or None
        None where too few users like it to tell.
    """
    own = record["ways"][OWN]
    if record["concepts"][place]["n_likers"] < MIN_LIKERS:
        return None
    if own["first"]["liker_share"][place] >= GOAL:
        return ALREADY
    reached = own[f"at {GOAL}"]["liker_ndcg"][place]
    if reached is None:
        return NEVER
    return MET if reached >= own["first"]["liker_ndcg"][place] else MISSED


def reasons(record, place):
    """Say what is known about why a concept misses an aim.

    Returns
    -------
    str
    """
    concept, own = record["concepts"][place], record["ways"][OWN]
    found = []
    if own["at 0.5"]["ndcg"][place] is None:
        found.append(f"all users: {own['last_share'][place]:.2f} at strength 1")
    hidden = concept["liker_hidden_share"]
    if hidden is not None and hidden < GOAL:
        found.append(f"likers hide {hidden:.2f} of it, less than {GOAL}")
    if concept["precision"] < PRECISE:
        found.append("imprecise direction")
    return "; ".join(found) or "other hidden items fall behind"


def mapping_rows(records):
    """Return the means of every mapping of neurons over runs.

    Returns
    -------
    list of dict
        ``name``, ``rising``, ``last``: share at strength 1; ``reached``: concepts that
        reach half of the list; and for ``ndcg`` and ``liker_ndcg`` the mean over the
        concepts that all mappings bring to a quarter of the list, minus unsteered.
    """
    rows = []
    for name in records[0]["mappings"]:
        runs = [record["mappings"][name] for record in records]
        row = {
            "name": name,
            "rising": statistics.fmean(rising_share(run) for run in runs),
            "tolerant": statistics.fmean(rising_share(run, TOLERANCE) for run in runs),
            "last": statistics.fmean(statistics.fmean(r["last_share"]) for r in runs),
            "reached": statistics.fmean(
                sum(value is not None for value in run["at 0.5"]["ndcg"])
                / len(run["at 0.5"]["ndcg"])
                for run in runs
            ),
        }
        for measure in ("ndcg", "liker_ndcg"):
            row[measure] = _mean_loss(records, name, measure)
        rows.append(row)
    return rows


def _mean_loss(records, name, measure, at=0.25):
    losses = []
    for record in records:
        mappings = record["mappings"].values()
        columns = [run[f"at {at}"][measure] for run in mappings]
        common = [
            place
            for place, each in enumerate(zip(*columns, strict=True))
            if None not in each
        ]
        own = record["mappings"][name]
        losses += [
            own[f"at {at}"][measure][place] - own["first"][measure][place]
            for place in common
        ]
    return statistics.fmean(losses) if losses else None
