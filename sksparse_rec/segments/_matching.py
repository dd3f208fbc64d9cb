"""Which segments of one model are which of another, by the items they share."""

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment
from sklearn.utils import Bunch

# Segments that the text of a report names of each kind.
N_NAMED = 10


def overlaps_of(labels, previous_labels, shape):
    """Return the Jaccard index of the items of any two segments.

    Parameters
    ----------
    labels, previous_labels : ndarray of shape (n_common,), int64
        Segments of the items that both models have, -1 for none.
    shape : tuple of int
        Numbers of segments.

    Returns
    -------
    overlaps : ndarray of shape ``shape``, float64
        Shared items divided by the items of either, 0 where neither has any.
    """
    both = (labels >= 0) & (previous_labels >= 0)
    entries = np.ones(both.sum()), (labels[both], previous_labels[both])
    shared = sp.coo_array(entries, shape=shape).toarray()
    sizes = np.bincount(labels[labels >= 0], minlength=shape[0])
    others = np.bincount(previous_labels[previous_labels >= 0], minlength=shape[1])
    either = sizes[:, None] + others - shared
    return np.divide(shared, either, out=np.zeros(shape), where=either > 0)


def match(overlaps, min_overlap):
    """Return the pairing with the largest sum of overlaps (Hungarian algorithm).

    Parameters
    ----------
    overlaps : ndarray of shape (n_segments, n_previous)
    min_overlap : float
        Pairs below it are taken apart again, and pairs without any overlap too.

    Returns
    -------
    segments, previous : ndarray of shape (n_pairs,), int64
        Pairs by ascending segment.

    Notes
    -----
    O(n_segments × n_previous) memory, and time cubic in the smaller number at worst.
    """
    segments, previous = linear_sum_assignment(overlaps, maximize=True)
    found = overlaps[segments, previous]
    kept = (found > 0) & (found >= min_overlap)
    return segments[kept].astype(np.int64), previous[kept].astype(np.int64)


def common_items(item_names, previous_names, n_items, n_previous, previous_items=None):
    """Return the positions of the items that two models share, in each of them.

    Parameters
    ----------
    item_names, previous_names : ndarray of str, or None
        Compared where both have them; otherwise positions have to be the same items.
    n_items, n_previous : int
    previous_items : array-like of shape (n_items,), default=None
        Where each item was, -1 for new items, in place of names.

    Raises
    ------
    ValueError
        If it is unclear which items are the same.
    """
    if previous_items is None:
        previous_items = _places(item_names, previous_names, n_items, n_previous)
    places = np.asarray(previous_items)
    if places.shape != (n_items,) or places.dtype.kind not in "iu":
        raise ValueError(
            "previous_items must hold one position an item, -1 for new ones: "
            f"{n_items} integers, got {places.dtype} of shape {places.shape}"
        )
    if places.max() >= n_previous or places.min() < -1:
        raise ValueError(
            f"previous_items runs from {places.min()} to {places.max()}, but the "
            f"previous items from 0 to {n_previous - 1}"
        )
    items = np.flatnonzero(places >= 0)
    places = places[items].astype(np.int64)
    if len(np.unique(places)) < len(places):
        twice = np.flatnonzero(np.bincount(places) > 1)[0]
        raise ValueError(f"two items have been the previous item {twice}")
    return items, places


def _places(item_names, previous_names, n_items, n_previous):
    if item_names is not None and previous_names is not None:
        for names, what in ((item_names, "these"), (previous_names, "the previous")):
            if len(set(names)) < len(names):
                raise ValueError(
                    f"item_names of {what} segments has some names twice, so that "
                    "items cannot be told apart by them: pass previous_items"
                )
        where = {name: place for place, name in enumerate(previous_names)}
        return np.array([where.get(name, -1) for name in item_names])
    if n_items == n_previous:
        return np.arange(n_items)
    raise ValueError(
        f"there are {n_items} items and were {n_previous}: fit both with item_names, "
        "so that the same items are found, or pass previous_items"
    )


def drift_report(segments, previous, min_overlap, previous_items=None):
    """Compare two fitted `LatentSegments`; see `LatentSegments.match`."""
    labels, old_labels = segments.labels_, previous.labels_
    items, places = common_items(
        segments.item_names_,
        previous.item_names_,
        len(labels),
        len(old_labels),
        previous_items,
    )
    shape = len(segments.segment_ids_), len(previous.segment_ids_)
    overlaps = overlaps_of(labels[items], old_labels[places], shape)
    found, partners = match(overlaps, min_overlap)
    # What the previous segment of an item is now; segments that vanished are nothing.
    now = np.full(shape[1] + 1, -2, dtype=np.int64)
    now[partners], now[-1] = found, -1
    moved = now[old_labels[places]] != labels[items]
    report = Bunch(
        segments=found,
        previous=partners,
        overlaps=overlaps[found, partners],
        appeared=np.setdiff1d(np.arange(shape[0]), found),
        vanished=np.setdiff1d(np.arange(shape[1]), partners),
        moved_items=items[moved],
        moved_from=old_labels[places[moved]],
        moved_to=labels[items[moved]],
        n_common_items=len(items),
        n_new_items=len(labels) - len(items),
        n_gone_items=len(old_labels) - len(items),
    )
    report.text = describe_drift(report, segments, previous)
    return report


def describe_drift(report, segments, previous):
    """Return a drift report as text."""
    counts = (
        f"segments: {len(report.segments)} kept, {len(report.appeared)} appeared, "
        f"{len(report.vanished)} vanished"
    )
    items = (
        f"items: {report.n_common_items} in both, of which {len(report.moved_items)} "
        f"moved; {report.n_new_items} new, {report.n_gone_items} gone"
    )
    lines = [counts, items]
    weakest = np.argsort(report.overlaps, kind="stable")
    pairs = zip(
        report.segments[weakest],
        report.previous[weakest],
        report.overlaps[weakest],
        strict=True,
    )
    kept = [
        f"{_label(previous, old)} -> {_label(segments, new)}, "
        f"{overlap:.0%} of the items of either are shared"
        for new, old, overlap in pairs
    ]
    appeared = [_label(segments, segment) for segment in report.appeared]
    vanished = [_label(previous, segment) for segment in report.vanished]
    for title, entries in (
        ("kept, those that changed most first", kept),
        ("appeared", appeared),
        ("vanished", vanished),
    ):
        if entries:
            lines += [f"{title}:", *(f"  {entry}" for entry in entries[:N_NAMED])]
        if len(entries) > N_NAMED:
            lines.append(f"  and {len(entries) - N_NAMED} more")
    return "\n".join(lines)


def _label(segments, position):
    name, id_ = segments.segment_names_[position], segments.segment_ids_[position]
    size = segments.segment_sizes_[position]
    return f"{name} ({id_}, {size} items)" if name != id_ else f"{id_} ({size} items)"
