"""The tables of what was measured on a corpus."""

import statistics

from _code_curves import at_level, compresses_queries, family_of, label_of, scores
from _code_data import CORPORA
from _codes import LEVELS, MAIN
from _pages import (
    done,
    extra_megabytes,
    join,
    mean,
    on_cpu,
    shortfall,
    table,
    without_costs,
)

METRICS = ("recall@100", "recall@10")


def corpus_section(name, records, curves, figure):
    """Render what was measured on a corpus.

    Parameters
    ----------
    name : str
    records : list of dict
    curves : dict
        From `_code_curves.make_curves`.
    figure : str or None
        Path, as the page links to it.

    Returns
    -------
    str
        Markdown.
    """
    described = records[0]["dataset"]
    size = (
        f"{described['n_items']:,} vectors of {described['n_features']:,} dimensions "
        f"and {described['n_users']:,} queries"
    )
    checksum = f"SHA-256 of the vectors: `{described['sha256'][:16]}…`"
    parts = [
        f"## {name}",
        f"{CORPORA[name].origin}: {size}. {checksum}",
    ]
    if figure is not None:
        parts.append(f"![recall@100 against bytes per vector on {name}]({figure})")
    for metric in METRICS:
        header = (f"{metric} at bytes", "query", *(f"{level:,}" for level in LEVELS))
        rows = [
            [label_of(family), _query(family), *_cells(sizes, metric)]
            for family, sizes in curves.items()
            if family != "dense"
        ]
        parts.append(table(header, rows, n_texts=2))
    seeds = {len(found) for sizes in curves.values() for found in sizes.values()}
    parts.append(f"Seeds of a number: {join(sorted(seeds))}.")
    parts.append(_costs(records, curves))
    lost = [
        f"- {record['label']} ({record['system']}), seed {record['seed']}: "
        f"{shortfall(record)}."
        for record in records
        if record["status"] != "ok"
    ]
    return "\n\n".join([*parts, *(["\n".join(lost)] if lost else [])])


def _query(family):
    return "small" if compresses_queries(family) else "whole"


def _cells(sizes, metric):
    for level in LEVELS:
        size = at_level(sizes, level)
        if size is None:
            yield ""
        else:
            short = "" if size == level else f" ({size} bytes)"
            yield mean(scores(sizes[size], metric), 3) + short


def _costs(records, curves):
    """Return the table of what the usual size costs to train, make and search."""
    fits = {}
    for record in on_cpu(done(records)):
        for point in record["points"]:
            key = family_of(record, point), point["bytes"]
            fits.setdefault(key, []).append((record, point))
    rows = []
    for family, sizes in curves.items():
        sizes = [size for size in sizes if (family, size) in fits]
        if not sizes:
            continue
        size = at_level(sizes, MAIN) or max(sizes)
        found = fits[family, size]
        dead = [p["dead_fraction"] for _, p in found if "dead_fraction" in p]
        rows.append(
            [
                label_of(family),
                f"{size:,}",
                _middle(record["fit_seconds"] for record, _ in found),
                _middle(extra_megabytes(record) for record, _ in found),
                _middle(p["n_encoded"] / p["encode_seconds"] for _, p in found),
                _middle(1000 * p["query_seconds"] for _, p in found),
                f"{100 * statistics.fmean(dead):.1f} %" if dead else "",
            ]
        )
    header = (
        "What it costs",
        "bytes",
        "fit, s",
        "fit, extra MB",
        "vectors encoded a second",
        "256 queries, ms",
        "dead latents",
    )
    notes = """\
Seconds are medians over seeds. A fit that gives all sizes is counted in whole. Queries
are searched exactly, from the whole vector to the 100 best; sparse codes by one product
of scipy, whoever trained them."""
    return (
        f"{table(header, rows)}\n\n{notes}{_recommend(records)}{without_costs(records)}"
    )


def _recommend(records):
    """Add what a batch takes where users search, in `recommend`."""
    runs = [r for r in done(records) if r["system"] == f"sae-{MAIN}"]
    if not runs:
        return ""
    spaces = {
        space: _middle(1000 * run["recommend_seconds"][space] for run in runs)
        for space in runs[0]["recommend_seconds"]
    }
    listed = " and ".join(f"{ms} ms ({space})" for space, ms in spaces.items())
    return f"\n`CompresSAE.recommend` takes {listed}."


def _middle(values):
    value = statistics.median(values)
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"
