"""Figures of the pages, as SVG that is the same for the same records."""

import textwrap

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from _budgets import LABELS, LEVELS
from _curves import base_of, best_dense, label_of, values
from _pages import BYTES_PER_NONZERO
from matplotlib.ticker import LogLocator

# The colours of Okabe and Ito, which colour-blind readers tell apart.
COLORS = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "orange": "#E69F00",
    "black": "#000000",
    "grey": "#767676",
}
# Colour, marker and line of every curve.
STYLES = {
    "anchors-path": ("blue", "o", "-"),
    "anchors-fit": ("sky", "s", "-"),
    "anchors-weighted": ("blue", "*", "-."),
    "anchors-wide": ("sky", "D", "-."),
    "paper": ("vermillion", "^", "-"),
    "compresso": ("orange", "v", "-"),
    "elsa-pruned": ("purple", "D", "-"),
    "elsa-coded": ("purple", "X", ":"),
    "elsa-dense": ("black", "o", "--"),
    "svd": ("grey", "s", "--"),
    "ease-pruned": ("green", "P", "-"),
}
SETTINGS = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    # The identifiers within the file are random without it.
    "svg.hashsalt": "sksparse_rec",
}
# Characters of a line of a legend, which takes its room from the curves.
LEGEND_WIDTH = 36
# Below popularity a curve leaves the frame.
FLOOR = 0.9


def save(figure, path):
    """Write a figure and forget it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : Path
        SVG files are the same for the same figure.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with mpl.rc_context(SETTINGS):
        figure.savefig(path, metadata=metadata)
    plt.close(figure)


def budget_figure(name, curves):
    """Draw nDCG@100 against bytes per item.

    Parameters
    ----------
    name : str
        Of the data set.
    curves : dict
        From `_curves.make_curves`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with mpl.rc_context(SETTINGS):
        figure, ax = plt.subplots(figsize=(8.4, 4.4), layout="constrained")
        for family, sizes in curves.items():
            if base_of(family) in STYLES:
                _draw_curve(ax, family, sizes)
        _draw_references(ax, curves)
        ticks = [BYTES_PER_NONZERO * level for level in LEVELS]
        ax.set_xscale("log", base=2)
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.set_xlim(ticks[0] / 1.15, ticks[-1] * 1.15)
        ax.set(xlabel="bytes per item", ylabel="nDCG@100 on held-out users")
        ax.set_title(f"{name}: quality against bytes per item", loc="left")
        ax.grid(axis="y", color="#dddddd")
        handles, labels = ax.get_legend_handles_labels()
        # The lines of the references are listed first; they belong below the curves.
        n_references = len(ax.lines) - len(ax.containers)
        order = [*range(n_references, len(handles)), *range(n_references)]
        ax.legend(
            [handles[i] for i in order],
            [textwrap.fill(labels[i], LEGEND_WIDTH) for i in order],
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
        )
    return figure


def growth_figure(panels, titles):
    """Draw measurements beside models, a row for each cost, a column for each axis.

    Parameters
    ----------
    panels : dict
        ``panels[axis, cost]`` is three equally long sequences: the parameter, what was
        measured, and what the model says.
    titles : dict
        Labels of the vertical axes by cost; the order is that of the rows.

    Returns
    -------
    matplotlib.figure.Figure
    """
    axes = list(dict.fromkeys(axis for axis, _ in panels))
    with mpl.rc_context(SETTINGS):
        figure, grid = plt.subplots(
            len(titles),
            len(axes),
            figsize=(2.5 * len(axes) + 0.5, 2.5 * len(titles) + 0.4),
            layout="constrained",
            sharey="row",
            sharex="col",
            squeeze=False,
        )
        for row, (cost, title) in enumerate(titles.items()):
            for column, axis in enumerate(axes):
                ax = grid[row, column]
                parameter, measured, modelled = panels[axis, cost]
                ax.loglog(
                    parameter,
                    modelled,
                    color=COLORS["vermillion"],
                    linestyle="--",
                    linewidth=1.5,
                    label="cost model",
                )
                ax.loglog(
                    parameter,
                    measured,
                    color=COLORS["blue"],
                    marker="o",
                    linestyle="none",
                    markersize=6,
                    label="measured",
                )
                ax.grid(color="#dddddd")
                ax.set_xticks(parameter, list(map(_compact, parameter)), fontsize=8)
                ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
                ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
                ax.minorticks_off()
                if row == len(titles) - 1:
                    ax.set_xlabel(axis)
                if column == 0:
                    ax.set_ylabel(title)
        grid[0, 0].legend(loc="upper left")
    return figure


def _compact(number):
    """Return a number as a short label: 30k, 1M."""
    for unit, suffix in ((1_000_000, "M"), (1_000, "k")):
        if number % unit == 0:
            return f"{number // unit}{suffix}"
    return str(number)


def _draw_curve(ax, family, sizes):
    color, marker, line = STYLES[base_of(family)]
    largest = BYTES_PER_NONZERO * max(LEVELS)
    shown = {size: seeds for size, seeds in sizes.items() if size <= largest}
    if not shown:
        return
    scores = [values(seeds, "ndcg@100") for seeds in shown.values()]
    ax.errorbar(
        list(shown),
        [np.mean(found) for found in scores],
        yerr=[np.std(found, ddof=1) if len(found) > 1 else 0 for found in scores],
        color=COLORS[color],
        marker=marker,
        linestyle=line if family in STYLES else ":",
        linewidth=1.8,
        elinewidth=1,
        markersize=5,
        label=label_of(family),
    )


def _draw_references(ax, curves):
    """Draw what has one size only as lines across the figure."""
    lines = []
    dense = best_dense(curves)
    if dense is not None:
        lines.append(("best dense ELSA", "elsa-dense", dense, "black", (0, (6, 4))))
    for family, color, dashes in (
        ("ease", "green", (0, (6, 2, 1, 2))),
        ("popularity", "grey", (0, (1, 2))),
    ):
        for size in curves.get(family, ()):
            lines.append((LABELS[family], family, size, color, dashes))
    for label, family, size, color, dashes in lines:
        level = np.mean(values(curves[family][size], "ndcg@100"))
        ax.axhline(
            level,
            color=COLORS[color],
            linestyle=dashes,
            linewidth=1.2,
            label=f"{label}, {size:,} bytes",
        )
        if family == "popularity":
            ax.set_ylim(bottom=FLOOR * level)
