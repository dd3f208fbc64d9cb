"""What the displays draw alike."""

import numpy as np

# Told apart by the colour-blind and in grey (Okabe and Ito), each with its own marker.
STYLES = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#56B4E9", "v"),
    ("#E69F00", "P"),
)
# More curves than styles differ by dashes and hollow markers.
DASHES = ("-", "--", "-.", ":")
BASELINE_COLOR = "#555555"
BASELINE_DASHES = ("--", ":", "-.")
# Labels of the axis of bytes that fit beside each other.
MAX_TICKS = 8


def import_pyplot(purpose):
    """Return ``matplotlib.pyplot``, or say which extra has it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs matplotlib, which could not be imported; install it "
            "with: pip install 'sksparse-rec[plot]'"
        ) from error
    return plt


def use_axes(display, ax, figsize=None):
    """Set ``ax_`` and ``figure_`` of a display to what it is drawn on.

    Parameters
    ----------
    display : object
        Its class is named where matplotlib is missing.
    ax : matplotlib Axes or None
        None makes a figure.
    figsize : (float, float), default=None
        Of that figure, in inches; None is matplotlib's default.

    Returns
    -------
    ax : matplotlib Axes
    """
    pyplot = import_pyplot(f"{type(display).__name__}.plot")
    if ax is None:
        _, ax = pyplot.subplots(figsize=figsize, layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def curves_on(ax, gid):
    """Return the lines that displays of one kind have drawn, marked by ``gid``."""
    return [line for line in ax.lines if line.get_gid() == gid]


def curve_style(i):
    """Return how the ``i``-th of many curves is drawn."""
    color, marker = STYLES[i % len(STYLES)]
    turn = i // len(STYLES)
    style = {
        "color": color,
        "marker": marker,
        "linestyle": DASHES[turn % len(DASHES)],
        "linewidth": 2,
        "markersize": 6,
        "zorder": 3,
    }
    return style | ({"markerfacecolor": "white"} if turn % 2 else {})


def draw_baseline(ax, score, label, i=0):
    """Draw a score to compare with as a horizontal line, the ``i``-th of them."""
    return ax.axhline(
        score,
        color=BASELINE_COLOR,
        linewidth=1.2,
        linestyle=BASELINE_DASHES[i % len(BASELINE_DASHES)],
        label=label,
        zorder=1,
    )


def label_sizes(ax, labels):
    """Make the horizontal axis one of bytes, on a scale of doublings.

    Parameters
    ----------
    ax : matplotlib Axes
    labels : dict of float to str
        Text for each size; those that would overlap make way.
    """
    ticks = spread_out(sorted(labels), MAX_TICKS)
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [labels[tick] for tick in ticks])
    ax.set_xticks([], minor=True)


def tidy(ax):
    """Leave of frame and grid what helps to read scores off."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#dddddd")
    ax.set_axisbelow(True)


def spread_out(sizes, n_ticks):
    """Return those of ascending sizes whose labels fit beside each other.

    Neighbours are apart by a share of ``1 / n_ticks`` of the axis at least, which is
    logarithmic; the largest size always stays.
    """
    if len(sizes) < 2:
        return list(sizes)
    distance = np.log2(sizes[-1] / sizes[0]) / n_ticks
    kept = [sizes[-1]]
    for size in sizes[-2::-1]:
        if np.log2(kept[-1] / size) >= distance:
            kept.append(size)
    return kept[::-1]
