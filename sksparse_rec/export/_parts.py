"""Folders of parts that are written one by one, and appear when all are there."""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from sksparse_rec._files import sync, write_whole
from sksparse_rec.export._alone import alone

# Programs that read folders leave out what begins with an underscore or a dot.
MANIFEST = "_manifest.json"
ADVICE = "Repeat the call as it was, remove that folder, or write elsewhere"


class Parts(NamedTuple):
    """A folder, and the digest of what it is made of."""

    folder: os.PathLike
    digest: str

    def file(self, number, suffix):
        """Return where a part is once it is complete."""
        return self.folder / f"part-{number:05d}{suffix}"


@contextlib.contextmanager
def only_writer(path):
    """Be the only process in such a block that writes a folder.

    Parameters
    ----------
    path : str or path-like
        Missing parents are made.

    Yields
    ------
    path : Path
        The folder that it stands for, without links.

    Raises
    ------
    BlockingIOError
        If another process is in.
    """
    path = Path(os.path.realpath(Path(path).expanduser()))
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with alone(lock, path, "writing this folder"):
        yield path


def open_parts(path, description, what):
    """Find the folder that the parts of an export are in, or make it.

    It is ``path`` if that is complete, and ``unfinished(path)`` otherwise.

    Parameters
    ----------
    path : Path
        Its parent exists.
    description : dict
        Everything that the parts depend on, as JSON writes it.
    what : str
        How error messages call what the parts hold, in the plural.

    Returns
    -------
    parts : Parts

    Raises
    ------
    FileExistsError
        If there is something else at ``path``, or parts of nobody knows what.
    ValueError
        If the parts there belong to another description.
    """
    parts = Parts(_find(path, what), _digest(description))
    manifest = parts.folder / MANIFEST
    if manifest.exists():
        _check_same(manifest, description, what)
    else:
        parts.folder.mkdir(exist_ok=True)
        if any(not file.name.startswith(".") for file in parts.folder.iterdir()):
            raise FileExistsError(
                f"{parts.folder} exists without its {MANIFEST}: remove it, or write "
                "elsewhere"
            )
        content = json.dumps(description, indent=1).encode()
        write_part(manifest, lambda draft: draft.write_bytes(content))
    for draft in parts.folder.glob(".*.part"):
        # Of a process that was killed. Windows keeps what somebody writes.
        with contextlib.suppress(OSError):
            draft.unlink()
    return parts


def unfinished(path):
    """Return where parts are until all are there."""
    return path.with_name(f"_{path.name}.unfinished")


def write_part(path, write):
    """Write a file of a folder, which is hidden until it is on the disk."""
    write_whole(path, write, hidden=True)


def publish(parts, path):
    """Give a folder its name, as all its parts are there."""
    if parts.folder == path:
        return
    if path.exists():
        # Empty, or it would have been refused.
        path.rmdir()
    os.rename(parts.folder, path)
    sync(path.parent)


def _find(path, what):
    if not path.exists():
        return unfinished(path)
    if not path.is_dir() or (any(path.iterdir()) and not (path / MANIFEST).exists()):
        raise FileExistsError(
            f"{path} exists and is no folder of {what}: remove it, or write elsewhere"
        )
    return path if (path / MANIFEST).exists() else unfinished(path)


def _check_same(path, description, what):
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        names = sorted(found.keys() | description.keys())
    except (ValueError, AttributeError):
        raise ValueError(
            f"{path} is damaged: remove {path.parent}, or write elsewhere"
        ) from None
    wanted = json.loads(json.dumps(description))
    other = [name for name in names if found.get(name) != wanted.get(name)]
    if other:
        raise ValueError(
            f"{path.parent} holds {what} that differ from these in "
            f"{', '.join(other)}. {ADVICE}"
        )


def _digest(description):
    content = json.dumps(description, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()
