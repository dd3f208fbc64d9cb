"""CompresSAE at the edges: input of every form, files, tiny and odd tables."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec import CompresSAE, top_items

VARIANTS = {
    "free": {},
    "random and tied": {"init": "random", "encoder": "tied", "nested": True},
    "positive": {"positive": True},
    "centred": {"center": True},
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def variant(request, make_sae):
    return make_sae(**request.param)


def assert_same_model(model, expected, atol=0.0):
    for name in ("components_", "encoder_components_", "encoder_intercept_"):
        assert_allclose(getattr(model, name), getattr(expected, name), atol=atol)
    A, B = model.item_embeddings_.toarray(), expected.item_embeddings_.toarray()
    assert_allclose(A, B, atol=atol)
    assert_allclose(model.loss_curve_, expected.loss_curve_, atol=atol)


# Forms of input


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def every_other_row_and_column(X):
    wide = np.zeros((2 * X.shape[0], 2 * X.shape[1]), X.dtype)
    wide[::2, ::2] = X
    return wide[::2, ::2]


def as_columns(X):
    return [f"dimension {i}" for i in range(X.shape[1])]


FORMS = {
    "Fortran order": np.asfortranarray,
    "not contiguous": every_other_row_and_column,
    "read-only": read_only,
    "reversed": lambda X: X[::-1].copy()[::-1],
    "other byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "list": lambda X: X.tolist(),
    "object": lambda X: X.astype(object),
    "csr_array": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "csc_array": sp.csc_array,
    "coo_array": sp.coo_array,
    "pandas": lambda X: pd.DataFrame(X, columns=as_columns(X)),
    "polars": lambda X: pl.DataFrame(X, schema=as_columns(X)),
}


@pytest.fixture(scope="module")
def small(vectors):
    """Vectors with zeros, as sparse input has them."""
    X = np.round(vectors.train[:90], 1)
    X[np.abs(X) < 0.2] = 0
    return X


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_input_gives_the_same_results(make_sae, small, form):
    X = form(small.copy())
    expected, found = make_sae().fit(small), make_sae().fit(X)
    # Sums of columns round otherwise than sums of rows.
    assert_same_model(found, expected, atol=1e-5)
    S, T = found.transform(X), expected.transform(small)
    assert S.dtype == T.dtype == np.float64
    assert_allclose(S.toarray(), T.toarray(), atol=1e-5)
    R, other = found.recommend(X), expected.recommend(small)
    assert_allclose(R.data, other.data, atol=1e-5)
    assert found.score(X) == pytest.approx(expected.score(small), abs=1e-6)
    found.partial_fit(X), expected.partial_fit(small)
    assert_same_model(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "of_codes"),
    [
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.int8, np.float64),
        (np.uint32, np.float64),
        (bool, np.float64),
    ],
)
def test_types_of_input(make_sae, small, dtype, of_codes):
    # Whole numbers that each of them holds.
    X = (np.abs(small) > 0.3) if dtype in (bool, np.uint32) else np.round(10 * small)
    expected = make_sae().fit(X.astype(np.float64))
    given = X.astype(dtype)
    before = given.copy()
    model = make_sae().fit(given)
    assert_same_model(model, expected)
    assert model.components_.dtype == model.item_embeddings_.dtype == np.float32
    codes = model.transform(given)
    assert codes.dtype == of_codes
    assert_allclose(codes.toarray(), expected.transform(X).toarray(), rtol=1e-6)
    assert_array_equal(given, before)


def test_half_precision_of_the_input_is_nearly_the_same(make_sae, vectors):
    model = make_sae().fit(vectors.train.astype(np.float16))
    assert model.score(vectors.test) == pytest.approx(
        make_sae().fit(vectors.train).score(vectors.test), abs=0.01
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_large_and_small_numbers(make_sae, vectors, dtype):
    largest, smallest = np.finfo(dtype).max, np.finfo(dtype).tiny
    X = vectors.train / np.abs(vectors.train).max(axis=1, keepdims=True)
    expected = make_sae().fit(X).score(vectors.test)
    for factor in (largest, 1e3 * smallest):
        model = make_sae().fit((X * factor).astype(dtype))
        assert model.score(vectors.test) == pytest.approx(expected, abs=0.02)


# Files


@pytest.fixture(params=[np.float16, np.float32, np.float64])
def mapped(request, vectors, tmp_path):
    np.save(tmp_path / "X.npy", vectors.train.astype(request.param))
    return np.load(tmp_path / "X.npy", mmap_mode="r")


def test_a_mapped_file_gives_as_good_a_model(make_sae, vectors, mapped):
    in_memory = np.array(mapped)
    model, expected = make_sae().fit(mapped), make_sae().fit(in_memory)
    # Batches come in another order.
    assert model.score(vectors.test) > expected.score(vectors.test) - 0.02
    assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=0.2)
    # What does not depend on their order is the same.
    model, expected = (
        make_sae(batch_size=600, max_iter=2).fit(X) for X in (mapped, in_memory)
    )
    assert_same_model(model, expected, atol=1e-4)
    codes, others = model.transform(mapped), model.transform(in_memory)
    assert_array_equal(codes.toarray(), others.toarray())
    for space in ("sparse", "reconstructed"):
        ids, _ = top_items(model.recommend(mapped, k=1, space=space))
        assert_array_equal(ids.ravel(), np.arange(600))
    model.partial_fit(mapped)
    assert model.score(mapped) == pytest.approx(model.reconstruction_cosine_)


def test_the_file_is_not_read_into_memory(
    tmp_path, monkeypatch, peak_of, LargestTensor
):
    monkeypatch.setattr("sksparse_rec._numerics.vectors.BLOCK_ROWS", 256)
    monkeypatch.setattr("sksparse_rec._sparse.BLOCK_ENTRIES", 1 << 16)
    X = np.random.default_rng(0).normal(size=(12_000, 256)).astype(np.float16)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = CompresSAE(32, n_nonzero=2, max_iter=1, batch_size=250, random_state=0)
    with LargestTensor() as largest:
        # Whatever has to be imported and compiled is here.
        model.fit(X[:300]).score(X[:300])
        _, peak = peak_of(lambda: model.fit(mapped).score(mapped))
    assert peak < X.nbytes / 2
    assert largest.n_bytes < X.nbytes / 8
    # What reading it whole would take is seen.
    assert peak_of(lambda: np.array(mapped))[1] >= X.nbytes


# Odd tables


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (2, 1), (2, 6), (9, 1), (51, 6)])
def test_small_tables(variant, shape):
    # 51 rows leave a batch of one row over.
    X = np.random.default_rng(0).normal(size=shape)
    model = variant.fit(X)
    assert model.item_embeddings_.shape == (shape[0], 64)
    assert np.isfinite(model.item_embeddings_.data).all()
    assert np.isfinite(model.components_).all()
    assert model.reconstruction_cosine_ <= 1
    assert model.explained_variance_ <= 1
    assert model.score(X) == pytest.approx(model.reconstruction_cosine_, abs=1e-6)
    for space in ("sparse", "reconstructed"):
        R = model.recommend(X, k=100, space=space)
        assert_array_equal(np.diff(R.indptr), shape[0])
        assert np.isfinite(R.data).all()
        S = model.similar_items(np.arange(shape[0]), k=100, space=space)
        assert_array_equal(np.diff(S.indptr), shape[0] - 1)
    model.partial_fit(X)


def test_a_single_row_left_over_is_trained_on(make_sae, vectors):
    whole, rest = vectors.train[:100], vectors.train[:101]
    assert make_sae(max_iter=1).fit(whole).n_steps_ == 2
    model = make_sae(max_iter=1).fit(rest)
    assert model.n_steps_ == 3
    assert np.isfinite(model.loss_curve_).all()


def test_rows_of_zeros(variant, vectors):
    X = vectors.train[:200].copy()
    X[::4] = 0
    model = variant.fit(X)
    lengths = np.diff(model.item_embeddings_.indptr)
    assert_array_equal(lengths[::4], 0)
    assert lengths[1::4].min() > 0
    assert np.isfinite(model.loss_curve_).all()
    codes = model.transform(X)
    assert_array_equal(np.diff(codes.indptr) == 0, lengths == 0)
    assert_array_equal(model.inverse_transform(codes)[::4], 0)
    assert model.score(X) == pytest.approx(model.reconstruction_cosine_)
    # The others are learned all the same.
    assert model.score(X[X.any(axis=1)]) > 0.75


@pytest.mark.parametrize("space", ["sparse", "reconstructed", "asymmetric"])
def test_nothing_but_zeros(variant, space):
    X = np.zeros((7, 5))
    model = variant.fit(X)
    assert model.item_embeddings_.nnz == 0
    assert model.dead_fraction_ == 1
    assert model.explained_variance_ == 0
    assert model.transform(X).nnz == 0
    ids, scores = top_items(model.recommend(X, k=3, space=space))
    assert_array_equal(ids, np.tile([0, 1, 2], (7, 1)))
    assert_array_equal(scores, 0)
    assert np.isfinite(model.components_).all()
    model.partial_fit(X)


@pytest.mark.parametrize("factors", [np.ones(60), np.linspace(1, 9, 60)])
def test_rows_that_are_all_alike(variant, factors):
    # Their variance is 0, and no share of it is explained.
    X = np.outer(factors, np.random.default_rng(0).normal(size=8))
    model = variant.fit(X)
    assert model.explained_variance_ == 0
    assert 0.8 < model.reconstruction_cosine_ <= 1
    assert np.isfinite(model.item_embeddings_.data).all()
    if not model.center:
        R = model.recommend(X, k=60)
        assert_allclose(R.data, 1, atol=1e-4)


def test_constant_columns(variant, vectors):
    X = vectors.train.copy()
    X[:, [0, 5]] = 0, 0.5
    model = variant.fit(X)
    assert model.score(X) > 0.75
    assert np.isfinite(model.components_).all()


def test_duplicates(variant, vectors):
    X = np.repeat(vectors.train[:100], 3, axis=0)
    model = variant.fit(X)
    A = model.item_embeddings_.toarray()
    assert_allclose(A[::3], A[1::3], atol=1e-5)
    ids, _ = top_items(model.similar_items(np.arange(0, 300, 3), k=2))
    expected = np.arange(0, 300, 3)[:, None] + [1, 2]
    assert np.mean(np.sort(ids, axis=1) == expected) > 0.95
    assert model.score(X) > 0.75


def test_more_components_than_rows(variant, vectors):
    X = vectors.train[:20]
    model = variant.set_params(n_components=300).fit(X)
    assert model.components_.shape == (300, 32)
    assert_allclose(np.linalg.norm(model.components_, axis=1), 1, rtol=1e-5)
    assert model.transform(X).shape == (20, 300)
    assert model.score(X) > 0.7


def test_more_nonzeros_than_components(make_sae, vectors):
    model = make_sae(n_components=10, n_nonzero=50).fit(vectors.train)
    assert model.n_nonzero_ == 10
    assert np.diff(model.item_embeddings_.indptr).max() == 10
    expected = make_sae(n_components=10, n_nonzero=10).fit(vectors.train)
    assert_same_model(model, expected)


@pytest.mark.parametrize("n_nonzero", [1, 2, 3, 5])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("auxiliary_factor", [1, 3, 100])
def test_levels_that_coincide(make_sae, vectors, n_nonzero, nested, auxiliary_factor):
    model = make_sae(
        n_components=12,
        n_nonzero=n_nonzero,
        nested=nested,
        auxiliary_factor=auxiliary_factor,
        n_nonzero_start=2 * n_nonzero,
        max_iter=3,
    ).fit(vectors.train[:120])
    assert np.isfinite(model.loss_curve_).all()
    assert np.diff(model.item_embeddings_.indptr).max() <= n_nonzero
    assert model.score(vectors.train[:120]) > 0.25


@pytest.mark.parametrize("batch_size", [1, 7, 600, 10**6])
def test_batches_of_any_size(make_sae, vectors, batch_size):
    X = vectors.train[:60]
    model = make_sae(batch_size=batch_size, max_iter=2).fit(X)
    assert model.n_steps_ == 2 * -(-60 // batch_size)
    assert np.isfinite(model.components_).all()
    assert model.score(X) > 0.5
