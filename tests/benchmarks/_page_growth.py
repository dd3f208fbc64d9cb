"""The page of growth: time and memory as one size varies, and a million items."""

from _costs import (
    MEMORY_TERMS,
    TIME_TERMS,
    epoch_seconds,
    extra_bytes,
    fit_costs,
    memory_terms,
    sizes_of_run,
    time_terms,
)
from _figures import growth_figure
from _growth import AXES, BASE, BATCH_SIZE, N_EPOCHS, N_USERS
from _pages import done, environment_section, join, made_by, mean, table

TITLES = {"time": "seconds an epoch", "memory": "extra memory, MB"}
# A coefficient is told in the unit that makes it readable.
NANO = 1e9


def render_growth(growth, million, figure):
    """Render the page.

    Parameters
    ----------
    growth, million : list of dict
        Records; one of them may be empty.
    figure : str
        Path of the figure, as the page links to it.

    Returns
    -------
    str
        Markdown.
    """
    sections = [f"# Time and memory as sizes grow\n\n{made_by('bench_growth.py')}"]
    if done(growth):
        sections.append(_growth_section(Growth(growth), figure))
    if million:
        sections.append(_million_section(million))
    sections.append(environment_section(growth + million))
    return "\n\n".join(sections) + "\n"


class Growth:
    """Measurements of the growth runs, and the models fitted to them.

    Parameters
    ----------
    records : list of dict
    """

    def __init__(self, records):
        self.records = done(records)
        self.sizes = [sizes_of_run(record) for record in self.records]
        self.seconds = [epoch_seconds(record) for record in self.records]
        self.bytes = [extra_bytes(record) for record in self.records]
        self.time = fit_costs([time_terms(size) for size in self.sizes], self.seconds)
        self.memory = fit_costs([memory_terms(size) for size in self.sizes], self.bytes)

    def along(self, axis):
        """Return the positions of the runs of an axis, and its values, ascending."""
        found = []
        for position, record in enumerate(self.records):
            point = {**record["params"], **record["dataset"]}
            if all(point[name] == BASE[name] for name in AXES if name != axis):
                found.append((point[axis], position))
        found.sort()
        return [position for _, position in found], [value for value, _ in found]

    def figure(self):
        """Draw all axes."""
        panels = {}
        for axis in AXES:
            runs, values = self.along(axis)
            for cost, unit, measured, model in (
                ("time", 1, self.seconds, self.time),
                ("memory", 1e6, self.bytes, self.memory),
            ):
                panels[axis, cost] = (
                    values,
                    [measured[run] / unit for run in runs],
                    [model.modelled[run] / unit for run in runs],
                )
        return growth_figure(panels, TITLES)


def _growth_section(growth, figure):
    held = join(f"{name} = {value:,}" for name, value in BASE.items())
    parts = [
        f"""\
One size varies and the others are held at
{held}.
Data are {N_USERS:,} users of `make_interactions`; batches have {BATCH_SIZE} users, and
`n_nonzero_start=n_nonzero` keeps the same pattern in all {N_EPOCHS} epochs. *An epoch*
is the median of those after the first, *the start* what comes before the first epoch:
the co-occurrences with the anchors. *Extra* is the peak of memory during training, less
what the process held with its libraries and data loaded.

![Seconds an epoch and extra memory, measured and modelled]({figure})""",
        *(_axis_table(growth, axis) for axis in AXES),
        _models(growth),
    ]
    return "\n\n".join(part for part in parts if part)


def _axis_table(growth, axis):
    runs, values = growth.along(axis)
    if not runs:
        return ""
    header = (
        axis,
        "an epoch, s",
        "model, s",
        "start, s",
        "extra MB",
        "model, MB",
    )
    rows = [
        [
            f"{value:,}",
            f"{growth.seconds[run]:.2f}",
            f"{growth.time.modelled[run]:.2f}",
            f"{growth.records[run]['start_seconds']:.2f}",
            f"{growth.bytes[run] / 1e6:,.0f}",
            f"{growth.memory.modelled[run] / 1e6:,.0f}",
        ]
        for run, value in zip(runs, values, strict=True)
    ]
    return table(header, rows)


def _models(growth):
    time = [
        f"- {NANO * coefficient:.3g} ns × {term}"
        for term, coefficient in zip(TIME_TERMS, growth.time.coefficients, strict=True)
    ]
    memory = [
        f"- {coefficient:.3g} bytes × {term}"
        for term, coefficient in zip(
            MEMORY_TERMS, growth.memory.coefficients, strict=True
        )
    ]
    return f"""\
**The models.** The docstring of `CompressedELSA` says that a step with the Gram loss
takes O(nnz(batch) × n_nonzero + batch_size × n_components² + n_items × n_nonzero²)
time, and training O(n_items × n_nonzero + n_components² + batch_size × n_components)
memory beside the interactions. The coefficients are fitted to the {len(growth.sizes)}
runs of this page by non-negative least squares of relative errors. An epoch takes the
sum of

{chr(10).join(time)}

which is off by {growth.time.error:.0%} in the median, and training the sum of

{chr(10).join(memory)}

off by {growth.memory.error:.0%}. A coefficient of 0 says that the term does not show
at these sizes."""


def _million_section(records):
    described = records[0]["dataset"]
    popularity = [
        record for record in done(records) if record["system"] == "popularity"
    ]
    base = [record["points"][0]["metrics"]["ndcg@100"] for record in popularity]
    rows = []
    for record in done(records):
        if record["system"] == "popularity":
            continue
        score = record["points"][0]["metrics"]["ndcg@100"]
        params = record["params"]
        rows.append(
            [
                join(f"{name}={value}" for name, value in params.items()),
                join(f"{seconds:,.0f}" for seconds in record["epoch_seconds"]),
                f"{record['start_seconds']:,.0f}",
                f"{extra_bytes(record) / 1e9:.2f}",
                f"{record['process_peak_bytes'] / 1e9:.2f}",
                f"{score:.4f}",
                f"{score / base[0]:.2f}" if base else "",
            ]
        )
    header = (
        "Settings",
        "seconds of the epochs",
        "start, s",
        "extra GB",
        "process, GB",
        "nDCG@100",
        "÷ popularity",
    )
    beaten = f"; the popularity ranking has nDCG@100 {mean(base)}" if base else ""
    return f"""\
## A million items

{described["n_users"]:,} users × {described["n_items"]:,} items with
{described["n_interactions"]:,} interactions of `make_interactions`;
{described["n_test_users"]:,} of the users are held out of training{beaten}.

{table(header, rows)}"""
