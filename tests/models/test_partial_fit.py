"""partial_fit: epochs one by one, on the same users or on new ones."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from sksparse_rec import top_items


def lengths_of(model):
    return np.diff(model.item_embeddings_.indptr)


@pytest.mark.parametrize("options", [{}, {"init": "dense"}, {"n_nonzero": None}])
def test_partial_fit_from_scratch(
    make, planted, options, assert_valid_embeddings, popularity_score
):
    model = make(max_iter=4, batch_size=32, **options)
    for n_calls in range(1, 5):
        model.partial_fit(planted.train)
        assert model.n_iter_ == len(model.loss_curve_) == n_calls
        assert model.n_steps_ == 7 * n_calls
        assert_valid_embeddings(model, model.n_nonzero_)
    baseline = popularity_score(planted.train, planted.test)
    assert model.score(planted.test) > baseline + 0.12


@pytest.mark.parametrize("init", ["anchors", "dense"])
def test_the_schedule_goes_on_with_every_call(
    make, planted, init, assert_valid_embeddings
):
    model = make(
        init=init, max_iter=4, pruning="linear", pruning_share=1, n_nonzero_start=16
    )
    widths = []
    for _ in range(6):
        model.partial_fit(planted.train)
        widths.append(model._training_state["values"].shape[1])
        assert_valid_embeddings(model, 4)
    # 13, 10, 7, 4 non-zeros; above a share of the columns they are stored densely.
    assert widths[3:] == [4, 4, 4]
    assert np.all(np.diff(widths) <= 0)
    assert widths[0] > 4


@pytest.mark.parametrize("options", [{}, {"init": "dense"}, {"n_nonzero": None}])
def test_partial_fit_continues_on_new_users(
    make, planted, options, assert_valid_embeddings
):
    model = make(max_iter=3, **options).fit(planted.train[:60])
    before = model.score(planted.test)
    popularity = model.item_popularity_
    for start in range(60, 220, 40):
        model.partial_fit(planted.train[start : start + 40])
    assert model.score(planted.test) > before - 0.03
    seen = np.diff(planted.train[60:].tocsc().indptr)
    np.testing.assert_array_equal(model.item_popularity_, popularity + seen)
    assert_valid_embeddings(model, model.n_nonzero_)


@pytest.mark.parametrize("options", [{}, {"init": "dense"}, {"n_nonzero": None}])
def test_partial_fit_admits_new_items(make, planted, options, assert_valid_embeddings):
    new = np.arange(0, 90, 9)
    old = planted.train.toarray()
    old[:, new] = 0
    model = make(max_iter=4, batch_size=32, **options).fit(old)
    assert np.all(lengths_of(model)[new] == 0)
    model.partial_fit(planted.train)
    assert np.all(lengths_of(model)[new] > 0)
    assert_valid_embeddings(model, model.n_nonzero_)
    neighbours, _ = top_items(model.similar_items(new, k=3))
    clusters = planted.item_clusters
    assert (clusters[neighbours] == clusters[new][:, None]).mean() > 0.7
    recommended = model.recommend(planted.test, k=10).indices
    assert np.isin(recommended, new).any()


def test_partial_fit_admits_items_nobody_connects(make, planted):
    # The only users of the new item have no history: it waits, and does not fail.
    model = make().fit(sp.hstack([planted.train, sp.csr_array((220, 1))]))
    alone = sp.csr_array((np.ones(3), ([0, 1, 2], [90, 90, 90])), shape=(3, 91))
    model.partial_fit(alone)
    assert lengths_of(model)[90] == 0
    assert model.item_popularity_[90] == 3
    both = sp.hstack([planted.train[:5], np.ones((5, 1))])
    model.partial_fit(both)
    assert lengths_of(model)[90] > 0


@pytest.mark.parametrize("options", [{}, {"init": "dense"}, {"n_nonzero": None}])
def test_partial_fit_after_pickle(make, planted, options):
    model = make(max_iter=4, pruning="linear", pruning_share=1, **options)
    copy = clone(model)
    for _ in range(4):
        model.partial_fit(planted.train)
        copy = pickle.loads(pickle.dumps(copy)).partial_fit(planted.train)
    assert (model.item_embeddings_ != copy.item_embeddings_).nnz == 0
    assert model.loss_curve_ == copy.loss_curve_


@pytest.mark.parametrize("n_components", [8, 32])
@pytest.mark.parametrize("options", [{}, {"init": "dense"}, {"n_nonzero": None}])
def test_partial_fit_cannot_change_the_number_of_latents(
    make, planted, options, n_components
):
    model = make(**options).fit(planted.train)
    before = model.item_embeddings_.copy()
    model.set_params(n_components=n_components)
    with pytest.raises(
        ValueError, match=rf"16 components.*n_components is {n_components}"
    ):
        model.partial_fit(planted.train)
    assert (model.item_embeddings_ != before).nnz == 0
    assert model.n_iter_ == 3
    model.set_params(n_components=16).partial_fit(planted.train)
    assert model.n_iter_ == 4


def test_partial_fit_follows_changed_parameters(make, planted, assert_valid_embeddings):
    model = make(n_nonzero=8).fit(planted.train)
    model.set_params(n_nonzero=3, precision="float64").partial_fit(planted.train)
    assert model.n_nonzero_ == 3
    assert_valid_embeddings(model, 3)
