"""The page on segments: curated tags, stability, and pages made of them."""

from _pages import (
    by_dataset,
    done,
    environment_section,
    made_by,
    mean,
    shortfall,
    table,
)
from _segment_data import TAGGED
from _segment_rows import CORNERS
from _segment_rows import MIN_TAGGED as MIN_TAGGED_OF_ROW
from _segment_scores import MATCHED, MIN_TAGGED
from _segments import SEGMENT_SYSTEMS

NAMES = {
    "latents": "latents",
    "kmeans-svd": "k-means, SVD, unit rows",
    "ward-svd": "Ward, SVD, unit rows",
    "kmeans-svd-raw": "k-means, SVD as it is",
    "kmeans-elsa": "k-means, dense ELSA",
    "ward-elsa": "Ward, dense ELSA",
}
RIVALS = ("kmeans-svd-raw", "kmeans-svd")
COVERAGES = {"covered": "Items in a segment", "all": "All items"}
# Measures, and the digits behind the point that are shown.
MEASURES = {"purity": 3, "purity_chance": 3, "nmi": 3, "lift": 2}


def render_segments(records, pages):
    """Render the page.

    Parameters
    ----------
    records, pages : list of dict
        Of `bench_segments.py`: of groups, and of pages made of them.

    Returns
    -------
    str
        Markdown.
    """
    sections = [_introduction(), _aim(done(records))]
    laid_out = by_dataset(pages, TAGGED)
    for name, group in by_dataset(records, TAGGED).items():
        sections.append(_dataset(name, group, laid_out.get(name, [])))
    sections.append(environment_section([*records, *pages]))
    return "\n\n".join(section for section in sections if section) + "\n"


def _introduction():
    return f"""\
# Segments and curated tags

{made_by("bench_segments.py")}

Do groups of items by their dominant latents agree with tags that people gave the
items? Each grouping is compared with clusterings of **the same items into as many
groups**, as small groups are purer whatever made them. Once these are the items that
are in a segment, and once all items: those without a segment are put to the one whose
mean is nearest, and the clusterings get all items too.

- **Purity**: the share of items that carry the most common tag of their group. An item
  may carry several tags.
- **Chance**: the same when the groups are dealt out at random with their sizes kept.
- **NMI**: mutual information of groups and tags, divided by the mean of their
  entropies. An item is divided equally among its tags. It grows with the number of
  groups.
- **Lift**: how many times as often items carry the most common tag of their group as
  they would if groups were like all items.

Tags of fewer than {MIN_TAGGED} items are left out, and so are items without a tag. SVD
factors are the 64 leading right singular vectors times their singular values; as unit
rows they are compared by their cosines, as embeddings are. `audience_embeddings` are
what the users of an item like more than other users do. Few items carry the tags of
ml-1m, 168: a handful of them moves those numbers, and their signs. Numbers are means
over seeds, with the standard deviation where there are several; differences are of runs
of the same seeds."""


def _aim(records):
    """Compare the purity with that of k-means on SVD factors, on every data set."""
    rows = []
    for name, group in by_dataset(records, TAGGED).items():
        for system, runs in _by_system(group).items():
            for facet in runs[0]["dataset"]["facets"]:
                for coverage, words in COVERAGES.items():
                    own = _scores(runs, "latents", coverage, facet, "purity")
                    if not own:
                        continue
                    cells = [_difference(runs, own, coverage, facet, r) for r in RIVALS]
                    label = SEGMENT_SYSTEMS[system].label
                    rows.append([label, name, facet, words, mean(own, 3), *cells])
    if not rows:
        return ""
    header = ["", "data", "tags", "items", "purity"]
    header += [f"minus {NAMES[name]}" for name in RIVALS]
    return f"""\
## Purity, and that of k-means on SVD factors

Above zero, segments are purer than k-means with as many groups.

{table(header, rows, 4)}"""


def _difference(runs, own, coverage, facet, rival):
    other = _scores(runs, rival, coverage, facet, "purity")
    if len(other) != len(own):
        return ""
    difference = sum(own) / len(own) - sum(other) / len(other)
    return f"{difference:+.3f}"


def _by_system(records):
    groups = {name: [] for name in SEGMENT_SYSTEMS}
    for record in records:
        groups.setdefault(record["system"], []).append(record)
    return {name: group for name, group in groups.items() if group}


def _points(runs, name, coverage):
    return [
        point
        for run in runs
        for point in run["points"]
        if (point["name"], point["coverage"]) == (name, coverage)
    ]


def _scores(runs, name, coverage, facet, measure):
    scores = (point["scores"][facet] for point in _points(runs, name, coverage))
    return [each[measure] for each in scores if each["n_items"]]


def _dataset(name, records, pages):
    described = records[0]["dataset"]
    facets = "; ".join(
        f"{facet}: {each['n_tags']:,} tags on {each['n_items']:,} items, "
        f"{each['tags_per_item']:.1f} an item"
        for facet, each in described["facets"].items()
    )
    parts = [
        f"## {name}",
        f"{described['n_users']:,} users × {described['n_items']:,} items. {facets}.",
    ]
    for system, runs in _by_system(records).items():
        parts.append(f"### {name}: {SEGMENT_SYSTEMS[system].label}")
        failed = [run for run in runs if run["status"] != "ok"]
        parts += [f"Seed {run['seed']}: {shortfall(run)}." for run in failed]
        runs = done(runs)
        if runs:
            parts += [_groups(runs, coverage) for coverage in COVERAGES]
            parts.append(_stability(runs))
            seconds = mean([run["seconds"] for run in runs], 1)
            parts.append(f"Training and grouping took {seconds} s.")
    parts.append(_pages(name, pages))
    return "\n\n".join(part for part in parts if part)


def _groups(runs, coverage):
    facets = list(runs[0]["dataset"]["facets"])
    measures = [(facet, measure) for facet in facets for measure in MEASURES]
    rows = []
    for name, words in NAMES.items():
        points = _points(runs, name, coverage)
        if not points:
            continue
        cells = []
        for facet, measure in measures:
            scores = _scores(runs, name, coverage, facet, measure)
            cells.append(mean(scores, MEASURES[measure]) if scores else "")
        rows.append([words, *cells])
    own = _points(runs, "latents", coverage)
    n_groups = mean([point["n_groups"] for point in own], 0)
    share = 100 * sum(point["share"] for point in own) / len(own)
    header = [f"{COVERAGES[coverage]}: {n_groups} groups of {share:.0f} %"]
    header += [f"{facet}: {measure.replace('_', ', ')}" for facet, measure in measures]
    return table(header, rows)


def _stability(runs):
    runs = [run for run in runs if run["stability"]["latents"]]
    if not runs:
        return ""
    rows = []
    for name in runs[0]["stability"]:
        for other in runs[0]["stability"][name]:
            found = [run["stability"][name][other] for run in runs]
            cells = [
                mean([each[measure] for each in found], 2)
                for measure in ("jaccard", "by_item", "matched")
            ]
            rows.append([NAMES[name], other, *cells])
    header = ["", "trained", "mean Jaccard", "weighted by size", f"above {MATCHED}"]
    return f"""\
Segments matched one to one with those of a second training (Hungarian method, Jaccard
index of their members): with another seed, or with the same seed on nine tenths of the
users. Items that are in a segment only once count against latents; k-means gets the
same items every time.

{table(header, rows, 2)}"""


def _pages(name, records):
    runs = done(records)
    if not runs:
        return ""
    described = runs[0]["dataset"]
    parts = [
        f"### {name}: pages",
        f"""\
Recall of a fifth of the items of {described["n_test_users"]:,} test users, which was
hidden, on the first rows × columns of a page, in brackets the share of its cells that
hold an item. The list has as many places. **Coherence** is the mean share of the items
of a row that carry its most common tag ({described["rows"]}), of rows with at least
{MIN_TAGGED_OF_ROW} items that have one; the rows of the list are its tens. Rows of tags
are those of the same facet. The next row is the group whose best items have the largest
sum of scores; *layout* is `LatentSegments.layout`, with items scored by the model.""",
    ]
    for system, group in _by_system(runs).items():
        names = [point["name"] for point in group[0]["points"]]
        rows = []
        for place, words in enumerate(names):
            corners = [run["points"][place]["corners"] for run in group]
            cells = [
                f"{mean([each[c]['recall'] for each in corners], 3)} "
                f"({sum(each[c]['filled'] for each in corners) / len(group):.0%})"
                for c in range(len(CORNERS))
            ]
            found = [run["points"][place]["coherence"] for run in group]
            found = [each for each in found if each is not None]
            rows.append([words, *cells, mean(found, 3) if found else ""])
        header = [SEGMENT_SYSTEMS[system].label, *(f"{r} × {c}" for r, c in CORNERS)]
        header.append("coherence")
        parts.append(table(header, rows))
    return "\n\n".join(parts)
