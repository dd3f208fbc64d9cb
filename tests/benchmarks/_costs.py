"""The model of what a training costs, fitted to measurements."""

import statistics
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

TIME_TERMS = (
    "interactions × n_nonzero",
    "users × n_components²",
    "steps × n_items × n_nonzero²",
)
MEMORY_TERMS = (
    "interactions",
    "n_items × n_nonzero",
    "n_components²",
    "batch_size × n_components",
)


class FittedCosts(NamedTuple):
    """A fitted model.

    Parameters
    ----------
    coefficients : ndarray of shape (n_terms,)
        What one of a term costs, none of them negative.
    modelled : ndarray of shape (n_points,)
    error : float
        Median of ``|modelled / measured - 1|``.
    """

    coefficients: np.ndarray
    modelled: np.ndarray
    error: float


def fit_costs(terms, measured):
    """Fit costs that add up, by non-negative least squares of relative errors.

    The errors are relative because the measurements span orders of magnitude: the
    largest would be all that counts.

    Parameters
    ----------
    terms : array-like of shape (n_points, n_terms)
    measured : array-like of shape (n_points,)
        Positive.

    Returns
    -------
    FittedCosts
    """
    terms, measured = np.asarray(terms, float), np.asarray(measured, float)
    scale = terms.max(axis=0)
    relative = terms / scale / measured[:, None]
    coefficients = nnls(relative, np.ones(len(measured)))[0] / scale
    modelled = terms @ coefficients
    error = float(np.median(np.abs(modelled / measured - 1)))
    return FittedCosts(coefficients, modelled, error)


def sizes_of_run(record):
    """Return the sizes that costs depend on.

    Parameters
    ----------
    record : dict

    Returns
    -------
    dict
        With the number of interactions of the training users, and of steps an epoch.
    """
    described, params = record["dataset"], record["params"]
    share = described["n_train_users"] / described["n_users"]
    return {
        "n_users": described["n_train_users"],
        "n_items": described["n_items"],
        "n_interactions": share * described["n_interactions"],
        "n_components": params["n_components"],
        "n_nonzero": params["n_nonzero"],
        "batch_size": params["batch_size"],
        "n_steps": record["n_steps"] / record["n_iter"],
    }


def time_terms(sizes):
    """Return the terms of the seconds of an epoch, in the order of ``TIME_TERMS``."""
    return (
        sizes["n_interactions"] * sizes["n_nonzero"],
        sizes["n_users"] * sizes["n_components"] ** 2,
        sizes["n_steps"] * sizes["n_items"] * sizes["n_nonzero"] ** 2,
    )


def memory_terms(sizes):
    """Return the terms of the bytes of a training, in the order of ``MEMORY_TERMS``."""
    return (
        sizes["n_interactions"],
        sizes["n_items"] * sizes["n_nonzero"],
        sizes["n_components"] ** 2,
        sizes["batch_size"] * sizes["n_components"],
    )


def epoch_seconds(record):
    """Return the median seconds of the epochs after the first.

    The first one touches memory for the first time, and is left out where there are
    others.
    """
    return statistics.median(record["epoch_seconds"][1:] or record["epoch_seconds"])


def extra_bytes(record):
    """Return what training added to the memory of the process."""
    return record["fit_peak_bytes"] - record["baseline_bytes"]
