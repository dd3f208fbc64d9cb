"""Small fitted models."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.utils import Bunch
from torch.utils._python_dispatch import TorchDispatchMode

from sksparse_rec import CompresSAE, CompressedELSA, CompressedELSACV
from sksparse_rec.model_selection import score_ranking

SMALL = {
    "n_components": 16,
    "n_nonzero": 4,
    "max_iter": 3,
    "batch_size": 64,
    "random_state": 0,
}

SMALL_SEARCH = {
    "n_components": 16,
    "n_nonzero": (8, 4, 2),
    "cv": 2,
    "max_iter": 2,
    "max_iter_per_level": 1,
    "batch_size": 64,
    "random_state": 0,
}

SMALL_CODES = {
    "n_components": 64,
    "n_nonzero": 4,
    "max_iter": 6,
    "batch_size": 50,
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


@pytest.fixture(name="make_cv", scope="session")
def make_search():
    """A function that makes a small unfitted search over levels."""

    def make_cv(**options):
        return CompressedELSACV(**(SMALL_SEARCH | options))

    return make_cv


@pytest.fixture(scope="session")
def fitted_cv(make_cv, planted):
    """A search on the planted clusters; tests must not change it."""
    return make_cv().fit(planted.train)


@pytest.fixture(name="make_sae", scope="session")
def make_autoencoder():
    """A function that makes a small unfitted autoencoder."""

    def make_sae(**options):
        return CompresSAE(**(SMALL_CODES | options))

    return make_sae


@pytest.fixture(scope="session")
def vectors():
    """Vectors that are sums of two of 40 unit atoms, a Bunch of train and test.

    Rows of a cluster have the same atoms with other weights; ``labels`` and
    ``test_labels`` tell the clusters.
    """
    rng = np.random.default_rng(0)
    n_rows, n_features, n_atoms, n_clusters, n_active = 700, 32, 40, 100, 2
    atoms = rng.normal(size=(n_atoms, n_features))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    weights = np.zeros((n_clusters, n_atoms))
    for row in weights:
        active = rng.choice(n_atoms, n_active, replace=False)
        row[active] = rng.uniform(0.5, 1.5, n_active) * rng.choice([-1, 1], n_active)
    labels = rng.integers(0, n_clusters, n_rows)
    S = weights[labels] * rng.uniform(0.6, 1.4, (n_rows, n_atoms))
    X = S @ atoms + 0.02 * rng.normal(size=(n_rows, n_features))
    X *= rng.uniform(0.5, 2, (n_rows, 1))
    X.flags.writeable = False
    return Bunch(
        train=X[:600], test=X[600:], labels=labels[:600], test_labels=labels[600:]
    )


@pytest.fixture(scope="session")
def fitted_sae(make_sae, vectors):
    """An autoencoder fitted on the planted vectors; tests must not change it."""
    return make_sae().fit(vectors.train)


class LargestTensor(TorchDispatchMode):
    """Remembers the largest tensor that any operation of torch returns."""

    def __init__(self):
        super().__init__()
        self.n_entries = self.n_bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, torch.Tensor):
                self.n_entries = max(self.n_entries, part.numel())
                self.n_bytes = max(self.n_bytes, part.numel() * part.element_size())
        return result


@pytest.fixture(name="LargestTensor", scope="session")
def largest_tensor():
    return LargestTensor


@pytest.fixture(name="tiny", scope="session")
def tiny_interactions():
    """40 users and 12 items, ratings of 1 to 5."""
    rng = np.random.default_rng(1)
    ratings = rng.integers(1, 6, (40, 12)) * (rng.random((40, 12)) < 0.35)
    ratings[0, 0] = 5
    return sp.csr_array(ratings.astype(np.float64))


@pytest.fixture(name="assert_valid_embeddings", scope="session")
def make_assertion_of_embeddings():
    """A function that asserts unit rows of at most ``n_nonzero`` entries."""

    def assert_valid_embeddings(model, n_nonzero):
        A = model.item_embeddings_
        assert isinstance(A, sp.csr_array)
        assert A.dtype == np.float32
        assert A.has_canonical_format
        assert np.all(A.data != 0)
        np.testing.assert_allclose(sp.linalg.norm(A, axis=1), 1, rtol=1e-5)
        assert np.diff(A.indptr).max() <= n_nonzero

    return assert_valid_embeddings


@pytest.fixture(name="popularity_score", scope="session")
def make_popularity_score():
    """A function that scores the most popular items of some users on others."""

    def popularity_score(train, test, k=100):
        popularity = np.diff(train.tocsc().indptr).astype(float)

        def recommend(X, *, k, exclude_seen):
            scores = np.where(X.toarray() != 0, -1, popularity)
            return np.argsort(-scores, axis=1, kind="stable")[:, :k]

        return score_ranking(recommend, test, k=k)

    return popularity_score


@pytest.fixture
def folder(tmp_path):
    """Where the checkpoints go; it does not exist yet."""
    return tmp_path / "checkpoints"


@pytest.fixture(name="long")
def make_long_fits(make, folder):
    """A function that makes a model of six epochs with a checkpoint."""

    def long(**options):
        return make(**{"max_iter": 6, "checkpoint": folder} | options)

    return long
