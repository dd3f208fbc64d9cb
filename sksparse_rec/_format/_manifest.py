"""The manifest: what a saved folder holds, with digests of everything and its own."""

import hashlib
import json
import math
import os
import re
import stat

from sksparse_rec._format._errors import PersistenceError

FORMAT = "sksparse_rec"
VERSION = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 24

# The digest comes first, so that it is that of all bytes behind it.
_START = b'{\n "digest": "'
_N_DIGITS = 64
_KEYS = {
    "digest": str,
    "format": str,
    "format_version": int,
    "written_by": str,
    "kind": str,
    "files": dict,
    "content": dict,
}
_FILE_KEYS = {"size": int, "sha256": str, "arrays": dict}
_FILE_NAME = re.compile(r"arrays-[0-9a-f]{16}\.safetensors")
_DIGEST = re.compile(r"[0-9a-f]{64}")
COPY_AGAIN = "the folder is damaged: copy it again from where it was whole"


def file_name(sha256):
    """Return the name of a file of arrays: other contents have another name."""
    return f"arrays-{sha256[:16]}.safetensors"


def is_file_name(name):
    """Tell whether a name is one that ``file_name`` returns."""
    return _FILE_NAME.fullmatch(name) is not None


def manifest_bytes(kind, files, content, written_by):
    """Return what a manifest file consists of.

    Parameters
    ----------
    kind : str
    files : dict
        By name, a dictionary of ``size``, ``sha256`` and ``arrays``.
    content : dict
        What JSON can write, without NaN and infinity.
    written_by : str
    """
    body = {
        "format": FORMAT,
        "format_version": VERSION,
        "written_by": written_by,
        "kind": kind,
        "files": files,
        "content": content,
    }
    text = json.dumps({"digest": "0" * _N_DIGITS} | body, indent=1, allow_nan=False)
    rest = f"{text}\n".encode()[len(_START) + _N_DIGITS :]
    data = _START + hashlib.sha256(rest).hexdigest().encode() + rest
    if len(data) > MAX_MANIFEST_BYTES:
        raise PersistenceError(
            f"parameters and numbers take {len(data)} bytes, more than the "
            f"{MAX_MANIFEST_BYTES} of a manifest: shorten the longest"
        )
    return data


def read_manifest(folder):
    """Read the manifest of a folder, and check its form and its digest.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    PersistenceError
        If it has no manifest, or one that is damaged or of a newer version.
    """
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}")
    path = folder / MANIFEST
    try:
        with open_plain(path) as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise PersistenceError(
            f"{folder} has no {MANIFEST}: it is no folder that sksparse_rec saved, or "
            "saving it did not end"
        ) from None
    if len(data) > MAX_MANIFEST_BYTES:
        raise PersistenceError(
            f"{path} is larger than {MAX_MANIFEST_BYTES} bytes, and no manifest is"
        )
    manifest = _parse(data, path)
    _check_version(manifest, path)
    rest = data[len(_START) + _N_DIGITS :]
    is_signed = manifest.get("digest") == hashlib.sha256(rest).hexdigest()
    if not data.startswith(_START) or not is_signed:
        raise PersistenceError(
            f"{path} does not have the digest that it gives: {COPY_AGAIN}"
        )
    check_members(manifest, _KEYS, path)
    for name, entry in manifest["files"].items():
        _check_file(name, entry, path)
    return manifest


def known_files(folder):
    """Return the names of the files of a saved folder that is to be replaced.

    None if the folder is none of ours. A manifest that is damaged names none.
    """
    try:
        with open_plain(folder / MANIFEST) as file:
            data = file.read(MAX_MANIFEST_BYTES)
    except (OSError, PersistenceError):
        return None
    if not data.startswith(_START):
        return None
    try:
        files = _parse(data, folder).get("files")
    except PersistenceError:
        return []
    names = files if isinstance(files, dict) else ()
    return [name for name in names if _FILE_NAME.fullmatch(name)]


def open_plain(path):
    """Open a file of a saved folder for reading; it must be no link and no device."""
    if path.is_symlink():
        raise PersistenceError(
            f"{path} is a symbolic link, which may lead anywhere: copy the files "
            "themselves"
        )
    # A pipe would wait for its writer, and a link may have come in the meantime.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PersistenceError(f"{path} is no plain file")
    return os.fdopen(descriptor, "rb")


def check_members(members, types, where):
    """Raise unless a dictionary has these keys and values of these types."""
    if not isinstance(members, dict) or members.keys() != types.keys():
        found = sorted(members) if isinstance(members, dict) else members
        raise PersistenceError(
            f"{where} should have {sorted(types)}, and has {found!r:.200}"
        )
    for name, kind in types.items():
        if type(members[name]) is not kind:
            raise PersistenceError(
                f"{name} in {where} should be of type {kind.__name__}, and is "
                f"{members[name]!r:.200}"
            )


def parse_json(text):
    """Parse JSON without repeated names, NaN and infinity.

    Raises
    ------
    ValueError
        If it is not that.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_without_repetition,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _parse(data, path):
    try:
        manifest = parse_json(data.decode())
    except ValueError as error:
        raise PersistenceError(
            f"{path} cannot be read ({error!s:.300}): {COPY_AGAIN}"
        ) from None
    if not isinstance(manifest, dict):
        raise PersistenceError(f"{path} holds no manifest: {COPY_AGAIN}")
    return manifest


def _check_version(manifest, path):
    if manifest.get("format") != FORMAT:
        raise PersistenceError(f"{path} is no manifest of sksparse_rec")
    version = manifest.get("format_version")
    if type(version) is not int or version < 1:
        raise PersistenceError(f"{path} has no version of the format: {COPY_AGAIN}")
    if version > VERSION:
        raise PersistenceError(
            f"{path} has version {version} of the format, written by "
            f"{manifest.get('written_by')!r:.100}, and this release of sksparse_rec "
            f"reads versions up to {VERSION}: install a newer one"
        )


def _check_file(name, entry, path):
    if not _FILE_NAME.fullmatch(name):
        raise PersistenceError(
            f"{path} names a file {name!r:.200}, and files are called "
            "arrays-<16 hexadecimal digits>.safetensors"
        )
    check_members(entry, _FILE_KEYS, f"{name} in {path}")
    if entry["size"] < 0 or not _DIGEST.fullmatch(entry["sha256"]):
        raise PersistenceError(
            f"{path} gives no valid size and SHA-256 of {name}: {COPY_AGAIN}"
        )


def _without_repetition(pairs):
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r:.100} is there twice")
    return members


def _refuse_constant(name):
    raise ValueError(f"{name} is no number of JSON")


def _finite(text):
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.100} is too large a number")
    return number
