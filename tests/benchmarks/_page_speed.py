"""The page of training times beside compresso-recsys."""

import statistics

from _costs import epoch_seconds
from _data import DATASETS
from _growth import BASE, N_USERS
from _pages import (
    by_dataset,
    done,
    environment_section,
    extra_megabytes,
    join,
    made_by,
    mean,
    median,
    on_cpu,
    on_one_machine,
    shortfall,
    sizes_of,
    table,
)

HEADER = (
    "System",
    "fit, s",
    "fastest to slowest, s",
    "nDCG@100",
    "fit, extra MB",
    "process, MB",
    "runs",
)
PATH_SYSTEMS = ("path", "fit")


def render_speed(speed, step, path):
    """Render the page.

    Parameters
    ----------
    speed, step, path : list of dict
        Records; some of them may be empty.

    Returns
    -------
    str
        Markdown.
    """
    sections = [
        f"""\
# Training time beside compresso-recsys

{made_by("bench_speed.py")}
Data, hold-outs and scores are those of {{doc}}`../benchmarks`. Seconds and megabytes
are medians over runs, each with a hold-out and a seed of its own; the systems take
turns."""
    ]
    for name, group in by_dataset(speed, DATASETS).items():
        sections.append(_dataset_section(name, group))
    if done(path):
        sections.append(_path_section(done(path)))
    if done(step):
        sections.append(_step_section(done(step)))
    sections.append(environment_section(speed + path + step))
    return "\n\n".join(sections) + "\n"


def _dataset_section(name, records):
    systems = {}
    for record in records:
        systems.setdefault(record["system"], []).append(record)
    sessions = {record["session"] for record in records}
    notes = [
        f"- Settings of {_label(group)}: "
        f"{join(f'{key} {value}' for key, value in _flat(group[0]['params']).items())}."
        for group in systems.values()
    ]
    notes.append(f"- Calls of the benchmark that these runs are from: {len(sessions)}.")
    notes += [
        f"- {record['label']}, seed {record['seed']}: {shortfall(record)}."
        for record in records
        if record["status"] != "ok"
    ]
    parts = [
        f"## {name}",
        sizes_of(records[0]["dataset"]),
        table(HEADER, [_row(group) for group in systems.values()]),
        _ratios(systems),
        "\n".join(notes),
    ]
    return "\n\n".join(part for part in parts if part)


def _row(records):
    good = done(records)
    runs = f"{len(good)} of {len(records)}"
    if not good:
        return [_label(records), *[""] * (len(HEADER) - 2), runs]
    seconds = [record["fit_seconds"] for record in good]
    return [
        _label(records),
        median(seconds, 1),
        f"{min(seconds):,.1f} to {max(seconds):,.1f}",
        mean([_ndcg(record) for record in good]),
        median([extra_megabytes(record) for record in good], 0),
        median([record["process_peak_bytes"] / 1e6 for record in good], 0),
        runs,
    ]


def _label(records):
    """Return how a system is called, with the GPU that it was run on."""
    found = [record["accelerator"] for record in records if "accelerator" in record]
    return records[0]["label"] + (f", on {found[0]}" if found else "")


def _ndcg(record):
    return record["points"][0]["metrics"]["ndcg@100"]


def _ratios(systems):
    """Return the table of every CompressedELSA beside rivals on the same machine."""
    rows = []
    for own in systems:
        for rival in systems:
            ours, theirs = done(systems[own]), done(systems[rival])
            if not own.startswith("anchors") or rival.startswith("anchors"):
                continue
            if ours and theirs and on_one_machine(ours + theirs):
                rows.append([_label(ours), _label(theirs), *_ratio(ours, theirs)])
    header = (
        "System",
        "beside",
        "times faster",
        "nDCG@100, difference",
        "extra memory",
    )
    return table(header, rows, n_texts=2) if rows else ""


def _ratio(ours, theirs):
    def ratio(value):
        return statistics.median(map(value, theirs)) / statistics.median(
            map(value, ours)
        )

    seeds = {record["seed"] for record in ours} & {record["seed"] for record in theirs}
    gains = [
        _ndcg(own) - _ndcg(rival)
        for own in ours
        for rival in theirs
        if own["seed"] == rival["seed"]
    ]
    return [
        f"{ratio(lambda record: record['fit_seconds']):.1f}×",
        f"{statistics.fmean(gains):+.4f} ({len(seeds)} hold-outs)" if gains else "",
        f"{ratio(extra_megabytes):.1f}× less",
    ]


def _flat(params):
    """Return parameters without their groups."""
    flat = {}
    for name, value in params.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def _path_section(records):
    rows = []
    for name, group in by_dataset(records, DATASETS).items():
        pairs = {}
        for record in on_cpu(group):
            pairs.setdefault(record["seed"], {})[record["system"]] = record
        pairs = [pair for pair in pairs.values() if pair.keys() >= set(PATH_SYSTEMS)]
        if pairs:
            rows.append([name, *_path_row(pairs), str(len(pairs))])
    levels = max(([point["size"] for point in r["points"]] for r in records), key=len)
    header = (
        "data set",
        "path, s",
        "fit, s",
        "path over fit",
        "least to most",
        "nDCG@100 at the largest level: path",
        "fit",
        "path, extra MB",
        "fit, extra MB",
        "runs",
    )
    return f"""\
## A path beside a fit at its largest level

Levels of {join(str(level) for level in levels)} non-zeros and otherwise default
parameters. Either is a process of its own and the two take turns; the ratio is of the
two with the same seed.

{table(header, rows)}"""


def _path_row(pairs):
    def of(system, value):
        return [value(pair[system]) for pair in pairs]

    seconds = [
        of(system, lambda record: record["fit_seconds"]) for system in PATH_SYSTEMS
    ]
    ratios = [path / fit for path, fit in zip(*seconds, strict=True)]
    return [
        *(median(values, 1) for values in seconds),
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        *(mean(of(system, _ndcg)) for system in PATH_SYSTEMS),
        *(median(of(system, extra_megabytes), 0) for system in PATH_SYSTEMS),
    ]


def _step_section(records):
    groups = {}
    for record in records:
        key = record["params"]["batch_size"], record["dataset"]["n_items"]
        groups.setdefault(key, []).append(_step_milliseconds(record))
    rows, before = [], {}
    n_nonzero = records[0]["params"]["n_nonzero"]
    for (batch_size, n_items), found in sorted(groups.items()):
        milliseconds = statistics.median(found)
        added, unit = "", ""
        if batch_size in before:
            fewer, less = before[batch_size]
            added = f"{milliseconds - less:+.1f}"
            terms = (n_items - fewer) * n_nonzero**2
            unit = f"{1e6 * (milliseconds - less) / terms:.2f}"
        before[batch_size] = n_items, milliseconds
        rows.append(
            [f"{batch_size:,}", f"{n_items:,}", f"{milliseconds:.1f}", added, unit]
        )
    header = (
        "batch_size",
        "n_items",
        "a step, ms",
        "more than with half the items, ms",
        "ns for each n_items × n_nonzero²",
    )
    return f"""\
## What a step costs as the catalogue doubles

{N_USERS:,} users with {BASE["n_interactions"]:,} interactions of `make_interactions`,
{BASE["n_components"]:,} components, {n_nonzero} non-zeros in all epochs; the median of
the epochs after the first over the number of steps. If a step costs no more than the
term n_items × n_nonzero² when the catalogue doubles, then the last column is the same
down the table, whatever the size of the batch; a cost of batch × n_items would make it
{_largest_ratio(groups)} times as large with the larger batch.

{table(header, rows)}"""


def _step_milliseconds(record):
    return 1000 * epoch_seconds(record) * record["n_iter"] / record["n_steps"]


def _largest_ratio(groups):
    batches = sorted({batch_size for batch_size, _ in groups})
    return batches[-1] // batches[0]
