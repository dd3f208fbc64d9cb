"""Clusterings of item factors with as many groups, of the same items, as given ones."""

import numpy as np
import scipy.sparse as sp
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
    labels, missing = labels.copy(), np.flatnonzero(labels < 0)
    rows = normalize(sp.csr_array(embeddings))
    members = np.flatnonzero(labels >= 0)
    shape = (labels.max() + 1, len(labels))
    means = sp.csr_array((np.ones(len(members)), (labels[members], members)), shape)
    similarities = rows[missing] @ normalize(means @ rows).T
    best = similarities.argmax(axis=1)
    labels[missing] = np.where(similarities.max(axis=1).toarray() > 0, best, -1)
    return labels


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
