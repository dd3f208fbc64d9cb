"""Files that are there whole or not at all."""

import errno
import json
import math
import os
import stat
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sksparse_rec import _files
from sksparse_rec._files import META, locked, read_arrays, write_arrays

ARRAYS = {
    "values": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "state.live": np.array([[True, False]]),
    "empty": np.zeros((0, 5), dtype=np.int64),
    "scalar": np.array(3, dtype=np.uint8),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "special": np.array([np.nan, np.inf, -0.0]),
}
META_DATA = {
    "losses": [0.1, 1 / 3, math.pi, 5e-324],
    "best": None,
    "nested": {"n_steps": 2**40, "is": True, "name": "ěš ✓"},
    "none": [],
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.npz"


@pytest.fixture
def written(path):
    write_arrays(path, ARRAYS, META_DATA)
    return path


def assert_whole(path):
    arrays, meta = read_arrays(path)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert meta == META_DATA


def test_what_is_written_is_read(written):
    assert_whole(written)
    assert [file.name for file in written.parent.iterdir()] == ["fit.npz"]


def test_arrays_read_can_be_written_to(written):
    arrays, _ = read_arrays(written)
    assert all(array.flags.writeable for array in arrays.values())


def test_the_last_one_counts(written):
    write_arrays(written, {"a": np.ones(2)}, {"b": 1})
    arrays, meta = read_arrays(written)
    assert_array_equal(arrays["a"], [1, 1])
    assert (list(arrays), meta) == (["a"], {"b": 1})


@pytest.mark.parametrize("where", ["savez", "fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_writer_that_fails_leaves_the_former_file(written, monkeypatch, where, error):
    def fail(file, *args, **kwargs):
        if where == "savez":
            file.write(b"half a ")
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(np if where == "savez" else os, where, fail)
        with pytest.raises(error):
            write_arrays(written, {"a": np.ones(2)}, {})
    assert_whole(written)
    # The next writer does not mind what the last one has left.
    write_arrays(written, {"a": np.ones(2)}, {})
    assert_array_equal(read_arrays(written)[0]["a"], [1, 1])
    assert [file.name for file in written.parent.iterdir()] == ["fit.npz"]


def test_a_file_gets_its_name_when_it_is_on_the_disk(path, monkeypatch):
    events = []

    def fsync(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            events.append(("fsync", os.fstat(descriptor).st_size))

    def replace(draft, target):
        assert_whole(draft)
        assert not target.exists()
        events.append(("replace", draft.stat().st_size))
        os.rename(draft, target)

    monkeypatch.setattr(_files.os, "fsync", fsync)
    monkeypatch.setattr(_files.os, "replace", replace)
    write_arrays(path, ARRAYS, META_DATA)
    size = path.stat().st_size
    assert events == [("fsync", size), ("replace", size)]


def test_a_missing_file_is_no_damaged_one(path):
    with pytest.raises(FileNotFoundError):
        read_arrays(path)


class Exploit:
    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("name", ["values", META])
def test_pickles_are_refused_and_not_run(path, name):
    exploit = Exploit()
    exploit.target = str(path.parent / "executed")
    members = {"values": np.ones(2), META: np.array("{}")}
    np.savez(path, **members | {name: np.array([exploit])})
    with pytest.raises(ValueError, match=r"fit\.npz cannot be read"):
        read_arrays(path)
    assert [file.name for file in path.parent.iterdir()] == ["fit.npz"]


def test_other_files_are_refused(path):
    def npy():
        with open(path, "wb") as file:
            np.save(file, np.ones(3))

    for make in (
        lambda: path.write_bytes(b""),
        lambda: path.write_text("not an archive"),
        npy,
        lambda: np.savez(path, values=np.ones(3)),
        lambda: np.savez(path, **{META: np.array("{not json")}),
        lambda: np.savez(path, **{META: np.array(3.0) * np.nan}),
    ):
        make()
        with pytest.raises(ValueError, match=r"fit\.npz cannot be read"):
            read_arrays(path)


def test_truncated_files_are_refused(written):
    whole = written.read_bytes()
    for size in range(0, len(whole), 37):
        written.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"fit\.npz cannot be read"):
            read_arrays(written)


def test_a_changed_byte_is_noticed(written):
    """Wherever it matters: dates of the archive and the like may change."""
    whole = written.read_bytes()
    refused = 0
    for place in range(0, len(whole), 5):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        written.write_bytes(changed)
        try:
            arrays, meta = read_arrays(written)
        except ValueError:
            refused += 1
            continue
        # Names of members are in the directory of the archive, and not checked there.
        for name in arrays.keys() & ARRAYS.keys():
            assert_array_equal(arrays[name], ARRAYS[name])
        assert meta == META_DATA
    assert refused > len(whole) / 5 / 4


def test_nothing_but_arrays_and_json_is_in_the_file(written):
    with zipfile.ZipFile(written) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
    assert names == {*ARRAYS, META}
    text = str(np.load(written, allow_pickle=False)[META])
    assert json.loads(text) == META_DATA


# Locks

needs_locks = pytest.mark.skipif(_files.fcntl is None, reason="nobody locks here")


@needs_locks
def test_one_at_a_time(tmp_path):
    path = tmp_path / "lock"
    with locked(path):
        for _ in range(2):
            with pytest.raises(BlockingIOError), locked(path):
                raise AssertionError
        with locked(tmp_path / "another"):
            pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), locked(path):
        raise KeyboardInterrupt
    with locked(path):
        pass


@needs_locks
def test_a_lock_that_was_left_behind(tmp_path):
    (tmp_path / "lock").touch()
    with locked(tmp_path / "lock"):
        pass
    assert list(tmp_path.iterdir()) == []


@needs_locks
def test_a_file_that_was_removed_since_it_was_opened(tmp_path, monkeypatch):
    path, lock, calls = tmp_path / "lock", _files._lock, []

    def remove_first(file):
        calls.append(file)
        if len(calls) < 3:
            path.unlink()
        if len(calls) == 2:
            # And somebody else has made another one.
            path.touch()
        lock(file)

    monkeypatch.setattr(_files, "_lock", remove_first)
    with locked(path):
        assert len(calls) == 3
        assert os.path.samestat(os.fstat(calls[2].fileno()), os.stat(path))
    assert all(file.closed for file in calls)


@needs_locks
def test_a_file_system_without_locks(tmp_path, monkeypatch):
    codes = [errno.ENOLCK, errno.ENOTSUP, errno.EIO]

    def fail(*given):
        raise OSError(codes.pop(0), "no")

    monkeypatch.setattr(_files.fcntl, "flock", fail)
    with locked(tmp_path / "lock"), locked(tmp_path / "lock"):
        pass
    with pytest.raises(OSError, match="no") as caught, locked(tmp_path / "lock"):
        raise AssertionError
    assert caught.value.errno == errno.EIO


def test_a_system_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "fcntl", None)
    with locked(tmp_path / "lock"), locked(tmp_path / "lock"):
        assert list(tmp_path.iterdir()) == []
