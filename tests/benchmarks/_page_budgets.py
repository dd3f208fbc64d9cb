"""The page of quality against bytes per item."""

import statistics

from _budgets import LEVELS, OWN, WIDE
from _curves import (
    DENSE,
    base_of,
    best_dense,
    bytes_needed,
    in_order,
    kept_share,
    label_of,
    make_curves,
    values,
)
from _data import DATASETS
from _pages import (
    BYTES_PER_NONZERO,
    BYTES_PER_VALUE,
    by_dataset,
    done,
    environment_section,
    extra_megabytes,
    join,
    made_by,
    mean,
    on_cpu,
    shortfall,
    sizes_of,
    table,
    without_costs,
)

COLUMNS = tuple(BYTES_PER_NONZERO * level for level in LEVELS)
METRICS = {"ndcg@100": "nDCG@100", "recall@20": "recall@20"}
# What "no loss" and "at most 2.5 % loss" mean.
SHARES = (1.0, 0.975)
# Shares of their dense baseline's nDCG@100 that the authors' best schedule keeps, from
# the tables of the demo of https://github.com/zombak79/compressed_elsa (CC BY-NC 4.0).
PUBLISHED = {
    "Goodbooks-10k": {64: 0.958, 256: 0.988},
    "MovieLens-20M": {64: 0.883, 256: 0.961},
    "Netflix": {64: 0.905, 256: 0.973},
}


def render_budgets(records, figures):
    """Render the page.

    Parameters
    ----------
    records : list of dict
    figures : dict
        Paths of the figures by data set, as the page links to them.

    Returns
    -------
    str
        Markdown.
    """
    groups = by_dataset(records, DATASETS)
    curves = {name: make_curves(group) for name, group in groups.items()}
    sections = [_introduction(), _aims(curves), _published(curves)]
    for name, group in groups.items():
        sections.append(_dataset_section(name, group, curves[name], figures[name]))
    sections.append(environment_section(records))
    return "\n\n".join(section for section in sections if section) + "\n"


def _introduction():
    return f"""\
# Quality against bytes per item

{made_by("bench_budgets.py")}
Data, hold-outs and scores are those of {{doc}}`../benchmarks`. Runs of rivals with the
same settings and seeds that `bench_quality.py` and `bench_speed.py` have made stand in
here.

A non-zero takes {BYTES_PER_NONZERO} bytes, a float32 value and an int32 index, and a
dense value 4; half of both with 16 bits each. So 32 non-zeros are compared with 64
dimensions.

- **CompressedELSA, one path**: all sizes from one training that goes down from the
  largest; **a fit for each level**: `CompressedELSA(n_nonzero=...)`, by default
  parameters; **popularity weighted**: one path with `item_weighting=0.2` and
  `popularity_weighting=0.25`; **{WIDE} components**: the same with
  `n_components={WIDE}`, or as many as there are items, which takes no bytes; on gowalla
  from 32 non-zeros down, and so are its seconds.
- **the paper's method**: dense start, exponential pruning with rewinding, its loss.
- **compresso-recsys**: compressed ELSA of that library, a training for each level.
- **dense ELSA, pruned afterwards**: 1024 dimensions trained once; rows keep their
  largest |values| and are normalised again.
- **dense ELSA, then CompresSAE**: the same model; its item embeddings are then encoded
  by a sparse autoencoder of as many latents, one for each level, and users and items
  are compared by their codes.
- **dense ELSA**: as many dimensions as the bytes hold.
- **truncated SVD**: the leading right singular vectors.
- **EASE, pruned**: every item keeps its largest weights in EASE's matrix, of its row or
  of its column, whichever is better on validation users."""


def _aims(curves):
    """Return the table that answers: how many bytes for no loss, and for little."""
    rows = []
    for name, families in curves.items():
        largest = best_dense(families)
        if largest is None:
            continue
        for family in families:
            if base_of(family) in OWN:
                needed = [bytes_needed(families, family, share) for share in SHARES]
                rows.append(
                    [
                        name,
                        label_of(family),
                        f"{largest:,}",
                        *(size_beside(n_bytes, largest) for n_bytes in needed),
                    ]
                )
    if not rows:
        return ""
    header = (
        "Data",
        "System",
        "best dense ELSA, bytes",
        "no loss, bytes",
        "at most 2.5 % loss, bytes",
    )
    return f"""\
## How many bytes are needed

The smallest size measured whose nDCG@100 is no less than that of the best dense ELSA of
any size, and no less than 97.5 % of it; in brackets, how many times smaller that is.

{table(header, rows, n_texts=2)}"""


def size_beside(n_bytes, largest):
    """Return a number of bytes, and how many times smaller than ``largest`` it is."""
    if n_bytes is None:
        return "none"
    times = largest / n_bytes
    return f"{n_bytes:,} ({times:,.{0 if times >= 1 else 1}f}×)"


def _published(curves):
    """Return the comparison of shapes with the tables of the authors."""
    sizes = sorted(next(iter(PUBLISHED.values())))
    rows = []
    for name, families in curves.items():
        for family in ("anchors-path", "anchors-fit", "paper"):
            kept = [kept_share(families, family, n_bytes) for n_bytes in sizes]
            if any(kept):
                rows.append([name, label_of(family), *map(_percent, kept)])
    if not rows:
        return ""
    for name, shares in PUBLISHED.items():
        kept = [_percent(shares[n_bytes]) for n_bytes in sizes]
        rows.append([name, "the authors, as published", *kept])
    header = ("Data", "System", *(f"{n_bytes} bytes" for n_bytes in sizes))
    return f"""\
## Beside the published curves

Shares of the nDCG@100 of the dense model that are left at a size. The data sets of the
paper are larger than those here and its baseline is a dense ELSA of its own, so compare
how curves fall and not where they are. The published shares are of the best schedule
of the demo of [compressed_elsa](https://github.com/zombak79/compressed_elsa)
(CC BY-NC 4.0).

{table(header, rows, n_texts=2)}"""


def _percent(share):
    return "" if share is None else f"{100 * share:.1f} %"


def _dataset_section(name, records, curves, figure):
    parts = [
        f"## {name}",
        sizes_of(records[0]["dataset"]),
        f"![nDCG@100 against bytes per item on {name}]({figure})",
    ]
    for metric, title in METRICS.items():
        header = (f"{title} at bytes per item", *(f"{size:,}" for size in COLUMNS))
        rows = [
            [label_of(family), *(_cell(sizes.get(size), metric) for size in COLUMNS)]
            for family, sizes in curves.items()
            if any(size in COLUMNS for size in sizes)
        ]
        parts.append(table(header, rows))
    parts.append(_other_sizes(curves))
    largest = best_dense(curves)
    if largest is not None:
        parts.append(_needed(curves, largest))
    parts.append(_costs(records))
    lost = [
        f"- {record['label']} ({record['system']}), seed {record['seed']}: "
        f"{shortfall(record)}."
        for record in records
        if record["status"] != "ok"
    ]
    return "\n\n".join([*parts, *(["\n".join(lost)] if lost else [])])


def _cell(seeds, metric):
    return "" if seeds is None else mean(values(seeds, metric))


def _other_sizes(curves):
    """List the sizes that are no column: the largest, and popularity."""
    lines = [
        f"- {label_of(family)}, {size:,} bytes: nDCG@100 "
        f"{mean(values(seeds, 'ndcg@100'))}, recall@20 "
        f"{mean(values(seeds, 'recall@20'))}."
        for family, sizes in curves.items()
        for size, seeds in sizes.items()
        if size not in COLUMNS
    ]
    return "\n".join([*lines, seeds_note(curves)])


def seeds_note(curves):
    """Say over how many seeds the means are, and which are over fewer."""
    most = max(len(found) for sizes in curves.values() for found in sizes.values())
    fewer = {}
    for family, sizes in curves.items():
        for size, found in sizes.items():
            if len(found) < most:
                fewer.setdefault((family, len(found)), []).append(f"{size:,}")
    note = f"- Seeds of a number: {most}"
    exceptions = [
        f"{count} of {label_of(family)} at {join(sizes)} bytes"
        for (family, count), sizes in fewer.items()
    ]
    return f"{note}; {'; '.join(exceptions)}." if fewer else f"{note}."


def _needed(curves, largest):
    header = ("Bytes per item for", "no loss", "at most 2.5 % loss")
    rows = [
        [
            label_of(family),
            *(
                size_beside(bytes_needed(curves, family, share), largest)
                for share in SHARES
            ),
        ]
        for family in curves
        if family not in ("popularity", "ease")
    ]
    dense = mean(values(curves[DENSE][largest], "ndcg@100"))
    return f"""\
{table(header, rows)}

Best dense ELSA: {largest // BYTES_PER_VALUE:,} dimensions, {largest:,} bytes, nDCG@100
{dense}."""


def _costs(records):
    """Return the table of what the curves cost to train."""
    curves = {}
    for record in on_cpu(done(records)):
        runs = curves.setdefault(record["family"], {})
        runs.setdefault(record["system"], []).append(record)
    largest = max(LEVELS)
    rows = []
    for family in in_order(curves):
        group = curves[family]
        seconds = {
            name: statistics.median(run["fit_seconds"] for run in runs)
            for name, runs in group.items()
        }
        base, at, settings = family.partition("@")
        alone = (
            None if base == DENSE else seconds.get(f"{base}-{largest}{at}{settings}")
        )
        extra = [extra_megabytes(run) for runs in group.values() for run in runs]
        rows.append(
            [
                label_of(family),
                str(len(seconds)),
                f"{sum(seconds.values()):,.1f}",
                "" if alone is None else f"{alone:,.1f}",
                f"{max(extra):,.0f}",
            ]
        )
    header = (
        "Training",
        "runs for all sizes",
        "seconds of all",
        f"of {largest} non-zeros alone",
        "most extra MB",
    )
    return f"{table(header, rows)}{without_costs(records)}"
