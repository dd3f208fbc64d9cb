"""SteerableRecommender: recommenders of all kinds, knobs, sliders and edges."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import DictionaryLearning, SparsePCA, TruncatedSVD
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sksparse_rec import (
    CompresSAE,
    CompressedELSA,
    CompressedELSACV,
    ConceptMap,
    SteerableRecommender,
    recommend_in_blocks,
    top_items,
)

NAMES = ["tea", "jazz", "hiking", "chess", "opera"]


def assert_equal_to_the_bit(R, other):
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(R, name), getattr(other, name))


def share_of(model, X, concept, steer, k=10):
    ids, _ = top_items(model.recommend(X, k=k, steer=steer))
    members = model.item_concepts_[:, [NAMES.index(concept)]].toarray().ravel()
    return members[ids].mean()


# Any recommender


def test_unsteered_lists_are_those_of_the_recommender(model, planted):
    scores = model.recommender_.inverse_transform(
        model.recommender_.transform(planted.test)
    )
    scores = np.where(planted.test.toarray() > 0, -np.inf, np.asarray(scores))
    best = -np.sort(-scores, axis=1)[:, :7]
    _, found = top_items(model.recommend(planted.test, k=7))
    np.testing.assert_allclose(found, best, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "steer", [{}, {"tea": 0}, {"tea": ("raise", 0), "jazz": ("lower", 0), "opera": 0.0}]
)
def test_strength_0_changes_no_bit(model, planted, steer):
    plain = model.recommend(planted.test, k=20)
    assert_equal_to_the_bit(model.recommend(planted.test, k=20, steer=steer), plain)


def test_raising_fills_lists_with_the_concept(model, planted):
    shares = [
        [share_of(model, planted.test, name, {name: a}) for a in (0, 0.3, 0.6, 1)]
        for name in NAMES
    ]
    means = np.mean(shares, axis=0)
    assert np.all(np.diff(means) >= 0)
    assert means[-1] > means[0] + 0.4


def test_lowering_empties_them(model, planted):
    for name in NAMES:
        plain = share_of(model, planted.test, name, None)
        low = share_of(model, planted.test, name, {name: -1})
        assert low < plain or plain == 0


def test_levels_are_what_sliders_set(model, planted):
    levels = model.concept_levels(planted.test, NAMES)
    assert levels.shape == (80, 5)
    assert np.all(np.abs(levels) <= 1)
    at = {name: ("set", levels[:, i]) for i, name in enumerate(NAMES)}
    plain = model.recommend(planted.test)
    assert_equal_to_the_bit(model.recommend(planted.test, steer=at), plain)
    within = {name: ("clamp", levels[:, i], 1) for i, name in enumerate(NAMES)}
    assert_equal_to_the_bit(model.recommend(planted.test, steer=within), plain)


def test_every_concept_is_at_home_with_its_own_users(model, planted):
    levels = model.concept_levels(planted.train, NAMES)
    own = levels[np.arange(220), planted.user_clusters].mean()
    assert own > levels.mean() + 0.1


def test_users_are_steered_one_by_one(model, planted):
    strengths = np.zeros(80)
    strengths[::2], strengths[1::4] = 0.7, np.nan
    together = sp.csr_array(model.recommend(planted.test, steer={"chess": strengths}))
    plain = sp.csr_array(model.recommend(planted.test))
    alike = model.recommend(planted.test[::2], steer={"chess": 0.7})
    assert_equal_to_the_bit(together[1::2], plain[1::2])
    np.testing.assert_array_equal(together[::2].indices, sp.csr_array(alike).indices)
    np.testing.assert_allclose(together[::2].data, alike.data, rtol=1e-6, atol=1e-9)


def test_an_empty_user_gets_the_concept(model, planted):
    empty = sp.csr_array((1, 90))
    np.testing.assert_array_equal(model.concept_levels(empty), 0)
    plain, _ = top_items(model.recommend(empty, k=5))
    popular = np.lexsort((np.arange(90), -model.item_popularity_))[:5]
    if not isinstance(model.recommender_, TruncatedSVD | CompressedELSA):
        return  # others may score an empty history as they like
    np.testing.assert_array_equal(plain[0], popular)
    assert share_of(model, empty, "hiking", {"hiking": 0.2}) >= 0.6


def test_blocks_make_the_same_lists(model, planted):
    whole = model.recommend(planted.test, k=6, steer={"tea": 0.4})
    with config_context(working_memory=1e-3):
        pieces = model.recommend(planted.test, k=6, steer={"tea": 0.4})
    np.testing.assert_array_equal(pieces.indices, whole.indices)
    # NMF solves for the users of a block together, to a tolerance.
    np.testing.assert_allclose(pieces.data, whole.data, rtol=1e-4, atol=1e-9)


def test_filters_and_seen_items(model, planted):
    steer = {"opera": 0.5}
    R = model.recommend(planted.test, k=90, steer=steer)
    np.testing.assert_array_equal(
        np.diff(R.indptr), 90 - np.diff(planted.test.indptr), strict=False
    )
    R = model.recommend(planted.test, 90, steer=steer, exclude_seen=False)
    assert R.nnz == 80 * 90
    R = model.recommend(planted.test, k=90, steer=steer, allow=[1, 2, 3], deny=[2])
    assert set(R.indices) == {1, 3}
    mask = sp.random_array((80, 90), density=0.2, rng=np.random.default_rng(0))
    R = model.recommend(planted.test, 90, steer=steer, exclude_seen=False, allow=mask)
    found = np.zeros((80, 90), bool)
    found[np.repeat(np.arange(80), np.diff(R.indptr)), R.indices] = True
    np.testing.assert_array_equal(found, mask.toarray() > 0)


def test_activations_and_their_way_back(model, planted):
    S = model.transform(planted.test)
    assert sp.issparse(S)
    assert S.shape == (80, model.item_activations_.shape[1])
    assert S.dtype == planted.test.dtype
    assert model.transform(planted.test.astype(np.float32)).dtype == np.float32
    scores = model.inverse_transform(S)
    assert scores.shape == (80, 90)
    assert len(model.get_feature_names_out()) == S.shape[1]
    assert len(set(model.get_feature_names_out())) == S.shape[1]


def test_copies_answer_alike(model, planted):
    copy = pickle.loads(pickle.dumps(model))
    steer = {"tea": 0.5}
    assert_equal_to_the_bit(
        copy.recommend(planted.test, steer=steer),
        model.recommend(planted.test, steer=steer),
    )
    assert copy.score(planted.test) == model.score(planted.test)


def test_prediction_and_score(model, planted):
    ids = model.predict(planted.test, k=4)
    np.testing.assert_array_equal(ids, top_items(model.recommend(planted.test, 4))[0])
    # By chance a list of 90 items, in any order, has about a half.
    assert model.score(planted.test) > 0.5


# Several knobs


def test_knobs_hold_together(own, coded, planted):
    for model in (own, coded):
        steer = {"tea": ("set", 0.3), "jazz": ("set", 0.5), "opera": -1}
        knobs = model._read_knobs(steer, 80)
        profiles = model._steered(planted.test, np.arange(80), knobs)
        profiles = profiles.toarray() if sp.issparse(profiles) else profiles
        D = model.concept_directions_
        D = D.toarray() if sp.issparse(D) else D
        levels = profiles @ D.T / np.linalg.norm(profiles, axis=1)[:, None]
        np.testing.assert_allclose(levels[:, :2], [[0.3, 0.5]] * 80, atol=1e-9)
        # Lowered to 0, and what was below stays.
        before = model.concept_levels(planted.test, ["opera"]).ravel()
        np.testing.assert_allclose(levels[:, 4], np.minimum(before, 0), atol=1e-9)
        plain = model._steered(planted.test, np.arange(80), [])
        plain = plain.toarray() if sp.issparse(plain) else plain
        np.testing.assert_allclose(
            np.linalg.norm(profiles, axis=1), np.linalg.norm(plain, axis=1)
        )


def test_contradictory_knobs_share_the_list(own, planted):
    steer = {"tea": 1, "chess": 1}
    shares = [share_of(own, planted.test, name, steer) for name in ("tea", "chess")]
    assert min(shares) > 0.2
    assert sum(shares) > 0.8


def test_a_concept_by_its_position(own, planted):
    assert_equal_to_the_bit(
        own.recommend(planted.test, steer={1: 0.4}),
        own.recommend(planted.test, steer={"jazz": 0.4}),
    )


def test_clamping_moves_those_outside_only(own, planted):
    levels = own.concept_levels(planted.test, ["tea"]).ravel()
    middle = np.median(levels)
    R = own.recommend(planted.test, steer={"tea": ("clamp", middle, 1)})
    plain = own.recommend(planted.test)
    above = levels >= middle
    assert_equal_to_the_bit(sp.csr_array(R)[above], sp.csr_array(plain)[above])
    assert (sp.csr_array(R)[~above] != sp.csr_array(plain)[~above]).nnz


# Parameters


def test_codes_alone_rank_otherwise(planted, concepts):
    recommender = TruncatedSVD(8, random_state=0).fit(planted.train)
    sae = CompresSAE(24, n_nonzero=1, positive=True, max_iter=4, random_state=0)
    kept = SteerableRecommender(recommender, sae=sae).fit(planted.train)
    alone = SteerableRecommender(recommender, sae=sae, residual=False)
    alone.fit(planted.train, item_concepts=concepts)
    R = alone.recommend(planted.test, k=5)
    assert (R != kept.recommend(planted.test, k=5)).nnz
    assert alone.insertion_loss_ == kept.insertion_loss_ != 0
    # Their levels are those of the profiles that are ranked.
    levels = alone.concept_levels(planted.test, [0])
    again = alone.recommend(planted.test, k=5, steer={0: ("set", levels.ravel())})
    assert_equal_to_the_bit(again, R)


@pytest.mark.parametrize("center", [False, True])
def test_a_faithful_autoencoder_costs_nothing(planted, center):
    recommender = TruncatedSVD(4, random_state=0)
    sae = CompresSAE(64, n_nonzero=32, max_iter=60, center=center, random_state=0)
    model = SteerableRecommender(recommender, sae=sae, residual=False)
    model.fit(planted.train)
    assert abs(model.insertion_loss_) < 0.05
    base = TruncatedSVD(4, random_state=0).fit(planted.train)
    profiles = model._profiles(sp.csr_array(planted.test, dtype=np.float64))
    expected = base.transform(planted.test)
    cosines = (profiles * expected).sum(axis=1) / (
        np.linalg.norm(profiles, axis=1) * np.linalg.norm(expected, axis=1)
    )
    assert cosines.mean() > 0.97
    np.testing.assert_allclose(
        np.linalg.norm(profiles, axis=1), np.linalg.norm(expected, axis=1), rtol=1e-5
    )


@pytest.mark.parametrize("center", [False, True])
def test_codes_are_decoded_to_profiles(planted, center):
    recommender = TruncatedSVD(4, random_state=0)
    sae = CompresSAE(64, n_nonzero=32, max_iter=60, center=center, random_state=0)
    model = SteerableRecommender(recommender, sae=sae).fit(planted.train)
    scores = model.inverse_transform(model.transform(planted.test))
    base = model.recommender_
    expected = base.inverse_transform(base.transform(planted.test))
    cosines = (scores * expected).sum(axis=1) / (
        np.linalg.norm(scores, axis=1) * np.linalg.norm(expected, axis=1)
    )
    assert cosines.mean() > 0.97
    empty = model.transform(sp.csr_array((1, 90)))
    np.testing.assert_array_equal(model.inverse_transform(empty), 0)


def test_autoencoders_that_add_their_mean_themselves(planted):
    svd = TruncatedSVD(4, random_state=0).fit(planted.train)
    sae = SparsePCA(4, alpha=1e-4, ridge_alpha=1e-8, random_state=0)
    model = SteerableRecommender(svd, sae=sae, residual=False).fit(planted.train)
    profiles = model._profiles(sp.csr_array(planted.test, dtype=np.float64))
    np.testing.assert_allclose(profiles, svd.transform(planted.test), atol=0.05)


def test_profiles_to_learn_from_are_made_in_blocks(planted, monkeypatch):
    recommender = TruncatedSVD(3, random_state=0).fit(planted.train)
    transform, rows = recommender.transform, []

    def count(X):
        rows.append(X.shape[0])
        return transform(X)

    monkeypatch.setattr(recommender, "transform", count)
    sae = CompresSAE(12, n_nonzero=2, max_iter=1, random_state=0)
    model = SteerableRecommender(recommender, sae=sae, train_on="both")
    whole = model.fit(planted.train).sae_.components_
    assert max(rows) == 220
    rows.clear()
    with config_context(working_memory=0.1):
        pieces = model.fit(planted.train).sae_.components_
    assert max(rows) == int(0.1 * 2**20 / (90 * 8 * 4))
    np.testing.assert_allclose(pieces, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("interface", "kind"), [("sparray", sp.csr_array), ("spmatrix", sp.csr_matrix)]
)
def test_recommenders_get_the_sparse_interface(planted, interface, kind):
    kinds = []

    class Recorder(TruncatedSVD):
        def fit(self, X, y=None):
            kinds.append(type(X))
            return super().fit(X)

        def transform(self, X):
            kinds.append(type(X))
            return super().transform(X)

    sae = CompresSAE(6, n_nonzero=2, max_iter=1, random_state=0)
    with config_context(sparse_interface=interface):
        model = SteerableRecommender(Recorder(3), sae=sae, random_state=0)
        R = model.fit(planted.train).recommend(planted.test)
    assert {type(R), *kinds} == {kind}


def test_autoencoders_that_take_arrays_only(planted, concepts):
    dense = CompressedELSA(8, n_nonzero=None, max_iter=2, random_state=0)
    sae = DictionaryLearning(
        10, max_iter=3, transform_algorithm="omp", transform_n_nonzero_coefs=3
    )
    model = SteerableRecommender(dense, sae=sae, random_state=0)
    model.fit(planted.train, item_concepts=concepts)
    assert model.recommend(planted.test, steer={0: 0.5}).nnz == 800


def test_own_latents_lose_nothing(own):
    assert own.sae_ is None
    assert own.insertion_loss_ == 0
    assert own.item_activations_.shape == (90, 16)


def test_dense_profiles_get_an_autoencoder(planted):
    recommender = TruncatedSVD(3, random_state=0)
    model = SteerableRecommender(recommender, random_state=0).fit(planted.train)
    assert model.sae_.n_components == 24
    again = SteerableRecommender(recommender, random_state=0).fit(planted.train)
    np.testing.assert_array_equal(model.sae_.components_, again.sae_.components_)


@pytest.mark.parametrize(
    ("train_on", "n"), [("users", 220), ("items", 90), ("both", 310)]
)
def test_what_the_autoencoder_learns_from(planted, train_on, n):
    sae = CompresSAE(12, n_nonzero=2, max_iter=1, random_state=0)
    recommender = TruncatedSVD(3, random_state=0)
    model = SteerableRecommender(recommender, sae=sae, train_on=train_on)
    model.fit(planted.train)
    assert model.sae_.item_embeddings_.shape[0] == n


def test_what_is_fitted_is_taken_as_it_is(planted, concepts):
    recommender = TruncatedSVD(4, random_state=0).fit(planted.train)
    sae = CompresSAE(12, n_nonzero=2, max_iter=2, random_state=0)
    sae.fit(recommender.transform(planted.train))
    model = SteerableRecommender(recommender, sae=sae).fit(planted.train)
    assert model.recommender_ is recommender
    assert model.sae_ is sae
    frozen = SteerableRecommender(
        FrozenEstimator(recommender), sae=FrozenEstimator(sae)
    )
    frozen = clone(frozen).fit(planted.train, item_concepts=concepts)
    assert frozen.recommender_.estimator is recommender
    assert_equal_to_the_bit(
        frozen.recommend(planted.test), model.recommend(planted.test)
    )
    assert frozen.recommend(planted.test, steer={0: 0.5}).nnz


def test_a_frozen_elsa_keeps_its_latents(planted):
    elsa = CompressedELSA(16, n_nonzero=6, max_iter=2, random_state=0)
    elsa.fit(planted.train)
    model = SteerableRecommender(FrozenEstimator(elsa)).fit(planted.train)
    assert model.sae_ is None
    assert_equal_to_the_bit(model.recommend(planted.test), elsa.recommend(planted.test))


def test_a_search_for_a_level_of_sparsity_can_be_steered(planted, concepts):
    chosen = CompressedELSACV(16, n_nonzero=(8, 4), cv=2, max_iter=2, random_state=0)
    model = SteerableRecommender(chosen).fit(planted.train, item_concepts=concepts)
    assert model.sae_ is None
    assert model.recommend(planted.test, steer={0: 0.5}).nnz == 800


def test_pipelines_and_searches(planted, concepts):
    steerable = SteerableRecommender(
        TruncatedSVD(4, random_state=0),
        sae=CompresSAE(16, n_nonzero=2, max_iter=2, random_state=0),
        residual=False,
    )
    grid = {
        "recommender__n_components": [2, 4],
        "sae__n_nonzero": [1, 8],
        "concept_map": [ConceptMap(n_neurons=1)],
    }
    search = GridSearchCV(steerable, grid, cv=2)
    search.fit(planted.train, item_concepts=concepts, concept_names=[*NAMES, "no"])
    best = search.best_estimator_
    assert len(np.unique(search.cv_results_["mean_test_score"])) > 1
    assert best.recommend(planted.test, steer={"jazz": 0.4}).nnz == 800
    assert best.concept_map_.n_neurons == 1
    pipeline = make_pipeline(FunctionTransformer(accept_sparse=True), clone(steerable))
    pipeline.fit(planted.train, steerablerecommender__item_concepts=concepts)
    assert pipeline.predict(planted.test).shape == (80, 10)
    assert pipeline.transform(planted.test).shape == (80, 16)


def test_other_concepts_without_training(own, planted):
    model = pickle.loads(pickle.dumps(own))
    latents = model.item_activations_
    halves = np.arange(90)[:, None] // 45 == [[0, 1]]
    frame = pd.DataFrame(halves.astype(float), columns=["first", "second"])
    assert model.map_concepts(frame) is model
    assert model.item_activations_ is latents
    ids, _ = top_items(model.recommend(planted.test, steer={"second": 1}))
    plain, _ = top_items(model.recommend(planted.test))
    assert (ids >= 45).mean() > (plain >= 45).mean()


def test_named_items(planted, concepts):
    names = [f"item {i}" for i in range(90)]
    X = pd.DataFrame(planted.train.toarray(), columns=names)
    recommender = CompressedELSA(16, n_nonzero=6, max_iter=2, random_state=0)
    model = SteerableRecommender(recommender).fit(X, item_concepts=concepts)
    R = model.recommend(X[:3], k=90, allow=["item 4", "item 7"], steer={0: 0.1})
    assert set(R.indices) <= {4, 7}
    assert model.predict(X[:3], k=2)[0, 0] in names


def test_a_second_fit_starts_over(planted, concepts):
    recommender = CompressedELSA(16, n_nonzero=6, max_iter=2, random_state=0)
    model = SteerableRecommender(recommender).fit(planted.train, item_concepts=concepts)
    model.fit(planted.train)
    assert not hasattr(model, "concept_map_")
    with pytest.raises(ValueError, match="no concepts to steer: pass item_concepts"):
        model.recommend(planted.test, steer={0: 0.5})


def test_a_failed_fit_changes_nothing(planted, concepts):
    recommender = CompressedELSA(16, n_nonzero=6, max_iter=2, random_state=0)
    model = SteerableRecommender(recommender).fit(planted.train, item_concepts=concepts)
    before, lists = dict(vars(model)), model.recommend(planted.test, steer={0: 0.5})
    message = "item_concepts has 80 rows, but there are 90 items"
    with pytest.raises(ValueError, match=message):
        model.fit(planted.train, item_concepts=concepts[:80])
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)
    assert_equal_to_the_bit(model.recommend(planted.test, steer={0: 0.5}), lists)


def test_blocks_of_users(own, planted):
    parts = recommend_in_blocks(own, planted.test, k=3, block_size=30)
    whole = own.recommend(planted.test, k=3)
    assert_equal_to_the_bit(sp.vstack([R for _, R in parts], format="csr"), whole)
