"""Lists from dense scores, and a score of lists; numpy and scipy only."""

import numpy as np

USERS_PER_BLOCK = 256


def best_unseen(score, history, k):
    """Rank the unseen items of every user.

    Parameters
    ----------
    score : callable
        ``score(users)`` gives scores of shape (len(users), n_items). Ties at the end of
        a list are broken anyhow: use it for scores that have none.
    history : CSR
        Seen items.
    k : int
        Length of the lists.

    Returns
    -------
    ndarray of shape (n_users, k), int64
        Item indices, best first, padded with -1.
    """
    n_users, n_items = history.shape
    k = min(k, n_items)
    ids = np.empty((n_users, k), dtype=np.int64)
    for start in range(0, n_users, USERS_PER_BLOCK):
        users = np.arange(start, min(start + USERS_PER_BLOCK, n_users))
        scores = np.array(score(users))
        seen = history[users].tocoo()
        scores[seen.row, seen.col] = -np.inf
        top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        top.sort(axis=1)
        values = np.take_along_axis(scores, top, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        top = np.take_along_axis(top, order, axis=1)
        top[np.isneginf(np.take_along_axis(values, order, axis=1))] = -1
        ids[users] = top
    return ids


def mean_ndcg(targets, ids):
    """Return the mean nDCG of lists, as ``sksparse_rec.metrics.ndcg_at_k`` does.

    It is here for systems that choose settings in an interpreter without the package.

    Parameters
    ----------
    targets : CSR of shape (n_users, n_items)
    ids : ndarray of shape (n_users, k)
        Padded with -1.

    Returns
    -------
    float
    """
    n_items = targets.shape[1]
    n_targets = np.diff(targets.indptr)
    users = np.repeat(np.arange(len(ids)), n_targets)
    wanted = users * n_items + targets.indices
    listed = np.arange(len(ids))[:, None] * n_items + ids
    hits = np.isin(listed, wanted) & (ids >= 0)
    gains = 1 / np.log2(np.arange(2, ids.shape[1] + 2))
    best = np.concatenate([[0], np.cumsum(gains)])[np.minimum(n_targets, ids.shape[1])]
    judged = n_targets > 0
    return float(((hits @ gains)[judged] / best[judged]).mean())


def choose(candidates, fit_and_recommend, data, k=100):
    """Choose the settings with the best nDCG on validation users.

    Parameters
    ----------
    candidates : iterable
    fit_and_recommend : callable
        ``fit_and_recommend(candidate, data)`` trains on ``data.train`` and gives lists
        for ``data.history``.
    data : _process.Data
        Whose ``validation`` is used.
    k : int

    Returns
    -------
    best : object
        Of the candidates.
    scores : dict
        nDCG of each, by its text.
    """
    scores = {}
    for candidate in candidates:
        ids = fit_and_recommend(candidate, data.for_validation())
        scores[candidate] = mean_ndcg(data.validation[2], ids[:, :k])
    best = max(scores, key=scores.get)
    return best, {str(candidate): score for candidate, score in scores.items()}
