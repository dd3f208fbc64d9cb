"""Similarities of codes against dense vectors, a pair at a time."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec import reconstructed_similarity, sparse_similarity
from sksparse_rec.retrieval._similarity import (
    LARGEST_BLOCK,
    query_profiles,
    reconstruction_norms,
)

N_COMPONENTS, N_FEATURES = 11, 7


def cosines(A, B):
    """Cosine of every pair of dense rows, 0 where one of them is zero."""
    return np.array(
        [[a @ b / (np.linalg.norm(a) * np.linalg.norm(b) or 1.0) for b in B] for a in A]
    )


def make_codes(n_rows, seed, n_components=N_COMPONENTS):
    rng = np.random.default_rng(seed)
    S = rng.normal(size=(n_rows, n_components))
    S[rng.random(S.shape) < 0.6] = 0
    S[2] = 0
    return S.astype(np.float16).astype(np.float64)


@pytest.fixture(name="S")
def make_s():
    return make_codes(LARGEST_BLOCK + 5, 0)


@pytest.fixture(name="T")
def make_t():
    return make_codes(9, 1)


@pytest.fixture
def decoder():
    return np.random.default_rng(2).normal(size=(N_COMPONENTS, N_FEATURES))


def sparse_float16(dense):
    S = sp.csr_array(dense)
    return sp.csr_array((S.data.astype(np.float16), S.indices, S.indptr), S.shape)


CONTAINERS = [
    sp.csr_array,
    sp.csr_matrix,
    sp.csc_array,
    sp.coo_matrix,
    np.array,
    lambda dense: sp.csr_array(dense, dtype=np.float32),
    lambda dense: dense.astype(np.float16),
    sparse_float16,
    np.asfortranarray,
    np.ndarray.tolist,
]


@pytest.mark.parametrize("container", CONTAINERS)
def test_equals_dense_cosines(S, T, decoder, container):
    actual = sparse_similarity(container(S), container(T))
    assert type(actual) is np.ndarray
    assert actual.dtype == np.float64
    assert_allclose(actual, cosines(S, T), atol=1e-14)
    actual = reconstructed_similarity(container(S), container(T), decoder)
    assert type(actual) is np.ndarray
    assert actual.dtype == np.float64
    assert_allclose(actual, cosines(S @ decoder, T @ decoder), atol=1e-14)


def test_equals_the_product_with_the_gram_matrix_of_the_decoder(S, T, decoder):
    """The formula of the documentation."""
    K = decoder @ decoder.T
    norms = [np.sqrt(np.einsum("ij,jk,ik->i", A, K, A)) for A in (S, T)]
    expected = S @ K @ T.T / np.where(np.outer(*norms) > 0, np.outer(*norms), 1)
    assert_allclose(reconstructed_similarity(S, T, decoder), expected, atol=1e-14)


def test_with_itself(T, decoder):
    assert_array_equal(sparse_similarity(T), sparse_similarity(T, T))
    assert_allclose(np.diag(sparse_similarity(T)), np.arange(9) != 2)
    actual = reconstructed_similarity(T, decoder=decoder)
    assert_array_equal(actual, reconstructed_similarity(T, T, decoder))
    assert_allclose(np.diag(actual), np.arange(9) != 2)


def test_scale_of_rows_does_not_matter(S, T, decoder):
    scale = np.geomspace(1e-30, 1e30, len(T))[:, None]
    expected = sparse_similarity(S, T)
    assert_allclose(sparse_similarity(S, scale * T), expected, atol=1e-14)
    expected = reconstructed_similarity(S, T, decoder)
    assert_allclose(reconstructed_similarity(S, scale * T, decoder), expected)


def test_rows_that_are_zero(S, T, decoder):
    for similarity in (
        sparse_similarity(S, T),
        reconstructed_similarity(S, T, decoder),
        reconstructed_similarity(S, T, np.zeros_like(decoder)),
    ):
        assert not similarity[2].any()
        assert not similarity[:, 2].any()


def test_a_code_whose_latents_cancel(decoder):
    decoder[1] = decoder[0]
    S = sp.csr_array([[1.0, -1.0] + [0.0] * 9, [1.0] + [0.0] * 10])
    assert_allclose(reconstructed_similarity(S, decoder=decoder), [[0, 0], [0, 1]])


@pytest.mark.parametrize("working_memory", [1e-6, 0.01, 1024])
def test_working_memory_changes_nothing(S, T, decoder, working_memory):
    expected = cosines(S, T), cosines(S @ decoder, T @ decoder)
    with sklearn.config_context(working_memory=working_memory):
        assert_allclose(sparse_similarity(S, T), expected[0], atol=1e-14)
        actual = reconstructed_similarity(S, T, decoder)
        assert_allclose(actual, expected[1], atol=1e-14)
        norms = reconstruction_norms(sp.csr_array(S), decoder)
    assert_allclose(norms, np.linalg.norm(S @ decoder, axis=1))


def test_memory_is_bounded(peak_of):
    """The rebuilt catalogue and its profiles would take 80 MB and 40 MB."""
    rng = np.random.default_rng(0)
    rows = np.arange(20_001)
    T = sp.csr_array((np.ones(20_000), rows[:-1] % 250, rows), shape=(20_000, 250))
    decoder = rng.normal(size=(250, 500))
    with sklearn.config_context(working_memory=2):
        for S, other in ((T[:10], T), (T, T[:10])):
            _, peak = peak_of(partial(reconstructed_similarity, S, other, decoder))
            assert peak < 12e6


def test_duplicates_are_summed_and_nothing_is_changed(decoder):
    S = sp.csr_array(
        ([1.0, 2.0, 4.0, -1.0], [3, 0, 3, 5], [0, 3, 4]), shape=(2, N_COMPONENTS)
    )
    before = [getattr(S, name).copy() for name in ("data", "indices", "indptr")]
    dense = S.toarray()
    assert_allclose(sparse_similarity(S), cosines(dense, dense))
    dense = dense @ decoder
    assert_allclose(reconstructed_similarity(S, decoder=decoder), cosines(dense, dense))
    for name, expected in zip(("data", "indices", "indptr"), before, strict=True):
        assert_array_equal(getattr(S, name), expected)


@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parts_of_a_search(S, T, decoder, container, dtype):
    """What the estimator makes at fit, and what it makes of a query."""
    S, decoder = container(S.astype(dtype)), decoder.astype(dtype)
    norms = reconstruction_norms(S, decoder)
    dense = S.toarray().astype(float) @ decoder.astype(float)
    assert norms.dtype == np.float64
    assert_allclose(norms, np.linalg.norm(dense, axis=1), rtol=1e-14)
    profiles = query_profiles(S, decoder)
    assert type(profiles) is np.ndarray
    assert profiles.dtype == np.float64
    rebuilt = T @ decoder
    expected = cosines(dense, rebuilt) * np.linalg.norm(rebuilt, axis=1)
    assert_allclose(profiles @ T.T, expected, atol=1e-6 if dtype == np.float32 else 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(S, T, decoder, value):
    T[4, 3] = value
    with pytest.raises(ValueError, match=rf"T\[4, 3\] is {value}"):
        sparse_similarity(S, T)
    with pytest.raises(ValueError, match=rf"S\[4, 3\] is {value}"):
        reconstructed_similarity(sp.csr_array(T), S, decoder)
    decoder[0, 0] = value
    with pytest.raises(ValueError, match="decoder contains"):
        reconstructed_similarity(S, decoder=decoder)


def test_shapes_that_do_not_fit(S, T, decoder):
    with pytest.raises(ValueError, match=r"T has 10 columns, .* columns of S is 11"):
        sparse_similarity(S, T[:, 1:])
    with pytest.raises(ValueError, match=r"S has 10 columns, .* rows of decoder is 11"):
        reconstructed_similarity(S[:, 1:], T, decoder)
    with pytest.raises(ValueError, match=r"T has 10 columns, .* rows of decoder is 11"):
        reconstructed_similarity(S, sp.csr_array(T[:, 1:]), decoder)
    with pytest.raises(ValueError, match="1D array"):
        sparse_similarity(S[0])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        sparse_similarity(S[:0])


def test_a_decoder_is_needed(S, decoder):
    with pytest.raises(ValueError, match="pass the components_ of the CompresSAE"):
        reconstructed_similarity(S)
    with pytest.raises(TypeError, match="decoder"):
        reconstructed_similarity(S, decoder=sp.csr_array(decoder))
