"""What users like as rows of items, against a slower, simpler way."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context

from sksparse_rec import CompressedELSA, LatentSegments, audience_embeddings


def slow_rows(X, A, n_nonzero):
    X, A = np.asarray(X, dtype=float), np.asarray(A, dtype=float)
    profiles = X @ A
    norms = np.linalg.norm(profiles, axis=1)
    X, profiles = X[norms > 0], profiles[norms > 0] / norms[norms > 0, None]
    rows = np.zeros(A.shape)
    for item, weights in enumerate(X.T):
        if weights.sum() == 0:
            continue
        row = weights @ profiles / weights.sum() - profiles.mean(axis=0)
        row[row < 1e-12] = 0
        row[np.argsort(-row, kind="stable")[n_nonzero:]] = 0
        rows[item] = row / max(np.linalg.norm(row), 1e-300)
    return rows


@pytest.fixture(name="X", scope="module")
def interactions():
    rng = np.random.default_rng(0)
    X = (rng.random((60, 25)) < 0.2) * rng.integers(1, 4, (60, 25)).astype(float)
    X[3] = 0
    X[:, 7] = 0
    return sp.csr_array(X)


@pytest.fixture(name="A", scope="module")
def item_embeddings():
    rng = np.random.default_rng(1)
    A = rng.normal(size=(25, 9)) * (rng.random((25, 9)) < 0.4)
    A[11] = 0
    return sp.csr_array(A)


@pytest.mark.parametrize("n_nonzero", [1, 3, 50])
@pytest.mark.parametrize("working_memory", [1024, 0.001])
def test_rows_are_means_of_profiles(X, A, n_nonzero, working_memory):
    with config_context(working_memory=working_memory):
        rows = audience_embeddings(X, A, n_nonzero=n_nonzero)
    expected = slow_rows(X.toarray(), A.toarray(), n_nonzero)
    np.testing.assert_allclose(rows.toarray(), expected, atol=1e-9)
    assert rows.has_canonical_format
    assert np.diff(rows.indptr).max() == min(n_nonzero, 8)
    assert rows.data.min() > 0
    assert not np.diff(rows.indptr)[7]
    # It has users, and no embedding of its own.
    assert np.diff(rows.indptr)[11]


def test_memory_is_bounded(peak_of):
    rng = np.random.default_rng(0)
    A = sp.random_array((20_000, 256), density=0.03, rng=rng, format="csr")
    X = sp.random_array((500, 20_000), density=0.001, rng=rng, format="csr")
    with config_context(working_memory=8):
        rows, peak = peak_of(lambda: audience_embeddings(X, A, n_nonzero=4))
    # Copies of both matrices come on top. All means are 41 MB.
    assert peak < 8 * 2**20 + 4 * (A.nnz + X.nnz) * 12
    assert rows.shape == A.shape


def test_users_without_a_profile_do_not_count(X, A):
    more = sp.vstack([X, sp.csr_array((5, 25)), sp.csr_array(np.eye(25)[[11]])])
    np.testing.assert_allclose(
        audience_embeddings(more, A).toarray(), audience_embeddings(X, A).toarray()
    )


def test_items_that_everybody_likes_alike_have_no_row():
    X, A = np.ones((7, 3)), np.random.default_rng(0).normal(size=(3, 4))
    assert audience_embeddings(X, A).nnz == 0


def test_profiles_that_cancel():
    # The first user's items are opposite.
    X, A = [[1, 1, 0], [0, 0, 1], [1, 0, 0]], [[1.0, 0], [-1, 0], [0, 1]]
    rows = audience_embeddings(X, A).toarray()
    np.testing.assert_allclose(rows, [[1, 0], [0, 0], [0, 1]])


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_lengths_do_not_count(X, A, scale):
    np.testing.assert_allclose(
        audience_embeddings(X * scale, A).toarray(),
        audience_embeddings(X, A * scale).toarray(),
        atol=1e-9,
    )


@pytest.mark.parametrize(
    "container", [sp.csr_matrix, sp.coo_array, sp.csc_array, lambda X: X.toarray()]
)
def test_any_container(X, A, container):
    expected = audience_embeddings(X, A).toarray()
    found = audience_embeddings(container(X), container(A))
    np.testing.assert_array_equal(found.toarray(), expected)
    frame = pd.DataFrame(X.toarray()).rename(columns=str)
    np.testing.assert_array_equal(audience_embeddings(frame, A).toarray(), expected)


@pytest.mark.parametrize("interface", ["sparray", "spmatrix"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_returned(X, A, interface, dtype):
    before = X.toarray(), A.toarray()
    with config_context(sparse_interface=interface):
        rows = audience_embeddings(X, A.astype(dtype))
    assert rows.dtype == dtype
    assert isinstance(rows, sp.csr_array) == (interface == "sparray")
    np.testing.assert_array_equal(X.toarray(), before[0])
    np.testing.assert_array_equal(A.toarray(), before[1])


@pytest.mark.parametrize(
    ("X", "A", "params", "match"),
    [
        (np.eye(3), np.eye(4), {}, "4 rows, but X has 3 columns"),
        (-np.eye(3), np.eye(3), {}, r"Negative values.*X\[0, 0\] is -1"),
        (np.full((3, 3), np.nan), np.eye(3), {}, "NaN"),
        (np.eye(3), np.full((3, 3), np.inf), {}, "item_embeddings"),
        (np.eye(3), np.ones(3), {}, "Expected 2D array"),
        (np.eye(3), np.eye(3), {"n_nonzero": 0}, "n_nonzero"),
    ],
)
def test_wrong_arguments(X, A, params, match):
    with pytest.raises(ValueError, match=match):
        audience_embeddings(X, A, **params)


def test_groups_of_users_make_segments(planted):
    model = CompressedELSA(32, n_nonzero=8, max_iter=3, random_state=0)
    model.fit(planted.train)
    rows = audience_embeddings(planted.train, model.item_embeddings_)
    segments = LatentSegments(assign="nearest").fit(rows)
    popular = np.argsort(-model.item_popularity_)[:20]
    assert np.all(segments.labels_[popular] >= 0)
    page = segments.layout(
        model.transform(planted.train[:5]), item_embeddings=model.item_embeddings_
    )
    assert np.all(page.items[:, 0, :3] >= 0)


def test_scores_are_explained_by_these_segments(planted):
    model = CompressedELSA(32, n_nonzero=8, max_iter=3, random_state=0)
    model.fit(planted.train)
    rows = audience_embeddings(planted.train, model.item_embeddings_)
    segments = LatentSegments(assign="nearest").fit(rows)
    history = planted.train[:1]
    explanation = model.explain(history, [0, 1, 2], segments=segments)
    shares = explanation.by_segment
    assert shares.shape == (3, len(segments.segment_ids_) + 1)
    scores = (model.transform(history) @ model.item_embeddings_[:3].T).toarray()
    sums = np.ravel(shares.sum(axis=1))
    np.testing.assert_allclose(sums, scores[0], rtol=1e-5)
    assert abs(shares[:, :-1]).max() > 0
