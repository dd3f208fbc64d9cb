"""Names as arrays, and checks of matrices that come from files."""

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse_rec import _format
from sksparse_rec._format import (
    PersistenceError,
    check_csr,
    pack_names,
    read_folder,
    unpack_names,
    write_folder,
)

NAMES = ["", "apple", "ořech", "梨", "", "a\0b", "\U0001f600", "apple"]


@pytest.mark.parametrize("names", [NAMES, [], [""], np.array(NAMES, dtype=object)])
def test_names_come_back(names):
    text, starts = pack_names(names, "ids")
    assert (text.dtype, starts.dtype) == (np.uint8, np.int64)
    unpacked = unpack_names(text, starts, "ids")
    assert unpacked.dtype == object
    assert unpacked.tolist() == list(names)
    assert all(type(name) is str for name in unpacked)


def test_some_names_of_a_mapped_folder(tmp_path):
    text, starts = pack_names(NAMES, "ids")
    write_folder(tmp_path / "ids", "Ids", {"text": text, "starts": starts}, {})
    arrays = read_folder(tmp_path / "ids", mapped=True).arrays
    some = unpack_names(arrays["text"], arrays["starts"], "ids", [3, 0, 3])
    assert some.tolist() == ["梨", "", "梨"]


@pytest.mark.parametrize(
    ("names", "reason"),
    [(["a", 3], "ids holds 3, which is no string"), (["\ud800"], "not valid Unicode")],
)
def test_what_is_no_name(names, reason):
    with pytest.raises(PersistenceError, match=reason):
        pack_names(names, "ids")


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ([1, 2], [0, 3]),
        ([1, 2], [1, 2]),
        ([1, 2], [0, 2, 1, 2]),
        ([1, 2], [0, -1, 2]),
        ([1, 2], []),
        ([], []),
    ],
)
def test_arrays_that_are_no_names(text, starts):
    text, starts = np.array(text, dtype=np.uint8), np.array(starts, dtype=np.int64)
    with pytest.raises(PersistenceError, match="arrays of ids are not those of names"):
        unpack_names(text, starts, "ids")
    with pytest.raises(PersistenceError, match="arrays of ids are not"):
        unpack_names(text.astype(np.int8), starts, "ids")
    with pytest.raises(PersistenceError, match="arrays of ids are not"):
        unpack_names(text, starts.astype(np.float64), "ids")


@pytest.fixture(params=[1 << 20, 7], ids=["one block", "many blocks"])
def block_entries(request, monkeypatch):
    monkeypatch.setattr(_format._matrices, "BLOCK_ENTRIES", request.param)


def random_matrix(seed):
    X = sp.random_array((20, 15), density=0.3, rng=np.random.default_rng(seed))
    X = sp.csr_array(X, dtype=np.float32)
    X.sort_indices()
    # Empty rows at both ends and in the middle.
    X = sp.vstack([X[:0], sp.csr_array((2, 15)), X, sp.csr_array((1, 15)), X[:3]])
    return sp.csr_array(sp.vstack([X, sp.csr_array((1, 15))]))


@pytest.mark.parametrize("index_dtype", [np.uint16, np.int32, np.int64])
@pytest.mark.usefixtures("block_entries")
def test_matrices_that_are_right(index_dtype):
    for seed in range(5):
        X = random_matrix(seed)
        check_csr(X.data, X.indices.astype(index_dtype), X.indptr, X.shape, "A")
    empty = sp.csr_array((3, 4))
    check_csr(empty.data, empty.indices, empty.indptr, (3, 4), "A")
    check_csr(np.ones(1), np.zeros(1, int), np.array([0, 1]), (1, 1), "A")


@pytest.mark.usefixtures("block_entries")
def test_every_change_of_a_position_is_judged_as_scipy_would():
    rng = np.random.default_rng(0)
    n_wrong = 0
    for seed in range(300):
        X = random_matrix(seed % 5)
        part = X.indices if seed % 2 else X.indptr
        part[rng.integers(len(part))] += rng.integers(-3, 4)
        rows = [X.indices[slice(*X.indptr[i : i + 2])] for i in range(X.shape[0])]
        is_right = (
            X.indptr[0] == 0
            and X.indptr[-1] == len(X.data)
            and np.all(np.diff(X.indptr) >= 0)
            and all(np.all(np.diff(row) > 0) for row in rows)
            and X.indices.min() >= 0
            and X.indices.max() < X.shape[1]
        )
        n_wrong += not is_right
        try:
            check_csr(X.data, X.indices, X.indptr, X.shape, "A")
        except PersistenceError:
            assert not is_right
        else:
            assert is_right
    assert 100 < n_wrong < 280


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": np.array([1.0, np.nan])}, "not finite"),
        ({"data": np.array([1.0])}, "do not make a matrix"),
        ({"indptr": np.array([0, 2])}, "do not make a matrix of 2 rows"),
        ({"indptr": np.array([[0, 1, 2]])}, "do not make a matrix"),
        ({"indices": np.array([0.0, 1.0])}, "no integers"),
        ({"indices": np.array([0, 3])}, "index 3, out of range for 3 columns"),
        ({"indices": np.array([0, -1])}, "index -1, out of range"),
        ({"indptr": np.array([0, 0, 2]), "indices": np.array([2, 2])}, "row 1 of A"),
    ],
)
def test_matrices_that_are_wrong(change, reason):
    parts = {
        "data": np.array([1.0, 2.0]),
        "indices": np.array([0, 2]),
        "indptr": np.array([0, 1, 2]),
    }
    check_csr(**parts, shape=(2, 3), what="A")
    with pytest.raises(PersistenceError, match=reason):
        check_csr(**(parts | change), shape=(2, 3), what="A")
