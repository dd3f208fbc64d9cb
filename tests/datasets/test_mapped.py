"""Matrices in memory-mapped files: what opens, what is refused, what is written."""

import shutil
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_array_equal
from scipy.sparse import save_npz

from sksparse_rec._sparse import is_mapped
from sksparse_rec.datasets import (
    make_interactions,
    open_interactions,
    save_interactions,
)


@pytest.fixture(name="X")
def make_matrix():
    """Counts; the first and the last row and column are empty."""
    dense = np.random.default_rng(0).integers(0, 3, (7, 5)).astype(np.float32)
    dense[[0, 6]] = 0
    dense[:, [0, 4]] = 0
    return sp.csr_array(dense)


def save(X, folder, kind):
    """Save X as it is, flaws included; return the path to open."""
    path = folder / "saved.npz"
    save_npz(path, X, compressed=kind == "unpacked")
    if kind == "file":
        return path
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "saved")
    return folder / "saved"


KINDS = pytest.mark.parametrize("kind", ["file", "unpacked"])


def assert_same(X, expected):
    assert X.shape == expected.shape
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(X, name), getattr(expected, name))
    assert X.data.dtype == expected.data.dtype


# Opening


@pytest.mark.parametrize(
    ("interface", "container"), [("sparray", sp.csr_array), ("spmatrix", sp.csr_matrix)]
)
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    "dtype", [bool, np.int8, np.uint16, np.int64, np.float32, np.float64]
)
@KINDS
def test_opens_what_scipy_saved(
    X, tmp_path, kind, dtype, index_dtype, interface, container
):
    X = container(X.astype(dtype))
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    path = save(X, tmp_path, kind)
    with sklearn.config_context(sparse_interface=interface):
        opened = open_interactions(str(path))
    assert type(opened) is container
    assert_same(opened, X)
    assert opened.indices.dtype == opened.indptr.dtype == index_dtype
    assert is_mapped(opened)
    for array in (opened.data, opened.indices):
        assert not array.flags.writeable
        assert not array.flags.owndata
    assert_array_equal(opened[1:3].toarray(), X[1:3].toarray())


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_triplet_without_a_shape(X, tmp_path, index_dtype):
    path = save(X, tmp_path, "unpacked")
    for name in ("shape", "format", "_is_array"):
        (path / f"{name}.npy").unlink()
    # indptr of another dtype than indices: scipy wants one for both.
    np.save(path / "indptr.npy", X.indptr.astype(np.int64))
    np.save(path / "indices.npy", X.indices.astype(index_dtype))
    opened = open_interactions(path)
    assert opened.shape == (7, 4)
    assert opened.indices.dtype == opened.indptr.dtype == index_dtype
    assert is_mapped(opened)
    assert_same(open_interactions(path, n_items=5), X)


@KINDS
def test_no_entries(tmp_path, kind):
    X = sp.csr_array((3, 4), dtype=np.float32)
    assert_same(open_interactions(save(X, tmp_path, kind)), X)


@KINDS
def test_nothing_is_read_into_memory(tmp_path, peak_of, kind):
    X = make_interactions(2000, 1000, 200_000, random_state=0)
    path = save(X.astype(np.float64), tmp_path, kind)
    size = X.nnz * 12
    del X

    def look():
        opened = open_interactions(path)
        opened[:10].sum()
        return opened

    opened, peak = peak_of(look)
    assert opened.nnz == 200_000
    assert peak < size / 10


# Refusing


def test_there_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file or folder.*nothing"):
        open_interactions(tmp_path / "nothing.npz")


def test_neither_file_nor_folder(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("user,item\n1,2\n")
    with pytest.raises(ValueError, match=r"ratings.csv is neither a folder nor an"):
        open_interactions(path)


def test_compressed(X, tmp_path):
    path = tmp_path / "X.npz"
    save_npz(path, X)
    with pytest.raises(ValueError, match=r"npy in .*X\.npz is compressed") as caught:
        open_interactions(path)
    assert "save_npz('X.npz', X, compressed=False)" in str(caught.value)
    assert "python -m zipfile -e X.npz X" in str(caught.value)


@pytest.mark.parametrize("other", ["csc", "bsr", "coo"])
@KINDS
def test_other_formats(X, tmp_path, kind, other):
    path = save(X.asformat(other), tmp_path, kind)
    with pytest.raises(ValueError, match=rf"{other} format: save it as csr"):
        open_interactions(path)


@pytest.mark.parametrize("name", ["data", "indices", "indptr"])
def test_missing_arrays(X, tmp_path, name):
    path = save(X, tmp_path, "unpacked")
    (path / f"{name}.npy").unlink()
    with pytest.raises(FileNotFoundError, match=rf"saved has no {name}\.npy"):
        open_interactions(path)


def test_archive_of_something_else(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, a=np.ones(3))
    with pytest.raises(FileNotFoundError, match=r"other.npz has no data\.npy"):
        open_interactions(path)


def change(X, indptr=None, indices=None):
    """Build a matrix of X without asking whether it is one."""
    broken = X.copy()
    broken.indptr = X.indptr if indptr is None else np.array(indptr, dtype=np.int32)
    broken.indices = X.indices if indices is None else np.asarray(indices)
    return broken


@KINDS
def test_indices_out_of_range(X, tmp_path, kind, monkeypatch):
    monkeypatch.setattr("sksparse_rec._sparse.BLOCK_ENTRIES", 2)
    for bad in (-1, 5, 2**31 - 1):
        for place in (0, 3, -1):
            indices = X.indices.copy()
            indices[place] = bad
            path = save(change(X, indices=indices), tmp_path, kind)
            with pytest.raises(ValueError, match=f"hold {bad}, and must .* 0 and 4"):
                open_interactions(path)
            shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize(
    ("indptr", "message"),
    [
        ([1, 2, 2, 2, 2, 2, 2, 4], "from 0 to the number of entries, 4"),
        ([0, 2, 2, 2, 2, 2, 2, 3], "from 0 to the number of entries, 4"),
        ([0, 2, 2, 2, 2, 2, 2, 5], "from 0 to the number of entries, 4"),
        ([0, 3, 3, 2, 2, 2, 2, 4], "falls from 3 to 2 at row 2"),
        ([0, 2, 2, 2, 2, 2, 4], r"shape .* is \[7, 5\], but indptr has 6 rows"),
        ([0], "it has 1, from"),
        ([], "it has 0, from"),
    ],
    ids=str,
)
@KINDS
def test_broken_indptr(tmp_path, kind, indptr, message):
    X = sp.csr_array(([1.0, 2, 3, 4], [1, 2, 3, 0], [0, 2, 2, 2, 2, 2, 2, 4]), (7, 5))
    path = save(change(X, indptr=indptr), tmp_path, kind)
    with pytest.raises(ValueError, match=message):
        open_interactions(path)


@KINDS
def test_arrays_of_different_length(X, tmp_path, kind):
    path = save(change(X, indices=X.indices[:-1]), tmp_path, kind)
    message = f"{X.nnz} values but {X.nnz - 1} column indices"
    with pytest.raises(ValueError, match=message):
        open_interactions(path)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("data", np.float16),
        ("data", np.complex64),
        ("data", object),
        ("data", ">f4"),
        ("indices", np.uint32),
        ("indices", np.float64),
        ("indices", ">i4"),
        ("indptr", np.int16),
    ],
    ids=str,
)
def test_dtypes_that_scipy_does_not_know(X, tmp_path, name, dtype):
    path = save(X, tmp_path, "unpacked")
    np.save(path / f"{name}.npy", getattr(X, name).astype(dtype))
    with pytest.raises(ValueError, match=f"{name} in .* has dtype .* one of .*int64"):
        open_interactions(path)


def test_arrays_of_two_dimensions(X, tmp_path):
    path = save(X, tmp_path, "unpacked")
    np.save(path / "data.npy", X.data[None])
    with pytest.raises(ValueError, match=r"data in .* has shape \(1, "):
        open_interactions(path)


@pytest.mark.parametrize("name", ["data", "indices", "indptr"])
def test_cut_off(X, tmp_path, name):
    path = save(X, tmp_path, "unpacked")
    file = path / f"{name}.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{name} in .* ends before its"):
        open_interactions(path)
    file.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=f"{name} in .* is not an array that numpy"):
        open_interactions(path)


@KINDS
def test_number_of_items_is_that_of_the_file(X, tmp_path, kind):
    path = save(X, tmp_path, kind)
    assert open_interactions(path, n_items=5).shape == (7, 5)
    with pytest.raises(ValueError, match=r"n_items is 6, but .* has 5 items"):
        open_interactions(path, n_items=6)


def test_number_of_items_of_a_triplet(X, tmp_path):
    path = save(X, tmp_path, "unpacked")
    (path / "shape.npy").unlink()
    with pytest.raises(ValueError, match="hold 3, and must lie between 0 and 1"):
        open_interactions(path, n_items=2)
    path = save(sp.csr_array((3, 4), dtype=np.float32), tmp_path, "unpacked")
    (path / "shape.npy").unlink()
    with pytest.raises(ValueError, match="neither a shape nor entries: pass n_items"):
        open_interactions(path)
    assert open_interactions(path, n_items=4).shape == (3, 4)


def test_more_entries_than_the_indices_count(X, tmp_path, monkeypatch):
    path = save(X, tmp_path, "unpacked")
    largest = "sksparse_rec.datasets._mapped._largest"
    monkeypatch.setattr(largest, lambda dtype: X.nnz - 1)
    with pytest.raises(ValueError, match=f"{X.nnz} entries, more than int32 counts"):
        open_interactions(path)


# Writing


@pytest.mark.parametrize("index_dtype", ["int32", "int64"])
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    "container", [sp.csr_array, sp.csc_matrix, sp.csr_array.todense]
)
def test_blocks_of_any_size(X, tmp_path, container, size, index_dtype):
    blocks = (container(X[start : start + size]) for start in range(0, 7, size))
    assert save_interactions(blocks, tmp_path / "X", index_dtype=index_dtype) is None
    opened = open_interactions(tmp_path / "X")
    assert_same(opened, X)
    assert opened.indices.dtype == index_dtype
    assert opened.data.flags.aligned
    assert opened.indices.flags.aligned
    assert [file.name for file in tmp_path.iterdir()] == ["X"]


def test_a_single_matrix(X, tmp_path):
    save_interactions(X, tmp_path / "sparse")
    assert_same(open_interactions(tmp_path / "sparse"), X)
    save_interactions(X.toarray(), str(tmp_path / "dense"))
    assert_same(open_interactions(tmp_path / "dense"), X)


def test_rows_are_tidied(tmp_path):
    untidy = sp.csr_array(
        (np.array([1, 2, 3, 0]), np.array([3, 1, 3, 0]), np.array([0, 3, 4])), (2, 4)
    )
    save_interactions([untidy, untidy], tmp_path / "X")
    opened = open_interactions(tmp_path / "X")
    expected = [[0, 2, 0, 4], [0, 0, 0, 0]] * 2
    assert_same(opened, sp.csr_array(np.array(expected, dtype=np.float32)))


def test_numpy_reads_the_arrays(X, tmp_path):
    save_interactions(X, tmp_path / "X")
    for name, dtype in (("data", "f4"), ("indices", "i4"), ("indptr", "i8")):
        array = np.load(tmp_path / "X" / f"{name}.npy")
        assert_array_equal(array, getattr(X, name))
        assert array.dtype == dtype


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "blocks is empty"),
        ([np.eye(3), np.eye(4)], r"blocks\[1\] has 4 columns, but blocks\[0\] has 3"),
        ([np.eye(3), -np.eye(3)], r"blocks\[1\]\[0, 0\] is -1"),
        ([np.eye(3), np.full((1, 3), np.nan)], r"blocks\[1\] contains NaN"),
        ([np.eye(3), np.empty((0, 3))], "0 sample"),
    ],
    ids=str,
)
def test_a_failure_leaves_nothing_behind(tmp_path, blocks, message):
    with pytest.raises(ValueError, match=message):
        save_interactions(iter(blocks), tmp_path / "X")
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing_behind(tmp_path):
    def blocks():
        yield np.eye(3)
        assert not (tmp_path / "X").exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_interactions(blocks(), tmp_path / "X")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(X, tmp_path):
    save_interactions(X, tmp_path / "X")
    with pytest.raises(FileExistsError, match=r"X exists: remove it first"):
        save_interactions(X[:2], tmp_path / "X")
    assert_same(open_interactions(tmp_path / "X"), X)


def test_more_entries_than_int32_counts(X, tmp_path, monkeypatch):
    largest = "sksparse_rec.datasets._mapped._largest"
    monkeypatch.setattr(largest, lambda dtype: X.nnz - 1)
    with pytest.raises(ValueError, match=r"up to blocks\[1\].*index_dtype='int64'"):
        save_interactions([X[:3], X[3:]], tmp_path / "X")
    assert list(tmp_path.iterdir()) == []
