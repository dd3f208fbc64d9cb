"""Names of items, latents and segments, wherever they are shown."""

from collections import defaultdict

import numpy as np


def names_of_latents(latents, anchors=None, item_names=None):
    """Name latents by their anchors where they have one, as ``"latent 3"`` otherwise.

    Parameters
    ----------
    latents : array-like of int
    anchors : ndarray of shape (n_components,), default=None
        The item that a latent started from, or -1.
    item_names : array-like of shape (n_items,), default=None

    Returns
    -------
    names : list of str
    """
    names = names_at(None, latents, "latent")
    if anchors is None or item_names is None:
        return names
    found = np.asarray(anchors)[np.asarray(latents, dtype=np.int64)]
    return [
        str(item_names[anchor]) if anchor >= 0 else name
        for anchor, name in zip(found.tolist(), names, strict=True)
    ]


def check_n_names(names, n, kind):
    """Raise unless there are ``n`` names; None of either is not checked."""
    if names is not None and n is not None and len(names) != n:
        raise ValueError(f"{kind}_names has {len(names)} names for {n} {kind}s")


def names_at(names, positions, kind):
    """Return names by position, as ``"item 3"`` where there are none.

    Parameters
    ----------
    names : array-like of shape (n,) or None
    positions : array-like of int
    kind : str
        What it is that has a name: "item", "segment".

    Returns
    -------
    names : list of str

    Raises
    ------
    ValueError
        If a position is beyond the names.
    """
    positions = np.asarray(positions, dtype=np.int64).tolist()
    if names is None:
        return [f"{kind} {position}" for position in positions]
    last = max(positions, default=-1)
    if last >= len(names):
        raise ValueError(
            f"{kind}_names has {len(names)} names, but the {kind}s go up to {last}"
        )
    return [str(names[position]) for position in positions]


def unique_names(names, reserved=()):
    """Return names of which no two are the same, as an object array.

    The first of the same keeps its name, and the others get the lowest number from 2
    that makes the name a new one: "tea", "tea (2)".

    Parameters
    ----------
    names : sequence of str
        The most important first.
    reserved : iterable of str
        Names that are taken already.
    """
    originals, used = set(names), set(reserved)
    numbers = defaultdict(lambda: 2)
    unique = np.empty(len(names), dtype=object)
    for position, name in enumerate(names):
        new = name
        while new in used or (new != name and new in originals):
            new = f"{name} ({numbers[name]})"
            numbers[name] += 1
        used.add(new)
        unique[position] = new
    return unique
