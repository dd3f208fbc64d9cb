"""Folders of arrays and JSON: written as a whole, read with every check."""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sksparse_rec._files import draft_of, publish_folder, sync
from sksparse_rec._format._errors import PersistenceError
from sksparse_rec._format._manifest import (
    COPY_AGAIN,
    MANIFEST,
    file_name,
    is_file_name,
    known_files,
    manifest_bytes,
    open_plain,
    read_manifest,
)
from sksparse_rec._format._tensors import read_tensors, write_tensors
from sksparse_rec._version import __version__

# How often a folder may be replaced while it is read.
ATTEMPTS = 5
# Where the memory of the machine is unknown.
FALLBACK_BYTES = 1 << 36


class Folder(NamedTuple):
    """What a saved folder holds."""

    kind: str
    arrays: dict[str, np.ndarray]
    content: dict
    written_by: str


def write_folder(path, kind, arrays, content, *, overwrite=False):
    """Write arrays and JSON to a folder that `read_folder` reads.

    The folder appears under its name when it is complete and on the disk; whoever
    reads a folder that is being replaced gets the old one or the new one. The same
    arrays and JSON make the same bytes.

    Parameters
    ----------
    path : str or path-like
        The folder to make. Its parents are made where they are missing.
    kind : str
        What is in it: the name of a class.
    arrays : dict of str to ndarray
        Booleans, integers and floating-point numbers of any shape.
    content : dict
        What JSON can write, without NaN and infinity.
    overwrite : bool, default=False
        Replace what was saved there. Another folder is never replaced.

    Raises
    ------
    FileExistsError
        If there is something at `path` and `overwrite` is False, or if it is not a
        folder that this function wrote.
    PersistenceError
        If an array is of another type.

    Notes
    -----
    Beside the arrays it takes no memory, but for copies of those that are not
    C-contiguous. Each byte is written once and read once for its digest.
    """
    # A link to a folder stays one.
    path = Path(os.path.realpath(Path(path).expanduser()))
    _check_target(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(path)
    draft.mkdir()
    try:
        files = _write_arrays(draft, arrays)
        written_by = f"sksparse_rec {__version__}"
        manifest = manifest_bytes(kind, files, content, written_by)
        (draft / MANIFEST).write_bytes(manifest)
        for file in (*draft.iterdir(), draft):
            sync(file)
        former = set(known_files(path) or ()) - files.keys()
        publish_folder(draft, path, last=MANIFEST)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    # Somebody else may have replaced the folder in the meantime.
    for name in former.difference(known_files(path) or former):
        # Windows keeps what somebody has mapped.
        with contextlib.suppress(OSError):
            (path / name).unlink()


def read_folder(path, kind=None, *, verify=True, mapped=False, max_bytes=None):
    """Read what `write_folder` wrote.

    Always checked: the form, the version and the digest of the manifest; the names
    and sizes of the files; their headers against the manifest.

    Parameters
    ----------
    path : str or path-like
        The folder.
    kind : str, default=None
        What it must be; None takes any.
    verify : bool, default=True
        Whether to compare the SHA-256 of the files with the manifest, for which every
        byte is read once.
    mapped : bool, default=False
        Leave the arrays in the file, as read-only views of a memory map, which the
        processes that have it share; else they are read into memory.
    max_bytes : int, default=None
        The most that is read into memory. None is the memory of the machine.

    Returns
    -------
    folder : Folder
        ``kind``, ``arrays``, ``content`` and ``written_by``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    PersistenceError
        If it is damaged, incomplete, too large, of a newer version, of another kind,
        or not a saved folder.

    Notes
    -----
    With ``verify=False`` and ``mapped=True`` time and memory do not depend on the
    size. The arrays are those of the file, and so are their values: whoever uses
    them as positions checks them first, see `check_csr`.
    """
    path = Path(path).expanduser()
    if max_bytes is None and not mapped:
        max_bytes = memory_bytes()
    manifest = read_manifest(path)
    for _ in range(ATTEMPTS):
        _check_kind(manifest, kind, path)
        _check_size(manifest, max_bytes, path)
        try:
            arrays = _read_arrays(path, manifest["files"], verify, mapped)
        except FileNotFoundError as error:
            # Somebody may have replaced the folder since its manifest was read.
            before, manifest = manifest, read_manifest(path)
            if manifest["digest"] == before["digest"]:
                raise PersistenceError(
                    f"{error.filename} is missing: {COPY_AGAIN}"
                ) from None
        else:
            written_by = manifest["written_by"]
            return Folder(manifest["kind"], arrays, manifest["content"], written_by)
    raise PersistenceError(f"{path} is replaced again and again: try later")


def memory_bytes():
    """Return the size of the machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return FALLBACK_BYTES


def _check_target(path, overwrite):
    if not path.exists():
        return
    # Empty, or left so by a writer that was killed.
    if path.is_dir() and all(is_file_name(file.name) for file in path.iterdir()):
        return
    if not path.is_dir() or known_files(path) is None:
        raise FileExistsError(
            f"{path} exists and is no folder that sksparse_rec saved: remove it, or "
            "write elsewhere"
        )
    if not overwrite:
        raise FileExistsError(
            f"{path} exists: pass overwrite=True to replace it, or write elsewhere"
        )


def _write_arrays(draft, arrays):
    path = draft / "arrays.safetensors"
    specs = write_tensors(path, arrays)
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    name = file_name(sha256)
    path.rename(draft / name)
    size = (draft / name).stat().st_size
    return {name: {"size": size, "sha256": sha256, "arrays": specs}}


def _read_arrays(folder, files, verify, mapped):
    arrays = {}
    for name, entry in files.items():
        path = folder / name
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != entry["size"]:
                raise PersistenceError(
                    f"{path} has {size} bytes, and the manifest says {entry['size']}: "
                    f"{COPY_AGAIN}"
                )
            if verify:
                _check_digest(file, entry["sha256"], path)
            found = read_tensors(file, path, entry["arrays"], mapped=mapped)
        if found.keys() & arrays.keys():
            raise PersistenceError(f"{path} repeats arrays of another file")
        arrays |= found
    return arrays


def _check_digest(file, sha256, path):
    if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        raise PersistenceError(
            f"{path} does not have the SHA-256 that the manifest gives: {COPY_AGAIN}"
        )
    file.seek(0)


def _check_kind(manifest, kind, path):
    if kind not in (None, manifest["kind"]):
        raise PersistenceError(
            f"{path} holds a {manifest['kind']!r:.100}, and not a {kind}: "
            "load_model loads either"
        )


def _check_size(manifest, limit, path):
    total = sum(entry["size"] for entry in manifest["files"].values())
    if limit is not None and total > limit:
        raise PersistenceError(
            f"{path} says that it holds {total} bytes, more than the {limit} that may "
            "be read into memory: if it is right, raise max_bytes"
        )
