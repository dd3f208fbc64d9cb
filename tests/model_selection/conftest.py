"""A recommender small enough to check by hand, and interactions for it."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

N_USERS, N_ITEMS = 60, 20


class Popularity(BaseEstimator):
    """Recommends the most popular items; `power` below 0, the least popular."""

    def __init__(self, power=1):
        self.power = power

    def fit(self, X, y=None, sample_weight=None):
        X = validate_data(self, X, accept_sparse="csr")
        self.popularity_ = np.ravel(X.sum(axis=0)) * self.power
        return self

    def recommend(self, X, k=10, *, exclude_seen=True):
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        seen = (X.toarray() if sp.issparse(X) else X) != 0
        scores = np.where(seen & exclude_seen, -np.inf, self.popularity_)
        order = np.argsort(-scores, axis=1, kind="stable")
        kept = np.take_along_axis(~seen | (not exclude_seen), order, axis=1)
        kept[:, k:] = False
        indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
        data = np.take_along_axis(scores, order, axis=1)[kept]
        return sp.csr_array((data, order[kept], indptr), shape=X.shape)


@pytest.fixture(name="Popularity")
def popularity_recommender():
    return Popularity


@pytest.fixture(name="X")
def interactions():
    """Some items are more popular than others."""
    rng = np.random.default_rng(0)
    taste = np.linspace(0.9, 0.05, N_ITEMS)
    return sp.csr_array((rng.random((N_USERS, N_ITEMS)) < taste).astype(float))


@pytest.fixture
def model(X):
    return Popularity().fit(X)
