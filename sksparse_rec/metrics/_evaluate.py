"""Several metrics for one matching."""

from sklearn.utils import Bunch

from sksparse_rec._validation import validate_params
from sksparse_rec.metrics._hits import hit_rate, precision, recall
from sksparse_rec.metrics._matching import (
    RANKING_CONSTRAINTS,
    match,
    mean_over_users,
    values_per_user,
)
from sksparse_rec.metrics._ranks import average_precision, ndcg, reciprocal_rank

FORMULAS = {
    "average_precision": average_precision,
    "hit_rate": hit_rate,
    "ndcg": ndcg,
    "precision": precision,
    "recall": recall,
    "reciprocal_rank": reciprocal_rank,
}


@validate_params(
    {
        "y_true": RANKING_CONSTRAINTS["y_true"],
        "y_pred": RANKING_CONSTRAINTS["y_pred"],
        "metrics": ["array-like"],
        "sample_weight": RANKING_CONSTRAINTS["sample_weight"],
    },
    prefer_skip_nested_validation=True,
)
def evaluate_ranking(
    y_true,
    y_pred,
    *,
    metrics=("ndcg@100", "recall@20", "recall@50"),
    sample_weight=None,
):
    r"""Evaluate ranked lists by several metrics at once.

    Use it for reports: lists and targets are matched once for all metrics, and the
    users who could not be evaluated are counted.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_users, n_items)
        Targets: the items each user should be recommended are the non-zero entries.
    y_pred : {CSR matrix, array-like} of shape (n_users, n_items or n_places)
        What `recommend` returns, untouched: the stored entries of a row are its
        items, best first. Or integer item indices, best first, padded with -1. Make
        the lists as long as the largest cut-off.
    metrics : sequence of str, default=("ndcg@100", "recall@20", "recall@50")
        Names with cut-offs. Names are "average_precision", "hit_rate", "ndcg",
        "precision", "recall" and "reciprocal_rank"; the default is what papers on
        autoencoders for collaborative filtering report.
    sample_weight : array-like of shape (n_users,), default=None
        Weights of the users in the means.

    Returns
    -------
    Bunch
        ``means``: dict of the metrics' names to floats. ``per_user``: dict of the
        same names to float64 arrays of shape (n_users,), NaN for users without
        targets. ``n_users_evaluated`` and ``n_users_without_targets``: int; the means
        are over the former.

    Raises
    ------
    ValueError
        If a metric's name is unknown or lacks its cut-off, if no user has targets, if
        a list holds an item twice, or if the shapes differ.

    See Also
    --------
    ndcg_at_k : One metric, and the definitions.
    catalog_coverage : What accuracy does not say.

    Notes
    -----
    For a metric :math:`m` and the users :math:`U^+` with targets, the mean is

    .. math:: \frac{\sum_{u \in U^+} w_u \, m(u)}{\sum_{u \in U^+} w_u}.

    Cost: O(n log n) time and O(n) memory for n targets and recommended items, and
    O(n) for each metric more.

    References
    ----------
    Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for Collaborative
    Filtering", WWW 2018: the protocol.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse_rec.metrics import evaluate_ranking
    >>> y_true = np.array([[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    >>> y_pred = np.array([[0, 2], [1, 2], [0, 1]])
    >>> result = evaluate_ranking(y_true, y_pred, metrics=["recall@2", "hit_rate@2"])
    >>> result.means
    {'recall@2': 0.25, 'hit_rate@2': 0.5}
    >>> result.n_users_evaluated, result.n_users_without_targets
    (2, 1)
    """
    parsed = {name: _parse(name) for name in metrics}
    if not parsed:
        raise ValueError("metrics is empty: name at least one, such as 'ndcg@100'.")
    matches = match(y_true, y_pred, max(k for _, k in parsed.values()))
    per_user = {
        name: values_per_user(formula, matches, k)
        for name, (formula, k) in parsed.items()
    }
    evaluated = int((matches.n_targets > 0).sum())
    return Bunch(
        means={
            name: mean_over_users(values, sample_weight=sample_weight)
            for name, values in per_user.items()
        },
        per_user=per_user,
        n_users_evaluated=evaluated,
        n_users_without_targets=len(matches.n_targets) - evaluated,
    )


def _parse(name):
    base, _, cutoff = str(name).partition("@")
    if base not in FORMULAS or not cutoff.isdecimal() or int(cutoff) < 1:
        raise ValueError(
            f"Unknown metric {name!r}: pass a name and a cut-off of at least 1, such "
            f"as 'ndcg@100'. Names are {', '.join(sorted(FORMULAS))}."
        )
    return FORMULAS[base], int(cutoff)
