"""Indexes in files: the same answers, nothing read before it is needed."""

import json
import pickle
import subprocess
import sys
import threading
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from sksparse_rec import PersistenceError, SparseIndex, load_model, save_model
from sksparse_rec._format import read_folder, write_folder
from sksparse_rec._numerics.search import load_compiled_search
from sksparse_rec._sparse import is_mapped

N_ITEMS, N_COMPONENTS = 90, 12
IDS = {
    "positions": None,
    "numbers": np.arange(N_ITEMS) * -(10**12) + 5,
    "strings": [f"{i % 7}ř{'梨' * (i % 3)}{i}" for i in range(N_ITEMS - 1)] + [""],
}


@pytest.fixture(name="A")
def make_items(rng):
    A = rng.normal(size=(N_ITEMS, N_COMPONENTS))
    A *= rng.random(A.shape) < 0.4
    A[30:40] = A[:10]
    return A


@pytest.fixture(name="Q")
def make_queries(rng):
    return rng.normal(size=(9, N_COMPONENTS)) * (rng.random((9, N_COMPONENTS)) < 0.6)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "items"


def assert_same(index, expected, Q):
    assert (len(index), index.n_components) == (len(expected), expected.n_components)
    for name in SparseIndex.__doc__.split("Attributes")[1].split("\n"):
        name = name.strip().split(" : ")[0]
        if " : " in name or not name.isidentifier():
            continue
        if name == "nbytes":  # ids given as objects are counted as they are kept
            continue
        value = getattr(expected, name, None)
        if value is None:
            assert getattr(index, name, None) is None
        else:
            assert_array_equal(getattr(index, name), value)
    for found, wanted in zip(
        index.search_ids(Q, 7), expected.search_ids(Q, 7), strict=True
    ):
        assert found.dtype == wanted.dtype
        assert_array_equal(found, wanted)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("inverted", [True, False])
@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("with_popularity", [True, False])
def test_round_trips(A, Q, dtype, inverted, ids, with_popularity, path, rng):
    popularity = rng.integers(0, 3, N_ITEMS) if with_popularity else None
    index = SparseIndex(
        A, ids=IDS[ids], popularity=popularity, dtype=dtype, inverted=inverted
    )
    index.save(path)
    for opened in (
        SparseIndex.open(path),
        SparseIndex.open(path, mapped=False),
        SparseIndex.open(path, verify=True),
        load_model(path),
        pickle.loads(pickle.dumps(index)),
        pickle.loads(pickle.dumps(SparseIndex.open(path))),
        deepcopy(SparseIndex.open(path)),
    ):
        assert_same(opened, index, Q)
        assert repr(opened).split(",")[:3] == repr(index).split(",")[:3]
    other = path.with_name("other")
    save_model(SparseIndex.open(path), other)
    assert [f.read_bytes() for f in sorted(other.iterdir())] == [
        f.read_bytes() for f in sorted(path.iterdir())
    ]


@pytest.mark.usefixtures("any_way", "any_threads")
def test_mapped_arrays_are_searched_in_every_way(A, Q, path):
    index = SparseIndex(A, ids=IDS["strings"], dtype="float16")
    index.save(path)
    opened = SparseIndex.open(path)
    assert is_mapped(opened.values)
    assert not opened.values.flags.writeable
    assert_same(opened, index, Q)
    allow = sp.csr_array(np.arange(9 * N_ITEMS).reshape(9, N_ITEMS) % 31 == 0)
    some = IDS["strings"][10:30]
    for options in (
        {"allow": allow},
        {"allow": some},
        {"deny": some[:1]},
        {"exclude": IDS["strings"][:9]},
    ):
        for found, wanted in zip(
            opened.search_ids(Q, 5, **options),
            index.search_ids(Q, 5, **options),
            strict=True,
        ):
            assert_array_equal(found, wanted)


@pytest.mark.parametrize("n_items", [0, 1])
@pytest.mark.parametrize("ids", [None, ["only"], [3]])
def test_small_indexes(n_items, ids, path):
    index = SparseIndex(np.ones((n_items, 3)), ids=ids and ids[:n_items])
    index.save(path)
    for opened in (SparseIndex.open(path), SparseIndex.open(path, verify=True)):
        assert_same(opened, index, np.ones((2, 3)))


@pytest.mark.parametrize("ids", IDS)
def test_changes_leave_the_file_as_it_is(A, Q, ids, path):
    own = np.arange(N_ITEMS) if IDS[ids] is None else np.array(IDS[ids])
    index = SparseIndex(
        A[:60], ids=IDS[ids] and own[:60] if ids == "positions" else own[:60]
    )
    index.save(path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    opened, reader = SparseIndex.open(path), SparseIndex.open(path)
    for one in (index, opened):
        one.add(own[60:], A[60:])
        one.update(own[:2], A[5:7])
        one.remove(own[10:20])
    assert_same(opened, index, Q)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    with pytest.raises(FileExistsError, match="overwrite=True"):
        opened.save(path)
    old = reader.search_ids(Q, 5)
    opened.save(path, overwrite=True)
    # Who has the former file keeps it.
    for found, wanted in zip(reader.search_ids(Q, 5), old, strict=True):
        assert_array_equal(found, wanted)
    assert len(list(path.iterdir())) == 2
    again = SparseIndex.open(path)
    assert_same(again, index, Q)
    again.save(path, overwrite=True)
    assert_same(again, index, Q)
    assert_same(SparseIndex.open(path, verify=True), index, Q)


def test_ids_that_are_strings(path):
    """Few are looked for one by one, many at once, with the same result."""
    rng = np.random.default_rng(0)
    names = np.array([f"{i}" for i in range(1000)])
    names[[3, 5]] = "", "𝄞"
    names = rng.permutation(names)
    SparseIndex(np.ones((1000, 1)), ids=names).save(path)
    for asked in (names[:3], names, names[::-1], names[:0], ["𝄞", ""]):
        ids = SparseIndex.open(path)._state.ids
        positions = ids.find(asked)
        assert_array_equal(names[positions], asked)
        assert ("_positions" in vars(ids)) == (len(asked) > 100)
        assert_array_equal(ids.at(positions), asked)
    index = SparseIndex.open(path)
    for unknown in ("1000", "0 ", "\ud800", "zzz"):
        for others in (0, 1000):
            with pytest.raises(ValueError, match="not in the index"):
                index.remove([*names[:others], unknown])
    with pytest.raises(TypeError, match="ids holds integers"):
        index.remove([3])
    with pytest.raises(PersistenceError, match="not valid Unicode"):
        SparseIndex([[1.0]], ids=["\ud800"]).save(path, overwrite=True)


def mapped_bytes(folder):
    """Return the size of the maps of a folder's files, and what of them is there."""
    size, resident, inside = 0, 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            inside = str(folder) in line
        elif inside and line.startswith("Size:"):
            size += int(line.split()[1]) * 1024
        elif inside and line.startswith("Rss:"):
            resident += int(line.split()[1]) * 1024
    return size, resident


def bytes_read():
    text = Path("/proc/self/io").read_text().split()
    return int(text[text.index("rchar:") + 1])


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
def test_opening_reads_no_array(path, rng):
    n_items = 100_000
    columns = np.sort(rng.integers(0, 64, (n_items, 8)) + np.arange(8) * 64, axis=1)
    indptr = np.arange(0, columns.size + 1, 8)
    values = rng.normal(size=columns.size)
    A = sp.csr_array((values, columns.ravel(), indptr), (n_items, 512))
    ids = [f"item {i}" for i in range(n_items)]
    index = SparseIndex(A, ids=ids, popularity=rng.random(n_items))
    index.save(path)
    before = bytes_read()
    opened = SparseIndex.open(path)
    # The manifest and the header.
    assert bytes_read() - before < 50_000
    size, resident = mapped_bytes(path)
    assert size > 5_000_000
    assert resident < 200_000
    query = sp.csr_array(([1.0], ([0], [9])), (1, 512))
    found = opened.search_ids(query, 5, deny=[ids[7]])
    for one, other in zip(
        found, index.search_ids(query, 5, deny=[ids[7]]), strict=True
    ):
        assert_array_equal(one, other)
    repr(opened)
    if opened.list_starts is not None:
        assert mapped_bytes(path)[1] < size / 2


def test_other_processes_and_threads(A, Q, path):
    index = SparseIndex(A, ids=IDS["strings"])
    index.save(path)
    np.save(path.with_name("queries.npy"), Q)
    code = (
        "import sys, json, numpy as np\n"
        "from sksparse_rec import SparseIndex\n"
        "index = SparseIndex.open(sys.argv[1])\n"
        "ids, scores = index.search_ids(np.load(sys.argv[2]), 5)\n"
        "print(json.dumps([ids.tolist(), scores.tolist()]), flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, path, path.with_name("queries.npy")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    expected = [part.tolist() for part in index.search_ids(Q, 5)]
    # Both have it open at the same time.
    lines = [process.stdout.readline() for process in processes]
    for process in processes:
        process.communicate()
    assert [json.loads(line) for line in lines] == [expected] * 2
    opened, found = SparseIndex.open(path), []
    threads = [
        threading.Thread(target=lambda: found.append(opened.search_ids(Q, 5)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[part.tolist() for part in one] for one in found] == [expected] * 4


@pytest.fixture(params=["numbers", "strings"])
def folder(A, request, path, rng):
    """A saved index, taken apart."""
    index = SparseIndex(A, ids=IDS[request.param], popularity=rng.random(N_ITEMS))
    index.save(path)
    return read_folder(path)


def outcomes(path, Q):
    """Open and use an index every way; return what was refused."""
    refused = []
    allow = sp.csr_array(np.eye(9, N_ITEMS, dtype=bool))
    index = SparseIndex.open(path)
    for use in (
        lambda i: i.search_ids(Q, 7),
        lambda i: i.search_ids(sp.csr_array(np.eye(1, N_COMPONENTS)), 7),
        lambda i: i.search_ids(Q, 7, allow=allow),
        lambda i: i.search(Q, 7, deny=i.ids[[5, 50]]),
        lambda i: i.remove(i.ids[[5, 50]]),
    ):
        try:
            use(index)
        except (ValueError, IndexError) as error:
            refused.append(str(error))
    # What compiled code says that runs with NUMBA_BOUNDSCHECK=1 and another
    # NUMBA_CACHE_DIR, as it should once in a while.
    assert "index is out of bounds" not in refused
    return refused


@pytest.mark.usefixtures("any_way")
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_damaged_arrays_do_no_harm(folder, path, Q):
    """Whatever the arrays hold, an unverified index answers or raises."""
    rng = np.random.default_rng(0)
    n_refused = 0
    for name in [*folder.arrays] * 4:
        array = folder.arrays[name].copy()
        flat = array.reshape(-1).view(np.uint8)
        if flat.size:
            some = rng.integers(flat.size, size=rng.integers(1, 9))
            flat[some] = rng.integers(256, size=len(some))
        arrays = folder.arrays | {name: array}
        write_folder(path, "SparseIndex", arrays, folder.content, overwrite=True)
        refused = outcomes(path, Q)
        # Other values, ids and popularity may make another index.
        try:
            SparseIndex.open(path, verify=True)
        except PersistenceError:
            n_refused += bool(refused)
        else:
            assert not refused
    assert n_refused


@pytest.mark.parametrize("value", [None, True, -1, 0, 1, 1 << 40, 0.5, 1e300, "", []])
def test_any_number_in_place_of_any_other(folder, path, Q, value):
    for name in folder.content:
        content = folder.content | {name: value}
        if repr(content) == repr(folder.content):
            continue
        write_folder(path, "SparseIndex", folder.arrays, content, overwrite=True)
        with pytest.raises(PersistenceError):
            load_model(path)
        try:
            SparseIndex.open(path)
        except PersistenceError:
            continue
        assert len(outcomes(path, Q)) <= 5


@pytest.mark.usefixtures("folder")
def test_other_folders(path, tmp_path):
    with pytest.raises(FileNotFoundError):
        SparseIndex.open(tmp_path / "nothing")
    (file,) = path.glob("*.safetensors")
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1
    file.write_bytes(whole)
    SparseIndex.open(path)
    with pytest.raises(PersistenceError, match="SHA-256"):
        SparseIndex.open(path, verify=True)
    file.write_bytes(whole[:-1])
    with pytest.raises(PersistenceError, match="bytes, and the manifest says"):
        SparseIndex.open(path)


def test_columns_out_of_range_are_never_looked_up(path):
    """What a search reads instead is in the arrays."""
    if load_compiled_search() is None:
        pytest.skip("without numba the search raises")
    m = 8
    A = np.eye(m)[[0, 1, 2, 7]]
    SparseIndex(A, inverted=False).save(path)
    folder = read_folder(path)
    columns = folder.arrays["columns"]
    columns[:] = [0, 60_000, 8, 7]
    write_folder(path, "SparseIndex", folder.arrays, folder.content, overwrite=True)
    index = SparseIndex.open(path)
    R = index.search(np.arange(1.0, m + 1)[None], 4).toarray()
    assert_array_equal(R, [[1, 0, 0, 8]])
    with pytest.raises(PersistenceError, match="index 60000, out of range"):
        index.remove([0])
