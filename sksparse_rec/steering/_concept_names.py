"""Which concept a neuron speaks for, and what neurons are called."""

import numpy as np
import scipy.sparse as sp

from sksparse_rec._names import unique_names
from sksparse_rec._sparse import row_indices
from sksparse_rec.metrics._concepts import MIN_LIFT, MIN_PRECISION
from sksparse_rec.steering._concept_scores import concept_blocks

# Active items with the concept, below which a side does not speak for it.
MIN_ITEMS = 2


def spoken_concepts(C, S, scores):
    """Return the concept that every side of a neuron speaks for.

    It is that of the largest score among those whose items have at least half of the
    activation of the side, at least twice what their number would let one expect, and
    at least two active items. Ties go to the concept with more items, then to the
    lower one.

    Parameters
    ----------
    C : csr_array of shape (n_concepts, n_items)
    S : csr_array of shape (n_items, n_sides)
        Not negative.
    scores : csr_array of shape (n_concepts, n_sides)
        Positive.

    Returns
    -------
    concepts : ndarray of shape (n_sides,), int64
        -1 for none.
    best : ndarray of shape (n_sides,), float64
        Their scores, 0 for none.
    """
    has = _ones_like(C)
    clear = [_clear_entries(has[rows], S) for rows in concept_blocks(C, S)]
    found = scores.multiply(sp.vstack(clear, format="csr")).tocoo()
    counts = np.diff(C.indptr)
    order = np.lexsort((found.row, -counts[found.row], -found.data, found.col))
    sides, first = np.unique(found.col[order], return_index=True)
    concepts = np.full(S.shape[1], -1, dtype=np.int64)
    best = np.zeros(S.shape[1])
    concepts[sides] = found.row[order][first]
    best[sides] = found.data[order][first]
    return concepts, best


def _clear_entries(has, S):
    """Return ones where a side is clearly about a concept."""
    mass, items = sp.csr_array(has @ S), sp.csr_array(has @ _ones_like(S))
    mass.sort_indices()
    items.sort_indices()
    rows = row_indices(mass)
    precision = mass.data / np.asarray(S.sum(axis=0))[mass.indices]
    expected = np.diff(has.indptr)[rows] / has.shape[1]
    is_clear = (
        (precision >= MIN_PRECISION)
        & (precision >= MIN_LIFT * expected)
        & (items.data >= MIN_ITEMS)
    )
    where = rows[is_clear], mass.indices[is_clear]
    return sp.csr_array((np.ones(len(where[0])), where), shape=mass.shape)


def _ones_like(M):
    return sp.csr_array((np.ones(M.nnz), M.indices, M.indptr), shape=M.shape)


def name_neurons(concepts, best, concept_names):
    """Return unique names of neurons.

    Parameters
    ----------
    concepts, best : ndarray of shape (n_neurons, 2)
        The concept of the positive and of the negative side, -1 for none, and its
        score.
    concept_names : ndarray of shape (n_concepts,)

    Returns
    -------
    names : ndarray of shape (n_neurons,), object
        The neuron with the largest score has the name of the concept and the others
        get a number: "comedy", "comedy (2)". Of a neuron whose negative side is the
        clearer one: "not comedy". Without a concept: "neuron 17".
    """
    n_neurons = len(concepts)
    sides = np.argmax(best, axis=1)
    everyone = np.arange(n_neurons)
    own, strength = concepts[everyone, sides], best[everyone, sides]
    order = np.argsort(-strength, kind="stable")
    plain = []
    for neuron in order.tolist():
        if own[neuron] < 0:
            plain.append(f"neuron {neuron}")
        else:
            negation = "not " if sides[neuron] else ""
            plain.append(f"{negation}{concept_names[own[neuron]]}")
    names = np.empty(n_neurons, dtype=object)
    names[order] = unique_names(plain)
    return names
