"""Small fitted models."""

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse_rec import CompressedELSA

SMALL = {
    "n_components": 16,
    "n_nonzero": 4,
    "max_iter": 3,
    "batch_size": 64,
    "random_state": 0,
}


@pytest.fixture(name="make", scope="session")
def make_model():
    """A function that makes a small unfitted model."""

    def make(**options):
        return CompressedELSA(**(SMALL | options))

    return make


@pytest.fixture(scope="session")
def fitted(make, planted):
    """A model fitted on the planted clusters; tests must not change it."""
    return make().fit(planted.train)


@pytest.fixture(name="tiny", scope="session")
def tiny_interactions():
    """40 users and 12 items, ratings of 1 to 5."""
    rng = np.random.default_rng(1)
    ratings = rng.integers(1, 6, (40, 12)) * (rng.random((40, 12)) < 0.35)
    ratings[0, 0] = 5
    return sp.csr_array(ratings.astype(np.float64))
