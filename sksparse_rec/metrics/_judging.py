"""What neurons are about, measured for a block of them."""

from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from sksparse_rec._sparse import row_indices
from sksparse_rec.metrics._columns import column_ranks

# Bytes that a pair of a concept and a neuron takes with all temporaries.
BYTES_PER_PAIR = 160


class Rule(NamedTuple):
    """What a side that is clearly about a concept has at least."""

    precision: float
    lift: float
    n_active: int


class Judgement(NamedTuple):
    """Of neurons: what ``Monosemanticity`` says of them and their concepts."""

    best_concept: np.ndarray
    is_clear: np.ndarray
    side: np.ndarray
    auc: np.ndarray
    precision: np.ndarray
    selectivity: np.ndarray
    entropy: np.ndarray


def judge(X, has, counts, rule):
    """Judge a block of neurons.

    Parameters
    ----------
    X : csc_array of shape (n_items, n_neurons)
    has : csr_array of shape (n_concepts, n_items)
        Ones where an item has a concept; the concept to prefer first.
    counts : ndarray of shape (n_concepts,)
    rule : Rule

    Returns
    -------
    Judgement
        ``best_concept`` is a row of ``has``, or -1.
    """
    n_items, n_neurons = X.shape
    sides = X.maximum(0), (-X).maximum(0)
    # Concepts, sides, neurons.
    masses = np.stack([(has @ side).toarray() for side in sides], axis=1)
    totals = np.stack([side.sum(axis=0) for side in sides])
    columns = row_indices(X.T)
    active = [columns[X.data > 0], columns[X.data < 0]]
    n_active = np.stack([np.bincount(own, minlength=n_neurons) for own in active])
    auc = _areas(X, has, counts)
    areas = np.where(masses > 0, np.stack([auc, 1 - auc], axis=1), -np.inf)
    precisions = masses / np.where(totals > 0, totals, 1)
    least = np.maximum(rule.precision, rule.lift * counts / n_items)
    clear = (precisions >= least[:, None, None]) & (masses > 0)
    clear &= n_active >= rule.n_active
    is_clear = clear.any(axis=(0, 1))
    areas[~clear & is_clear] = -np.inf
    best, side = np.divmod(areas.reshape(-1, n_neurons).argmax(axis=0), 2)
    neurons = np.arange(n_neurons)
    area, total = areas[best, side, neurons], totals[side, neurons]
    means = masses[:, side, neurons] / counts[:, None]
    inside = means[best, neurons]
    others = np.maximum(total - inside * counts[best], 0) / (n_items - counts[best])
    with np.errstate(invalid="ignore"):
        selectivity = (inside - others) / (inside + others)
        parts = means / means.sum(axis=0)
        entropy = (0 - xlogy(parts, parts).sum(axis=0)) / np.log(len(counts))
    precision = precisions[best, side, neurons]
    lacks = ~np.isfinite(area)
    measures = area, precision, selectivity, entropy
    return Judgement(
        np.where(lacks, -1, best),
        is_clear,
        np.where(lacks, 0, 1 - 2 * side),
        *(np.where(lacks, np.nan, values) for values in measures),
    )


def _areas(X, has, counts):
    """Return the area under the ROC curve of every concept and neuron, dense."""
    n_items = X.shape[0]
    differences, zero_ranks = column_ranks(X)
    sums = (has @ differences).toarray() + np.outer(counts, zero_ranks)
    least = (counts * (counts + 1) / 2)[:, None]
    return (sums - least) / (counts * (n_items - counts))[:, None]
