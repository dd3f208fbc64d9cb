"""What is measured of lists that were steered towards a concept; numpy only.

A curve is what a way of steering does as it is made stronger: arrays of shape
(n_points, n_measures), the first point being the list that nobody steered.
"""

import numpy as np

LIST_LENGTH = 100
# The share of a concept is that of the first places.
TOP = 10
# Those who like a concept have so many times the mean share of it in their history, and
# at least so much.
LIKED_TIMES, LIKED_SHARE = 2, 0.1
MIN_LIKERS = 5
MEASURES = (
    *("share", "ndcg"),
    *("liker_share", "liker_ndcg"),
    *("taker_share", "taker_ndcg"),
)
# Shares at which ways of steering are compared.
SHARES = (0.25, 0.5)
TOLERANCE = 0.001


class Judge:
    """Judges the lists of test users.

    Parameters
    ----------
    history, targets : CSR of shape (n_users, n_items)
        What is known and what is hidden of the test users.
    tags : csr_array of shape (n_items, n_concepts)
        Ones.
    """

    def __init__(self, history, targets, tags):
        self.targets = targets.toarray() > 0
        self.tags = tags.toarray().T > 0
        n_hidden = self.targets.sum(axis=1)
        self.has_targets = n_hidden > 0
        self.discounts = 1 / np.log2(np.arange(2, LIST_LENGTH + 2))
        reachable = np.clip(n_hidden, 1, LIST_LENGTH)
        self.ideal = np.cumsum(self.discounts)[reachable - 1]
        ones = tags.astype(np.float64)
        n_known = np.asarray(history.sum(axis=1)).ravel()
        shares = (history @ ones).toarray() / np.maximum(n_known, 1)[:, None]
        needed = np.maximum(LIKED_SHARE, LIKED_TIMES * shares.mean(axis=0))
        hidden = (targets @ ones).toarray()
        self.likes = ((shares >= needed) & self.has_targets[:, None]).T
        self.takes = (hidden > 0).T
        self.hidden_shares = (hidden / np.maximum(n_hidden, 1)[:, None]).T

    def ndcg(self, lists):
        """Return nDCG@100 of every user; not a number without hidden items."""
        hits = (lists >= 0) & np.take_along_axis(
            self.targets, np.maximum(lists, 0), axis=1
        )
        found = hits @ self.discounts[: lists.shape[1]] / self.ideal
        return np.where(self.has_targets, found, np.nan)

    def shares(self, lists, concept):
        """Return the share of a concept in the first places of every user."""
        first = lists[:, :TOP]
        tagged = self.tags[concept][np.maximum(first, 0)] & (first >= 0)
        return tagged.sum(axis=1) / TOP

    def measure(self, lists, concept):
        """Return the mean share and nDCG of all users, of likers and of takers."""
        shares, ndcg = self.shares(lists, concept), self.ndcg(lists)
        found = []
        for users in (self.has_targets, self.likes[concept], self.takes[concept]):
            some = users.any()
            found.append(shares[users].mean() if some else np.nan)
            found.append(ndcg[users].mean() if some else np.nan)
        return np.array(found)

    def describe(self, concept):
        """Describe who a concept is for."""
        likers = self.likes[concept]
        hidden = self.hidden_shares[concept][likers]
        return {
            "n_items": int(self.tags[concept].sum()),
            "n_likers": int(likers.sum()),
            "n_takers": int(self.takes[concept].sum()),
            "liker_hidden_share": float(hidden.mean()) if len(hidden) else None,
        }


def reached_at(shares, share, values):
    """Return a value where a share is first reached, between two points of a curve.

    Parameters
    ----------
    shares, values : ndarray of shape (n_points,)
    share : float

    Returns
    -------
    float or None
        None where the share is never reached, or any of the values is not known.
    """
    reached = np.flatnonzero(shares >= share)
    if not len(reached):
        return None
    place = reached[0]
    if place == 0:
        return _number(values[0])
    low, high = shares[place - 1], shares[place]
    weight = (share - low) / (high - low)
    return _number((1 - weight) * values[place - 1] + weight * values[place])


def largest_fall(shares):
    """Return how much a share falls at most from one point to the next."""
    return float(max(0.0, np.max(-np.diff(shares), initial=0.0)))


def sum_up(curves, grid):
    """Return what a record keeps of the curves of a way of steering.

    Parameters
    ----------
    curves : ndarray of shape (n_concepts, n_points, n_measures)
    grid : sequence of float
        How strong it was at each point.

    Returns
    -------
    dict
        Lists with an entry for each concept, and the mean curve.
    """
    by_name = {name: curves[:, :, place] for place, name in enumerate(MEASURES)}
    share, liker_share = by_name["share"], by_name["liker_share"]
    # The strengths that a steering_report has by default.
    tenths = np.isclose(np.mod(np.asarray(grid) * 10 + 0.5, 1), 0.5)
    kept = {
        "grid": [float(value) for value in grid],
        "mean": {name: _means(values) for name, values in by_name.items()},
        "first": {name: _list(values[:, 0]) for name, values in by_name.items()},
        "last_share": _list(share[:, -1]),
        "fall": _list([largest_fall(each) for each in share], 6),
        "fall in tenths": _list([largest_fall(each) for each in share[:, tenths]], 6),
    }
    for at in SHARES:
        kept[f"at {at}"] = {
            "ndcg": _reached(share, at, by_name["ndcg"]),
            "liker_ndcg": _reached(liker_share, at, by_name["liker_ndcg"]),
            "taker_ndcg": _reached(by_name["taker_share"], at, by_name["taker_ndcg"]),
        }
    return kept


def _reached(shares, at, values):
    pairs = zip(shares, values, strict=True)
    return _list([reached_at(share, at, value) for share, value in pairs])


def _means(values):
    """Return the mean curve over the concepts that have one."""
    known = ~np.isnan(values).any(axis=1)
    return _list(values[known].mean(axis=0)) if known.any() else []


def _list(values, digits=4):
    return [_number(value, digits) for value in values]


def _number(value, digits=6):
    if value is None or np.isnan(value):
        return None
    return round(float(value), digits)
