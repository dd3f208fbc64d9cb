"""The compiled start against scipy's on a problem of many rows, and its threads."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec._numerics import anchors as anchors_module
from sksparse_rec._numerics.anchors import anchor_embeddings, draw_anchors
from sksparse_rec._numerics.device import make_generator
from sksparse_rec._numerics.threads import thread_count

anchors_numba = pytest.importorskip("sksparse_rec._numerics.anchors_numba")

N_USERS, N_ITEMS = 120, 300


@pytest.fixture(autouse=True)
def always_threads(monkeypatch):
    monkeypatch.setattr(anchors_numba, "WORTH_THREADS", 1)


@pytest.fixture(name="X", params=["many users", "one user"])
def make_interactions(request, rng):
    """Histories of every length; some items are popular, some have nobody."""
    if request.param == "one user":
        return sp.csr_array((rng.random((1, N_ITEMS)) < 0.3).astype(np.float32))
    chance = np.minimum(1, 8 * rng.random(N_USERS)[:, None] / np.arange(1, N_ITEMS + 1))
    X = rng.uniform(0.5, 2, chance.shape) * (rng.random(chance.shape) < chance)
    X[:, rng.permutation(N_ITEMS)[:40]] = 0
    return sp.csr_array(X.astype(np.float32))


def arrays(S):
    return S.data, S.indices, S.indptr


@pytest.mark.parametrize("n_nonzero", [1, 5, 30, 80])
@pytest.mark.parametrize("n_components", [1, 40, 400])
def test_equals_scipy_and_does_not_depend_on_threads(
    X, n_components, n_nonzero, monkeypatch
):
    popularity = np.bincount(X.indices, minlength=N_ITEMS)
    anchors = draw_anchors(popularity, n_components, make_generator(0))
    results = []
    for n_threads in (1, 3):
        with thread_count(n_threads):
            results.append(anchor_embeddings(X, anchors, n_components, n_nonzero))
    monkeypatch.setattr(anchors_module, "load_compiled_anchors", lambda: None)
    expected = anchor_embeddings(X, anchors, n_components, n_nonzero)
    for one, other in zip(*map(arrays, results), strict=True):
        assert_array_equal(one, other)
    assert results[0].nnz > 0
    # Latents that tie but for rounding may stand in for each other.
    assert_array_equal(results[0].indptr, expected.indptr)
    ours, theirs = results[0].toarray(), expected.toarray()
    assert_allclose(np.sort(ours), np.sort(theirs), atol=1e-6)
    assert np.isclose(ours, theirs, atol=1e-6).mean() > 0.99


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("n_kept", [1, 7, 64])
def test_ties_go_to_the_lower_column(rng, n_kept, n_threads):
    """Sums of few different values, met in any order."""
    B = (rng.random((12, 64)) < 0.5).astype(np.float32)
    A = np.eye(12, dtype=np.float32)[rng.integers(0, 12, 50)]
    A[:, 0] = 1
    B = sp.csr_array(B)
    for row in range(12):
        entries = slice(*B.indptr[row : row + 2])
        B.indices[entries] = rng.permutation(B.indices[entries])
    with thread_count(n_threads):
        rows, number = np.arange(50), np.full(50, n_kept)
        top = anchors_numba.top_products(sp.csr_array(A), B, rows, number).toarray()
    product = A @ B.toarray()
    order = np.argsort(-product, axis=1, kind="stable")[:, :n_kept]
    expected = np.zeros_like(product)
    np.put_along_axis(expected, order, np.take_along_axis(product, order, 1), axis=1)
    assert_array_equal(top, expected)


def test_wide_indices_and_read_only_arrays(X):
    anchors = np.arange(20)
    expected = anchor_embeddings(X, anchors, 20, 5)
    wide = X.copy()
    wide.indices, wide.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    for array in (wide.data, wide.indices, wide.indptr):
        array.flags.writeable = False
    S = anchor_embeddings(wide, anchors, 20, 5)
    for one, other in zip(arrays(S), arrays(expected), strict=True):
        assert_array_equal(one, other)
