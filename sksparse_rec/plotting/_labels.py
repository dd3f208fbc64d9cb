"""Names of curves beside the axes, where they cover no data."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.isotonic import isotonic_regression

# Of a font's size: height of a name, with the space to the next.
LINE_HEIGHT = 1.35


class Name(NamedTuple):
    """How the name of a line is written."""

    line: Any  # matplotlib Line2D, with the name as its label
    is_level: bool  # a horizontal line across the axes
    color: str
    weight: str


def label_ends(ax, names, gid):
    """Write names at the right of the axes, at the height of their lines' ends.

    Parameters
    ----------
    ax : matplotlib Axes
    names : list of Name
        In descending order of the last points of their lines.
    gid : str
        Marks the texts.

    Returns
    -------
    texts : list of matplotlib Annotation
    """
    from matplotlib import rcParams

    fontsize = 0.9 * rcParams["font.size"]
    height = 72 * ax.get_position().height * ax.figure.get_figheight()
    # Asking for the limits makes matplotlib settle them.
    right, _ = ax.get_xlim()[1], ax.get_ylim()
    to_axes = ax.transData + ax.transAxes.inverted()
    ends = [(right, name.line.get_ydata()[-1]) for name in names]
    heights = apart(to_axes.transform(ends)[:, 1], LINE_HEIGHT * fontsize / height)
    return [
        ax.annotate(
            name.line.get_label(),
            **_right_end(name),
            xytext=(1.03, at),
            textcoords="axes fraction",
            verticalalignment="center",
            fontsize=fontsize,
            fontweight=name.weight,
            color=name.color,
            arrowprops={
                "arrowstyle": "-",
                # From the middle of the name's left side, so that it crosses no name.
                "relpos": (0, 0.5),
                "color": name.line.get_color(),
                # Unlike a curve that goes on.
                "linestyle": ":",
                "linewidth": 1,
                "shrinkA": 1,
                "shrinkB": 4,
            },
            gid=gid,
            annotation_clip=False,
        )
        for name, at in zip(names, heights, strict=True)
    ]


def _right_end(name):
    """Return where a name points to."""
    x, y = name.line.get_xydata()[-1]
    if name.is_level:
        return {"xy": (1, y), "xycoords": name.line.axes.get_yaxis_transform()}
    return {"xy": (x, y), "xycoords": "data"}


def apart(heights, gap):
    """Move descending heights as little as possible, until all are ``gap`` apart.

    They stay between 0 and 1, with a smaller gap where there is no room. With the gaps
    taken away they only have to be in order: an isotonic regression.
    """
    n_gaps = len(heights) - 1
    gap = min(gap, 1 / max(1, n_gaps))
    steps = gap * np.arange(n_gaps, -1, -1)
    moved = isotonic_regression(
        np.asarray(heights) - steps,
        increasing=False,
        y_min=0,
        y_max=max(0, 1 - n_gaps * gap),
    )
    return moved + steps
