"""Item embeddings to group."""

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse_rec import LatentSegments


@pytest.fixture(scope="session")
def embeddings():
    """A function that makes rows of a few values of any sign, some rows without any."""

    def embeddings(n_items=300, n_components=12, n_nonzero=3, seed=0):
        rng = np.random.default_rng(seed)
        X = np.zeros((n_items, n_components))
        for row in range(n_items - 5):
            columns = rng.choice(n_components, n_nonzero, replace=False)
            X[row, columns] = rng.normal(size=n_nonzero)
        return sp.csr_array(X)

    return embeddings


@pytest.fixture(name="X", scope="session")
def few_embeddings(embeddings):
    return embeddings()


@pytest.fixture(scope="session")
def fitted(X):
    """With the default parameters; tests must not change it."""
    return LatentSegments().fit(X)


@pytest.fixture(scope="session")
def drinks():
    """Two clear groups of items, two items that belong nowhere, and their texts."""
    X = sp.csr_array(
        [
            [0.9, 0, 0.1, 0],
            [1.0, 0, 0, 0],
            [0.8, 0, 0, 0.2],
            [0, -0.7, 0, 0.1],
            [0, -1.0, 0, 0],
            [0, 0, 0, 0],
            [0, 0, 0, 1.0],
        ]
    )
    texts = [
        "green tea",
        "black tea with milk",
        "a tea",
        "strong coffee",
        "coffee beans",
        "tea coffee",
        "the glass",
    ]
    return X, texts
