"""Codes of new items against a loop over users."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from sksparse_rec._numerics.encoding import encode_columns


def brute_force(X_columns, X, A, n_nonzero):
    codes = np.zeros((X_columns.shape[1], A.shape[1]))
    for item, code in enumerate(codes):
        for user, profile in enumerate(X @ A):
            norm = np.linalg.norm(profile)
            if norm > 0:
                code += X_columns[user, item] * profile / norm
        code[np.argsort(-np.abs(code), kind="stable")[n_nonzero:]] = 0
        if code.any():
            code /= np.linalg.norm(code)
    return codes


@pytest.fixture(params=["one block", "several blocks"], autouse=True)
def block_entries(request, monkeypatch):
    if request.param == "several blocks":
        monkeypatch.setattr("sksparse_rec._numerics.encoding.BLOCK_ENTRIES", 15)


@pytest.fixture
def problem(rng):
    X = rng.integers(1, 4, (20, 8)) * (rng.random((20, 8)) < 0.4)
    X_columns = rng.integers(1, 4, (20, 5)) * (rng.random((20, 5)) < 0.4)
    A = rng.normal(size=(8, 7)) * (rng.random((8, 7)) < 0.5)
    X[:3] = 0
    X_columns[:, 1] = 0  # nobody has it
    X_columns[:, 2] = np.arange(20) < 3  # only users without history have it
    return X_columns.astype(float), X.astype(float), A


@pytest.mark.parametrize("n_nonzero", [1, 3, 7, 20])
@pytest.mark.parametrize("container", [sp.csr_array, sp.csc_matrix])
def test_equals_brute_force(problem, n_nonzero, container):
    X_columns, X, A = problem
    A = sp.csr_array(A.astype(np.float32))
    codes = encode_columns(container(X_columns), sp.csr_array(X), A, n_nonzero)
    expected = brute_force(X_columns, X, A.toarray().astype(float), n_nonzero)
    assert_allclose(codes.toarray(), expected, atol=1e-6)
    assert np.diff(codes.indptr).max() <= n_nonzero
    assert codes.dtype == A.dtype
    assert codes.has_sorted_indices
    assert np.diff(codes.indptr)[[1, 2]].tolist() == [0, 0]


def test_no_new_items(problem):
    _, X, A = problem
    codes = encode_columns(sp.csr_array((20, 0)), sp.csr_array(X), sp.csr_array(A), 3)
    assert codes.shape == (0, 7)


def test_code_is_the_best_among_sparse_unit_codes(problem, rng):
    """It maximises the sum of cosines to the profiles of the item's users."""
    X_columns, X, A = problem
    codes = encode_columns(*map(sp.csr_array, (X_columns, X, A)), 2).toarray()
    U = X @ A
    norms = np.linalg.norm(U, axis=1, keepdims=True)
    total = X_columns.T @ (U / np.where(norms > 0, norms, 1))
    best = (codes * total).sum(axis=1)
    for _ in range(200):
        other = np.zeros_like(codes)
        for row in other:
            row[rng.choice(7, 2, replace=False)] = rng.normal(size=2)
        other /= np.linalg.norm(other, axis=1, keepdims=True)
        assert ((other * total).sum(axis=1) <= best + 1e-9).all()


def test_a_copy_of_an_old_item_joins_its_users(problem):
    """Users of length one point at their only item, so its copy gets its code."""
    _, _, A = problem
    A[0] = np.eye(7)[2] * 0.6 + np.eye(7)[4] * 0.8
    X = np.eye(8)[[0, 0, 3]]
    codes = encode_columns(sp.csr_array(X[:, [0]]), sp.csr_array(X), sp.csr_array(A), 2)
    assert_allclose(codes.toarray()[0], A[0])
