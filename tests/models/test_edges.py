"""The rules at the edges: input of every form, short catalogues, filters, ties."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.exceptions import NotFittedError

from sksparse_rec import CompressedELSA, top_items


def with_int64_indices(X):
    X = sp.csr_array(X)
    return sp.csr_array(
        (X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape
    )


def with_duplicates(X):
    """Every entry as two halves, in disorder."""
    X = sp.coo_array(X)
    order = np.random.default_rng(0).permutation(2 * X.nnz)
    rows, columns = np.tile(X.row, 2)[order], np.tile(X.col, 2)[order]
    return sp.coo_array((np.tile(X.data / 2, 2)[order], (rows, columns)), shape=X.shape)


def csr_with_duplicates(X):
    X = sp.csr_array(X)
    twice = np.repeat(X.data / 2, 2)
    return sp.csr_array((twice, np.repeat(X.indices, 2), 2 * X.indptr), shape=X.shape)


def with_unsorted_indices(X):
    X = sp.csr_array(X)
    data, indices = X.data.copy(), X.indices.copy()
    for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        data[start:stop] = data[start:stop][::-1]
        indices[start:stop] = indices[start:stop][::-1]
    return sp.csr_array((data, indices, X.indptr), shape=X.shape)


def with_explicit_zeros(X):
    X = X.toarray()
    rows, columns = np.indices(X.shape)
    return sp.csr_array((X.ravel(), (rows.ravel(), columns.ravel())), shape=X.shape)


def read_only(X):
    X = sp.csr_array(X)
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    return X


FORMS = {
    "csr_array": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "csc_array": sp.csc_array,
    "csc_matrix": sp.csc_matrix,
    "coo_array": sp.coo_array,
    "coo_matrix": sp.coo_matrix,
    "lil_array": sp.lil_array,
    "dok_array": sp.dok_array,
    "int64 indices": with_int64_indices,
    "dense": lambda X: X.toarray(),
    "Fortran order": lambda X: np.asfortranarray(X.toarray()),
    "list": lambda X: X.toarray().tolist(),
    "pandas": lambda X: pd.DataFrame(X.toarray(), columns=list("abcdefghijkl")),
    "polars": lambda X: pl.DataFrame(X.toarray(), schema=list("abcdefghijkl")),
    "duplicates": with_duplicates,
    "csr with duplicates": csr_with_duplicates,
    "unsorted indices": with_unsorted_indices,
    "explicit zeros": with_explicit_zeros,
    "read-only": read_only,
    "float32": lambda X: X.astype(np.float32),
    "int8": lambda X: X.astype(np.int8),
    "uint64": lambda X: X.astype(np.uint64),
    "dense object": lambda X: X.toarray().astype(object),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_input_gives_the_same_results(make, tiny, form):
    X = form(tiny.copy())
    expected, found = make().fit(tiny), make().fit(X)
    np.testing.assert_array_equal(
        found.item_embeddings_.toarray(), expected.item_embeddings_.toarray()
    )
    np.testing.assert_array_equal(found.item_popularity_, expected.item_popularity_)
    for exclude_seen in (True, False):
        R = found.recommend(X, exclude_seen=exclude_seen)
        S = expected.recommend(tiny, exclude_seen=exclude_seen)
        np.testing.assert_array_equal(top_items(R)[0], top_items(S)[0])
        np.testing.assert_allclose(R.data, S.data, atol=1e-6)
    np.testing.assert_allclose(
        found.transform(X).toarray(), expected.transform(tiny).toarray(), rtol=1e-6
    )
    assert found.score(X) == expected.score(tiny)
    found.partial_fit(X)
    np.testing.assert_array_equal(
        found.item_embeddings_.toarray(),
        make().fit(tiny).partial_fit(tiny).item_embeddings_.toarray(),
    )


@pytest.mark.parametrize("form", ["csr_matrix", "coo_array", "dense", "explicit zeros"])
def test_booleans_are_ones(make, tiny, form):
    ones = (tiny > 0).astype(float)
    found = make().fit(FORMS[form](tiny > 0))
    np.testing.assert_array_equal(
        found.item_embeddings_.toarray(), make().fit(ones).item_embeddings_.toarray()
    )


def test_sums_of_narrow_duplicates_do_not_wrap_around(make):
    parts = np.full(4, 100, dtype=np.int8), ([0, 0, 1, 1], [0, 0, 1, 2])
    X = sp.coo_array(parts, shape=(2, 3))
    wide = X.astype(float).tocsr()
    np.testing.assert_array_equal(
        make().fit(X).transform(X).toarray(), make().fit(wide).transform(wide).toarray()
    )


@pytest.mark.parametrize("options", [{}, {"init": "dense"}, {"loss": "relu"}])
@pytest.mark.parametrize("factor", [1e-300, 1e-22, 1e-10, 1e10, 1e25, 1e300])
def test_the_unit_of_the_values_does_not_matter(make, tiny, options, factor):
    # The loss compares directions. What float32 cannot hold may be refused, but must
    # never give a model that is not trained.
    expected = make(**options).fit(tiny)
    try:
        found = make(**options).fit(tiny * factor)
    except (ValueError, FloatingPointError):
        assert not 1e-15 < factor < 1e15
        return
    np.testing.assert_allclose(
        found.item_embeddings_.toarray(),
        expected.item_embeddings_.toarray(),
        atol=1e-2,
    )


@pytest.mark.parametrize("options", [{}, {"init": "dense"}, {"loss": "relu"}])
@pytest.mark.parametrize("factor", [1e-22, 1e25])
def test_the_unit_of_one_user_spoils_nothing(make, tiny, options, factor):
    # Such as weights that decay with age.
    X = sp.diags_array(np.where(np.arange(40) == 3, factor, 1.0)) @ tiny
    model = make(**options).fit(X)
    assert np.all(np.diff(model.item_embeddings_.indptr) == 4)
    # The loss of a model that has learned nothing is 2.
    assert max(model.loss_curve_) < 1.9
    # The other users' scores make sense: those of their own items are the highest.
    scores = model.inverse_transform(model.transform(tiny))
    seen = tiny.toarray() > 0
    assert scores[seen].mean() > 1.2 * scores[~seen].mean()


@pytest.mark.parametrize("options", [{}, {"init": "dense"}])
def test_a_training_that_diverges_is_an_error(make, tiny, options):
    with pytest.raises(FloatingPointError, match="learning_rate"):
        make(learning_rate=1e30, **options).fit(tiny)


# Wrong input

METHODS = {
    "fit": lambda model, X: model.fit(X),
    "partial_fit": lambda model, X: model.partial_fit(X),
    "transform": lambda model, X: model.transform(X),
    "recommend": lambda model, X: model.recommend(X),
    "predict": lambda model, X: model.predict(X),
    "score": lambda model, X: model.score(X),
    "explain": lambda model, X: model.explain(X[:1], [0]),
    "encode_items": lambda model, X: model.encode_items(np.ones((X.shape[0], 1)), X),
}
CONTAINERS = [sp.csr_array, sp.csc_matrix, np.array]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, "NaN"),
        (np.inf, "infinity"),
        (-np.inf, "infinity"),
        (-1.0, "Negative values in data"),
    ],
)
def test_bad_values_are_named(make, tiny, method, container, value, words):
    model = make(max_iter=1).fit(tiny)
    X = tiny.toarray()
    X[0, 3] = value
    with pytest.raises(ValueError, match=words) as caught:
        method(model, container(X))
    message = str(caught.value)
    assert "[0, 3]" in message
    assert str(value) in message
    model.recommend(tiny)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_another_number_of_columns(make, tiny, method, container):
    model = make(max_iter=1).fit(tiny)
    X = container(tiny.toarray()[:, :7])
    if method is METHODS["fit"]:
        assert method(model, X).n_features_in_ == 7
        return
    with pytest.raises(ValueError, match=r"7 features.*12 features"):
        method(model, X)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_an_empty_matrix(make, tiny, method):
    model = make(max_iter=1).fit(tiny)
    for shape in [(0, 12), (4, 0)]:
        for container in (sp.csr_array, np.empty):
            with pytest.raises(ValueError, match=r"0 sample|0 feature"):
                method(model, container(shape))


def test_profiles_of_another_width_or_not_finite(fitted):
    with pytest.raises(ValueError, match=r"[XZ] has 5 columns.*16"):
        fitted.inverse_transform(np.ones((2, 5)))
    for value, words in [(np.nan, "NaN"), (np.inf, "infinity")]:
        for container in (np.array, sp.csr_array):
            Z = np.ones((2, 16))
            Z[1, 2] = value
            with pytest.raises(ValueError, match=f"{words}.*\\[1, 2\\]"):
                fitted.inverse_transform(container(Z))
    # Profiles may be negative, unlike interactions.
    assert fitted.inverse_transform(-np.ones((2, 16))).shape == (2, 90)


UNFITTED = {
    "transform": lambda model, X: model.transform(X),
    "inverse_transform": lambda model, X: model.inverse_transform(np.ones((1, 4))),
    "recommend": lambda model, X: model.recommend(X),
    "predict": lambda model, X: model.predict(X),
    "similar_items": lambda model, X: model.similar_items([0]),
    "score": lambda model, X: model.score(X),
    "explain": lambda model, X: model.explain(X[[0]], [0]),
    "encode_items": lambda model, X: model.encode_items(X),
    "get_feature_names_out": lambda model, X: model.get_feature_names_out(),
}


@pytest.mark.parametrize("method", UNFITTED.values(), ids=UNFITTED)
def test_methods_need_fit(make, tiny, method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        method(make(), tiny)
    assert not hasattr(make(), "components_")


@pytest.mark.parametrize("k", [0, -1, 2.5, True, None, "ten", np.nan, np.inf, [3]])
@pytest.mark.parametrize(
    "call",
    [
        lambda model, X, k: model.recommend(X, k=k),
        lambda model, X, k: model.predict(X, k=k),
        lambda model, X, k: model.similar_items([0], k=k),
    ],
    ids=["recommend", "predict", "similar_items"],
)
def test_a_wrong_length_of_lists(fitted, planted, call, k):
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        call(fitted, planted.test, k)


# Few users, few items


@pytest.fixture(params=[{}, {"init": "dense"}, {"n_nonzero": None}, {"loss": "relu"}])
def variant(request, make):
    return make(**request.param)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2)])
def test_tiny_matrices(variant, shape):
    X = np.ones(shape)
    model = variant.fit(X)
    assert model.item_embeddings_.shape == (shape[1], 16)
    np.testing.assert_allclose(
        sp.linalg.norm(model.item_embeddings_, axis=1), 1, rtol=1e-6
    )
    assert model.recommend(X).nnz == 0
    R = model.recommend(X, exclude_seen=False)
    np.testing.assert_array_equal(np.diff(R.indptr), shape[1])
    assert np.isfinite(R.data).all()
    model.partial_fit(X)


def test_no_interaction_at_all(variant):
    X = sp.csr_array((5, 4))
    model = variant.fit(X)
    assert model.item_embeddings_.nnz == 0
    R = model.recommend(X)
    np.testing.assert_array_equal(top_items(R)[0], np.tile(np.arange(4), (5, 1)))
    np.testing.assert_array_equal(R.data, 0)
    assert model.transform(X).nnz == 0
    model.partial_fit(X)


def test_users_and_items_without_interactions(variant, tiny):
    X = sp.lil_array((43, 14))
    X[1:41, 1:13] = tiny
    X = X.tocsr()
    model = variant.fit(X)
    lengths = np.diff(model.item_embeddings_.indptr)
    assert lengths[0] == lengths[13] == 0
    assert np.all(lengths[1:13] > 0)
    R = model.recommend(X, k=14, exclude_seen=False).toarray()
    np.testing.assert_array_equal(R[:, [0, 13]], 0)
    np.testing.assert_array_equal(R[[0, 41, 42]], 0)
    assert np.isfinite(model.loss_curve_).all()
    assert model.similar_items([0, 13], k=3).nnz == 6


def test_users_without_history_get_the_most_popular_items(variant, tiny):
    model = variant.fit(tiny)
    popularity = np.diff(tiny.tocsc().indptr)
    expected = np.lexsort((np.arange(12), -popularity))
    X = sp.csr_array((3, 12))
    ids, scores = top_items(model.recommend(X, k=12))
    np.testing.assert_array_equal(ids, np.tile(expected, (3, 1)))
    np.testing.assert_array_equal(scores, 0)
    np.testing.assert_array_equal(model.predict(X, k=4), ids[:, :4])


def test_identical_users(variant):
    X = np.tile([1.0, 1, 0, 1, 0, 0], (20, 1))
    model = variant.fit(X)
    ids, scores = top_items(model.recommend(X, k=2, exclude_seen=False))
    assert np.all(ids == ids[0])
    assert np.all(scores == scores[0])
    # The items that nobody chose are all that is left.
    ids, _ = top_items(model.recommend(X))
    np.testing.assert_array_equal(ids, np.tile([2, 4, 5], (20, 1)))


def test_a_user_who_has_seen_everything(fitted, planted):
    X = sp.vstack([planted.test[:2], np.ones((1, 90))], format="csr")
    R = fitted.recommend(X, k=5)
    np.testing.assert_array_equal(np.diff(R.indptr), [5, 5, 0])
    np.testing.assert_array_equal(fitted.predict(X, k=5)[2], -1)
    alone = fitted.recommend(np.ones((1, 90)))
    assert alone.shape == (1, 90)
    assert alone.nnz == 0


def test_lists_longer_than_the_catalogue(fitted, planted):
    R = fitted.recommend(planted.test, k=10**6)
    np.testing.assert_array_equal(
        np.diff(R.indptr), 90 - np.diff(planted.test.indptr), strict=False
    )
    assert fitted.similar_items([0], k=10**6).nnz == 89
    predicted = fitted.predict(planted.test, k=95)
    assert predicted.shape == (80, 95)
    assert np.all(predicted[:, 90:] == -1)


def test_ties_go_to_the_more_popular_item_then_to_the_lower_index(make):
    # Two blocks without contact: all items of the other block have score 0.
    X = np.zeros((12, 10))
    X[:6, :3] = 1
    X[6:, 3:] = 1
    X[6:, 5] = [1, 1, 1, 0, 0, 0]
    X[6:, 9] = [1, 1, 0, 0, 0, 0]
    model = make(n_components=10, n_nonzero=1, max_iter=1).fit(X)
    history = np.eye(10)[:1]
    ids, scores = top_items(model.recommend(history, k=9))
    zero = ids[0][scores[0] == 0]
    popularity = X.sum(axis=0)
    assert len(zero) >= 7
    expected = sorted(zero, key=lambda item: (-popularity[item], item))
    np.testing.assert_array_equal(zero, expected)
    for k in range(1, 9):
        shorter = top_items(model.recommend(history, k=k))[0]
        np.testing.assert_array_equal(shorter, ids[:, :k])


def test_fewer_items_than_components_and_fewer_neighbours_than_nonzeros(make, planted):
    model = make(n_components=64, n_nonzero=32).fit(planted.train[:, :20])
    assert model.item_embeddings_.shape == (20, 64)
    assert model.item_embeddings_.indices.max() < 20
    np.testing.assert_array_equal(model.anchors_[20:], -1)
    # Two blocks: an item meets 3 anchors, fewer than its non-zeros.
    X = np.kron(np.eye(2), np.ones((8, 3)))
    model = make(n_components=6, n_nonzero=5).fit(X)
    lengths = np.diff(model.item_embeddings_.indptr)
    assert np.all((lengths >= 1) & (lengths <= 3))
    R = model.recommend(X, k=3, exclude_seen=False)
    np.testing.assert_array_equal(np.sort(top_items(R)[0][0]), [0, 1, 2])


def test_an_item_without_a_common_user_with_any_anchor(make):
    # Item 3 occurs only with item 2, item 2 only with 1 and 3: a chain.
    X = np.repeat([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]], [30, 20, 2], axis=0)
    for seed in range(5):
        model = make(n_components=1, n_nonzero=1, random_state=seed).fit(X)
        assert np.isfinite(model.item_embeddings_.data).all()
        assert model.recommend(X[-1:], k=2).nnz == 2


# The same lists however they are computed


@pytest.mark.parametrize("working_memory", [1e-6, 0.05, 1])
def test_lists_do_not_depend_on_the_working_memory(fitted, planted, working_memory):
    calls = [
        lambda: fitted.recommend(planted.test, k=7),
        lambda: fitted.recommend(planted.test, k=7, exclude_seen=False),
        lambda: fitted.similar_items(np.arange(90), k=7),
    ]
    for call in calls:
        expected = call()
        with config_context(working_memory=working_memory):
            found = call()
        np.testing.assert_array_equal(found.indptr, expected.indptr)
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_allclose(found.data, expected.data, atol=1e-6)
    expected = fitted.score(planted.test)
    with config_context(working_memory=working_memory):
        assert fitted.score(planted.test) == pytest.approx(expected, abs=1e-12)


def test_order_of_users_does_not_matter(fitted, planted):
    order = np.random.default_rng(0).permutation(80)
    R = fitted.recommend(planted.test, k=7)[order]
    S = fitted.recommend(planted.test[order], k=7)
    np.testing.assert_array_equal(top_items(S)[0], top_items(sp.csr_array(R))[0])


def test_defaults_work_on_tiny_data(tiny):
    model = CompressedELSA(random_state=0).fit(tiny)
    assert model.predict(tiny).shape == (40, 10)
