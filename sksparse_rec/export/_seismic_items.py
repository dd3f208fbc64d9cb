"""Items of a store on disk and in memory: files that are added, and merged later."""

import contextlib
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from sksparse_rec._files import read_arrays, write_arrays
from sksparse_rec._sparse import rows_at
from sksparse_rec.export._alone import alone

SUFFIX = ".items.npz"


class Items(NamedTuple):
    """Items by ascending position; ``rows`` is a csr_array of float32."""

    ids: np.ndarray
    positions: np.ndarray
    rows: sp.csr_array

    def take(self, places):
        """Return the items at some places, in that order."""
        return Items(
            self.ids[places], self.positions[places], rows_at(self.rows, places)
        )


class ItemFiles:
    """A folder of numbered files, of which later ones replace items of earlier ones.

    A file holds items, or the positions of items that are gone. Each appears whole, so
    that a process that is killed leaves what was there before or after. Who finds the
    files of another process adds and merges none, as it knows nothing of their items.

    Parameters
    ----------
    folder : Path
        It exists.
    width : int
        Of the vectors.

    Attributes
    ----------
    number : int
        Of the last file that was begun.
    positions : dict
        The position of every item, by its id.
    """

    def __init__(self, folder, width):
        self.folder, self.width = folder, width
        while not self._read():
            # Another store has merged the files meanwhile.
            pass

    def add(self, items):
        """Add items, in place of those that have their positions."""
        with self._alone():
            self._write(items)
        self._keep(items)

    def remove(self, positions):
        """Remove the items at some positions."""
        nothing = sp.csr_array((len(positions), self.width), dtype=np.float32)
        gone = Items(None, positions, nothing)
        with self._alone():
            self._write(gone)
        self._keep(gone)

    def merged(self):
        """Return all items."""
        if len(self._parts) != 1 or self._parts[0].ids is None:
            self._parts = [self._merge()]
        return self._parts[0]

    def compact(self):
        """Write one file in place of all, unless they are those of others."""
        if not self._has_written or len(self._names) < 2 or not self._is_unchanged():
            return
        with self._alone():
            before = self._files()
            self._write(self.merged())
            # Oldest first: what is left of them says nothing else than the new one.
            for file in before:
                file.unlink()
                self._names.discard(file.name)

    @property
    def last(self):
        """The number of the last file that the items are made of, 0 for none."""
        return max(map(_number, self._names), default=0)

    @contextlib.contextmanager
    def _alone(self):
        """Be the only process that changes the folder, which no other has changed."""
        with alone(self.folder / ".lock", self.folder, "writing this folder"):
            if not self._is_unchanged():
                raise RuntimeError(
                    f"{self.folder} was changed by another store since this one was "
                    "opened: open it again"
                )
            yield

    def _is_unchanged(self):
        return {file.name for file in self._files()} - self._failed == self._names

    def _files(self):
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def _keep(self, items):
        if items.ids is None:
            gone = set(items.positions.tolist())
            self.positions = {k: p for k, p in self.positions.items() if p not in gone}
        else:
            known = zip(items.ids.tolist(), items.positions.tolist(), strict=True)
            self.positions.update(known)
        self._parts.append(items)

    def _merge(self):
        """Return the last item of every position, without those that are gone."""
        empty = Items(
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            sp.csr_array((0, self.width), dtype=np.float32),
        )
        parts = self._parts or [empty]
        positions = np.concatenate([part.positions for part in parts])
        is_gone = np.repeat(
            [part.ids is None for part in parts], [len(p.positions) for p in parts]
        )
        newest_first = positions[::-1]
        _, places = np.unique(newest_first, return_index=True)
        last = len(positions) - 1 - places
        last = last[~is_gone[last]]
        kept = [part.ids for part in parts if part.ids is not None]
        ids = np.concatenate(kept or [empty.ids])
        # Where the ids of each entry are, among those that are there.
        of_ids = np.cumsum(~is_gone) - 1
        rows = sp.vstack([part.rows for part in parts], format="csr")
        return Items(ids[of_ids[last]], positions[last], _narrow(rows_at(rows, last)))

    def _read(self):
        """Read what is there, and tell whether it was there to the end."""
        self.number, self.positions, self._parts = 0, {}, []
        # Names of the files that make the items, and of those that failed, which may be
        # there.
        self._names, self._failed, self._has_written = set(), set(), False
        for file in self._files():
            try:
                arrays, meta = read_arrays(file)
            except FileNotFoundError:
                return False
            if meta["width"] != self.width:
                raise ValueError(
                    f"{self.folder} has vectors of width {meta['width']}, but "
                    f"n_components and signs make {self.width}: open it as it was made"
                )
            self._keep(self._from_arrays(arrays))
            self.number = _number(file.name)
            self._names.add(file.name)
        return True

    def _write(self, items):
        # Never again the number of one that failed, whose file may be there.
        self.number += 1
        arrays = {
            "positions": items.positions,
            "indptr": items.rows.indptr,
            "columns": items.rows.indices.astype(np.int32, copy=False),
            "values": items.rows.data,
        }
        if items.ids is not None:
            arrays["ids"] = items.ids
        path = self.folder / f"{self.number:08d}{SUFFIX}"
        self._failed.add(path.name)
        write_arrays(path, arrays, {"width": self.width})
        self._failed.remove(path.name)
        self._names.add(path.name)
        self._has_written = True

    def _from_arrays(self, arrays):
        positions = arrays["positions"]
        parts = arrays["values"], arrays["columns"], arrays["indptr"]
        rows = sp.csr_array(parts, shape=(len(positions), self.width))
        return Items(arrays.get("ids"), positions, rows)


def _narrow(rows):
    """Return a CSR array with indices of 32 bits, if they fit."""
    if rows.nnz <= np.iinfo(np.int32).max:
        rows.indices = rows.indices.astype(np.int32, copy=False)
        rows.indptr = rows.indptr.astype(np.int32, copy=False)
    return rows


def _number(name):
    return int(name.removesuffix(SUFFIX))
