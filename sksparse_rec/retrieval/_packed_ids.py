"""Ids that are strings, as they lie in a file: read when they are asked for."""

from bisect import bisect_left
from functools import cached_property

import numpy as np

from sksparse_rec._format import PersistenceError, unpack_names
from sksparse_rec.retrieval._ids import Ids, as_ids, raise_unknown

# Fewer than one id in so many is looked for by itself.
FEW = 32


class PackedIds:
    """What ``Ids`` is, of the arrays that ``pack_names`` makes.

    Parameters
    ----------
    text : ndarray of uint8
    starts : ndarray of int64 of shape (n_items + 1,)
    order : ndarray of int64 of shape (n_items,)
        Positions by ascending id. All three may be mapped; none is read.
    """

    def __init__(self, text, starts, order):
        self.text, self.starts, self.order = text, starts, order

    @property
    def values(self):
        """All ids, str: made anew each time."""
        return np.array(unpack_names(self.text, self.starts, "ids").tolist(), str)

    def find(self, asked, what="ids"):
        """Return the positions of ids; see ``Ids``.

        Few are looked for in the file. For many all are read, once.
        """
        asked = as_ids(asked, what, np.dtype("U1"))
        is_known = "_positions" in vars(self)
        many = len(asked) * FEW > len(self.order)
        find = self._positions.get if many or is_known else self._find
        positions = np.empty(len(asked), np.int64)
        for place, name in enumerate(asked.tolist()):
            position = find(name)
            if position is None:
                raise_unknown(name, what)
            positions[place] = position
        return positions

    def add(self, new):
        """Return the ids with new ones behind them, in memory."""
        return Ids(self.values).add(new)

    def take(self, positions):
        """Return the ids at some positions, in that order, in memory."""
        return Ids(self.values[positions])

    def at(self, positions):
        """Return the ids at some positions, str as objects."""
        return unpack_names(self.text, self.starts, "ids", positions)

    def arrays(self):
        """Return the arrays by name."""
        return {
            "ids.text": self.text,
            "ids.starts": self.starts,
            "id_order": self.order,
        }

    def _find(self, name):
        """Return the position of an id, or None; O(log n_items) names are read."""
        # Bytes of UTF-8 have the order of the letters.
        name = name.encode(errors="surrogatepass")
        place = bisect_left(self.order, name, key=self._bytes)
        if place < len(self.order) and self._bytes(self.order[place]) == name:
            return self.order[place]
        return None

    def _bytes(self, position):
        if not 0 <= position < len(self.order):
            raise PersistenceError(
                f"id_order has {position}, and positions run from 0 to "
                f"{len(self.order) - 1}: open the file with verify=True"
            )
        return self.text[self.starts[position] : self.starts[position + 1]].tobytes()

    @cached_property
    def _positions(self):
        names = unpack_names(self.text, self.starts, "ids")
        return {name: position for position, name in enumerate(names)}
