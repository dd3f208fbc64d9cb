"""How strongly neurons and concepts belong together: pure functions, sparse matrices.

A neuron of signed activations has two sides, one for each sign, and every side is
scored as a neuron of its own. So all functions here get activations without negative
values, one column a side.
"""

import numpy as np
import scipy.sparse as sp
from scipy.special import xlogy
from sklearn import get_config

from sksparse_rec._sparse import keep_top_per_row, row_indices, scale_rows

# Scores below this are rounding.
ROUNDING = 1e-12
# Part of the usual activation of a neuron that every neuron is taken to have, so that
# one which fires for a single item is not all about that item.
SMOOTHING = 0.1
# Most correlated sides among which the probe chooses.
N_CANDIDATES = 128
# Added to the variance of every standardised side.
RIDGE = 0.1
# Bytes that an entry of the product of concepts and sides takes with its temporaries,
# of which the mutual information has most.
BYTES_PER_ENTRY = 144


def mean_scores(C, S):
    """Return the mean activation of the items of a concept.

    .. code-block:: text

        mean[c, j] = sum_i y[c, i] x[i, j] / sum_i y[c, i]

    Parameters
    ----------
    C : csr_array of shape (n_concepts, n_items)
        The weights y of items in concepts, not negative.
    S : csr_array of shape (n_items, n_sides)
        The activations x, not negative.

    Returns
    -------
    csr_array of shape (n_concepts, n_sides), float64
        Positive; nothing is stored where no item of the concept has the side.
    """
    totals = np.asarray(C.sum(axis=1))
    return scale_rows(_product(C, S), 1 / np.where(totals > 0, totals, 1))


def specificity_scores(C, S):
    """Return the mean activation times the log of how unusual it is.

    It is TF-IDF with concepts in the place of documents and activations in that of
    words,

    .. code-block:: text

        mean[c, j] * log(max(1, mean[c, j] / (mean[j] + 0.1 m)))

    where ``mean[j]`` is over all items and ``m`` is the mean of those that are not
    zero. Without ``m`` a neuron that fires for one item would be the most specific of
    all. Parameters and result as of ``mean_scores``.
    """
    scores = mean_scores(C, S)
    overall = np.asarray(S.sum(axis=0)) / S.shape[0]
    fires = overall > 0
    usual = overall[fires].mean() if fires.any() else 1.0
    lift = scores.data / (overall + SMOOTHING * usual)[scores.indices]
    information = np.log(np.maximum(lift, 1))
    values = np.where(information > ROUNDING, scores.data * information, 0)
    return _with_data(scores, values)


def correlation_scores(C, S):
    """Return the correlation of activations with the weights of items in a concept.

    .. code-block:: text

        cov(y[c], x[j]) / (std(y[c]) std(x[j]))

    over all items; only positive ones are kept. Parameters and result as of
    ``mean_scores``. Where a concept and a side never meet, the covariance is minus the
    product of the means, so nothing is missed. What does not vary has no correlation.
    """
    n = S.shape[0]
    P = _product(C, S)
    C_mean, C_std = _moments(C.tocsc().T)
    S_mean, S_std = _moments(S)
    rows = row_indices(P)
    covariance = P.data / n - C_mean[rows] * S_mean[P.indices]
    scale = C_std[rows] * S_std[P.indices]
    varies = scale > 0
    values = np.divide(covariance, scale, out=np.zeros_like(scale), where=varies)
    return _with_data(P, np.where(values > ROUNDING, np.minimum(values, 1), 0))


def mutual_information_scores(C, S):
    """Return what it says of a concept, in nats, whether a side is active.

    .. code-block:: text

        sum over a, b in {0, 1} of p[a, b] log(p[a, b] / (p[a] p[b]))

    where ``p`` are shares of items: ``a`` is whether an item has the concept, with
    whatever weight, and ``b`` whether the side is active for it. Kept where they are
    together more often than by chance. Parameters and result as of ``mean_scores``.
    """
    n = S.shape[0]
    C, S = (
        sp.csr_array((np.ones(M.nnz), M.indices, M.indptr), shape=M.shape)
        for M in (C, S)
    )
    P = _product(C, S)
    n_items = np.asarray(C.sum(axis=1))[row_indices(P)]
    n_active = np.asarray(S.sum(axis=0))[P.indices]
    cells = (
        (P.data, n_items, n_active),
        (n_items - P.data, n_items, n - n_active),
        (n_active - P.data, n - n_items, n_active),
        (n - n_items - n_active + P.data, n - n_items, n - n_active),
    )
    total = np.zeros(P.nnz)
    for both, one, other in cells:
        # An empty cell adds nothing, and has an expectation of 0 at times.
        expected = np.maximum(one * other, 1)
        total += xlogy(both, np.maximum(both, 1) * n / expected)
    together = P.data * n > n_items * n_active
    return _with_data(P, np.where(together & (total > ROUNDING * n), total / n, 0))


def probe_scores(C, S, n_neurons):
    """Return the coefficients of a sparse linear probe for each concept.

    Of the 128 sides that are correlated best with the concept, those are taken one by
    one that are correlated best with what is not explained yet; after each, all that
    were taken are fitted anew (orthogonal matching pursuit):

    .. code-block:: text

        minimise |y - sum_j b[j] x[j]|^2 / n + 0.1 |b|^2

    with ``y`` and all ``x[j]`` standardised. Coefficients that come out negative are
    dropped. Ties go to the lower side. Parameters and result as of ``mean_scores``,
    with at most ``n_neurons`` entries in a row.
    """
    R = correlation_scores(C, S)
    candidates = keep_top_per_row(R, N_CANDIDATES)
    candidates.sort_indices()
    mean, std = _moments(S)
    by_side = S.tocsc()
    values = np.zeros(candidates.nnz)
    for row in range(candidates.shape[0]):
        own = slice(candidates.indptr[row], candidates.indptr[row + 1])
        sides = candidates.indices[own]
        if len(sides):
            Z = by_side[:, sides]
            gram = (Z.T @ Z).toarray() / S.shape[0] - np.outer(mean[sides], mean[sides])
            gram /= np.outer(std[sides], std[sides])
            gram.flat[:: len(sides) + 1] = 1 + RIDGE
            values[own] = pursue(gram, candidates.data[own], n_neurons)
    return _with_data(candidates, values)


def pursue(gram, correlations, n_nonzero):
    """Return the coefficients of orthogonal matching pursuit, the negative ones as 0.

    Only what is correlated positively with the rest is taken, and the pursuit ends
    where nothing is.

    Parameters
    ----------
    gram : ndarray of shape (n, n)
        Positive definite.
    correlations : ndarray of shape (n,)
        With the target.
    n_nonzero : int

    Returns
    -------
    ndarray of shape (n,)
    """
    coefficients = np.zeros(len(correlations))
    taken = np.empty(0, dtype=np.int64)
    left = correlations.copy()
    while len(taken) < min(n_nonzero, len(correlations)):
        # What was taken is correlated with the rest by rounding alone.
        left[taken] = 0
        best = int(np.argmax(left))
        if left[best] <= ROUNDING:
            break
        taken = np.append(taken, best)
        fitted = np.linalg.solve(gram[np.ix_(taken, taken)], correlations[taken])
        left = correlations - gram[:, taken] @ fitted
    if len(taken):
        coefficients[taken] = np.maximum(fitted, 0)
    return coefficients


METHODS = {
    "mean": mean_scores,
    "specificity": specificity_scores,
    "correlation": correlation_scores,
    "mutual_information": mutual_information_scores,
    "probe": probe_scores,
}


def score_sides(C, S, method, n_neurons):
    """Return the scores of all concepts by one of ``METHODS``, in blocks of concepts.

    A block's product with the activations is what fits ``working_memory``, as far as
    one concept does.

    Parameters
    ----------
    C : csr_array of shape (n_concepts, n_items)
    S : csr_array of shape (n_items, n_sides)
    method : str
    n_neurons : int
        For the probe.

    Returns
    -------
    csr_array of shape (n_concepts, n_sides), float64
        Positive, indices sorted.
    """
    options = (n_neurons,) if method == "probe" else ()
    parts = [METHODS[method](C[rows], S, *options) for rows in concept_blocks(C, S)]
    scores = sp.csr_array(sp.vstack(parts, format="csr"))
    scores.sort_indices()
    return scores


def concept_blocks(C, S):
    """Cut concepts into ranges whose products with activations fit working memory."""
    limit = get_config()["working_memory"] * 2**20 / BYTES_PER_ENTRY
    ones = sp.csr_array((np.ones(C.nnz), C.indices, C.indptr), shape=C.shape)
    entries = np.minimum(ones @ np.diff(S.indptr).astype(float), S.shape[1])
    blocks, start, total = [], 0, 0.0
    for concept, size in enumerate(entries.tolist()):
        if total + size > limit and concept > start:
            blocks.append(slice(start, concept))
            start, total = concept, 0.0
        total += size
    return [*blocks, slice(start, C.shape[0])]


def _product(C, S):
    P = sp.csr_array(C @ S)
    P.sort_indices()
    return P


def _with_data(P, data):
    """Return a matrix of the pattern of ``P`` without what is not positive."""
    keep = data > 0
    lengths = np.bincount(row_indices(P)[keep], minlength=P.shape[0])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return sp.csr_array((data[keep], P.indices[keep], indptr), shape=P.shape)


def _moments(S):
    """Return means and standard deviations of columns, 0 where nothing varies."""
    n, n_columns = S.shape
    mean = np.bincount(S.indices, S.data, n_columns) / n
    n_zeros = n - np.bincount(S.indices, minlength=n_columns)
    squares = np.bincount(S.indices, np.square(S.data - mean[S.indices]), n_columns)
    std = np.sqrt((squares + n_zeros * mean**2) / n)
    # A constant differs from its mean by rounding.
    return mean, np.where(std > ROUNDING * mean, std, 0)
