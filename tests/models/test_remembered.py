"""What a model prepares for its searches follows its fitted attributes."""

import gc
import weakref
from copy import deepcopy

import numpy as np
import pytest

from sksparse_rec import CompresSAE


@pytest.fixture
def model(make, planted):
    """A model that has searched."""
    model = make().fit(planted.train)
    model.recommend(planted.test)
    return model


def assert_same(found, expected):
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def assert_follows(model, X):
    """The answers are those of a copy, which has prepared nothing."""
    assert_same(model.recommend(X), deepcopy(model).recommend(X))


@pytest.mark.parametrize("name", ["item_embeddings_", "item_popularity_"])
def test_attributes_that_are_replaced(model, planted, name):
    before = model.recommend(planted.test)
    setattr(model, name, getattr(model, name)[::-1].copy())
    assert_follows(model, planted.test)
    if name == "item_embeddings_":
        assert (model.recommend(planted.test).indices != before.indices).any()


@pytest.mark.parametrize("part", ["data", "indices"])
def test_embeddings_that_are_edited_all_over(model, planted, part):
    A = model.item_embeddings_
    if part == "data":
        A.data *= -2
    else:
        A.indices[:] = A.shape[1] - 1 - A.indices
        A.has_sorted_indices = False
    assert_follows(model, planted.test)


def test_a_fit_leaves_nothing_of_the_one_before(model, planted):
    model.set_params(calibration=True).fit(planted.train)
    model.recommend(planted.test)
    model.similar_items([0])
    old = weakref.ref(model.item_embeddings_)
    model.set_params(calibration=False).fit(planted.train)
    assert_follows(model, planted.test)
    gc.collect()
    assert old() is None


def test_nothing_is_prepared_twice(model, planted, monkeypatch):
    before = model.recommend(planted.test)
    monkeypatch.setattr("sksparse_rec.models._base.prepare", None)
    assert_same(model.recommend(planted.test), before)


def test_codes_follow_a_fit_too():
    X = np.random.default_rng(0).normal(size=(60, 8))
    model = CompresSAE(16, n_nonzero=3, max_iter=1, random_state=0).fit(X)
    model.recommend(X, space="asymmetric")
    model.fit(X[::-1])
    found = model.recommend(X[:9], space="asymmetric")
    assert_same(found, deepcopy(model).recommend(X[:9], space="asymmetric"))
