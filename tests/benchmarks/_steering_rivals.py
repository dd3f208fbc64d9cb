"""What people do today to get more of a concept into a list.

All of them start at the same model as the steering that they stand beside. Lists have
shape (n_users, 100), best first, -1 where there is no item; nothing seen is in them.
"""

import numpy as np
import scipy.sparse as sp
import torch
from _steering_measures import LIST_LENGTH

from sksparse_rec.steering._knobs import TOP_LEVEL

STRENGTHS = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
# Mappings are compared at fewer of them.
SOME_STRENGTHS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.85, 1)
FINE = tuple(round(place / 16, 4) for place in range(17))
COUNTS = (0, 1, 2, 4, 8, 16, 32, 64)
# Comparing a count with a share of places needs a little room for rounding.
ROOM = 1e-9


class Scores:
    """What a linear model scores for test users, and the lists that come of it.

    Parameters
    ----------
    factors : ndarray of shape (n_items, n_profile), float32
        Profiles are the interactions times these, scores the profiles times these.
    history : CSR of shape (n_users, n_items)
    """

    def __init__(self, factors, history):
        self.factors = np.ascontiguousarray(factors, dtype=np.float32)
        self.profiles = np.asarray(history @ self.factors)
        norms = np.linalg.norm(self.profiles, axis=1, keepdims=True)
        self.norms = np.where(norms > 0, norms, 1)
        self.units = self.profiles / self.norms
        self.of_units = self.units @ self.factors.T
        self.raw = self.of_units * self.norms
        self.seen = history.nonzero()

    def lists(self, scores):
        """Return the best unseen items; the scores are changed."""
        scores[self.seen] = -np.inf
        return best(scores)[0]

    def rotated(self, direction, strength):
        """Return scores of profiles whose level of a direction is raised.

        What `SteerableRecommender` does for one concept, from scores that are there.
        """
        direction = np.asarray(direction, dtype=np.float32)
        direction = direction / np.linalg.norm(direction)
        along = self.factors @ direction
        level = np.clip(self.units @ direction, -1, 1)[:, None]
        raised = level + np.float32(strength) * np.maximum(TOP_LEVEL - level, 0)
        rest = np.sqrt(np.maximum(0, 1 - raised**2))
        rest = rest / np.sqrt(np.maximum(1e-12, 1 - level**2))
        return rest * self.of_units + (raised - rest * level) * along


def best(scores, k=LIST_LENGTH):
    """Return the items with the largest scores, -1 where they are minus infinity."""
    k = min(k, scores.shape[1])
    found = torch.topk(torch.from_numpy(scores), k, dim=1)
    values, items = found.values.numpy(), found.indices.numpy()
    return np.where(np.isneginf(values), -1, items), values


class TagRivals:
    """Ways of more of a concept that know which items carry the tag.

    Parameters
    ----------
    scores : Scores
    popularity : ndarray of shape (n_items,)
    """

    def __init__(self, scores, popularity):
        self.scores, self.popularity = scores, popularity

    def curves(self, tagged, measure):
        """Return what every way gives for a concept.

        Parameters
        ----------
        tagged : ndarray of shape (n_items,), bool
        measure : callable
            From lists to measures.

        Returns
        -------
        dict
            By name the pair of the grid and an array (n_points, n_measures).
        """
        found = {}
        for name, grid, lists in self._ways(tagged):
            found[name] = grid, np.array([measure(each) for each in lists])
        return found

    def _ways(self, tagged):
        halves = self._halves(self.scores.raw, tagged)
        best_of_all = np.maximum(halves[0][1][:, :1], halves[1][1][:, :1])
        # The largest of all puts tagged items first for everybody.
        absolute = np.max(best_of_all, initial=0.0)
        yield (
            *("boost, relative", FINE),
            (boosted(*halves, value * best_of_all) for value in FINE),
        )
        squares = tuple(value**2 for value in FINE)
        yield (
            *("boost, absolute", squares),
            (boosted(*halves, value * absolute) for value in squares),
        )
        yield (
            *("places", STRENGTHS),
            (interleaved(*halves, value) for value in STRENGTHS),
        )
        unsteered = boosted(*halves, 0.0)
        yield "filter", (0, 1), (unsteered, halves[0][0])
        popular = np.flatnonzero(tagged)
        popular = popular[np.argsort(-self.popularity[popular], kind="stable")]
        yield (
            *("history, popular", COUNTS),
            (self._with_popular(popular[:count]) for count in COUNTS),
        )
        yield (
            *("history, nearest", COUNTS),
            (self._with_nearest(halves[0][0][:, :count]) for count in COUNTS),
        )
        mean = self.scores.factors[tagged].mean(axis=0)
        yield (
            *("mean embedding", STRENGTHS),
            (self.scores.lists(self.scores.rotated(mean, v)) for v in STRENGTHS),
        )

    def _halves(self, scores, tagged):
        """Return the best tagged and the best other unseen items, with scores."""
        halves = []
        for wanted in (tagged, ~tagged):
            masked = np.where(wanted, scores, np.float32(-np.inf))
            masked[self.scores.seen] = -np.inf
            items, values = best(masked)
            halves.append((items, values.astype(np.float64)))
        return halves

    def _with_popular(self, items):
        added = self.scores.factors[items].sum(axis=0) @ self.scores.factors.T
        return self.scores.lists(self.scores.raw + added)

    def _with_nearest(self, items):
        users, places = np.nonzero(items >= 0)
        ones = np.ones(len(users), dtype=np.float32)
        added = sp.csr_array(
            (ones, (users, items[users, places])), self.scores.raw.shape
        )
        profiles = np.asarray(added @ self.scores.factors)
        return self.scores.lists(self.scores.raw + profiles @ self.scores.factors.T)


def boosted(tagged, others, bonus):
    """Return lists where the scores of tagged items are larger by a bonus.

    Parameters
    ----------
    tagged, others : tuple of ndarray of shape (n_users, n)
        Items and their scores, best first.
    bonus : float or ndarray of shape (n_users, 1)
    """
    items = np.hstack((tagged[0], others[0]))
    scores = np.hstack((tagged[1] + bonus, others[1]))
    order = np.argsort(-scores, axis=1, kind="stable")[:, : tagged[0].shape[1]]
    return np.take_along_axis(items, order, axis=1)


def interleaved(tagged, others, share):
    """Return lists of which every beginning holds a share of tagged items.

    The share is rounded down to places: half of the first three is one. Where enough
    are there already, the next place is for the better item; where no tagged item is
    left, it is for another.
    """
    n_users, k = tagged[0].shape
    lists = np.empty((n_users, k), dtype=np.int64)
    users = np.arange(n_users)
    taken = np.zeros(n_users, dtype=np.int64)
    end = np.full((n_users, 1), -np.inf)
    ends = [np.hstack((half[1], end)) for half in (tagged, others)]
    for place in range(k):
        own, other = ends[0][users, taken], ends[1][users, place - taken]
        due = taken < np.floor(share * (place + 1) + ROOM)
        chosen = (due | (own >= other)) & ~np.isneginf(own)
        lists[:, place] = np.where(
            chosen,
            tagged[0][users, np.minimum(taken, k - 1)],
            others[0][users, np.minimum(place - taken, k - 1)],
        )
        taken += chosen
    return lists
