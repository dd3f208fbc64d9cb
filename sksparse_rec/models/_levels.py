"""Levels of sparsity: which to train, which to take, and what they weigh."""

import numpy as np

# A float32 value and an int32 column, as item_embeddings_ is held.
BYTES_PER_NONZERO = 8


def sparsity_grid(levels, largest, budget=None):
    """Return the levels to train, descending and without repetition.

    Parameters
    ----------
    levels : array-like of int
        In any order; those above ``largest`` are clipped to it.
    largest : int
        Non-zeros that a row can have.
    budget : int, default=None
        Levels above it make way for one at it.

    Returns
    -------
    grid : ndarray of shape (n_levels,), int64

    Raises
    ------
    ValueError
        If a level is not an integer of at least 1, or there is none.
    """
    levels = np.asarray(levels)
    if levels.ndim != 1 or levels.size == 0:
        raise ValueError(
            "n_nonzero must be a sequence of at least one level, got shape "
            f"{levels.shape}: pass (32,) for a single one"
        )
    if levels.dtype.kind not in "iu" or levels.min() < 1:
        raise ValueError(
            f"n_nonzero must be a sequence of integers of at least 1, got "
            f"{levels.tolist()}"
        )
    if budget is not None:
        largest = min(largest, budget)
    # Clipped as Python's integers, whatever the levels' own type can hold.
    return np.unique([min(level, largest) for level in levels.tolist()])[::-1]


def largest_that_fits(max_bytes_per_item, max_bytes, n_items):
    """Return the level that the smaller budget pays for, None without a budget.

    Raises
    ------
    ValueError
        If a budget is below one non-zero an item.
    """
    budgets = {
        "max_bytes_per_item": (max_bytes_per_item, 1),
        "max_bytes": (max_bytes, n_items),
    }
    fitting = []
    for name, (budget, n_rows) in budgets.items():
        if budget is None:
            continue
        smallest = BYTES_PER_NONZERO * n_rows
        if budget < smallest:
            raise ValueError(
                f"{name}={budget} leaves less than one non-zero, {BYTES_PER_NONZERO} "
                f"bytes, to each of {n_items} items: it must be at least {smallest}"
            )
        fitting.append(int(budget // smallest))
    return min(fitting, default=None)


def select_level(scores, rule):
    """Return the position of the smallest level that a rule finds good enough.

    Parameters
    ----------
    scores : ndarray of shape (n_levels, n_folds)
        Largest level first; greater is better.
    rule : {"best", "one_standard_error"} or float
        See `CompressedELSACV`.

    Returns
    -------
    index : int
        Row of ``scores``; the last one that qualifies, so ties go to fewer bytes.
    """
    means = scores.mean(axis=1)
    best = int(np.argmax(means))
    if rule == "best":
        allowed_loss = 0.0
    elif rule == "one_standard_error":
        allowed_loss = scores[best].std(ddof=1) / np.sqrt(scores.shape[1])
    else:
        allowed_loss = rule * abs(means[best])
    return int(np.flatnonzero(means >= means[best] - allowed_loss)[-1])
