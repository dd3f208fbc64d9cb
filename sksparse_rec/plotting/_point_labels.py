"""Numbers beside the points of curves, where they cover nothing."""

import numpy as np

from sksparse_rec.plotting._text import axes_size, text_height, text_width

# Of the font's size.
SMALL = 0.8
# By which the colours of curves are darkened for text.
DARKER = 0.65
# Directions from a point to its number, the best first.
SIDES = ((1, 1), (1, 0), (0, 1), (1, -1), (-1, -1), (0, -1), (-1, 0), (-1, 1))
# Points of the marker and the space around it.
GAP = 5.0
# Points between those that have a number, so that one sees whose it is.
APART = 14.0
# Points between samples of curves, which a number may not cover.
STEP = 2.0


def write_at_points(ax, marks, curves, levels):
    """Write at points of curves, in their colours, what covers nothing there.

    Parameters
    ----------
    ax : matplotlib Axes
    marks : list of (Line2D, int, str)
        Which point of which line gets which text; the first choose first.
    curves, levels : list of Line2D
        Lines that are not to be covered, and horizontal ones across the axes.

    Returns
    -------
    texts : list of matplotlib Annotation
    """
    from matplotlib import colors, rcParams

    if not marks:
        return []
    frame = np.array(axes_size(ax))
    size = SMALL * rcParams["font.size"]
    to_axes = ax.transData + ax.transAxes.inverted()
    drawn = {line: to_axes.transform(line.get_xydata()) * frame for line in curves}
    heights = [
        to_axes.transform((0, level.get_ydata()[0]))[1] * frame[1] for level in levels
    ]
    obstacles = [*drawn.values(), *([(0, y), (frame[0], y)] for y in heights)]
    points = np.array([drawn[line][i] for line, i, _ in marks])
    sizes = [[text_width(text, size), text_height(1, size)] for *_, text in marks]
    centers = place_labels(points, np.array(sizes), obstacles, frame)
    return [
        ax.annotate(
            text,
            line.get_xydata()[i],
            xytext=tuple(center - point),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            color=np.array(colors.to_rgb(line.get_color())) * DARKER,
            zorder=line.get_zorder() + 1,
        )
        for (line, i, text), center, point in zip(marks, centers, points, strict=True)
        if not np.isnan(center).any()
    ]


def place_labels(points, sizes, curves, frame):
    """Choose where labels stand: beside their points, and over nothing else.

    Parameters
    ----------
    points : ndarray of shape (n_labels, 2)
        Where they belong, in the unit of ``sizes``; the first choose first.
    sizes : ndarray of shape (n_labels, 2)
        Widths and heights.
    curves : list of ndarray of shape (n_points, 2)
        Lines that are not to be covered.
    frame : (float, float)
        Right and top of where labels may be; left and bottom are 0.

    Returns
    -------
    centers : ndarray of shape (n_labels, 2)
        NaN where there is no room, or next to a point that has a label already.
    """
    covered = np.concatenate([np.empty((0, 2)), *map(_sampled, curves)])
    centers = np.full((len(points), 2), np.nan)
    taken = np.empty((0, 4))
    for i, (point, size) in enumerate(zip(points, sizes, strict=True)):
        if (np.hypot(*(points[:i] - point).T)[~np.isnan(centers[:i, 0])] < APART).any():
            continue
        for side in SIDES:
            center = point + np.array(side) * (np.asarray(size) / 2 + GAP * _part(side))
            box = np.concatenate([center - size / 2, center + size / 2])
            is_inside = (box[:2] >= 0).all() and (box[2:] <= frame).all()
            if is_inside and not _hits(box, covered) and not _meets(box, taken):
                centers[i], taken = center, np.vstack([taken, box])
                break
    return centers


def _part(side):
    """Return how much of the gap is needed in each direction: less on a diagonal."""
    return 1.0 if 0 in side else 0.6


def _sampled(curve):
    """Return points all along a curve."""
    lengths = np.hypot(*np.diff(curve, axis=0).T)
    along = np.concatenate([[0], np.cumsum(lengths)])
    at = np.append(np.arange(0, along[-1], STEP), along[-1])
    return np.column_stack([np.interp(at, along, x) for x in np.transpose(curve)])


def _hits(box, points):
    return ((points > box[:2]) & (points < box[2:])).all(axis=1).any()


def _meets(box, others):
    return ((box[:2] < others[:, 2:]) & (others[:, :2] < box[2:])).all(axis=1).any()
