"""What popularity is in training, in profiles and in scores."""

import numpy as np


def item_popularity(X):
    """Return the number of users of every item, int64."""
    popularity = np.zeros(X.shape[1], dtype=np.int64)
    # In pieces, as bincount converts the indices to int64 first.
    step = max(1 << 18, X.shape[1])
    for start in range(0, X.nnz, step):
        items = X.indices[start : start + step]
        popularity += np.bincount(items, minlength=X.shape[1])
    return popularity


def item_weights(estimator, popularity):
    """Return what an interaction with an item counts; None: all count the same."""
    return _power(popularity, -estimator.item_weighting)


def item_slopes(estimator, popularity):
    """Return what scores are multiplied by; None where that is nothing."""
    return _power(popularity, estimator.popularity_weighting)


def _power(popularity, exponent):
    """Raise popularity, in units of its mean, to a power; no item has none at all."""
    if exponent == 0:
        return None
    smoothed = popularity + 1.0
    return ((smoothed / smoothed.mean()) ** exponent).astype(np.float32)
