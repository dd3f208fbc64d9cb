"""Names of items, latents and segments, wherever they are shown."""

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
