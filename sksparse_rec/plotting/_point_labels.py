"""Numbers beside the points of curves, where they cover nothing."""

import numpy as np

# Directions from a point to its number, the best first.
SIDES = ((1, 1), (1, 0), (0, 1), (1, -1), (-1, -1), (0, -1), (-1, 0), (-1, 1))
# Points of the marker and the space around it.
GAP = 5.0
# Points between those that have a number, so that one sees whose it is.
APART = 14.0
# Points between samples of curves, which a number may not cover.
STEP = 2.0


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
