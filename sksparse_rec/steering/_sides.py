"""The two sides of signed neurons, as columns of their own."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._sparse import row_indices


def split_sides(X):
    """Return activations with a column for each side of each neuron.

    Parameters
    ----------
    X : csr_array of shape (n_items, n_neurons)
        Canonical.

    Returns
    -------
    S : csr_array of shape (n_items, n_neurons or 2 * n_neurons), float64
        Without negative values. If there are any in ``X``, column ``2 j`` has the
        positive and ``2 j + 1`` the absolute negative values of neuron ``j``;
        otherwise it is ``X``.
    """
    data = X.data.astype(np.float64, copy=False)
    if not np.any(data < 0):
        return sp.csr_array((data, X.indices, X.indptr), shape=X.shape)
    columns = 2 * X.indices.astype(np.int64) + (data < 0)
    shape = X.shape[0], 2 * X.shape[1]
    return sp.csr_array((np.abs(data), columns, X.indptr), shape=shape)


def join_sides(scores, n_neurons):
    """Return scores of neurons, with the sign of the side that has the larger one.

    Parameters
    ----------
    scores : csr_array of shape (n_concepts, n_neurons or 2 * n_neurons)
        Positive, as ``split_sides`` numbers the columns.
    n_neurons : int

    Returns
    -------
    csr_array of shape (n_concepts, n_neurons)
        Ties go to the positive side.
    """
    if scores.shape[1] == n_neurons:
        return scores
    scores.sort_indices()
    neurons, is_negative = np.divmod(scores.indices, 2)
    rows = row_indices(scores)
    # The two sides of a neuron are neighbours in a sorted row.
    both = np.flatnonzero((rows[1:] == rows[:-1]) & (neurons[1:] == neurons[:-1]))
    keep = np.ones(scores.nnz, dtype=bool)
    first_wins = scores.data[both] >= scores.data[both + 1]
    keep[both + first_wins] = False
    data = np.where(is_negative, -scores.data, scores.data)[keep]
    lengths = np.bincount(rows[keep], minlength=scores.shape[0])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    shape = scores.shape[0], n_neurons
    return sp.csr_array((data, neurons[keep], indptr), shape=shape)
