"""The page on searching sparse embeddings."""

from _pages import (
    by_dataset,
    done,
    environment_section,
    made_by,
    shortfall,
    table,
)
from _search import SEARCH_SYSTEMS

OWN = ("index-float16", "index-float32", "index-float16-rows")
SPARSE = ("scipy", "torch", "sparse-dot-topn")
LOADS = {
    "profiles": "256 profiles",
    "codes": "256 codes",
    "one profile": "one profile",
    "one code": "one code",
}
# Queries that a scan compares with an item at once: see the notes of SparseIndex.
LANES = 64


def render_search(records):
    """Render the page.

    Parameters
    ----------
    records : list of dict
        Of `bench_search.py`.

    Returns
    -------
    str
        Markdown.
    """
    sizes = {record["dataset"]["name"]: record["dataset"] for record in records}
    order = sorted(sizes, key=lambda name: sizes[name]["n_items"])
    sections = [_introduction()]
    for name, group in by_dataset(records, order).items():
        sections.append(_section(sizes[name], group))
    sections.append(environment_section(records))
    return "\n\n".join(section for section in sections if section) + "\n"


def _introduction():
    return f"""\
# Searching sparse embeddings

{made_by("bench_search.py")}

Milliseconds of an exact search for the 100 best items, medians of repeated calls.
Items have at most 32 non-zeros among 4,096 latents that are unequally popular.
**Profiles** are sums of 200 items, about half of them zero; **codes** have at most 32
non-zeros. A batch of 256 is one call, and so is one query.

Dense vectors are what sparse ones replace: 1,024 dimensions for CompressedELSA, 384
for CompresSAE of sentence embeddings. Their time does not depend on their values, which
are random. **Right** is the share of lists whose scores are those of sorting all."""


def _section(described, records):
    records = sorted(records, key=lambda run: list(SEARCH_SYSTEMS).index(run["system"]))
    best = {run["system"]: _milliseconds(run) for run in done(records)}
    rows = []
    for run in records:
        if run["status"] != "ok":
            rows.append([run["label"], shortfall(run), *[""] * (len(LOADS) + 2)])
            continue
        times = best[run["system"]]
        rows.append(
            [
                run["label"],
                *(_number(times.get(load)) for load in LOADS),
                f"{run['bytes_per_item']:,.0f}",
                f"{run['build_seconds']:.2f}",
                f"{min(point['share_right'] for point in run['points']):.0%}",
            ]
        )
    header = ["", *LOADS.values(), "bytes an item", "made in, s", "right"]
    parts = [
        f"## {described['n_items']:,} items",
        table(header, rows),
        _ratios(best),
        _limits(records),
    ]
    return "\n\n".join(part for part in parts if part)


def _milliseconds(run):
    return {point["load"]: 1e3 * point["seconds"] for point in run["points"]}


def _number(milliseconds):
    if milliseconds is None:
        return ""
    return f"{milliseconds:,.{0 if milliseconds >= 100 else 2}f}"


def _ratios(best):
    """Say how many times faster the index is than the best of its rivals."""
    own = {name: best[name] for name in OWN[:2] if name in best}
    rivals = {
        "the best sparse rival": [name for name in SPARSE if name in best],
        "384 dense dimensions": [name for name in ("faiss-384",) if name in best],
        "1,024 dense dimensions": [name for name in ("faiss-1024",) if name in best],
    }
    if not own:
        return ""
    rows = []
    for label, names in rivals.items():
        if names:
            cells = []
            for load in LOADS:
                # A code is a vector like any other to dense search.
                asked = load if load in best[names[0]] else _as_vector(load)
                ours = min(times[load] for times in own.values())
                theirs = min(best[name][asked] for name in names)
                cells.append(f"{theirs / ours:,.1f}×")
            rows.append([label, *cells])
    if not rows:
        return ""
    header = ["The index is faster than", *LOADS.values()]
    return table(header, rows)


def _as_vector(load):
    return load.replace("codes", "profiles").replace("code", "profile")


def _limits(records):
    """Compare with reading the stored bytes at the speed of the memory."""
    rows = []
    for run in done(records):
        if "memory_bandwidth" not in run:
            continue
        bytes_ = run["nnz"] * run["bytes_per_entry"]
        seconds = {point["load"]: point["seconds"] for point in run["points"]}
        passes = -(-256 // LANES)
        once = bytes_ / run["memory_bandwidth"]
        rate = run["nnz"] * 256 / seconds["profiles"]
        rows.append(
            [
                run["label"],
                f"{run['memory_bandwidth'] / 1e9:.1f}",
                f"{1e3 * once:.1f}",
                f"{passes * once / seconds['profiles']:.0%}",
                f"{rate / 1e9:.1f}",
                f"{once / seconds['one code']:.1f}×",
            ]
        )
    if not rows:
        return ""
    header = [
        "",
        "memory reads, GB/s",
        "all rows once, ms",
        "256 profiles: share of the time",
        "10⁹ products a second",
        "one code: reading all rows takes",
    ]
    return f"""\
How far from the limit of the memory: the time that reading the rows takes at the
speed of a plain sum, which a batch needs once for every {LANES} queries. Beyond that a
batch is limited by the second-level cache, from which every product takes two bytes. A
single code reads its lists only, and is faster than reading all rows.

{table(header, rows)}"""
