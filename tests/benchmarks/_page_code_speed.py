"""The section on epochs and encoding beside the published implementation."""

import statistics

from _pages import done, table

REFERENCE = "reference-1024"
SPACES = ("sparse", "reconstructed")


def speed_section(records):
    """Render the section.

    Parameters
    ----------
    records : list of dict
        Of `bench_codes.py --speed`, of one corpus.

    Returns
    -------
    str
        Markdown.
    """
    records = done(records)
    parts = [
        f"""\
## Speed beside the published implementation

On {records[0]["dataset"]["name"]}. The published implementation is written
independently in `_code_reference.py`: masks of the k and the 4k largest, a dense
decoder, a random start, Adam, and torch's autograd. Seconds of an epoch are medians of
the epochs after the first.""",
        _epochs(records),
        _reached(records),
        _encoding(records),
    ]
    return "\n\n".join(part for part in parts if part)


def _epochs(records):
    groups = {}
    for record in records:
        if record["system"].startswith(("reference-", "sae-epochs-")):
            groups.setdefault(record["system"], []).append(record)
    if not groups:
        return ""
    slow = [group for name, group in groups.items() if name == REFERENCE]
    base = _epoch_seconds(slow[0]) if slow else None
    rows = []
    for name in sorted(groups, key=_by_number):
        group = groups[name]
        seconds = _epoch_seconds(group)
        rows.append(
            [
                _label(group[0]),
                str(group[0]["params"]["max_iter"]),
                "" if seconds is None else f"{seconds:.2f}",
                f"{base / seconds:.1f}×" if base and seconds else "",
                f"{statistics.median(run['fit_seconds'] for run in group):.1f}",
                *(f"{_recall(group, space):.3f}" for space in SPACES),
                str(len(group)),
            ]
        )
    header = (
        "Training",
        "epochs",
        "an epoch, s",
        "faster",
        "fit, s",
        "recall@100, sparse",
        "reconstructed",
        "runs",
    )
    return table(header, rows)


def _by_number(name):
    head, _, number = name.partition("@")[0].rpartition("-")
    return head, int(number)


def _label(record):
    if record["system"].startswith("sae-"):
        return record["label"]
    return f"published, batches of {record['params']['batch_size']}"


def _epoch_seconds(group):
    """Return the median epoch after the first, or None where there is only one."""
    later = [seconds for run in group for seconds in run["epoch_seconds"][1:]]
    return statistics.median(later) if later else None


def _recall(group, space):
    return statistics.fmean(_recall_of(run, space) for run in group)


def _recall_of(record, space):
    (point,) = (
        point for point in record["points"] if point["family"].endswith(f"-{space}")
    )
    return point["metrics"]["recall@100"]


def _reached(records):
    """Say how soon CompresSAE has the recall of the last epoch of the other."""
    lines = []
    for space in SPACES:
        ratios, seconds = [], []
        for slow in records:
            if slow["system"] != REFERENCE:
                continue
            enough = [
                run["fit_seconds"]
                for run in records
                if run["system"].startswith("sae-epochs-")
                and run["seed"] == slow["seed"]
                and _recall_of(run, space) >= _recall_of(slow, space)
            ]
            if enough:
                seconds.append(min(enough))
                ratios.append(slow["fit_seconds"] / min(enough))
        if ratios:
            lines.append(
                f"- {space}: after {statistics.median(seconds):.1f} s, "
                f"{statistics.median(ratios):.1f} times sooner ({len(ratios)} seeds)."
            )
    if not lines:
        return ""
    listed = "\n".join(lines)
    return f"""\
The shortest training of CompresSAE that reaches the recall@100 of the last epoch of the
published implementation, in seconds of the whole `fit`:

{listed}"""


def _encoding(records):
    groups = {}
    for record in records:
        if record["system"].startswith("encoding-"):
            groups.setdefault(record["params"]["precision"], []).append(record)
    rows = []
    for precision, group in groups.items():
        seconds = {
            name: statistics.median(run["encoding_seconds"][name] for run in group)
            for name in ("transform", "product")
        }
        n = group[0]["n_encoded"]
        rows.append(
            [
                precision,
                f"{n / seconds['transform']:,.0f}",
                f"{n / seconds['product']:,.0f}",
                f"{seconds['transform'] / seconds['product']:.2f}×",
            ]
        )
    if not rows:
        return ""
    header = (
        "Vectors encoded a second",
        "`transform`",
        "bare matrix product",
        "slower",
    )
    return f"""\
`transform` beside the product of the vectors with the encoder, of the same precision
and with the same threads.

{table(header, rows)}"""
