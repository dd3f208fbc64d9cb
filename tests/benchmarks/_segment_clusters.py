"""Rows of items, and clusterings of the same items into as many groups as others."""

import numpy as np
import scipy.sparse as sp
from _segment_scores import members_of
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

N_DIMENSIONS = 64
N_POWER_ITERATIONS = 7


def make_factors(X, seed):
    """Return the leading right singular vectors times their singular values."""
    _, values, vectors = randomized_svd(
        X, N_DIMENSIONS, n_iter=N_POWER_ITERATIONS, random_state=seed
    )
    return (vectors.T * values).astype(np.float32)


def fill_in(labels, embeddings):
    """Put items without a group into the one whose mean is nearest by its cosine.

    Parameters
    ----------
    labels : ndarray of shape (n_items,)
        -1 for none.
    embeddings : csr_array of shape (n_items, n_components)

    Returns
    -------
    ndarray of shape (n_items,)
        Still -1 for items that are like no group.
    """
    rows = normalize(sp.csr_array(embeddings))
    means = normalize(members_of(labels) @ rows)
    similarities = (rows @ means.T).toarray()
    nearest = np.where(similarities.max(axis=1) > 0, similarities.argmax(axis=1), -1)
    return np.where(labels < 0, nearest, labels)


def _kmeans(rows, n_groups, seed):
    return KMeans(n_groups, random_state=seed).fit_predict(rows)


def _agglomerate(rows, n_groups, seed):
    return AgglomerativeClustering(n_groups, linkage="ward").fit_predict(rows)


METHODS = {"kmeans": _kmeans, "ward": _agglomerate}


def cluster_alike(labels, factors, method, seed):
    """Cluster the items that have a group into as many groups.

    Parameters
    ----------
    labels : ndarray of shape (n_items,)
        -1 for none.
    factors : ndarray of shape (n_items, n_dimensions)
    method : {"kmeans", "ward"}
    seed : int

    Returns
    -------
    ndarray of shape (n_items,)
    """
    covered = labels >= 0
    n_groups = len(np.unique(labels[covered]))
    found = np.full(len(labels), -1)
    found[covered] = METHODS[method](factors[covered], n_groups, seed)
    return found
