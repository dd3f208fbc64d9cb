"""The accuracy metrics against scikit-learn and against loops over users."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import ndcg_score

from sksparse_rec.metrics import (
    average_precision_at_k,
    evaluate_ranking,
    hit_rate_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    reciprocal_rank_at_k,
)

N_USERS, N_ITEMS = 30, 23


def best_first(scores, k, container=sp.csr_array):
    """Lists as `recommend` returns them: stored best first, indices not sorted."""
    order = np.argsort(-scores, axis=1)[:, :k]
    indptr = np.arange(len(scores) + 1) * order.shape[1]
    data = np.take_along_axis(scores, order, axis=1)
    return container((data.ravel(), order.ravel(), indptr), shape=scores.shape)


@pytest.fixture
def targets():
    rng = np.random.default_rng(0)
    y = rng.integers(1, 6, size=(N_USERS, N_ITEMS)) * (rng.random((N_USERS, 1)) ** 2)
    y[rng.random((N_USERS, N_ITEMS)) < 0.7] = 0
    y[:, 0] += 0.5 * (y.sum(axis=1) == 0)
    y[3] = y[7] = 0  # users without targets
    return y


@pytest.fixture
def scores():
    return np.random.default_rng(1).permuted(
        np.tile(np.arange(N_ITEMS) + 0.5, (N_USERS, 1)), axis=1
    )


def naive(name, gains, ids, k):
    """One user's value by its textbook definition."""
    targets = {i for i, gain in enumerate(gains) if gain}
    if not targets:
        return np.nan
    ids = list(ids)[:k]
    hits = [i in targets for i in ids]
    reachable = min(k, len(targets))
    if name == "recall":
        return sum(hits) / reachable
    if name == "precision":
        return sum(hits) / k
    if name == "hit_rate":
        return float(any(hits))
    if name == "reciprocal_rank":
        return 1 / (1 + hits.index(True)) if any(hits) else 0.0
    if name == "average_precision":
        precisions = [sum(hits[: r + 1]) / (r + 1) for r in range(len(ids)) if hits[r]]
        return sum(precisions) / reachable
    gained = sum(gains[i] / np.log2(r + 2) for r, i in enumerate(ids))
    best = sorted(gains, reverse=True)[:k]
    return gained / sum(gain / np.log2(r + 2) for r, gain in enumerate(best))


METRICS = {
    "average_precision": average_precision_at_k,
    "hit_rate": hit_rate_at_k,
    "ndcg": ndcg_at_k,
    "precision": precision_at_k,
    "recall": recall_at_k,
    "reciprocal_rank": reciprocal_rank_at_k,
}
every_metric = pytest.mark.parametrize("name", METRICS)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("k", [1, 5, N_ITEMS, 100])
def test_ndcg_equals_sklearn(targets, scores, binary, k):
    y = (targets > 0).astype(float) if binary else targets
    values = ndcg_at_k(y, best_first(scores, k), k, per_user=True)
    expected = [
        ndcg_score(y[[u]], scores[[u]], k=k) if y[u].any() else np.nan
        for u in range(N_USERS)
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@every_metric
@pytest.mark.parametrize("k", [1, 4, 10, 100])
def test_equals_loop_over_users(name, targets, scores, k):
    R = best_first(scores, 10)
    expected = [
        naive(name, targets[u], R.indices[R.indptr[u] : R.indptr[u + 1]], k)
        for u in range(N_USERS)
    ]
    values = METRICS[name](targets, R, k, per_user=True)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    mean = METRICS[name](targets, R, k)
    assert isinstance(mean, float)
    assert mean == pytest.approx(np.nanmean(expected), rel=1e-12)


@every_metric
def test_lists_of_different_lengths_and_padded_ids(name, targets, scores):
    ids = np.argsort(-scores, axis=1)[:, :8]
    lengths = np.arange(N_USERS) % 9
    ids[np.arange(8) >= lengths[:, None]] = -1
    kept = ids >= 0
    indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    data = np.take_along_axis(scores, np.maximum(ids, 0), axis=1)[kept]
    R = sp.csr_array((data, ids[kept], indptr), shape=scores.shape)
    expected = [naive(name, targets[u], ids[u][kept[u]], 5) for u in range(N_USERS)]
    for y_pred in (R, ids, ids.astype(np.int32), ids.tolist()):
        values = METRICS[name](targets, y_pred, 5, per_user=True)
        np.testing.assert_allclose(values, expected, rtol=1e-12)


@every_metric
def test_perfect_lists_score_one(name):
    y = sp.csr_array(np.tri(6, 9, dtype=int))
    ideal = best_first(y.toarray() - np.arange(9) / 100, 6)
    k = 1 if name == "precision" else 4
    assert METRICS[name](y, ideal, k) == 1.0


@pytest.mark.parametrize("y_container", [sp.csr_matrix, sp.coo_array, sp.csc_array])
@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
def test_containers_agree(targets, scores, y_container, container):
    expected = ndcg_at_k(targets, best_first(scores, 5), 5)
    R = best_first(scores, 5, container)
    stored = R.indices.copy()
    assert ndcg_at_k(y_container(targets), R, 5) == expected
    np.testing.assert_array_equal(R.indices, stored)  # the caller's order is kept


def test_explicit_zeros_are_no_targets_but_are_recommendations():
    y = sp.csr_array(([0.0, 1.0], [0, 1], [0, 2]), shape=(1, 3))
    R = sp.csr_array(([0.0, 0.0], [2, 1], [0, 2]), shape=(1, 3))
    assert recall_at_k(y, R, 2) == 1.0
    assert reciprocal_rank_at_k(y, R, 2) == 0.5


def test_a_hole_in_padded_ids_is_an_empty_place():
    assert reciprocal_rank_at_k([[0, 1]], [[-1, 1]], 2) == 0.5


def test_sample_weight(targets, scores):
    R = best_first(scores, 5)
    weights = np.arange(N_USERS, dtype=float)
    values = ndcg_at_k(targets, R, 5, per_user=True)
    counted = ~np.isnan(values)
    expected = np.average(values[counted], weights=weights[counted])
    assert ndcg_at_k(targets, R, 5, sample_weight=weights) == pytest.approx(expected)
    repeated = np.repeat(np.arange(N_USERS), 2)
    twice = sp.csr_array(targets)[repeated]
    both = ndcg_at_k(twice, R[repeated], 5, sample_weight=np.tile([1, 0], N_USERS))
    assert both == pytest.approx(ndcg_at_k(targets, R, 5))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), "one weight a user"),
        (-np.ones(N_USERS), "non-negative"),
        (np.full(N_USERS, np.nan), "finite"),
        (np.zeros(N_USERS), "0 for every user who has targets"),
    ],
)
def test_bad_sample_weight(targets, scores, weights, message):
    with pytest.raises(ValueError, match=message):
        ndcg_at_k(targets, best_first(scores, 5), sample_weight=weights)


def test_no_targets():
    y = sp.csr_array((2, 3))
    with pytest.raises(ValueError, match="None of the 2 users has targets"):
        ndcg_at_k(y, [[0], [1]])
    assert np.isnan(ndcg_at_k(y, [[0], [1]], per_user=True)).all()


def test_no_recommendations():
    assert ndcg_at_k([[0, 1]], sp.csr_array((1, 2))) == 0.0
    assert ndcg_at_k([[0, 1]], np.empty((1, 0), dtype=int)) == 0.0


@pytest.mark.parametrize(
    ("y_pred", "error", "message"),
    [
        ([[0, 0]], ValueError, "item 0 to user 0 more than once"),
        (sp.csr_array(([2.0, 1.0], [1, 1], [0, 2]), shape=(1, 3)), ValueError, "once"),
        ([[3]], ValueError, r"y_pred\[0, 0\] is 3; .* at most 2"),
        ([[0, -2]], ValueError, r"y_pred\[0, 1\] is -2"),
        ([[0.5, 0.1, 0.2]], ValueError, "Turn scores into lists"),
        ([["a", "b"]], ValueError, "names into column numbers"),
        ([[0], [1]], ValueError, r"1 users .* y_pred has 2"),
        (sp.csr_array((1, 4)), ValueError, "4 columns but there are 3 items"),
        (sp.coo_array(np.eye(1, 3)), TypeError, "'coo' format"),
    ],
)
def test_bad_lists(y_pred, error, message):
    with pytest.raises(error, match=message):
        ndcg_at_k([[1, 0, 1]], y_pred)


def test_a_duplicate_after_k_is_ignored():
    assert recall_at_k([[1, 0]], [[0, 0]], 1) == 1.0


def test_lists_that_lost_their_order_are_refused(scores, targets):
    R = best_first(scores, 5)
    R.sort_indices()
    with pytest.raises(ValueError, match="order of the lists is lost"):
        ndcg_at_k(targets, R)


@pytest.mark.parametrize("width", [2, 3, 21])
def test_a_few_short_lists_may_ascend_by_chance(width):
    def lists(n_users):
        items = np.tile(np.arange(width), n_users)
        indptr = np.arange(n_users + 1) * width
        shape = (n_users, width)
        return sp.csr_array((1.0 + items, items, indptr), shape=shape)

    enough = 20 // (width - 1)
    if enough > 1:
        few = lists(enough - 1)
        assert recall_at_k(np.ones(few.shape), few, width) == 1.0
    many = lists(enough)
    with pytest.raises(ValueError, match="order of the lists is lost"):
        recall_at_k(np.ones(many.shape), many, width)
    # One descent anywhere shows that rows are not stored by item.
    first = slice(*many.indptr[:2])
    many.indices[first] = many.indices[first][::-1].copy()
    assert recall_at_k(np.ones(many.shape), many, width) == 1.0


@pytest.mark.parametrize("data", [[1.0, 1.0 + 1e-6], [-np.inf, 1.0], [True, True]])
def test_ascending_indices_alone_are_no_fault(data):
    R = sp.csr_array((np.array(data), [0, 1], [0, 2]), shape=(1, 2))
    assert recall_at_k([[0, 1]], R, 2) == 1.0


@pytest.mark.parametrize("k", [0, 1.5, "10"])
def test_bad_k(k):
    with pytest.raises(ValueError, match="'k' parameter of ndcg_at_k"):
        ndcg_at_k([[1, 0]], [[0]], k)


def test_negative_targets():
    with pytest.raises(ValueError, match="Negative values in data"):
        ndcg_at_k([[-1, 0]], [[0]])


def test_wide_data_are_never_dense():
    shape = (200_000, 300_000)
    users = np.array([5, 70_000, 199_999])
    items = np.array([299_999, 4, 250_000])
    y = sp.csr_array((np.ones(3), (users, items)), shape=shape)
    indptr = np.searchsorted(users, np.arange(shape[0]), side="right")
    indptr = np.concatenate(([0], indptr))
    R = sp.csr_array((np.ones(3), np.array([299_999, 5, 250_000]), indptr), shape=shape)
    for metric in METRICS.values():
        expected = 2 / 3 if metric is not precision_at_k else 2 / 300
        assert metric(y, R) == pytest.approx(expected)


def test_evaluate_ranking_equals_the_single_metrics(targets, scores):
    R = best_first(scores, 12)
    names = [f"{name}@{k}" for name in METRICS for k in (3, 10)]
    weights = np.arange(N_USERS)
    result = evaluate_ranking(targets, R, metrics=names, sample_weight=weights)
    assert list(result.means) == names
    for full_name in names:
        name, k = full_name.split("@")
        single = METRICS[name](targets, R, int(k), sample_weight=weights)
        assert result.means[full_name] == single
        np.testing.assert_array_equal(
            result.per_user[full_name], METRICS[name](targets, R, int(k), per_user=True)
        )
    assert result.n_users_without_targets == 2
    assert result.n_users_evaluated == N_USERS - 2


@pytest.mark.parametrize("metric", ["ndcg", "ndcg@0", "ndcg@x", "map@10", "@3"])
def test_evaluate_ranking_unknown_metric(metric):
    with pytest.raises(ValueError, match=r"Unknown metric .* such as 'ndcg@100'"):
        evaluate_ranking([[1, 0]], [[0]], metrics=[metric])


def test_evaluate_ranking_without_metrics():
    with pytest.raises(ValueError, match="metrics is empty"):
        evaluate_ranking([[1, 0]], [[0]], metrics=[])
