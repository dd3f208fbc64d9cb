"""The benchmark of steering measures what it says; needs no data."""

import numpy as np
import pytest
import scipy.sparse as sp
from _data import split_dataset
from _segment_data import one_hot
from _steering_measures import MEASURES, Judge, largest_fall, reached_at, sum_up
from _steering_rivals import STRENGTHS, Scores, TagRivals, boosted, interleaved

from sksparse_rec.datasets import make_interactions
from sksparse_rec.metrics import ndcg_at_k


@pytest.fixture(scope="module")
def users():
    X = sp.csr_array(make_interactions(100, 150, 3000, random_state=0))
    X.data[:] = 1
    _, history, targets = split_dataset(X.astype(np.float32), 0)
    return history, targets


@pytest.fixture(scope="module")
def tags():
    return one_hot([[str(tag)] for tag in np.random.default_rng(1).integers(0, 4, 150)])


@pytest.fixture(scope="module")
def scores(users):
    rng = np.random.default_rng(2)
    return Scores(np.abs(rng.normal(size=(150, 6))), users[0])


@pytest.fixture(scope="module")
def rivals(users, scores):
    return TagRivals(scores, np.random.default_rng(3).random(150))


def test_ndcg_is_that_of_the_package(users, tags, scores):
    history, targets = users
    lists = scores.lists(scores.raw.copy())
    expected = ndcg_at_k(targets, lists, k=100, per_user=True)
    found = Judge(history, targets, tags).ndcg(lists)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_likers_and_takers_by_hand():
    tags = one_hot(["a", "a", "b", "b", "b"])
    history = sp.csr_array([[1, 0, 0, 0, 0], [0, 0, 1, 1, 0], [1.0, 0, 1, 1, 0]])
    targets = sp.csr_array([[0, 1, 1, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0.0]])
    targets.eliminate_zeros()
    judge = Judge(history, targets, tags)
    # Shares of "a" are 1, 0 and 1/3, of which the mean is 4/9. Those of "b" are 0, 1
    # and 2/3: nobody has twice their mean, 10/9.
    np.testing.assert_array_equal(judge.likes, [[True, False, False], [False] * 3])
    np.testing.assert_array_equal(judge.takes, [[True, False, False], [True, True, 0]])
    facts = judge.describe(0)
    assert facts == {
        "n_items": 2,
        "n_likers": 1,
        "n_takers": 1,
        "liker_hidden_share": 0.5,
    }
    assert judge.describe(1)["liker_hidden_share"] is None


def test_measures_by_hand():
    tags = one_hot(["a", "a", "b", "b", "b"])
    history = sp.csr_array([[1, 0, 0, 0, 0], [0, 0, 1, 1.0, 0]])
    targets = sp.csr_array([[0, 1, 0, 0, 0], [0, 0, 0, 0, 1.0]])
    lists = np.array([[2, 1, -1], [4, 0, -1]])
    found = dict(
        zip(MEASURES, Judge(history, targets, tags).measure(lists, 0), strict=True)
    )
    second = 1 / np.log2(3)
    # A tenth of the first ten places of either list holds "a".
    assert found["share"] == pytest.approx(0.1)
    assert found["ndcg"] == pytest.approx((second + 1) / 2)
    # Only the first user likes it, and has it among the hidden.
    assert found["liker_ndcg"] == found["taker_ndcg"] == pytest.approx(second)
    assert np.isnan(Judge(history, targets, tags).measure(lists, 1)[3]) == (
        Judge(history, targets, tags).describe(1)["n_likers"] == 0
    )


def test_a_share_is_reached_between_points():
    shares, values = np.array([0.1, 0.3, 0.2, 0.7]), np.array([1.0, 0.8, 0.9, 0.4])
    assert reached_at(shares, 0.2, values) == pytest.approx(0.9)
    # The curve falls and rises again: the first time counts.
    assert reached_at(shares, 0.45, values) == pytest.approx(0.65)
    assert reached_at(shares, 0.05, values) == 1
    assert reached_at(shares, 0.8, values) is None
    assert reached_at(shares, 0.5, values * np.nan) is None
    assert largest_fall(shares) == pytest.approx(0.1)
    assert largest_fall(np.arange(4)) == 0


def test_a_record_keeps_the_points_that_are_compared():
    curve = np.zeros((2, 3, len(MEASURES)))
    curve[:, :, MEASURES.index("share")] = [[0, 0.5, 1], [0, 0.1, 0.2]]
    curve[:, :, MEASURES.index("ndcg")] = [[0.4, 0.3, 0.2], [0.4, 0.2, 0.2]]
    kept = sum_up(curve, (0, 0.5, 1))
    assert kept["at 0.5"]["ndcg"] == [0.3, None]
    assert kept["at 0.25"]["ndcg"] == [0.35, None]
    assert kept["last_share"] == [1, 0.2]
    assert kept["mean"]["share"] == [0, 0.3, 0.6]
    assert kept["fall"] == [0, 0]


def test_boosting_is_sorting_changed_scores(users, tags, scores, rivals):
    tagged = tags.toarray()[:, 0] > 0
    halves = rivals._halves(scores.raw, tagged)
    for bonus in (0.0, 1.5, 100.0):
        expected = scores.lists(scores.raw.astype(float) + bonus * tagged)
        np.testing.assert_array_equal(boosted(*halves, bonus), expected)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1])
def test_every_beginning_holds_a_share_of_tagged_items(users, tags, rivals, share):
    scores, tagged = rivals.scores, tags.toarray()[:, 1] > 0
    lists = interleaved(*rivals._halves(scores.raw, tagged), share)
    n_left = tagged.sum() - (users[0] @ tags.astype(np.float32)).toarray()[:, 1]
    for user, items in enumerate(lists):
        found = items[items >= 0]
        assert len(found) == len(set(found))
        assert not set(found) & set(users[0][[user]].indices)
        counts = np.cumsum(tagged[found])
        due = np.minimum(share * np.arange(1, len(found) + 1), n_left[user])
        assert np.all(counts >= due - 1e-6)
    if share == 0:
        np.testing.assert_array_equal(lists, scores.lists(scores.raw.copy()))


def test_other_ways_by_what_they_are(users, tags, scores, rivals):
    history, targets = users
    tagged = tags.toarray()[:, 2] > 0
    unsteered = scores.lists(scores.raw.copy())
    found = {name: (grid, list(lists)) for name, grid, lists in rivals._ways(tagged)}
    for name, (grid, lists) in found.items():
        assert len(grid) == len(lists)
        assert grid[0] == 0
        np.testing.assert_array_equal(lists[0], unsteered, err_msg=name)
        for items in lists:
            rows, places = np.nonzero(items >= 0)
            assert not np.asarray(history[rows, items[rows, places]]).any(), name
    only = found["filter"][1][1]
    assert tagged[only[only >= 0]].all()
    judge = Judge(history, targets, tags)
    for name in ("boost, relative", "boost, absolute", "places"):
        assert judge.shares(found[name][1][-1], 2).mean() > 0.6
    # Three popular tagged items in the history, the long way.
    popular = np.flatnonzero(tagged)
    popular = popular[np.argsort(-rivals.popularity[popular])][:3]
    more = history.toarray()
    profiles = more @ scores.factors + scores.factors[popular].sum(axis=0)
    expected = scores.lists(profiles @ scores.factors.T)
    np.testing.assert_array_equal(found["history, popular"][1][3], expected)


def test_levels_are_raised_and_lengths_kept(scores):
    direction = np.array([1.0, 0, 0, 0, 0, 0])
    scores = Scores(np.eye(6), sp.csr_array(scores.units.astype(np.float32)))
    level = scores.units[:, 0]
    for strength in STRENGTHS:
        turned = scores.rotated(direction, strength)
        np.testing.assert_allclose(
            turned[:, 0], level + strength * (1 - level), rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, rtol=1e-4)
