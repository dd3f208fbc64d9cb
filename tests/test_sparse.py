"""Helpers for CSR matrices against dense numpy."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec._sparse import keep_top_per_row, normalize_rows, row_indices


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
