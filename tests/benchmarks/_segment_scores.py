"""How well groups of items agree with curated tags, and with other groups.

Groups are labels of shape (n_items,), -1 for an item in no group. Tags are a CSR of
ones (n_items, n_tags); an item may have several. Items without a group or without a tag
say nothing about agreement and are left out of it.
"""

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment

# Tags of fewer items are left out.
MIN_TAGGED = 10
# Groups are dealt out so often at random for the level of chance.
N_SHUFFLES = 5
MATCHED = 0.5


def is_frequent(tags, min_items=MIN_TAGGED):
    """Tell of every tag whether enough items carry it."""
    return np.diff(sp.csc_array(tags).indptr) >= min_items


def score_groups(labels, tags, seed=0):
    """Return the agreement of groups with tags, and what chance would give.

    Parameters
    ----------
    labels : ndarray of shape (n_items,)
    tags : csr_array of shape (n_items, n_tags)
    seed : int
        Of the random groups.

    Returns
    -------
    dict
        ``purity``, ``nmi`` and ``lift``, with ``purity_chance`` and ``nmi_chance``: the
        means for groups of the same sizes dealt out at random; ``n_items`` that have
        both a group and a tag.
    """
    judged = (labels >= 0) & (np.diff(tags.indptr) > 0)
    labels, tags = np.unique(labels[judged], return_inverse=True)[1], tags[judged]
    if not len(labels):
        return {"n_items": 0}
    rng = np.random.default_rng(seed)
    shuffled = [_agreement(rng.permutation(labels), tags) for _ in range(N_SHUFFLES)]
    scores = _agreement(labels, tags)
    for name in ("purity", "nmi"):
        scores[f"{name}_chance"] = float(np.mean([each[name] for each in shuffled]))
    return {**scores, "n_items": len(labels)}


def _agreement(labels, tags):
    carried = count_tags(labels, tags)
    sizes = np.bincount(labels)
    best = carried.argmax(axis=1)
    own = carried.max(axis=1).sum()
    # What the groups would hold of their tags if they were like all items.
    usual = sizes @ (np.asarray(tags.sum(axis=0)).ravel()[best] / len(labels))
    return {
        "purity": float(own / len(labels)),
        "nmi": nmi(labels, tags),
        "lift": float(own / usual),
    }


def count_tags(labels, tags):
    """Count the items of each group that carry each tag, (n_groups, n_tags)."""
    return (members_of(labels) @ tags).toarray()


def nmi(labels, tags):
    """Return the normalised mutual information of groups and tags.

    An item is divided equally among its tags. With one tag an item this is
    `sklearn.metrics.normalized_mutual_info_score`.
    """
    shares = sp.diags_array(1 / np.diff(tags.indptr)) @ tags
    joint = count_tags(labels, shares) / len(labels)
    of_group, of_tag = joint.sum(axis=1), joint.sum(axis=0)
    together = _entropy(joint.ravel())
    apart = _entropy(of_group) + _entropy(of_tag)
    return float(2 * (apart - together) / apart) if apart > 0 else 1.0


def _entropy(p):
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def members_of(labels):
    """Return the CSR of ones (n_groups, n_items) of labels; -1 is no group."""
    items = np.flatnonzero(labels >= 0)
    ones = np.ones(len(items))
    shape = (labels.max(initial=-1) + 1, len(labels))
    return sp.csr_array((ones, (labels[items], items)), shape=shape)


def score_match(labels, others):
    """Return how far two groupings of the same items are the same.

    Groups are matched one to one so that the sum of their Jaccard indices is largest.

    Returns
    -------
    dict
        ``jaccard``, the mean over the groups of the first, 0 for one without a match;
        ``by_item``, the same weighted by size; ``matched``, the share of groups above
        ``MATCHED``.
    """
    first, second = members_of(labels), members_of(others)
    both = (first @ second.T).toarray()
    sizes, other_sizes = first.sum(axis=1), second.sum(axis=1)
    either = sizes[:, None] + other_sizes - both
    jaccard = both / np.maximum(either, 1)
    rows, columns = linear_sum_assignment(jaccard, maximize=True)
    matched = np.zeros(len(sizes))
    matched[rows] = jaccard[rows, columns]
    return {
        "jaccard": float(matched.mean()),
        "by_item": float(matched @ sizes / sizes.sum()),
        "matched": float(np.mean(matched > MATCHED)),
    }
