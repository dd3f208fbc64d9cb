"""Downloading archives: checked, retried, atomic."""

import contextlib
import os
import shutil
import tempfile
import time
import zipfile
from collections import namedtuple
from pathlib import Path

from sksparse_rec._validation import Integral, Interval, Real
from sksparse_rec.datasets._base import get_data_home, import_optional

RemoteFile = namedtuple("RemoteFile", ["filename", "url", "sha256"])

# Seconds without a byte from the server before an attempt counts as failed.
_TIMEOUT = 30


# The parameters that every fetcher has.
FETCH_CONSTRAINTS = {
    "data_home": [str, os.PathLike, None],
    "download_if_missing": ["boolean"],
    "n_retries": [Interval(Integral, 0, None, closed="left")],
    "delay": [Interval(Real, 0, None, closed="left")],
}


class DownloadError(OSError):
    """The server could not be reached, or did not deliver the file."""


def fetch_file(remote, *, data_home, download_if_missing, n_retries, delay):
    """Return the path of a file whose checksum is right, downloading it if need be.

    pooch downloads to a temporary name in the same folder, compares the SHA-256, and
    only then renames; it replaces a cached file whose checksum is wrong. Retries are
    here because pooch's own have no settable delay, and would fetch a file of the
    wrong checksum again and again.
    """
    pooch = import_optional("pooch", "Downloading a data set")
    folder = Path(get_data_home(data_home))
    path = folder / remote.filename
    known_hash = f"sha256:{remote.sha256}"
    if path.is_file() and pooch.file_hash(str(path)) == remote.sha256:
        return path
    if not download_if_missing:
        state = "is damaged" if path.is_file() else "was not found"
        raise OSError(
            f"{path} {state} and download_if_missing=False: pass "
            f"download_if_missing=True, or put {remote.url} there yourself."
        )
    requests = import_optional("requests", "Downloading a data set")
    downloader = pooch.HTTPDownloader(timeout=_TIMEOUT, chunk_size=2**16)
    for n_left in range(n_retries, -1, -1):
        try:
            pooch.retrieve(
                remote.url,
                known_hash,
                fname=remote.filename,
                path=folder,
                downloader=downloader,
            )
            return path
        except requests.RequestException as error:
            if n_left == 0 or not _is_temporary(error):
                raise DownloadError(
                    f"Could not download {remote.url}: {error}. Check the "
                    f"connection, or put the file at {path} yourself."
                ) from error
            time.sleep(delay)
        except ValueError as error:
            # What pooch raises on a checksum that differs.
            raise OSError(
                f"{remote.url} does not have the expected SHA-256 "
                f"{remote.sha256}; nothing was kept. The file may have been replaced, "
                f"or changed on its way: {error}"
            ) from error


def _is_temporary(error):
    """Whether another attempt may succeed: anything but a refusal by the server."""
    status = getattr(error.response, "status_code", 500)
    return status >= 500 or status in (408, 429)


@contextlib.contextmanager
def unpacked(path, names):
    """Unpack the members of a zip file with these base names into a folder.

    The folder lasts as long as the context: what stays on disk is the archive alone,
    whose checksum says whether it is whole.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="unpacked_") as folder:
        # Named after the archive, for the sake of messages.
        inner = Path(folder) / path.stem
        inner.mkdir()
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                # The base name only: a member cannot leave the folder.
                name = member.rsplit("/", 1)[-1]
                if name in names and not member.startswith("__MACOSX"):
                    with (
                        archive.open(member) as source,
                        (inner / name).open("wb") as target,
                    ):
                        shutil.copyfileobj(source, target)
        yield inner
