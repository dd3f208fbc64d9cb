"""Files and folders that are there whole or not at all."""

import contextlib
import errno
import json
import os
import secrets

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# The member of the archive that holds what is not an array.
META = "__json__"
# What file systems say that cannot lock.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def write_arrays(path, arrays, meta):
    """Write arrays and a JSON object to one file, without pickling.

    The file gets its name once it is complete and on the disk, so that a process that
    is killed leaves the former one.

    Parameters
    ----------
    path : Path
        Its folder exists.
    arrays : dict of str to ndarray
    meta : dict
        What ``json`` can write.
    """
    members = arrays | {META: np.array(json.dumps(meta))}

    def write(draft):
        # Opened here, as np.savez would add a suffix.
        with open(draft, "wb") as file:
            np.savez(file, **members)

    write_whole(path, write)


def read_arrays(path):
    """Read what ``write_arrays`` wrote.

    Parameters
    ----------
    path : Path

    Returns
    -------
    arrays : dict of str to ndarray
    meta : dict

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is none of ``write_arrays``, or damaged.
    """
    # Opened here, as np.load leaves a damaged archive open.
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = dict(archive)
            return arrays, json.loads(str(arrays.pop(META)))
        except Exception as error:
            # Damaged archives raise what their zip members, headers or text raise,
            # OSError included.
            raise ValueError(f"{path} cannot be read: {error}") from error


def write_whole(path, write, *, hidden=False):
    """Write a file under another name, and rename it once it is on the disk.

    Parameters
    ----------
    path : Path
    write : callable
        Gets the other name.
    hidden : bool, default=False
        Whether the other name begins with a dot.
    """
    draft = draft_of(path.with_name(f".{path.name}") if hidden else path)
    try:
        write(draft)
        sync(draft)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def draft_of(path):
    """Return a name beside a path, which nobody else who writes that path takes."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")


def sync(path):
    """Wait until a file, or the list of the files of a folder, is on the disk."""
    if os.name == "nt" and path.is_dir():
        # Windows writes names down by itself and lets nobody open a folder.
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish_folder(draft, path, last):
    """Give a complete folder its name, or let its files take the place of those there.

    At every moment ``path`` is what it was or what it will be for whoever reads the
    file ``last`` first and then the files that it names: that one is replaced when
    the others are there, which must not have the names of files in use.

    Parameters
    ----------
    draft : Path
        A folder of files beside ``path``, on the disk; it is used up.
    path : Path
        Where it goes: nothing, or a folder, whose other files stay.
    last : str
        The name of the file that makes the rest count.
    """
    if not path.exists():
        os.rename(draft, path)
    else:
        for file in draft.iterdir():
            if file.name != last:
                os.replace(file, path / file.name)
        sync(path)
        os.replace(draft / last, path / last)
        sync(path)
        draft.rmdir()
    sync(path.parent)


@contextlib.contextmanager
def locked(path):
    """Be the only process in such a block with this path.

    The file is made, and removed at the end. The lock ends with the process, however
    that ends, so that nobody has to clean up. Where files cannot be locked, on Windows
    and on some network file systems, everybody gets in.

    Raises
    ------
    BlockingIOError
        At once, if somebody else is in.
    """
    if fcntl is None:
        yield
        return
    with contextlib.closing(_open_locked(path)):
        try:
            yield
        finally:
            # While it is locked, or somebody might have locked what is removed.
            path.unlink(missing_ok=True)


def _open_locked(path):
    while True:
        file = open(path, "ab")
        try:
            _lock(file)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except FileNotFoundError:
            # Whoever had it has removed it since it was opened.
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
