"""Items by ids of their owner: strings or integers."""

import numpy as np


class Ids:
    """Ids of items by position, and back.

    Parameters
    ----------
    values : ndarray of shape (n_items,), int64 or str
        Distinct.
    order : ndarray of int64 of shape (n_items,), default=None
        Positions by ascending id; None computes them, O(n_items log n_items).
    """

    def __init__(self, values, order=None):
        self.values = values
        self.order = np.argsort(values, kind="stable") if order is None else order

    def find(self, asked, what="ids"):
        """Return the positions of ids.

        Raises
        ------
        ValueError
            If one is not there.
        """
        asked = as_ids(asked, what, self.values.dtype)
        positions, is_known = self._look_up(asked)
        if not is_known.all():
            raise_unknown(asked[~is_known][0].item(), what)
        return positions

    def add(self, new):
        """Return the ids with new ones behind them.

        Raises
        ------
        ValueError
            If one is there already, or twice among the new ones.
        """
        new = as_ids(new, "ids", self.values.dtype)
        _, is_known = self._look_up(new)
        if is_known.any():
            raise ValueError(
                f"ids contains {new[is_known][0].item()!r}, which is in the index "
                "already: call update for it"
            )
        check_distinct(new)
        return Ids(np.concatenate([self.values, new]))

    def take(self, positions):
        """Return the ids at some positions, in that order."""
        return Ids(self.values[positions])

    def at(self, positions):
        """Return the ids at some positions, int64 or str as objects."""
        found = self.values[positions]
        return found.astype(object) if found.dtype.kind == "U" else found

    def arrays(self):
        """Return the arrays by name."""
        return {"ids": self.values, "id_order": self.order}

    def _look_up(self, asked):
        """Return positions, and which are right; few are looked at, not all."""
        # Other widths would have numpy copy all; a shortened string is not the same.
        narrow = asked.astype(self.values.dtype)
        places = np.searchsorted(self.values, narrow, sorter=self.order)
        inside = places < len(self.order)
        positions = np.full(len(asked), -1, dtype=np.int64)
        positions[inside] = self.order[places[inside]]
        # Of a file that is damaged.
        inside &= (positions >= 0) & (positions < len(self.values))
        is_known = np.zeros(len(asked), dtype=bool)
        is_known[inside] = self.values[positions[inside]] == asked[inside]
        return positions, is_known


def as_ids(ids, what="ids", like=None):
    """Return ids as int64 or strings.

    Parameters
    ----------
    ids : array-like, or a single one
    what : str
        How error messages call them.
    like : dtype, default=None
        That of ids which are there already, of whose kind these have to be.

    Raises
    ------
    ValueError
        For integers beyond 64 bits, or more than one dimension.
    TypeError
        For anything else, and for strings among integers or the other way round.
    """
    array = np.atleast_1d(np.asarray(ids))
    if array.ndim > 1:
        raise ValueError(f"{what} must be one-dimensional, got shape {array.shape}")
    if len(array) == 0:
        return np.empty(0, "U1" if like is not None and like.kind == "U" else np.int64)
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array):
        array = array.astype(str)
    if array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{what} contains {array.max()}, but ids are 64-bit integers")
    if array.dtype.kind not in "iuU":
        raise TypeError(
            f"{what} must hold strings or integers, got {array.dtype} values such as "
            f"{array.flat[0]!r}"
        )
    if like is not None and (array.dtype.kind == "U") != (like.kind == "U"):
        kinds = {True: "strings", False: "integers"}
        raise TypeError(
            f"{what} holds {kinds[array.dtype.kind == 'U']} such as "
            f"{array[0].item()!r}, but the ids of the index are "
            f"{kinds[like.kind == 'U']}"
        )
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def raise_unknown(unknown, what):
    """Raise for an id that is not there."""
    raise ValueError(f"{what} contains {unknown!r}, which is not in the index")


def check_distinct(ids):
    """Raise if an id comes twice."""
    ordered = np.sort(ids)
    twice = ordered[1:] == ordered[:-1]
    if twice.any():
        raise ValueError(f"ids contains {ordered[1:][twice][0].item()!r} twice")
