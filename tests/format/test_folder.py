"""Folders of arrays and JSON: whole or not at all, checked, mapped."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sksparse_rec._format import PersistenceError, _folder, read_folder, write_folder
from sksparse_rec._format._manifest import MANIFEST
from sksparse_rec._sparse import is_mapped

DTYPES = (
    "bool uint8 int8 uint16 int16 float16 uint32 int32 float32 uint64 int64 float64"
)
ARRAYS = {
    **{f"of {name}": np.arange(3).astype(name) for name in DTYPES.split()},
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(20, dtype=np.int32)[::3],
    "reversed": np.arange(5, dtype=np.uint16)[::-1],
    "big endian": np.arange(4, dtype=">i8"),
    "empty": np.zeros((0, 5), dtype=np.int16),
    "scalar": np.array(3, dtype=np.float32),
    "special": np.array([np.nan, np.inf, -0.0]),
    "odd.bytes": np.arange(7, dtype=np.int8),
}
CONTENT = {"numbers": [1, 1.0, 1 / 3, 2**70], "text": "ř\u2028\0", "0" * 64: None}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "saved"


@pytest.fixture
def written(path):
    write_folder(path, "Thing", ARRAYS, CONTENT)
    return path


def names_in(folder):
    return sorted(file.name for file in folder.iterdir())


def arrays_of(folder):
    (path,) = folder.glob("*.safetensors")
    return path


def assert_whole(path, **options):
    folder = read_folder(path, "Thing", **options)
    assert folder.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert_array_equal(folder.arrays[name], array)
        assert folder.arrays[name].dtype == array.dtype.newbyteorder("<")
        assert folder.arrays[name].shape == array.shape
    assert folder.content == CONTENT
    numbers = folder.content["numbers"]
    assert [type(number) for number in numbers] == [int, float, float, int]
    return folder


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("verify", [False, True])
def test_what_is_written_is_read(written, mapped, verify):
    folder = assert_whole(written, mapped=mapped, verify=verify)
    assert folder.kind == "Thing"
    assert folder.written_by.startswith("sksparse_rec ")
    assert len(names_in(written)) == 2
    assert names_in(written.parent) == ["saved"]


def test_arrays_in_memory_can_be_written_to_and_mapped_ones_not(written):
    arrays = read_folder(written).arrays
    assert all(a.flags.writeable and a.flags.owndata for a in arrays.values())
    mapped = read_folder(written, mapped=True).arrays
    assert not any(a.flags.writeable for a in mapped.values())
    assert all(a.flags.aligned for a in mapped.values())
    assert is_mapped(mapped["of float32"])


def test_nothing_at_all(path):
    write_folder(path, "Thing", {}, {})
    for mapped in (False, True):
        folder = read_folder(path, mapped=mapped)
        assert (folder.arrays, folder.content) == ({}, {})


def test_the_same_makes_the_same_bytes(written, tmp_path):
    write_folder(tmp_path / "again", "Thing", ARRAYS, CONTENT)
    for name in names_in(written):
        again = (tmp_path / "again" / name).read_bytes()
        assert again == (written / name).read_bytes()


def test_whoever_may_read_the_folder_may_read_the_files(written):
    modes = {stat.S_IMODE(file.stat().st_mode) for file in written.iterdir()}
    (written.parent / "plain").touch()
    assert modes == {stat.S_IMODE((written.parent / "plain").stat().st_mode)}


def test_parents_are_made_and_links_to_folders_followed(tmp_path):
    write_folder(tmp_path / "a" / "b" / "saved", "Thing", ARRAYS, CONTENT)
    (tmp_path / "latest").symlink_to(tmp_path / "a" / "b" / "saved")
    assert_whole(tmp_path / "latest")
    write_folder(tmp_path / "latest", "Other", {}, {}, overwrite=True)
    assert read_folder(tmp_path / "a" / "b" / "saved").kind == "Other"
    assert (tmp_path / "latest").is_symlink()


@pytest.mark.parametrize("bad", [np.array(["text"]), np.array([{}]), np.zeros(1, "c8")])
def test_other_arrays_are_refused(path, bad):
    with pytest.raises(PersistenceError, match="weights is an array of"):
        write_folder(path, "Thing", {"weights": bad}, {})
    assert names_in(path.parent) == []


# Mapping


def test_pages_are_shared_and_stay_when_the_folder_is_replaced(written):
    mapped = read_folder(written, mapped=True).arrays
    if Path("/proc/self/maps").exists():
        lines = Path("/proc/self/maps").read_text().splitlines()
        (line,) = [line for line in lines if arrays_of(written).name in line]
        # Readable, and shared with whoever maps the file.
        assert line.split()[1] == "r--s"
    write_folder(written, "Other", {"a": np.ones(3)}, {}, overwrite=True)
    for name, array in ARRAYS.items():
        assert_array_equal(mapped[name], array)


def test_opening_reads_no_array(path):
    # A file that memory does not hold and that would take minutes to hash.
    n = 1 << 35
    write_folder(path, "Thing", {"a": np.zeros(8, np.uint8)}, {})
    file = arrays_of(path)
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + length].rstrip()
    text = text.replace(b"[8]", b"[%d]" % n).replace(b"[0,8]", b"[0,%d]" % n)
    text += b" " * (-len(text) % 8)
    with open(file, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        out.truncate(8 + len(text) + n)
    size = file.stat().st_size

    def enlarge(manifest):
        manifest["files"][file.name]["size"] = size
        manifest["files"][file.name]["arrays"]["a"]["shape"] = [n]

    sign(path, enlarge)
    array = read_folder(path, mapped=True, verify=False).arrays["a"]
    assert array.shape == (n,)
    assert array[n - 1] == 0
    with pytest.raises(PersistenceError, match=rf"{size} bytes, more than the 1000000"):
        read_folder(path, verify=False, max_bytes=10**6)


def sign(path, change):
    """Change a manifest and give it its digest, as its writer would."""
    manifest = json.loads((path / MANIFEST).read_bytes())
    del manifest["digest"]
    change(manifest)
    rest = b'",' + json.dumps(manifest, indent=1)[1:].encode()
    digest = hashlib.sha256(rest).hexdigest().encode()
    (path / MANIFEST).write_bytes(b'{\n "digest": "' + digest + rest)


def test_a_mapped_array_has_to_be_aligned(written):
    file = arrays_of(written)
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    shifted = (length + 1).to_bytes(8, "little") + data[8 : 8 + length] + b" "
    file.write_bytes(shifted + data[8 + length :])
    size = file.stat().st_size
    sign(written, lambda m: m["files"][file.name].update(size=size))
    assert_whole(written, verify=False)
    with pytest.raises(PersistenceError, match=r"no multiple of its \d bytes"):
        read_folder(written, verify=False, mapped=True)


# Damage and lies that tests/artefacts cannot hold


def test_every_flipped_bit_is_found(written):
    rng = np.random.default_rng(0)
    for file in written.iterdir():
        data = file.read_bytes()
        for place in rng.permutation(len(data))[:250]:
            flipped = data[place] ^ (1 << rng.integers(8))
            file.write_bytes(data[:place] + bytes([flipped]) + data[place + 1 :])
            with pytest.raises(PersistenceError, match=str(written)):
                read_folder(written)
        file.write_bytes(data)
    assert_whole(written)


def test_every_cut_is_found_without_digests_too(written):
    for file in written.iterdir():
        data = file.read_bytes()
        for length in np.linspace(0, len(data) - 1, 50).astype(int):
            file.write_bytes(data[:length])
            with pytest.raises(PersistenceError, match=str(written)):
                read_folder(written, verify=False)
        file.write_bytes(data)


def test_without_digests_values_may_be_wrong_and_nothing_else(written):
    file = arrays_of(written)
    data = file.read_bytes()
    shapes = {name: array.shape for name, array in ARRAYS.items()}
    for place in range(0, len(data), 3):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            arrays = read_folder(written, verify=False, mapped=True).arrays
        except PersistenceError:
            continue
        assert {name: array.shape for name, array in arrays.items()} == shapes


@pytest.mark.parametrize("which", [MANIFEST, "arrays"])
def test_links_and_devices_are_refused(written, tmp_path, which):
    file = written / MANIFEST if which == MANIFEST else arrays_of(written)
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    with pytest.raises(PersistenceError, match="is a symbolic link"):
        read_folder(written)
    file.unlink()
    file.mkdir()
    with pytest.raises(PersistenceError, match="is no plain file"):
        read_folder(written)
    file.rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(file)
        with pytest.raises(PersistenceError, match="is no plain file"):
            read_folder(written)


def test_what_is_no_saved_folder(tmp_path, written):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        read_folder(tmp_path / "nothing")
    with pytest.raises(PersistenceError, match=r"has no manifest\.json"):
        read_folder(tmp_path)
    with pytest.raises(PersistenceError, match=r"has no manifest\.json"):
        read_folder(arrays_of(written))
    with pytest.raises(PersistenceError, match="holds a 'Thing', and not a Index"):
        read_folder(written, "Index")
    (written / MANIFEST).write_bytes(b"[" + b" " * (1 << 24))
    with pytest.raises(PersistenceError, match="larger than 16777216 bytes"):
        read_folder(written)


def test_two_files_do_not_share_an_array(written):
    def twice(manifest):
        ((name, entry),) = list(manifest["files"].items())
        other = name.replace(name[7:15], "0" * 8)
        (written / other).write_bytes((written / name).read_bytes())
        manifest["files"][other] = entry

    sign(written, twice)
    with pytest.raises(PersistenceError, match="repeats arrays of another file"):
        read_folder(written)


def test_a_manifest_has_an_end(path):
    with pytest.raises(PersistenceError, match="more than the 16777216 of a manifest"):
        write_folder(path, "Thing", {}, {"text": "x" * (1 << 24)})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_folder(path, "Thing", {}, {"number": float("nan")})
    assert names_in(path.parent) == []


# Replacing


def test_a_folder_is_replaced_only_if_asked_and_if_it_is_a_saved_one(written):
    with pytest.raises(FileExistsError, match="pass overwrite=True"):
        write_folder(written, "Other", {}, {})
    assert_whole(written)
    write_folder(written, "Other", {"a": np.ones(3)}, {}, overwrite=True)
    assert read_folder(written).kind == "Other"
    # The arrays of before are gone, and what is of somebody else is not.
    assert len(names_in(written)) == 2
    (written / "notes.txt").write_text("mine")
    write_folder(written, "Thing", ARRAYS, CONTENT, overwrite=True)
    assert_whole(written)
    assert (written / "notes.txt").read_text() == "mine"
    assert names_in(written.parent) == ["saved"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1, 2"])
def test_other_folders_and_files_are_never_replaced(tmp_path, damage):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(damage)
    (tmp_path / "file").write_bytes(damage)
    for path in (folder, tmp_path / "file"):
        with pytest.raises(FileExistsError, match="no folder that sksparse_rec saved"):
            write_folder(path, "Thing", {}, {}, overwrite=True)
    assert names_in(tmp_path) == ["file", "photos"]
    assert names_in(folder) == ["manifest.json"]


def test_an_empty_folder_and_a_damaged_one_can_be_replaced(path):
    path.mkdir()
    write_folder(path, "Thing", ARRAYS, CONTENT)
    data = (path / MANIFEST).read_bytes()
    (path / MANIFEST).write_bytes(data[:-1000])
    write_folder(path, "Thing", ARRAYS, CONTENT, overwrite=True)
    assert_whole(path)


@pytest.mark.parametrize("files", ["null", "5", "[1]"])
def test_a_manifest_without_files_can_be_replaced(written, files):
    text = (written / MANIFEST).read_text(encoding="utf-8")
    start, end = text.index('"files": '), text.index('"format_version"')
    text = f'{text[:start]}"files": {files}, {text[end:]}'
    (written / MANIFEST).write_text(text, encoding="utf-8")
    write_folder(written, "Thing", ARRAYS, CONTENT, overwrite=True)
    assert_whole(written)


def test_what_somebody_else_has_published_meanwhile_stays(written, monkeypatch):
    """The arrays of before are needed again, as they are those of the other one."""
    publish = _folder.publish_folder

    def then_another(*arguments, **options):
        publish(*arguments, **options)
        monkeypatch.setattr(_folder, "publish_folder", publish)
        write_folder(written, "Thing", ARRAYS, CONTENT, overwrite=True)

    monkeypatch.setattr(_folder, "publish_folder", then_another)
    write_folder(written, "Other", {"a": np.ones(3)}, {}, overwrite=True)
    assert_whole(written)


def test_the_same_contents_again(written):
    write_folder(written, "Thing", ARRAYS, CONTENT, overwrite=True)
    assert_whole(written)
    assert len(names_in(written)) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_writer_that_fails_anywhere_leaves_the_old_or_the_new(
    written, monkeypatch, error
):
    """Fail in the n-th call to the system, for every n, until one run gets through."""
    new = {"a": np.ones(3)}
    kinds = []
    for n_calls in range(1, 50):
        calls = CountedCalls(n_calls, error)
        with monkeypatch.context() as patched:
            calls.patch(patched, "fsync", "replace", "rename", "rmdir")
            try:
                write_folder(written, "Other", new, {}, overwrite=True)
            except error:
                pass
            else:
                break
        kinds.append(read_folder(written).kind)
        if kinds[-1] == "Thing":
            assert_whole(written)
        else:
            assert_array_equal(read_folder(written).arrays["a"], new["a"])
        write_folder(written, "Thing", ARRAYS, CONTENT, overwrite=True)
    assert read_folder(written).kind == "Other"
    # First always the old one, then always the new one.
    assert 8 < len(kinds) < 30
    assert kinds == sorted(kinds, reverse=True)
    assert names_in(written.parent) == ["saved"]


class CountedCalls:
    """Let calls to the system through, but for the n-th, which fails."""

    def __init__(self, n_calls, error):
        self.n_left, self.error = n_calls, error

    def patch(self, patched, *names):
        for name in names:
            patched.setattr(os, name, self.counted(getattr(os, name)))

    def counted(self, function):
        def call(*args, **kwargs):
            self.n_left -= 1
            if self.n_left == 0:
                raise self.error
            return function(*args, **kwargs)

        return call


def test_files_that_cannot_be_removed_stay(written, monkeypatch):
    with monkeypatch.context() as patched:
        CountedCalls(1, PermissionError).patch(patched, "unlink")
        write_folder(written, "Other", {}, {}, overwrite=True)
    assert read_folder(written).kind == "Other"
    assert len(names_in(written)) == 3


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_writer_that_is_killed_leaves_the_old(written, where):
    code = (
        "import os, sys, numpy as np\n"
        "from sksparse_rec._format import write_folder\n"
        f"os.{where} = lambda *args: os._exit(9)\n"
        "write_folder(sys.argv[1], 'Other', {'a': np.ones(3)}, {}, overwrite=True)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code, written], check=False)
    assert answer.returncode == 9
    assert_whole(written)
    # What it left is in nobody's way.
    write_folder(written, "Other", {}, {}, overwrite=True)
    assert read_folder(written).kind == "Other"


def test_a_writer_that_is_killed_in_an_empty_folder(path):
    path.mkdir()
    (path / f"arrays-{'0' * 16}.safetensors").write_bytes(b"")
    write_folder(path, "Thing", ARRAYS, CONTENT)
    assert_whole(path)


def test_a_folder_that_is_replaced_while_it_is_read(written, monkeypatch):
    """A reader that has the old manifest goes on with the new one."""
    read_arrays = _folder._read_arrays
    n_left = [2]

    def replaced_first(folder, files, *options):
        if n_left[0]:
            n_left[0] -= 1
            arrays = {"a": np.full(3, n_left[0])}
            write_folder(written, "Other", arrays, {}, overwrite=True)
        return read_arrays(folder, files, *options)

    monkeypatch.setattr(_folder, "_read_arrays", replaced_first)
    folder = read_folder(written)
    assert folder.kind == "Other"
    assert_array_equal(folder.arrays["a"], np.zeros(3))


def test_a_folder_that_is_replaced_all_the_time(written, monkeypatch):
    read_arrays = _folder._read_arrays
    count = []

    def replaced_first(folder, files, *options):
        count.append(0)
        arrays = {"a": np.full(3, len(count))}
        write_folder(written, "Thing", arrays, {}, overwrite=True)
        return read_arrays(folder, files, *options)

    monkeypatch.setattr(_folder, "_read_arrays", replaced_first)
    with pytest.raises(PersistenceError, match="again and again"):
        read_folder(written)
    assert len(count) == _folder.ATTEMPTS


def test_files_are_on_the_disk_before_they_count(path, monkeypatch):
    synced, events = set(), []

    def fsync(descriptor):
        synced.add(os.fstat(descriptor).st_ino)

    def replace(source, target):
        assert Path(source).stat().st_ino in synced
        events.append(Path(target).name)
        os.rename(source, target)

    write_folder(path, "Thing", {}, {})
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_folder(path, "Thing", ARRAYS, CONTENT, overwrite=True)
    assert events == [arrays_of(path).name, MANIFEST]
    assert {path.stat().st_ino, path.parent.stat().st_ino} <= synced
