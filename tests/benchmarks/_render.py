"""The benchmark page, made of the records and of nothing else."""

import json
import statistics
from collections import Counter

from _data import (
    HAS_RATINGS,
    HIDDEN_SHARE,
    MAX_TEST_USERS,
    MIN_ITEMS,
    MIN_RATING,
    USERS_PER_TEST_USER,
)
from _harness import LIST_LENGTH
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


def render_page(folder):
    """Render the page.

    Parameters
    ----------
    folder : Path
        Of the records.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    ValueError
        If there are no records, or records of one data set are of different data.
    """
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*/*.json"))]
    if not records:
        raise ValueError(f"there are no records in {folder.name}: run the benchmark")
    sections = [_introduction(records)]
    for name in HAS_RATINGS:
        chosen = [record for record in records if record["dataset"]["name"] == name]
        if chosen:
            sections.append(_dataset_section(name, chosen))
    sections.append(_environment_section(records))
    return "\n\n".join(sections) + "\n"


def _introduction(records):
    seeds = sorted({record["seed"] for record in records})
    threads = sorted({record["threads"] for record in records})
    return f"""\
# Benchmarks

Made by `tests/benchmarks/bench_quality.py --render` from the recorded runs in
`tests/benchmarks/results`; nothing on this page is typed by hand.

**Protocol.** Ratings of at least {MIN_RATING} are ones and others are dropped; other
data is used as it is. Users with at least {MIN_ITEMS} items are kept.
{MAX_TEST_USERS:,} users, or one in {USERS_PER_TEST_USER} where that is fewer, are held
out of training; of each of them {HIDDEN_SHARE:.0%} of the items (at least one) are
hidden, and {LIST_LENGTH} unseen items are recommended from the rest. Seeds
({_join(seeds)}) govern users, hidden items and models. All lists are scored by
`sksparse_rec.metrics`; recall is divided by what 20 places can hold.

**Numbers.** nDCG and recall: mean over seeds ± standard deviation. Seconds and
megabytes: medians over seeds. *Fit* is training alone, after a warm-up on a toy matrix;
CPU seconds, summed over threads, say how much of it was computing, whatever else the
machine did. Threads of a process: {_join(threads)}. *Extra* is the peak of memory
during training, less what the process held with its libraries and data loaded;
*process* is the peak of the whole process, from there to its lists. *Bytes per item*
are those of the stored model: 8 bytes a non-zero (float32 and an int32 index), or 4
(float16 and uint16); 4 or 2 bytes a value of a dense row. Quality is measured in 32
bit."""


def _dataset_section(name, records):
    described = records[0]["dataset"]
    if len({record["dataset"]["sha256"] for record in records}) > 1:
        raise ValueError(f"records of {name} are of different data: run them again")
    sizes = (
        f"{described['n_users']:,} users × {described['n_items']:,} items, "
        f"{described['n_interactions']:,} interactions; "
        f"{described['n_test_users']:,} test users. "
        f"SHA-256 of the matrix: `{described['sha256'][:16]}…`"
    )
    lines = [
        f"## {name}",
        "",
        sizes,
        "",
        "| " + " | ".join(HEADER) + " |",
        "| :-- |" + " --: |" * (len(HEADER) - 1),
    ]
    footnotes = []
    for system in SYSTEMS:
        chosen = [record for record in records if record["system"] == system]
        if chosen:
            lines.append("| " + " | ".join(_row(system, chosen)) + " |")
            footnotes += _footnotes(system, chosen)
    return "\n".join([*lines, *(["", *footnotes] if footnotes else [])])


def _row(system, records):
    label = SYSTEMS[system].label
    done = [record for record in records if record["status"] == "ok"]
    if not done:
        empty = [""] * (len(HEADER) - 3)
        return [label, _shortfall(records[0]), *empty, f"0 of {len(records)}"]
    values = max(record["values_per_item"] for record in done)
    width = 8 if done[0]["is_sparse"] else 4
    return [
        label,
        _mean([record["metrics"]["ndcg@100"] for record in done]),
        _mean([record["metrics"]["recall@20"] for record in done]),
        _median([record["fit_seconds"] for record in done], 1),
        _median([record["fit_cpu_seconds"] for record in done], 1),
        _median([_extra_megabytes(record) for record in done], 0),
        _median([record["process_peak_bytes"] / 1e6 for record in done], 0),
        f"{values * width:,}",
        f"{values * width // 2:,}",
        f"{len(done)} of {len(records)}",
    ]


def _shortfall(record):
    if record["status"] == "timeout":
        return f"not done in {record['timeout']:,.0f} s"
    return "failed"


def _footnotes(system, records):
    """Say what a row of the table does not show: choices made, and runs lost."""
    label = SYSTEMS[system].label
    done = [record for record in records if record["status"] == "ok"]
    notes = []
    chosen = [f"{record['l2']:g}" for record in done if "l2" in record]
    if chosen:
        notes.append(f"- {label}: penalty chosen on validation users: {_join(chosen)}.")
    if system == "compresso":
        params = records[0]["params"]
        large = " (large catalogue)" if _is_large(records[0]) else ""
        notes.append(
            f"- {label}{large}: {params['compression']['num_stages']} stages of "
            f"{params['compression']['max_epochs_per_stage']} epoch, "
            f"{params['config']['epochs']} final epochs, batches of "
            f"{params['config']['batch_size']}."
        )
    for record in records:
        if record["status"] != "ok":
            reason = record.get("error", _shortfall(record))
            notes.append(f"- {label}, seed {record['seed']}: {reason}.")
    return notes


def _is_large(record):
    return record["dataset"]["n_items"] >= MANY_ITEMS


def _environment_section(records):
    machines = Counter(json.dumps(record["machine"]) for record in records)
    lines = ["## Machine and versions", ""]
    for text, count in machines.most_common():
        machine = json.loads(text)
        lines.append(
            f"- {count} runs: {machine['processor']}, {machine['cores']} cores, "
            f"{machine['memory_bytes'] / 2**30:.0f} GiB, {machine['system']}."
        )
    loads = [record["load_average"][0] for record in records]
    lines.append(
        f"- Load average of the last minute at the start of a run: median "
        f"{_median(loads, 1)}, at most {max(loads):.1f}."
    )
    versions = {}
    for record in records:
        for package, version in record.get("versions", {}).items():
            versions.setdefault(package, set()).add(version)
    listed = (f"{name} {_join(sorted(found))}" for name, found in versions.items())
    lines.append(f"- {'; '.join(listed)}.")
    commits = sorted({record["commit"] or "unknown" for record in records})
    lines.append(f"- Commit: {_join(f'`{commit}`' for commit in commits)}.")
    dates = sorted(record["date"][:10] for record in records)
    lines.append(f"- Run from {dates[0]} to {dates[-1]}.")
    return "\n".join(lines)


def _mean(values):
    mean = f"{statistics.fmean(values):.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


def _median(values, digits):
    return f"{statistics.median(values):,.{digits}f}"


def _extra_megabytes(record):
    return (record["fit_peak_bytes"] - record["baseline_bytes"]) / 1e6


def _join(values):
    return ", ".join(str(value) for value in values)
