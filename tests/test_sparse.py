"""Helpers for CSR matrices against dense numpy."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec._sparse import (
    extremes,
    is_mapped,
    keep_top_per_row,
    normalize_rows,
    row_indices,
    row_ranges,
    rows_at,
)


@pytest.fixture(name="X")
def make_interactions():
    """Signed, with ties, unsorted columns, empty rows (the first and last too)."""
    dense = np.random.default_rng(0).integers(-3, 4, (8, 9)).astype(float)
    dense[[0, 3, 7]] = 0
    X = sp.csr_array(dense)
    for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[start:stop] = X.indices[start:stop][::-1]
        X.data[start:stop] = X.data[start:stop][::-1]
    X.has_sorted_indices = False
    return X


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 2)])
def test_empty(shape):
    X = sp.csr_array(shape)
    assert row_indices(X).shape == (0,)
    for result in (normalize_rows(X), keep_top_per_row(X, 1)):
        assert (result.shape, result.nnz) == (shape, 0)


def test_row_indices(X):
    assert_array_equal(row_indices(X), np.sort(X.tocoo().coords[0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int8, bool])
def test_normalize_rows(X, dtype):
    X = X.astype(dtype)
    dense = X.toarray().astype(float)
    unit = normalize_rows(X)
    norms = np.linalg.norm(dense, axis=1, keepdims=True)
    assert_allclose(unit.toarray(), dense / np.where(norms > 0, norms, 1), rtol=1e-6)


def test_normalize_rows_keeps_the_floating_dtype(X):
    assert normalize_rows(X).dtype == np.float64
    assert normalize_rows(X.astype(np.float32)).dtype == np.float32


def test_normalize_rows_leaves_explicit_zeros_alone():
    X = sp.csr_array((np.zeros(2), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    assert_array_equal(normalize_rows(X).toarray(), [[0, 0]])


def test_normalize_rows_reaches_unit_length_far_from_one(X):
    for scale in (1e-30, 1e30):
        unit = normalize_rows(sp.csr_array(X * scale).astype(np.float32))
        lengths = np.linalg.norm(unit.toarray(), axis=1)
        assert_allclose(lengths, np.diff(X.indptr) > 0, atol=1e-6)


def test_arguments_are_left_as_they_were(X):
    before = X.copy()
    for result in (normalize_rows(X), keep_top_per_row(X, 2)):
        result.data[:] = 0
        for name in ("data", "indices", "indptr"):
            assert_array_equal(getattr(X, name), getattr(before, name))


@pytest.mark.parametrize("n_nonzero", [1, 2, 4, 9, 100])
def test_keep_top_per_row(X, n_nonzero):
    dense = X.toarray()
    order = np.argsort(-np.abs(dense), axis=1, kind="stable")[:, :n_nonzero]
    expected = np.zeros_like(dense)
    np.put_along_axis(expected, order, np.take_along_axis(dense, order, axis=1), axis=1)
    kept = keep_top_per_row(X, n_nonzero)
    assert_array_equal(kept.toarray(), expected)
    assert np.diff(kept.indptr).max() <= n_nonzero
    kept.check_format()


def test_ties_do_not_depend_on_the_stored_order():
    columns = np.array([4, 0, 2, 3])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        X = sp.csr_array(
            (np.array([1.0, -1, 1, 1])[order], columns[order], np.array([0, 4])),
            shape=(1, 5),
        )
        assert_array_equal(keep_top_per_row(X, 2).toarray(), [[-1, 0, 1, 0, 0]])


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_index_dtype_is_kept(X, index_dtype):
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    for result in (normalize_rows(X), keep_top_per_row(X, 2)):
        assert result.indices.dtype == result.indptr.dtype == index_dtype


def map_arrays(X, folder):
    """Return X over arrays that are mapped from files of their own."""
    arrays = []
    for name in ("data", "indices", "indptr"):
        np.save(folder / f"{name}.npy", getattr(X, name))
        arrays.append(np.load(folder / f"{name}.npy", mmap_mode="r"))
    return sp.csr_array(tuple(arrays), shape=X.shape)


def test_is_mapped(X, tmp_path):
    mapped = map_arrays(X, tmp_path)
    assert is_mapped(mapped)
    assert is_mapped(sp.csr_matrix(mapped))
    assert is_mapped(sp.csr_array((mapped.data[:], X.indices, X.indptr), X.shape))
    assert is_mapped(sp.csr_array((X.data, mapped.indices, X.indptr), X.shape))
    for other in (X, X[:2], mapped.copy(), mapped[:2], mapped[[1, 0]], X.T):
        assert not is_mapped(other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.uint8, bool])
@pytest.mark.parametrize("block", [1, 3, 100])
@pytest.mark.parametrize("shape", [(1,), (10,), (4, 5), (1, 6), (6, 1)])
def test_extremes(monkeypatch, shape, block, dtype):
    monkeypatch.setattr("sksparse_rec._sparse.BLOCK_ENTRIES", block)
    values = np.random.default_rng(0).integers(-100, 100, shape).astype(dtype)
    assert extremes(values) == (values.min(), values.max())


@pytest.mark.parametrize("place", range(5))
def test_extremes_show_what_is_not_finite(monkeypatch, place):
    monkeypatch.setattr("sksparse_rec._sparse.BLOCK_ENTRIES", 2)
    values = np.ones(5)
    values[place] = np.nan
    assert np.isnan(extremes(values)).all()
    values[place] = -np.inf
    assert extremes(values) == (-np.inf, 1)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_extremes_of_nothing(shape):
    assert extremes(np.empty(shape)) == (0, 0)


@pytest.mark.parametrize("n_entries", [1, 2, 5, 7, 100])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_row_ranges(index_dtype, n_entries):
    lengths = np.array([0, 3, 0, 0, 9, 1, 1, 1, 4, 0])
    indptr = np.concatenate([[0], lengths.cumsum()]).astype(index_dtype)
    indices = np.zeros(indptr[-1], dtype=index_dtype)
    X = sp.csr_array((np.ones(len(indices)), indices, indptr), shape=(10, 1))
    ranges = row_ranges(X, n_entries)
    assert np.concatenate([np.arange(10)[rows] for rows in ranges]).tolist() == [
        *range(10)
    ]
    for rows, later in zip(ranges, [*ranges[1:], None], strict=True):
        total = lengths[rows].sum()
        assert total <= n_entries or rows.stop - rows.start == 1
        # No range could have been longer.
        assert later is None or total + lengths[later.start] > n_entries


def test_row_ranges_near_the_limit_of_the_index_dtype():
    X = sp.csr_array((3, 2))
    X.indptr = np.array([0, 2**30, 2**31 - 2, 2**31 - 1], dtype=np.int32)
    assert row_ranges(X, 2**40) == [slice(0, 3)]
    assert row_ranges(X, 2**30) == [slice(0, 1), slice(1, 3)]


def test_row_ranges_of_no_rows():
    assert row_ranges(sp.csr_array((0, 3)), 5) == []


@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize("rows", [[], [3], [5, 0, 4, 0], [2, 2, 1]], ids=str)
def test_rows_at(X, tmp_path, rows, where):
    source = map_arrays(X, tmp_path) if where == "file" else X
    rows = np.array(rows, dtype=np.int64)
    taken, expected = rows_at(source, rows), X[rows]
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(taken, name), getattr(expected, name))
    assert taken.shape == expected.shape
    assert not is_mapped(taken)
