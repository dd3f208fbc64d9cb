"""The page of systems side by side."""

from _data import (
    DATASETS,
    HIDDEN_SHARE,
    MAX_TEST_USERS,
    MIN_ITEMS,
    MIN_RATING,
    USERS_PER_TEST_USER,
)
from _harness import LIST_LENGTH
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
    median,
    shortfall,
    sizes_of,
    table,
)
from _systems import MANY_ITEMS, SYSTEMS

HEADER = (
    "System",
    "nDCG@100",
    "recall@20",
    "fit, s",
    "fit, CPU s",
    "fit, extra MB",
    "process, MB",
    "bytes per item, 32 bit",
    "16 bit",
    "runs",
)


def render_quality(records, sub_pages):
    """Render the page.

    Parameters
    ----------
    records : list of dict
    sub_pages : sequence of str
        Pages to link to.

    Returns
    -------
    str
        Markdown.
    """
    sections = [_introduction(records)]
    if sub_pages:
        links = "\n".join(sub_pages)
        sections.append(f"```{{toctree}}\n:maxdepth: 1\n\n{links}\n```")
    for name, group in by_dataset(records, DATASETS).items():
        sections.append(_dataset_section(name, group))
    sections.append(environment_section(records))
    return "\n\n".join(sections) + "\n"


def _introduction(records):
    seeds = sorted({record["seed"] for record in records})
    return f"""\
# Benchmarks

{made_by("bench_quality.py")}

**Protocol.** Ratings of at least {MIN_RATING} are ones and others are dropped; other
data is used as it is. Users with at least {MIN_ITEMS} items are kept.
{MAX_TEST_USERS:,} users, or one in {USERS_PER_TEST_USER} where that is fewer, are held
out of training; of each of them {HIDDEN_SHARE:.0%} of the items (at least one) are
hidden, and {LIST_LENGTH} unseen items are recommended from the rest. Seeds
({join(seeds)}) govern users, hidden items and models. All lists are scored by
`sksparse_rec.metrics`; recall is divided by what 20 places can hold. EASE, implicit and
elsarec choose their settings on validation users, held out of the training users.

**Numbers.** nDCG and recall: mean over seeds ± standard deviation. Seconds and
megabytes: medians over seeds. *Fit* is training alone, after a warm-up on a toy matrix;
CPU seconds, summed over threads, say how much of it was computing, whatever else the
machine did. *Extra* is the peak of memory during training, less what the process held
with its libraries and data loaded; *process* is the peak of the whole process, from
there to its lists. *Bytes per item* are those of the stored model: 8 bytes a non-zero
(float32 and an int32 index), or 4 (float16 and uint16); 4 or 2 bytes a value of a dense
row. Quality is measured in 32 bit."""


def _dataset_section(name, records):
    rows, footnotes = [], []
    for system in SYSTEMS:
        chosen = [record for record in records if record["system"] == system]
        if chosen:
            rows.append(_row(chosen))
            footnotes += _footnotes(chosen)
    parts = [f"## {name}", sizes_of(records[0]["dataset"]), table(HEADER, rows)]
    if footnotes:
        parts.append("\n".join(footnotes))
    return "\n\n".join(parts)


def _row(records):
    label, good = records[0]["label"], done(records)
    if not good:
        empty = [""] * (len(HEADER) - 3)
        return [label, shortfall(records[0]), *empty, f"0 of {len(records)}"]
    points = [record["points"][0] for record in good]
    width = BYTES_PER_NONZERO if points[0]["is_sparse"] else BYTES_PER_VALUE
    n_bytes = width * max(point["values_per_item"] for point in points)
    return [
        label,
        mean([point["metrics"]["ndcg@100"] for point in points]),
        mean([point["metrics"]["recall@20"] for point in points]),
        median([record["fit_seconds"] for record in good], 1),
        median([record["fit_cpu_seconds"] for record in good], 1),
        median([extra_megabytes(record) for record in good], 0),
        median([record["process_peak_bytes"] / 1e6 for record in good], 0),
        f"{n_bytes:,}",
        f"{n_bytes // 2:,}",
        f"{len(good)} of {len(records)}",
    ]


def _footnotes(records):
    """Say what a row of the table does not show: choices made, and runs lost."""
    label, notes = records[0]["label"], []
    chosen = [_choice(record) for record in done(records)]
    if any(chosen):
        notes.append(f"- {label}, chosen on validation users: {'; '.join(chosen)}.")
    if records[0]["system"] == "compresso":
        params = records[0]["params"]
        large = (
            " (large catalogue)"
            if records[0]["dataset"]["n_items"] >= MANY_ITEMS
            else ""
        )
        notes.append(
            f"- {label}{large}: {params['compression']['num_stages']} stages of "
            f"{params['compression']['max_epochs_per_stage']} epoch, "
            f"{params['config']['epochs']} final epochs, batches of "
            f"{params['config']['batch_size']}."
        )
    if records[0]["system"] == "bpr":
        notes.append(
            f"- {label}: trained on the histories of the test users too, as it has no "
            "vectors for others."
        )
    for record in records:
        if record["status"] != "ok":
            notes.append(f"- {label}, seed {record['seed']}: {shortfall(record)}.")
    return notes


def _choice(record):
    """Return what a run chose, as text; empty where there was no choice."""
    if "l2" in record:
        return f"penalty {record['l2']:g}"
    if "n_epochs" in record:
        return f"{record['n_epochs']} epochs"
    return join(f"{name} {value:g}" for name, value in record.get("chosen", {}).items())
