"""How far the writing of a catalogue to a store has come, on disk."""

import contextlib
import json
import os
from pathlib import Path

from sksparse_rec._files import write_whole
from sksparse_rec.export._alone import alone

FORMAT = 1


def alone_with(path):
    """Return a block in which no other process writes with this progress.

    None is nobody's.

    Raises
    ------
    BlockingIOError
        At once, if another one does.
    """
    if path is None:
        return contextlib.nullcontext()
    path = Path(os.path.realpath(path))
    lock = path.with_name(f".{path.name}.lock")
    return alone(lock, path, "writing with this progress")


class Ledger:
    """A small JSON file, replaced after every batch that a store has acknowledged.

    Parameters
    ----------
    path : str, path-like or None
        None keeps nothing.
    description : dict
        Everything that the contents of the store depend on, as JSON writes it.
    n_items : int
    """

    def __init__(self, path, description, n_items):
        self.path = None if path is None else Path(path)
        self.description, self.n_items = description, n_items

    def read(self):
        """Return the items done and the position that the first one had.

        (0, None) where nothing is known.

        Raises
        ------
        ValueError
            If the file belongs to something else, or is damaged.
        """
        if self.path is None or not self.path.exists():
            return 0, None
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            known, found = content["format"], content["description"]
            n_done, base = int(content["n_done"]), int(content["first_position"])
            names = sorted(found.keys() | self.description.keys())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(
                f"{self.path} is no record of progress, or damaged: remove it to write "
                "everything again"
            ) from None
        if known != FORMAT:
            raise ValueError(
                f"{self.path} has format {known!r}, but this version of sksparse_rec "
                f"reads {FORMAT}: remove it to write everything again"
            )
        other = [
            name for name in names if found.get(name) != self.description.get(name)
        ]
        if other:
            raise ValueError(
                f"{self.path} is the progress of another call, which differs in "
                f"{', '.join(other)}: repeat that call, remove the file to write "
                "everything again, or name another file"
            )
        return min(n_done, self.n_items), base

    def write(self, n_done, base):
        """Replace the file."""
        if self.path is None:
            return
        content = {
            "format": FORMAT,
            "description": self.description,
            "n_items": self.n_items,
            "n_done": n_done,
            "first_position": base,
        }
        text = json.dumps(content, indent=1)
        write_whole(self.path, lambda draft: draft.write_text(text, encoding="utf-8"))
