"""CompresSAE.recommend and similar_items against brute force, in every space."""

from copy import copy

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.exceptions import NotFittedError

from sksparse_rec import reconstructed_similarity, sparse_similarity, top_items

SPACES = ["sparse", "reconstructed"]
# In which queries are vectors.
QUERY_SPACES = [*SPACES, "asymmetric"]
VARIANTS = {
    "free": {},
    "positive": {"positive": True},
    "centred": {"center": True},
    "wide": {"n_components": 700, "n_nonzero": 9, "max_iter": 1},
}


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS)
def model(request, make_sae, vectors):
    return make_sae(**request.param).fit(vectors.train)


def unit_rows(X):
    X = np.asarray(X, dtype=np.float64)
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(norms > 0, norms, 1)


def brute_force(model, codes, space):
    """Cosines of codes with the catalogue's, in plain numpy."""
    S, T = codes.toarray(), model.item_embeddings_.toarray()
    if space == "reconstructed":
        S, T = (part @ model.components_.astype(float) for part in (S, T))
    return unit_rows(S) @ unit_rows(T).T


def brute_force_of_vectors(model, X, space):
    if space != "asymmetric":
        return brute_force(model, model.transform(X), space)
    rebuilt = model.item_embeddings_ @ model.components_.astype(float)
    centred = unit_rows(X) - (0 if model.mean_ is None else model.mean_)
    return unit_rows(centred) @ unit_rows(rebuilt).T


def assert_best(R, expected, k):
    """Assert that ``R`` has the ``k`` best of a dense matrix, -inf left out."""
    assert R.format == "csr"
    assert R.dtype == np.float64
    assert R.shape == expected.shape
    candidates = np.isfinite(expected).sum(axis=1)
    assert_array_equal(np.diff(R.indptr), np.minimum(candidates, k))
    for row, values in enumerate(expected):
        stored = slice(R.indptr[row], R.indptr[row + 1])
        found, scores = R.indices[stored], R.data[stored]
        assert len(set(found)) == len(found)
        assert_allclose(scores, values[found], atol=1e-6)
        assert_allclose(scores, -np.sort(-values)[: len(found)], atol=1e-6)
        assert np.all(np.diff(scores) <= 0)


@pytest.mark.parametrize("k", [1, 7, 600, 10**6])
@pytest.mark.parametrize("space", QUERY_SPACES)
def test_recommend_equals_brute_force(model, vectors, space, k):
    R = model.recommend(vectors.test, k=k, space=space)
    assert_best(R, brute_force_of_vectors(model, vectors.test, space), k)


@pytest.mark.parametrize("space", SPACES)
def test_recommend_equals_the_pairwise_functions(model, vectors, space):
    R = model.recommend(vectors.test, k=600, space=space)
    S, T = model.transform(vectors.test), model.item_embeddings_
    if space == "sparse":
        expected = sparse_similarity(S, T)
    else:
        expected = reconstructed_similarity(S, T, decoder=model.components_)
    assert_allclose(R.toarray(), expected, atol=1e-6)
    # Which are cosines.
    assert np.abs(R.data).max() <= 1 + 1e-6


def test_sparse_is_the_default(fitted_sae, vectors):
    sparse = fitted_sae.recommend(vectors.test, space="sparse")
    other = fitted_sae.recommend(vectors.test, space="reconstructed")
    found = fitted_sae.recommend(vectors.test)
    assert_array_equal(found.indices, sparse.indices)
    assert not np.array_equal(found.indices, other.indices)
    positions = np.arange(50)
    assert_array_equal(
        fitted_sae.similar_items(positions).indices,
        fitted_sae.similar_items(positions, space="sparse").indices,
    )


@pytest.mark.parametrize("k", [1, 7, 10**6])
@pytest.mark.parametrize("space", SPACES)
def test_similar_items_equal_brute_force_without_the_item(model, space, k):
    items = np.array([3, 599, 0, 3])
    S = model.similar_items(items, k=k, space=space)
    expected = brute_force(model, model.item_embeddings_[items], space)
    expected[np.arange(4), items] = -np.inf
    assert_best(S, expected, k)
    ids, _ = top_items(S)
    assert np.all(ids != items[:, None])


@pytest.mark.parametrize("space", SPACES)
def test_a_row_of_the_catalogue_finds_itself_first(model, vectors, space):
    ids, scores = top_items(model.recommend(vectors.train, k=1, space=space))
    assert_array_equal(ids.ravel(), np.arange(600))
    assert_allclose(scores, 1, atol=1e-5)


def test_forms_of_item_positions(fitted_sae):
    mask = np.zeros(600, dtype=bool)
    mask[[3, 50]] = True
    expected = fitted_sae.similar_items([3, 50])
    for items in (
        (3, 50),
        np.array([3, 50], dtype=np.uint16),
        mask,
        pd.Series([3, 50]),
    ):
        found = fitted_sae.similar_items(items)
        assert_array_equal(found.indices, expected.indices)
    assert fitted_sae.similar_items(3).shape == (1, 600)
    assert fitted_sae.similar_items([]).shape == (0, 600)


# Ties


@pytest.mark.parametrize("space", QUERY_SPACES)
def test_ties_go_to_the_lower_position(fitted_sae, vectors, space):
    # Every code four times, exactly: products round duplicate vectors as they like.
    rows = np.tile(np.arange(50), 4)
    model = copy(fitted_sae)
    model.item_embeddings_ = fitted_sae.item_embeddings_[rows]
    model.reconstruction_norms_ = fitted_sae.reconstruction_norms_[rows]
    scores = model.recommend(vectors.test, k=200, space=space).toarray()
    expected = np.argsort(-scores, axis=1, kind="stable")
    assert_array_equal(scores.reshape(100, 4, 50), scores[:, None, :50].repeat(4, 1))
    for k in (1, 2, 3, 6, 200):
        ids, _ = top_items(model.recommend(vectors.test, k=k, space=space))
        assert_array_equal(ids, expected[:, :k])
    if space in SPACES:
        found, scores = top_items(model.similar_items([60], k=3, space=space))
        assert_array_equal(found, [[10, 110, 160]])
        assert_allclose(scores, 1, atol=1e-6)


@pytest.mark.parametrize("space", QUERY_SPACES)
def test_rows_of_zeros_are_alike_to_nothing(make_sae, vectors, space):
    X = vectors.train[:60].copy()
    X[[4, 7]] = 0
    model = make_sae().fit(X)
    assert_array_equal(
        np.flatnonzero(np.diff(model.item_embeddings_.indptr) == 0), [4, 7]
    )
    assert_array_equal(model.reconstruction_norms_[[4, 7]], 0)
    R = model.recommend(X, k=60, space=space)
    assert_array_equal(np.diff(R.indptr), 60)
    dense = R.toarray()
    assert_array_equal(dense[[4, 7]], 0)
    assert_array_equal(dense[:, [4, 7]], 0)
    ids, _ = top_items(model.recommend(np.zeros((1, 32)), k=5, space=space))
    assert_array_equal(ids, [[0, 1, 2, 3, 4]])
    if space in SPACES:
        ids, _ = top_items(model.similar_items([4], k=5, space=space))
        assert_array_equal(ids, [[0, 1, 2, 3, 5]])


# Filters


@pytest.mark.parametrize("space", QUERY_SPACES)
def test_allow_and_deny_in_all_forms(fitted_sae, vectors, space):
    X = vectors.test
    every = fitted_sae.recommend(X, k=600, space=space)
    mask = np.zeros(600, dtype=bool)
    mask[[3, 50, 7]] = True
    forms = [
        [3, 50, 7],
        (7, 7, 3, 50),
        np.array([3, 50, 7], dtype=np.uint16),
        mask,
        mask.tolist(),
        pd.Series([3, 50, 7]),
        sp.csr_array(np.tile(mask, (100, 1))),
        sp.coo_matrix(np.tile(mask, (100, 1)).astype(float)),
        np.tile(mask, (100, 1)),
    ]
    for form in forms:
        allowed = fitted_sae.recommend(X, k=600, space=space, allow=form)
        assert_array_equal(np.diff(allowed.indptr), 3)
        assert_allclose(allowed.toarray(), every.toarray() * mask, atol=1e-6)
        denied = fitted_sae.recommend(X, k=600, space=space, deny=form)
        assert_array_equal(np.diff(denied.indptr), 597)
        assert_allclose(denied.toarray(), every.toarray() * ~mask, atol=1e-6)
    assert set(fitted_sae.recommend(X, allow=3).indices) == {3}


@pytest.mark.parametrize("space", QUERY_SPACES)
def test_allow_and_deny_together(fitted_sae, vectors, space):
    rng = np.random.default_rng(0)
    scores = brute_force_of_vectors(fitted_sae, vectors.test, space)
    some, others = rng.random(600) < 0.3, rng.random(600) < 0.3
    each, other = rng.random((100, 600)) < 0.02, rng.random((100, 600)) < 0.3
    for allow in (some, each):
        for deny in (others, other):
            R = fitted_sae.recommend(
                vectors.test,
                k=9,
                space=space,
                allow=sp.csr_array(allow) if allow.ndim == 2 else allow,
                deny=sp.csc_array(deny) if deny.ndim == 2 else np.flatnonzero(deny),
            )
            assert_best(R, np.where(allow & ~deny, scores, -np.inf), 9)


@pytest.mark.parametrize("space", QUERY_SPACES)
def test_nothing_allowed(fitted_sae, vectors, space):
    for nothing in ([], np.zeros(600, dtype=bool), sp.csr_array((100, 600))):
        R = fitted_sae.recommend(vectors.test, space=space, allow=nothing)
        assert R.shape == (100, 600)
        assert R.nnz == 0
        denied = fitted_sae.recommend(vectors.test, space=space, deny=nothing)
        assert denied.nnz == 1000


# The same lists however they are computed


@pytest.mark.parametrize("working_memory", [1e-6, 0.05, 1])
@pytest.mark.parametrize("space", SPACES)
def test_lists_do_not_depend_on_the_working_memory(
    model, vectors, space, working_memory
):
    mask = sp.random_array((100, 600), density=0.2, rng=np.random.default_rng(0))
    calls = [
        lambda: model.recommend(vectors.test, k=7, space=space),
        lambda: model.recommend(vectors.test, k=7, space="asymmetric", allow=mask),
        lambda: model.similar_items(np.arange(0, 600, 7), k=7, space=space),
    ]
    for call in calls:
        expected = call()
        with config_context(working_memory=working_memory):
            found = call()
        assert_array_equal(found.indptr, expected.indptr)
        assert_array_equal(found.indices, expected.indices)
        assert_allclose(found.data, expected.data, atol=1e-6)


@pytest.mark.parametrize("space", QUERY_SPACES)
def test_a_batch_equals_single_queries(fitted_sae, vectors, space):
    together, scores = top_items(fitted_sae.recommend(vectors.test[:20], space=space))
    for row in range(20):
        query = vectors.test[[row]]
        alone, values = top_items(fitted_sae.recommend(query, space=space))
        assert_array_equal(alone, together[[row]])
        assert_allclose(values, scores[[row]], atol=1e-6)


# Wrong arguments


@pytest.mark.parametrize("space", ["dense", None, "", 1])
def test_an_unknown_space_is_refused(fitted_sae, vectors, space):
    with pytest.raises(ValueError, match=f"'asymmetric'.*got {space!r}"):
        fitted_sae.recommend(vectors.test, space=space)
    with pytest.raises(ValueError, match=f"'sparse', 'reconstructed'.*got {space!r}"):
        fitted_sae.similar_items([0], space=space)


def test_rows_of_the_catalogue_have_no_vectors(fitted_sae):
    with pytest.raises(ValueError, match=r"space must be one of .* got 'asymmetric'"):
        fitted_sae.similar_items([0], space="asymmetric")


@pytest.mark.parametrize("k", [0, -1, 2.5, True, None, "ten", np.nan])
def test_a_wrong_length_of_lists(fitted_sae, vectors, k):
    for call in (
        lambda: fitted_sae.recommend(vectors.test, k=k),
        lambda: fitted_sae.similar_items([0], k=k),
    ):
        with pytest.raises(ValueError, match="k must be an integer of at least 1"):
            call()


@pytest.mark.parametrize("which", ["allow", "deny"])
@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ([1, 600], ValueError, "position 600.*0 to 599"),
        ([-1], ValueError, "position -1"),
        ([0.5], TypeError, "positions"),
        (np.ones(5, dtype=bool), ValueError, r"mask of shape \(5,\).*600"),
        (sp.csr_array((100, 5)), ValueError, r"\(100, 5\).*\(100, 600\)"),
    ],
)
def test_wrong_filters(fitted_sae, vectors, which, value, error, words):
    with pytest.raises(error, match=f"{which}.*{words}"):
        fitted_sae.recommend(vectors.test, **{which: value})


def test_wrong_items(fitted_sae):
    for items in ([0, 600], [-1]):
        with pytest.raises(ValueError, match=f"items contains position {items[-1]}"):
            fitted_sae.similar_items(items)
    with pytest.raises(TypeError, match="items must hold item positions"):
        fitted_sae.similar_items([1.5])


def test_search_needs_fit(make_sae, vectors):
    for call in (
        lambda model: model.recommend(vectors.test),
        lambda model: model.similar_items([0]),
    ):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call(make_sae())
