"""Steerable recommenders of several kinds, on planted clusters."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import NMF, TruncatedSVD

from sksparse_rec import CompresSAE, CompressedELSA, SteerableRecommender
from sksparse_rec.steering import TorchRecommender

NAMES = ["tea", "jazz", "hiking", "chess", "opera"]


class ShrunkEASE(TransformerMixin, BaseEstimator):
    """EASE whose profiles are its scores, as a user of the protocol would write it."""

    def fit(self, X, y=None):
        G = (X.T @ X).toarray() + 50 * np.eye(X.shape[1])
        P = np.linalg.inv(G)
        self.weights_ = -P / np.diag(P)
        np.fill_diagonal(self.weights_, 0)
        return self

    def transform(self, X):
        return np.asarray(X @ self.weights_)

    def inverse_transform(self, X):
        return X


class Autoencoder(torch.nn.Module):
    """Profiles by a singular value decomposition, in torch, with dropout between."""

    def __init__(self, X, n_dimensions):
        super().__init__()
        V = TruncatedSVD(n_dimensions, random_state=0).fit(X).components_.T
        self.V = torch.nn.Parameter(torch.tensor(V, dtype=torch.float32))
        self.dropout = torch.nn.Dropout(0.5)

    def encode(self, x):
        z = torch.nn.functional.normalize(self.dropout(x), dim=1) @ self.V
        return z, torch.zeros_like(z)

    def decode(self, z):
        return z @ self.V.T


def autoencoder(n_neurons=24):
    return CompresSAE(
        n_neurons, n_nonzero=4, positive=True, max_iter=8, batch_size=32, random_state=0
    )


def elsa(**options):
    options = {"n_nonzero": 6, "max_iter": 4, "batch_size": 64} | options
    return CompressedELSA(16, random_state=0, **options)


RECOMMENDERS = {
    "own latents": lambda X: (elsa(), None),
    "calibrated": lambda X: (elsa(calibration=True), None),
    "weighted": lambda X: (elsa(item_weighting=0.2, popularity_weighting=0.3), None),
    "dense ELSA": lambda X: (elsa(n_nonzero=None), autoencoder()),
    "SVD": lambda X: (TruncatedSVD(8, random_state=0), autoencoder()),
    "NMF": lambda X: (NMF(6, init="nndsvda", max_iter=500), autoencoder()),
    "EASE": lambda X: (ShrunkEASE(), autoencoder()),
    "module": lambda X: (TorchRecommender(Autoencoder(X, 8)), autoencoder()),
}


@pytest.fixture(scope="package")
def concepts(planted):
    """The clusters of items, and a concept that no item has."""
    tags = np.zeros((90, 6), dtype=np.float32)
    tags[np.arange(90), planted.item_clusters] = 1
    return sp.csr_array(tags)


@pytest.fixture(scope="package", params=RECOMMENDERS)
def model(request, planted, concepts):
    recommender, sae = RECOMMENDERS[request.param](planted.train)
    return SteerableRecommender(recommender, sae=sae).fit(
        planted.train, item_concepts=concepts, concept_names=[*NAMES, "nothing"]
    )


@pytest.fixture(scope="package")
def own(planted, concepts):
    """A compressed ELSA that is steered by its own latents."""
    return SteerableRecommender(elsa()).fit(
        planted.train, item_concepts=concepts, concept_names=[*NAMES, "nothing"]
    )


@pytest.fixture(scope="package")
def coded(planted, concepts):
    """A dense recommender with an autoencoder."""
    recommender = TruncatedSVD(8, random_state=0)
    return SteerableRecommender(recommender, sae=autoencoder()).fit(
        planted.train, item_concepts=concepts, concept_names=[*NAMES, "nothing"]
    )
