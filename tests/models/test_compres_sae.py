"""CompresSAE: what it learns from planted vectors, and what its results are."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.decomposition import TruncatedSVD

from sksparse_rec import CompresSAE, top_items

VARIANTS = {
    "data": {},
    "random": {"init": "random"},
    "tied": {"encoder": "tied"},
    "random and tied": {"init": "random", "encoder": "tied"},
    "positive": {"positive": True},
    "centred": {"center": True},
    "nested": {"nested": True},
    "annealed": {"n_nonzero_start": 12},
    "published loss": {"neighbor_weight": 0},
    "no auxiliary": {"auxiliary_weight": 0},
    "bfloat16": {"precision": "bfloat16"},
}


def unit_rows(X):
    X = np.asarray(X, dtype=np.float64)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def cosines(X, Y):
    return np.sum(unit_rows(X) * unit_rows(Y), axis=1)


def nearest(queries, table, k):
    similarities = unit_rows(queries) @ unit_rows(table).T
    return np.argsort(-similarities, axis=1, kind="stable")[:, :k]


def recall(found, true):
    pairs = zip(found, true, strict=True)
    return np.mean([np.isin(row, ids).mean() for row, ids in pairs])


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS)
def variant(request, make_sae, vectors):
    return make_sae(**request.param).fit(vectors.train)


# What is learned


def test_vectors_are_rebuilt(variant, vectors):
    # A random direction of 32 dimensions would have a cosine of 0.
    assert variant.score(vectors.test) > 0.8
    assert variant.score(vectors.train) > 0.82
    # Latents beside the planted atoms are used too.
    assert variant.dead_fraction_ < 0.05
    # The training gets better.
    assert variant.loss_curve_[-1] < 0.8 * variant.loss_curve_[0]


@pytest.mark.parametrize("space", ["sparse", "reconstructed", "asymmetric"])
def test_neighbours_are_kept(variant, vectors, space):
    true = nearest(vectors.test, vectors.train, 10)
    ids, _ = top_items(variant.recommend(vectors.test, k=10, space=space))
    assert recall(ids, true) > 0.7


@pytest.mark.parametrize("random_state", [0, 1])
@pytest.mark.parametrize("space", ["sparse", "reconstructed"])
def test_neighbours_are_kept_better_than_by_pca_of_equal_size(
    make_sae, vectors, space, random_state
):
    # Two entries of 4 bytes, or four dimensions of float16.
    model = make_sae(n_nonzero=2, random_state=random_state).fit(vectors.train)
    pca = TruncatedSVD(4, random_state=0).fit(vectors.train)
    true = nearest(vectors.test, vectors.train, 10)
    ids, _ = top_items(model.recommend(vectors.test, k=10, space=space))
    rival = nearest(pca.transform(vectors.test), pca.transform(vectors.train), 10)
    assert recall(ids, true) > recall(rival, true) + 0.08


def test_the_start_from_data_is_ahead_of_the_random_one(make_sae, vectors):
    data, random = (
        make_sae(init=init, max_iter=1).fit(vectors.train)
        for init in ("data", "random")
    )
    assert data.score(vectors.test) > random.score(vectors.test) + 0.1


def test_latents_start_at_different_rows_of_the_data(make_sae, vectors):
    model = make_sae(learning_rate=1e-9, max_iter=1).fit(vectors.train)
    similarities = model.components_ @ unit_rows(vectors.train).T
    assert_allclose(similarities.max(axis=1), 1, atol=1e-5)
    assert len(set(similarities.argmax(axis=1))) == 64
    assert_allclose(model.encoder_components_, model.components_, atol=1e-6)
    assert_allclose(model.encoder_intercept_, 0, atol=1e-6)
    random = make_sae(init="random", learning_rate=1e-9, max_iter=1).fit(vectors.train)
    assert (random.components_ @ unit_rows(vectors.train).T).max() < 0.95


def cosine_at(model, X, n_nonzero):
    codes = model.transform(X, n_nonzero=n_nonzero)
    return cosines(model.inverse_transform(codes), X).mean()


@pytest.mark.parametrize("random_state", [0, 1])
def test_nested_training_makes_short_codes_better(make_sae, vectors, random_state):
    nested, plain = (
        make_sae(
            n_components=96, n_nonzero=8, nested=nested, random_state=random_state
        ).fit(vectors.train)
        for nested in (True, False)
    )
    for n_nonzero, margin in ((4, 0.005), (2, 0.015)):
        better = cosine_at(nested, vectors.test, n_nonzero)
        assert better > cosine_at(plain, vectors.test, n_nonzero) + margin


def test_annealing_starts_with_longer_codes(make_sae, vectors):
    plain = make_sae().fit(vectors.train)
    annealed = make_sae(n_nonzero_start=16).fit(vectors.train)
    # More entries rebuild better; in the end both have the same.
    assert annealed.loss_curve_[0] < 0.8 * plain.loss_curve_[0]
    assert annealed.n_nonzero_ == 4
    assert np.diff(annealed.item_embeddings_.indptr).max() == 4
    # A start below the target is none.
    less = make_sae(n_nonzero_start=2).fit(vectors.train)
    assert less.loss_curve_ == plain.loss_curve_


@pytest.mark.parametrize("n_nonzero", [2, 4])
@pytest.mark.parametrize("random_state", [0, 1])
def test_revival_leaves_fewer_latents_dead(make_sae, vectors, n_nonzero, random_state):
    options = {
        "n_components": 128,
        "n_nonzero": n_nonzero,
        "batch_size": 20,
        "init": "random",
        "random_state": random_state,
    }
    revived, left = (
        make_sae(revive=revive, **options).fit(vectors.train)
        for revive in (True, False)
    )
    assert left.dead_fraction_ > 0.06
    assert revived.dead_fraction_ < 0.5 * left.dead_fraction_


def test_the_loss_of_neighbourhoods_keeps_more_of_them():
    """On vectors without planted atoms, whose neighbours codes do not give away."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 32)) * np.arange(1, 33) ** -0.6
    train, test = X[:1000], X[1000:]
    true = nearest(test, train, 20)

    def recall_with(neighbor_weight):
        model = CompresSAE(
            256,
            n_nonzero=8,
            neighbor_weight=neighbor_weight,
            max_iter=8,
            batch_size=100,
            learning_rate=3e-3,
            random_state=0,
        ).fit(train)
        return recall(top_items(model.recommend(test, k=20))[0], true)

    assert recall_with(1) > recall_with(0) + 0.015


# Attributes


def test_decoder_encoder_and_catalogue(variant, vectors):
    for name in ("components_", "encoder_components_"):
        assert getattr(variant, name).shape == (64, 32)
        assert getattr(variant, name).dtype == np.float32
    assert variant.encoder_intercept_.shape == (64,)
    assert_allclose(np.linalg.norm(variant.components_, axis=1), 1, rtol=1e-5)
    is_tied = variant.encoder == "tied"
    assert is_tied == np.array_equal(variant.components_, variant.encoder_components_)
    A = variant.item_embeddings_
    assert isinstance(A, sp.csr_array)
    assert A.shape == (600, 64)
    assert A.dtype == np.float32
    assert A.has_canonical_format
    assert np.all(A.data != 0)
    assert_allclose(sp.linalg.norm(A, axis=1), 1, rtol=1e-5)
    assert np.diff(A.indptr).max() <= variant.n_nonzero_ == 4
    if variant.positive:
        assert A.data.min() > 0
    else:
        assert A.data.min() < 0
    codes = sp.csr_array(variant.transform(vectors.train)).toarray()
    assert_allclose(A.toarray(), unit_rows(codes), atol=1e-5)
    expected = np.linalg.norm(A @ variant.components_, axis=1)
    assert_allclose(variant.reconstruction_norms_, expected, rtol=1e-5)


def test_numbers_of_the_training(variant):
    assert variant.n_iter_ == len(variant.loss_curve_) == 6
    assert variant.n_steps_ == 6 * 12
    assert all(isinstance(loss, float) for loss in variant.loss_curve_)
    assert variant.n_features_in_ == 32
    assert (variant.mean_ is None) != variant.center


def test_measures_of_the_reconstruction(variant, vectors):
    X = unit_rows(vectors.train)
    if variant.center:
        assert_allclose(variant.mean_, X.mean(axis=0), atol=1e-6)
        X = unit_rows(X - X.mean(axis=0))
    rebuilt = variant.inverse_transform(variant.transform(vectors.train))
    found = cosines(rebuilt, X)
    assert variant.reconstruction_cosine_ == pytest.approx(found.mean(), abs=1e-5)
    assert variant.score(vectors.train) == pytest.approx(found.mean(), abs=1e-5)
    missing = X - found[:, None] * unit_rows(rebuilt)
    explained = 1 - np.square(missing).sum() / np.square(X - X.mean(axis=0)).sum()
    assert variant.explained_variance_ == pytest.approx(explained, abs=1e-4)
    counts = np.bincount(variant.item_embeddings_.indices, minlength=64)
    assert variant.dead_fraction_ == (counts == 0).mean()


def test_dead_latents_are_counted(make_sae, vectors):
    model = make_sae(n_components=256, init="random", revive=False, max_iter=1)
    model.fit(vectors.train[:40])
    n_used = len(set(model.item_embeddings_.indices))
    assert model.dead_fraction_ == 1 - n_used / 256
    assert model.dead_fraction_ > 0.4


# Codes


def plain_codes(model, X, n_nonzero):
    """The definition, in float64."""
    X = unit_rows(X)
    if model.center:
        X = unit_rows(X - model.mean_)
    activations = X @ model.encoder_components_.T.astype(float)
    activations += model.encoder_intercept_
    if model.positive:
        activations = activations.clip(min=0)
    kept = np.argsort(-np.abs(activations), axis=1)[:, :n_nonzero]
    codes = np.zeros_like(activations)
    np.put_along_axis(codes, kept, np.take_along_axis(activations, kept, 1), axis=1)
    return codes


@pytest.mark.parametrize("n_nonzero", [None, 1, 2, 9, 64])
def test_codes_are_the_largest_activations(variant, vectors, n_nonzero):
    S = variant.transform(vectors.test, n_nonzero=n_nonzero)
    assert S.shape == (100, 64)
    assert S.format == "csr"
    assert S.has_canonical_format
    expected = plain_codes(variant, vectors.test, n_nonzero or 4)
    assert_allclose(S.toarray(), expected, atol=1e-5)


def test_codes_do_not_depend_on_the_lengths_of_the_vectors(fitted_sae, vectors):
    expected = fitted_sae.transform(vectors.test).toarray()
    factors = 10.0 ** np.linspace(-200, 200, 100)[:, None]
    scaled = fitted_sae.transform(vectors.test * factors)
    assert_allclose(scaled.toarray(), expected, atol=1e-5)


def test_inverse_transform_is_a_product(fitted_sae, vectors):
    S = fitted_sae.transform(vectors.test)
    expected = S.toarray() @ fitted_sae.components_.astype(float)
    for codes in (S, sp.coo_array(S), S.toarray(), sp.csr_matrix(S)):
        rebuilt = fitted_sae.inverse_transform(codes)
        assert type(rebuilt) is np.ndarray
        assert rebuilt.shape == (100, 32)
        assert_allclose(rebuilt, expected, atol=1e-5)


def test_centring_helps_where_vectors_share_a_direction(make_sae, vectors):
    shift = 3 * np.ones(32)
    X = unit_rows(vectors.train) + shift
    queries = unit_rows(vectors.test) + shift
    mean = unit_rows(X).mean(axis=0)
    true = nearest(unit_rows(queries) - mean, unit_rows(X) - mean, 10)

    def recall_with(center):
        model = make_sae(center=center).fit(X)
        return recall(top_items(model.recommend(queries, k=10))[0], true)

    assert recall_with(True) > recall_with(False) + 0.1


# Cold items


@pytest.mark.parametrize("space", ["sparse", "reconstructed"])
def test_vectors_that_fit_has_not_seen_find_their_cluster(make_sae, vectors, space):
    # Whole clusters are unknown to fit: their codes are made of the others' atoms.
    is_new = np.isin(vectors.labels, np.arange(0, 100, 10))
    model = make_sae().fit(vectors.train[~is_new])
    codes = model.transform(vectors.train[is_new])
    labels = vectors.labels[is_new]
    if space == "sparse":
        directions = codes.toarray()
    else:
        directions = model.inverse_transform(codes)
    first = nearest(directions, directions, 4)[:, 1:]
    assert (labels[first] == labels[:, None]).mean() > 0.7
    # And the old rows that are most like them.
    true = nearest(vectors.train[is_new], vectors.train[~is_new], 10)
    ids, _ = top_items(model.recommend(vectors.train[is_new], k=10, space=space))
    assert recall(ids, true) > 0.4
