"""The benchmark of steering measures what it says; needs no data."""

import numpy as np
import pytest
import scipy.sparse as sp
from _data import Dataset, split_dataset
from _harness import Job, read_records
from _page_steering import render_steering
from _plan import make_parser, run_jobs
from _segment_data import Tagged, one_hot
from _steering import MAX_CONCEPTS, OWN, STEERING_SYSTEMS, WAYS
from _steering_compare import (
    ALREADY,
    MET,
    MISSED,
    NEVER,
    above_all,
    best_other,
    by_facet,
    difference,
    liker_outcome,
    mapping_rows,
    paired,
    reasons,
    rising_share,
    share_above,
)
from _steering_figure import steering_figure
from _steering_measures import MEASURES, Judge, largest_fall, reached_at, sum_up
from _steering_rivals import (
    COUNTS,
    STRENGTHS,
    Scores,
    TagRivals,
    boosted,
    interleaved,
)
from bench_steering import choose_concepts, run_steering, summarize_steering

from sksparse_rec.datasets import make_interactions
from sksparse_rec.metrics import ndcg_at_k
from sksparse_rec.steering._knobs import TOP_LEVEL


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
    assert kept["fall"] == kept["fall in tenths"] == [0, 0]


def test_falls_between_tenths_are_told_apart():
    curve = np.zeros((1, 5, len(MEASURES)))
    curve[:, :, MEASURES.index("share")] = [[0, 0.3, 0.2, 0.4, 0.3]]
    kept = sum_up(curve, (0, 0.15, 0.3, 0.7, 0.85))
    assert kept["fall"] == [pytest.approx(0.1)]
    assert kept["fall in tenths"] == [0]


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
        places = np.arange(1, len(found) + 1)
        due = np.minimum(np.floor(share * places + 1e-9), n_left[user])
        assert np.all(counts >= due)
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
    # Four popular tagged items in the history, the long way.
    popular = np.flatnonzero(tagged)
    popular = popular[np.argsort(-rivals.popularity[popular])][:4]
    more = history.toarray()
    profiles = more @ scores.factors + scores.factors[popular].sum(axis=0)
    expected = scores.lists(profiles @ scores.factors.T)
    np.testing.assert_array_equal(
        found["history, popular"][1][COUNTS.index(4)], expected
    )


def test_levels_are_raised_and_lengths_kept(scores):
    direction = np.array([1.0, 0, 0, 0, 0, 0])
    scores = Scores(np.eye(6), sp.csr_array(scores.units.astype(np.float32)))
    level = scores.units[:, 0]
    for strength in STRENGTHS:
        turned = scores.rotated(direction, strength)
        np.testing.assert_allclose(
            turned[:, 0],
            level + strength * np.maximum(TOP_LEVEL - level, 0),
            rtol=1e-4,
            atol=1e-6,
        )
        np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 1, rtol=1e-4)


def _record():
    """Three concepts: one steered well, one that is there already, one never."""
    facts = [(30, 9, 0.8, 0.9), (30, 9, 0.2, 0.9), (25, 9, 0.2, 0.3)]
    names = ("n_items", "n_likers", "liker_hidden_share", "precision")
    concepts = [
        {"name": name, **dict(zip(names, each, strict=True))}
        for name, each in zip("abc", facts, strict=True)
    ]
    own = {
        "first": {
            "share": [0.1, 0.2, 0.1],
            "ndcg": [0.5, 0.5, 0.5],
            "liker_share": [0.3, 0.6, 0.2],
            "liker_ndcg": [0.5, 0.5, 0.5],
        },
        "last_share": [1, 1, 0.4],
        "fall": [0, 0.0005, 0.1],
        "fall in tenths": [0, 0, 0.1],
        "at 0.25": {"ndcg": [0.5, 0.45, 0.4], "liker_ndcg": [0.5, 0.5, 0.4]},
        "at 0.5": {"ndcg": [0.4, 0.4, None], "liker_ndcg": [0.55, 0.5, None]},
    }
    boost = {
        **own,
        "at 0.5": {"ndcg": [0.3, 0.45, 0.2], "liker_ndcg": [0.6, 0.5, 0.3]},
    }
    ways = {OWN: own, "places": boost}
    return {"concepts": concepts, "ways": ways, "mappings": {"mean, 1": own}}


def test_comparisons_by_hand():
    record = _record()
    assert rising_share(record["ways"][OWN]) == pytest.approx(1 / 3)
    assert rising_share(record["ways"][OWN], 0.001) == pytest.approx(2 / 3)
    in_tenths = rising_share(record["ways"][OWN], falls="fall in tenths")
    assert in_tenths == pytest.approx(2 / 3)
    pairs = paired(record, "places", 0.5)
    assert pairs == [(0.4, 0.3), (0.4, 0.45)]
    assert difference(pairs) == pytest.approx(0.025)
    assert share_above(pairs) == 0.5
    # Likers of the second have half of their list already.
    assert paired(record, "places", 0.5, "liker_ndcg") == [(0.55, 0.6)]
    assert best_other(record, 0, "liker_ndcg") == (0.6, "places")
    assert above_all(record, 0.5) == 0.5
    assert above_all(record, 0.5, "liker_ndcg") == 0
    assert [liker_outcome(record, place) for place in range(3)] == [MET, ALREADY, NEVER]
    record["ways"][OWN]["first"]["liker_ndcg"][0] = 0.56
    assert liker_outcome(record, 0) == MISSED
    assert reasons(record, 0) == "other hidden items fall behind"
    assert "0.40 at strength 1" in reasons(record, 2)
    assert "likers hide 0.20 of it" in reasons(record, 2)
    assert "imprecise direction" in reasons(record, 2)
    record["concepts"][0]["n_likers"] = 4
    assert liker_outcome(record, 0) is None
    assert paired(record, "places", 0.25, "liker_ndcg") == [(0.4, 0.4)]
    (row,) = mapping_rows([record])
    assert row["reached"] == pytest.approx(2 / 3)
    assert row["ndcg"] == pytest.approx(-0.05)


def test_concepts_are_of_enough_items_and_the_same_for_all_runs():
    counts = np.arange(10, 110)
    columns = [np.repeat([1.0, 0.0], [count, 120 - count]) for count in counts]
    chosen, places = choose_concepts(sp.csr_array(np.column_stack(columns)))
    np.testing.assert_array_equal(chosen.sum(axis=0), counts[10:])
    assert len(set(places)) == MAX_CONCEPTS
    assert places == sorted(places)
    assert choose_concepts(sp.csr_array(np.column_stack(columns)))[1] == places


def _made_up():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 3, 120)
    # Users like the items of one group.
    liked = rng.integers(0, 3, 300)
    chances = np.where(liked[:, None] == groups, 0.25, 0.05)
    X = sp.csr_array((rng.random((300, 120)) < chances).astype(np.float32))
    tags = one_hot([["group " + str(group)] for group in groups])
    dataset = Dataset("debian", lambda: X, 60)
    names = {"section": np.array(["x", "y", "z"], dtype=object)}
    return Tagged(dataset, lambda: {"section": tags}, "section", lambda: names)


SMALL = {
    "latents": {"settings": {"n_components": 16, "n_nonzero": 4, "max_iter": 3}},
    "svd-sae": {
        "settings": {"n_components": 8},
        "sae": {"n_components": 32, "n_nonzero": 4, "positive": True, "max_iter": 2},
    },
}


def test_runs_are_recorded_and_rendered(tmp_path):
    options = make_parser("", seeds=[0]).parse_args(
        ["--results", str(tmp_path), "--threads", "1", "--device", "cpu"]
    )
    options.mappings_on, options.curves = ["debian"], tmp_path / "curves"
    jobs = [
        Job(
            f"{name}-section",
            STEERING_SYSTEMS[name].with_settings(settings),
            _made_up(),
            0,
            name,
        )
        for name, settings in SMALL.items()
    ]
    run_jobs(jobs, options, "steering", run_steering)
    records = read_records(tmp_path / "steering")
    assert len(records) == 2
    for record in records:
        assert record["status"] == "ok", record
        assert all(record["unchanged"].values())
        assert set(record["ways"]) == set(WAYS)
        assert [concept["name"] for concept in record["concepts"]] == ["x", "y", "z"]
        own = record["ways"][OWN]
        assert own["mean"]["share"][-1] > own["mean"]["share"][0] + 0.2
        # Every way starts at the unsteered list, up to ties.
        for way in record["ways"].values():
            assert way["first"]["ndcg"] == pytest.approx(own["first"]["ndcg"], abs=5e-3)
        assert len(record["mappings"]) == 20
        # The formula of the rotation here is that of the estimator.
        mapped = record["mappings"]["correlation, 16"]
        assert mapped["last_share"] == pytest.approx(own["last_share"], abs=5e-3)
        assert mapped["at 0.5"]["ndcg"] == pytest.approx(
            own["at 0.5"]["ndcg"], abs=2e-2
        )
        assert "rising for" in summarize_steering(record)
    assert len(list(options.curves.iterdir())) == 2
    failed = {**records[0], "seed": 1, "status": "failed", "error": "no memory"}
    page = render_steering([*records, failed], {("debian", "section"): "figure.svg"})
    for words in ("## debian: section", "What must hold", "no memory", "figure.svg"):
        assert words in page
    ((key, group),) = by_facet(records).items()
    figure = steering_figure(*key, group)
    assert len(figure.axes) == 4
    assert len(figure.axes[0].lines) == len(WAYS)
