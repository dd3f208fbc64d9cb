"""Exports that were killed go on, and nobody goes on with those of another."""

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from sksparse_rec import load_model, save_model
from sksparse_rec._files import locked
from sksparse_rec.datasets import open_interactions, save_interactions
from sksparse_rec.export import _digests, recommend_to_parquet


def files_in(folder):
    return sorted(file.name for file in folder.iterdir())


def bytes_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


PARTS = [f"part-0000{n}.parquet" for n in range(4)]
WHOLE = ["_manifest.json", *PARTS]


@pytest.fixture
def expected(write, tmp_path):
    """The files of an export that nobody interrupted."""
    write(path=tmp_path / "expected")
    expected = bytes_of(tmp_path / "expected")
    shutil.rmtree(tmp_path / "expected")
    return expected


@pytest.fixture
def interrupted(write, stop_at, unfinished):
    """Two of four parts."""
    with pytest.raises(KeyboardInterrupt):
        write(on_block=stop_at(60))
    assert files_in(unfinished) == WHOLE[:3]


# Going on


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, BlockingIOError])
@pytest.mark.parametrize("n_users", [1, 24, 47, 80])
def test_an_interrupted_export_goes_on(
    write, path, unfinished, tmp_path, expected, stop_at, counted, n_users, error
):
    with pytest.raises(error):
        write(on_block=stop_at(n_users, error("stop")))
    assert not path.exists()
    n_done = n_users // 23
    assert files_in(unfinished) == WHOLE[: n_done + 1]
    counted.clear()
    progress = []
    write(on_block=lambda *given: progress.append(given))
    assert counted == [23, 23, 23, 11][n_done:]
    assert progress == [(n, 80) for n in (23, 46, 69, 80)]
    assert bytes_of(path) == expected
    assert files_in(tmp_path) == ["lists"]


def test_a_complete_export_is_left_alone(write, path, expected, counted):
    write()
    times = [file.stat().st_mtime_ns for file in sorted(path.iterdir())]
    counted.clear()
    write()
    assert counted == []
    assert times == [file.stat().st_mtime_ns for file in sorted(path.iterdir())]
    assert bytes_of(path) == expected


SCRIPT = """
import os, signal, sys
from sksparse_rec import load_model
from sksparse_rec.datasets import open_interactions
from sksparse_rec.export import recommend_to_parquet

def kill(n_done, n_users):
    if n_done >= 60:
        os.kill(os.getpid(), signal.SIGKILL)

folder = sys.argv[1]
recommend_to_parquet(
    load_model(folder + "/model"), open_interactions(folder + "/X"), folder + "/lists",
    k=7, users_per_part=23, on_block=kill,
)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills")
def test_a_killed_process(model, X, tmp_path, path, unfinished, write, counted):
    save_model(model, tmp_path / "model")
    save_interactions(X, tmp_path / "X")
    opened = open_interactions(tmp_path / "X")
    write(X=opened, path=tmp_path / "expected")
    command = [sys.executable, "-c", SCRIPT, tmp_path]
    answer = subprocess.run(command, capture_output=True, check=False)
    assert answer.returncode == -signal.SIGKILL, answer.stderr
    left = files_in(unfinished)
    assert len(left) == 4
    assert left[0].startswith(".part-00002.parquet.")
    assert left[1:] == WHOLE[:3]
    # Neither what it was writing nor its lock is in the way.
    counted.clear()
    write(X=opened)
    assert counted == [23, 11]
    assert bytes_of(path) == bytes_of(tmp_path / "expected")
    assert files_in(tmp_path) == ["X", "expected", "lists", "model"]


@pytest.mark.parametrize("place", ["os.replace", "os.fsync", "ParquetWriter"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_full_disk(
    write, path, unfinished, expected, monkeypatch, place, call, tmp_path
):
    class Full:
        calls = 0

        def __init__(self, function):
            self.function = function

        def __call__(self, *args, **options):
            Full.calls += 1
            if Full.calls >= call:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.function(*args, **options)

    with monkeypatch.context() as patched:
        if place == "ParquetWriter":
            write_table = Full(pq.ParquetWriter.write_table)
            patched.setattr(
                pq.ParquetWriter, "write_table", lambda *given: write_table(*given)
            )
        else:
            patched.setattr(place, Full(getattr(os, place.removeprefix("os."))))
        with pytest.raises(OSError, match="No space"):
            write()
    assert not path.exists()
    assert not [name for name in files_in(unfinished) if name.startswith(".")]
    write()
    assert bytes_of(path) == expected
    assert files_in(tmp_path) == ["lists"]


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize(
    "damage", ["empty", "cut", "footer", "other part", "other export"]
)
def test_damaged_parts_are_written_again(
    write, path, unfinished, expected, damage, counted, caplog, tmp_path
):
    part = unfinished / PARTS[0]
    if damage == "other export":
        write(path=tmp_path / "other", k=3)
        shutil.copy(tmp_path / "other" / PARTS[0], part)
    content = {
        "empty": lambda: b"",
        "footer": lambda: (
            part.read_bytes()[:-300] + b"\xff" * 292 + part.read_bytes()[-8:]
        ),
        "cut": lambda: part.read_bytes()[:-30],
        "other part": lambda: (unfinished / PARTS[1]).read_bytes(),
    }.get(damage, part.read_bytes)()
    part.write_bytes(content)
    counted.clear()
    write()
    assert counted == [23, 23, 11]
    assert bytes_of(path) == expected
    assert [record.getMessage() for record in caplog.records] == [
        f"{part} is damaged, and written again"
    ]


def test_a_part_that_somebody_removed_is_written_again(
    write, path, expected, counted, tmp_path
):
    write()
    (path / PARTS[2]).unlink()
    counted.clear()
    write()
    assert counted == [23]
    assert bytes_of(path) == expected
    assert files_in(tmp_path) == ["lists"]


def test_killed_before_the_manifest(write, path, unfinished, expected):
    unfinished.mkdir()
    (unfinished / "._manifest.json.1234.part").write_bytes(b"{")
    write()
    assert bytes_of(path) == expected


@pytest.mark.usefixtures("interrupted")
def test_parts_of_nobody_knows_what_are_not_published(write, path, unfinished):
    (unfinished / "_manifest.json").unlink()
    assert list(unfinished.glob("part-*"))
    with pytest.raises(FileExistsError, match=r"without its _manifest\.json: remove"):
        write()
    assert not path.exists()
    assert list(unfinished.glob("part-*"))


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_a_damaged_manifest(write, unfinished, content):
    (unfinished / "_manifest.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"_manifest\.json is damaged: remove "):
        write()


# Whose it is


@pytest.fixture(params=["unfinished", "complete"])
def begun(request, write, stop_at):
    """The options that an export began with, which may be complete."""
    rng = np.random.default_rng(0)
    options = {
        "user_ids": [f"u{i}" for i in range(80)],
        "item_ids": list(range(90)),
        "allow": sp.csr_array(rng.random((80, 90)) < 0.9),
        "deny": [3, 4],
        "exclude_seen": True,
    }
    if request.param == "complete":
        write(**options)
    else:
        with pytest.raises(KeyboardInterrupt):
            write(on_block=stop_at(60), **options)
    return options


def test_nobody_goes_on_with_another_export(
    write, begun, path, unfinished, other_model, model, X
):
    def edit(matrix, make):
        matrix = matrix.copy()
        make(matrix)
        return matrix

    def another_value(matrix):
        matrix.data[-1] += 1

    def another_item(matrix):
        # The rows are as long as before.
        row = matrix.indices[matrix.indptr[40] : matrix.indptr[41]]
        row[0] = np.setdiff1d(np.arange(90), row)[0]

    folder = path if path.exists() else unfinished
    before = bytes_of(folder)
    others = {
        "model": {"model": other_model},
        "X": {"X": edit(X, another_value)},
        "X ": {"X": edit(X, another_item)},
        "X  ": {"X": sp.csr_array(X[::-1])},
        "k": {"k": 8},
        "options": {"exclude_seen": False},
        "allow": {"allow": sp.csr_array(begun["allow"][::-1])},
        "allow ": {"allow": None},
        "deny": {"deny": [3, 5]},
        "user_ids": {"user_ids": begun["user_ids"][::-1]},
        "user_ids ": {"user_ids": None},
        "item_ids": {"item_ids": list(range(90, 180))},
        "users_per_part": {"users_per_part": 22},
        "k, model": {"model": other_model, "k": 6},
    }
    for names, change in others.items():
        message = f"{folder} holds rec.* differ from these in {names.strip()}. Repeat"
        with pytest.raises(ValueError, match=message):
            write(**begun | change)
    assert bytes_of(folder) == before
    write(**begun)
    assert files_in(path) == WHOLE


@pytest.mark.usefixtures("interrupted")
def test_what_does_not_matter(
    write, path, expected, model, X, tmp_path, monkeypatch, counted
):
    save_model(model, tmp_path / "model")
    wide = X.copy()
    wide.indices, wide.indptr = wide.indices.astype("i8"), wide.indptr.astype("i8")
    monkeypatch.setattr("sksparse_rec._sparse.HASH_ENTRIES", 7)
    monkeypatch.setattr(_digests, "HASH_ENTRIES", 7)
    loaded = load_model(tmp_path / "model").set_params(n_jobs=1, verbose=3)
    counted.clear()
    write(loaded, wide, exclude_seen=True, user_ids=None)
    assert counted == [23, 11]
    assert bytes_of(path) == expected
    copied = pickle.loads(pickle.dumps(model))
    copied.similar_items([3])
    write(copied, X.tocsc())
    assert counted == [23, 11]


@pytest.mark.parametrize("kind", ["text", "folder", "file"])
def test_what_is_there_already_is_not_touched(write, path, kind, tmp_path):
    if kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / {"text": "notes.txt", "folder": "part-00000.parquet"}[kind]).touch()
    with pytest.raises(FileExistsError, match="is no folder of recommendations"):
        write()
    assert files_in(tmp_path) == ["lists"]


def test_an_empty_folder_is_taken(write, path, expected):
    path.mkdir()
    write()
    assert bytes_of(path) == expected


def test_a_link_to_a_folder_stays_one(write, path, tmp_path, expected):
    (tmp_path / "disk").mkdir()
    path.symlink_to(tmp_path / "disk", target_is_directory=True)
    write()
    assert path.is_symlink()
    assert bytes_of(tmp_path / "disk") == expected


# Two at once


@pytest.mark.skipif(os.name == "nt", reason="nobody locks there")
def test_two_processes(write, path, tmp_path, expected, stop_at):
    with locked(tmp_path / ".lists.lock"):
        with pytest.raises(BlockingIOError, match="Another process is writing"):
            write()
        # Another folder is another matter.
        write(path=tmp_path / "others")
    write()
    assert bytes_of(path) == expected == bytes_of(tmp_path / "others")


@pytest.mark.skipif(os.name == "nt", reason="nobody locks there")
def test_the_second_of_two_calls_is_refused_in_the_middle(write, model, X, path):
    refused = []

    def call_again(n_done, n_users):
        try:
            recommend_to_parquet(model, X, path, k=7, users_per_part=23)
        except BlockingIOError as error:
            refused.append(error.filename)

    write(on_block=call_again)
    assert refused == [str(path)] * 4
    assert files_in(path) == WHOLE
