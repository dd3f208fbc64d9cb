"""Downloads against a server on the loopback interface."""

import hashlib
import sys
import zipfile

import pooch
import pytest

from sksparse_rec.datasets import get_data_home
from sksparse_rec.datasets._remote import (
    DownloadError,
    RemoteFile,
    fetch_file,
    unpacked,
)


@pytest.fixture
def fetch(server, tmp_path):
    """Fetch the server's file without waiting, and see what is left in the folder."""

    class Fetch:
        folder = tmp_path / "home"
        remote = RemoteFile(
            "a.zip", server.url + "a.zip", hashlib.sha256(server.body).hexdigest()
        )

        def __call__(self, *, download_if_missing=True, n_retries=0, delay=0.0):
            return fetch_file(
                self.remote,
                data_home=self.folder,
                download_if_missing=download_if_missing,
                n_retries=n_retries,
                delay=delay,
            )

        def left(self):
            return sorted(path.name for path in self.folder.iterdir())

    return Fetch()


def test_download_then_cache(server, fetch):
    path = fetch()
    assert path.read_bytes() == server.body
    assert fetch.left() == ["a.zip"]
    assert fetch() == path
    assert server.n_requests == 1


def test_cache_needs_no_server_and_no_permission(server, fetch):
    fetch()
    server.stop()
    assert fetch(download_if_missing=False).read_bytes() == server.body


@pytest.mark.parametrize("answer", ["truncated", 500, 503, 429])
def test_failure_then_success(server, fetch, answer):
    server.answers = [answer, 200]
    assert fetch(n_retries=1).read_bytes() == server.body
    assert server.n_requests == 2
    assert fetch.left() == ["a.zip"]


@pytest.mark.parametrize("answer", ["truncated", 500])
def test_failure_for_good(server, fetch, answer):
    server.answers = [answer]
    with pytest.raises(DownloadError, match=r"Could not download http://127\.0\.0\.1"):
        fetch(n_retries=2)
    assert server.n_requests == 3
    assert fetch.left() == []


def test_refusal_is_not_retried(server, fetch):
    server.answers = [404]
    with pytest.raises(DownloadError, match="404"):
        fetch(n_retries=3)
    assert server.n_requests == 1


def test_wrong_checksum_is_not_kept_and_not_retried(server, fetch):
    server.answers = [b"something else"]
    with pytest.raises(OSError, match="does not have the expected SHA-256") as info:
        fetch(n_retries=3)
    assert not isinstance(info.value, DownloadError)
    assert server.n_requests == 1
    assert fetch.left() == []


def test_server_that_comes_back(server, fetch, monkeypatch):
    server.stop()
    waited = []

    def restart(delay):
        waited.append(delay)
        if len(waited) == 2:
            server.start(server.port)

    monkeypatch.setattr("sksparse_rec.datasets._remote.time.sleep", restart)
    assert fetch(n_retries=3, delay=0.25).read_bytes() == server.body
    assert waited == [0.25, 0.25]


def test_interrupted_download_leaves_nothing(server, fetch, monkeypatch):
    def interrupt(self, url, output_file, pooch, check_only=False):
        with open(output_file, "wb") as file:
            file.write(server.body[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert fetch.left() == []
    monkeypatch.undo()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert fetch().read_bytes() == server.body


def test_damaged_cache_is_replaced(server, fetch):
    path = fetch()
    path.write_bytes(server.body[:-1])
    with pytest.raises(OSError, match="is damaged and download_if_missing=False"):
        fetch(download_if_missing=False)
    assert fetch().read_bytes() == server.body
    assert server.n_requests == 2


def test_damaged_cache_survives_a_failed_download(server, fetch):
    path = fetch()
    path.write_bytes(b"damaged")
    server.answers = [500]
    with pytest.raises(DownloadError):
        fetch()
    assert fetch.left() == ["a.zip"]


def test_download_not_wanted(server, fetch):
    with pytest.raises(OSError, match="was not found and download_if_missing=False"):
        fetch(download_if_missing=False)
    assert server.n_requests == 0


@pytest.mark.parametrize("module", ["pooch", "requests"])
def test_missing_extra(fetch, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{module}.*sksparse-rec\[data\]"):
        fetch()


def test_nothing_is_printed(fetch, capfd):
    fetch()
    assert capfd.readouterr().out == ""


def test_unpacked_takes_named_members_by_base_name(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml/ratings.csv", "r")
        archive.writestr("__MACOSX/ml/ratings.csv", "junk")
        archive.writestr("../../movies.csv", "m")
        archive.writestr("ml/other.txt", "o")
    with unpacked(path, {"ratings.csv", "movies.csv"}) as folder:
        found = {file.name: file.read_text() for file in folder.iterdir()}
        assert folder.name == "a"
        assert folder.parent.parent == tmp_path
    assert found == {"ratings.csv": "r", "movies.csv": "m"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.zip"]


def test_data_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKSPARSE_REC_DATA_HOME", str(tmp_path / "here"))
    assert get_data_home() == str(tmp_path / "here")
    assert (tmp_path / "here").is_dir()
    assert get_data_home(tmp_path / "there") == str(tmp_path / "there")
    monkeypatch.delenv("SKSPARSE_REC_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert get_data_home() == str(tmp_path / "sksparse_rec_data")
    with pytest.raises(ValueError, match="data_home"):
        get_data_home(3)
