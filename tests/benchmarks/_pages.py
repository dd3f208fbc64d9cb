"""What the pages have in common: numbers, tables, machine and versions."""

import json
import statistics
from collections import Counter

BYTES_PER_NONZERO = 8
BYTES_PER_VALUE = 4


def made_by(script):
    """Return the sentence that says where a page is from."""
    return (
        f"Made by `tests/benchmarks/render.py` from the recorded runs of\n"
        f"`tests/benchmarks/{script}`; nothing on this page is typed by hand."
    )


def table(header, rows, n_texts=1):
    """Return a Markdown table.

    Parameters
    ----------
    header : sequence of str
    rows : iterable of sequence of str
    n_texts : int
        Columns that are text; the others are numbers.

    Returns
    -------
    str
    """
    alignment = [":--"] * n_texts + ["--:"] * (len(header) - n_texts)
    lines = [header, alignment, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def mean(values, digits=4):
    """Return the mean, with the standard deviation where there are several."""
    text = f"{statistics.fmean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.{digits}f}"
    return text


def median(values, digits):
    """Return the median as text."""
    return f"{statistics.median(values):,.{digits}f}"


def join(values):
    """Return values separated by commas."""
    return ", ".join(str(value) for value in values)


def done(records):
    """Return the records of runs that ended well."""
    return [record for record in records if record["status"] == "ok"]


def extra_megabytes(record):
    """Return what training added to the memory of the process."""
    return (record["fit_peak_bytes"] - record["baseline_bytes"]) / 1e6


def on_one_machine(records):
    """Tell whether runs had the same processor, and the same accelerator or none."""
    machines = {
        (
            record["machine"]["processor"],
            record["machine"]["cores"],
            record.get("accelerator"),
        )
        for record in records
    }
    return len(machines) == 1


def on_cpu(records):
    """Return the runs that used no accelerator."""
    return [record for record in records if "accelerator" not in record]


def without_costs(records):
    """Say which runs count for quality alone, as they had an accelerator."""
    found = {}
    for record in done(records):
        if "accelerator" in record:
            runs = found.setdefault(record["accelerator"], set())
            runs.add(f"{record['system']} (seed {record['seed']})")
    lines = [
        f"Trained on {name}, for quality alone: {join(sorted(runs))}."
        for name, runs in found.items()
    ]
    return "".join(f"\n\n{line}" for line in lines)


def shortfall(record):
    """Say why a run has no numbers."""
    if record["status"] == "timeout":
        return f"not done in {record['timeout']:,.0f} s"
    return record.get("error", "failed")


def sizes_of(described):
    """Return a line on a data set.

    Parameters
    ----------
    described : dict
        The entry "dataset" of a record.

    Returns
    -------
    str
    """
    return (
        f"{described['n_users']:,} users × {described['n_items']:,} items, "
        f"{described['n_interactions']:,} interactions; "
        f"{described['n_test_users']:,} test users. "
        f"SHA-256 of the matrix: `{described['sha256'][:16]}…`"
    )


def by_dataset(records, order):
    """Group records by data set.

    Parameters
    ----------
    records : list of dict
    order : iterable of str
        Names of data sets; what has no records is left out.

    Returns
    -------
    dict
        Lists of records.

    Raises
    ------
    ValueError
        If records of a data set are of different data.
    """
    groups = {name: [] for name in order}
    for record in records:
        groups[record["dataset"]["name"]].append(record)
    for name, group in groups.items():
        if len({record["dataset"]["sha256"] for record in group}) > 1:
            raise ValueError(f"records of {name} are of different data: run them again")
    return {name: group for name, group in groups.items() if group}


def environment_section(records):
    """Return the section on machine, load, versions, commits and dates.

    Parameters
    ----------
    records : list of dict

    Returns
    -------
    str
    """
    machines = Counter(
        json.dumps({**record["machine"], "accelerator": record.get("accelerator")})
        for record in records
    )
    lines = ["## Machine and versions", ""]
    for text, count in machines.most_common():
        machine = json.loads(text)
        extra = f", {machine['accelerator']}" if machine["accelerator"] else ""
        lines.append(
            f"- {count} runs: {machine['processor']}, {machine['cores']} cores, "
            f"{machine['memory_bytes'] / 2**30:.0f} GiB, {machine['system']}{extra}."
        )
    threads = sorted({record["threads"] for record in records})
    lines.append(f"- Threads of a process: {join(threads)}.")
    loads = [record["load_average"][0] for record in records]
    lines.append(
        f"- Load average of the last minute at the start of a run: median "
        f"{median(loads, 1)}, at most {max(loads):.1f}."
    )
    versions = {}
    for record in records:
        for package, version in record.get("versions", {}).items():
            versions.setdefault(package, set()).add(version)
    listed = (f"{name} {join(sorted(found))}" for name, found in versions.items())
    lines.append(f"- {'; '.join(listed)}.")
    commits = sorted({record["commit"] or "unknown" for record in records})
    lines.append(f"- Commit: {join(f'`{commit}`' for commit in commits)}.")
    dates = sorted(record["date"][:10] for record in records)
    lines.append(f"- Run from {dates[0]} to {dates[-1]}.")
    return "\n".join(lines)
