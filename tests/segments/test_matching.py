"""Segments of retrained models."""

import itertools

import numpy as np
import pytest

from sksparse_rec import LatentSegments
from sksparse_rec.segments._matching import match, overlaps_of
from sksparse_rec.segments._transfer import fresh_ids


def blocks(*sizes, n_components=6, order=None):
    """One group of items after the other, each on the latent that ``order`` says."""
    order = range(len(sizes)) if order is None else order
    return np.repeat(np.eye(n_components)[list(order)], sizes, axis=0)


@pytest.fixture
def old():
    namer = {0: "tea", 1: "coffee", 2: "milk"}
    return LatentSegments(namer=lambda facts: namer[facts.latent]).fit(blocks(9, 8, 7))


def test_overlaps_are_jaccard_indices():
    rng = np.random.default_rng(0)
    labels, others = rng.integers(-1, 4, 60), rng.integers(-1, 5, 60)
    labels[labels == 2] = -1
    overlaps = overlaps_of(labels, others, (4, 6))
    for one, two in np.ndindex(4, 6):
        mine = set(np.flatnonzero(labels == one))
        theirs = set(np.flatnonzero(others == two))
        expected = len(mine & theirs) / max(1, len(mine | theirs))
        assert overlaps[one, two] == pytest.approx(expected)


def test_the_pairing_has_the_largest_sum():
    overlaps = np.random.default_rng(1).random((4, 6)) ** 3
    best = max(
        itertools.permutations(range(6), 4),
        key=lambda columns: overlaps[range(4), columns].sum(),
    )
    segments, previous = match(overlaps, 0)
    assert segments.tolist() == [0, 1, 2, 3]
    assert tuple(previous) == best
    least = np.sort(overlaps[range(4), best])[1]
    kept = overlaps[range(4), best] >= least
    assert kept.sum() == 3
    segments, previous = match(overlaps, least)
    assert previous.tolist() == np.array(best)[kept].tolist()
    assert [len(part) for part in match(np.zeros((2, 2)), 0)] == [0, 0]


def test_latents_in_another_order(old):
    new = LatentSegments().fit(blocks(9, 8, 7, order=[4, 0, 1]))
    report = new.match(old)
    assert report.segments.tolist() == report.previous.tolist() == [0, 1, 2]
    assert report.overlaps.tolist() == [1, 1, 1]
    assert len(report.moved_items) == len(report.appeared) == len(report.vanished) == 0
    assert new.segment_ids_.tolist() == ["4+", "0+", "1+"]
    labels = new.labels_.copy()
    assert new.transfer(old).text == report.text
    assert new.segment_ids_.tolist() == ["0+", "1+", "2+"]
    assert new.segment_names_.tolist() == ["tea", "coffee", "milk"]
    np.testing.assert_array_equal(new.labels_, labels)
    assert new.segment_latents_.tolist() == [4, 0, 1]
    assert len(new.former_ids_) == 0


def test_what_appeared_vanished_and_moved(old):
    # Half of coffee went to tea, and the rest is too small.
    new = LatentSegments(min_size=5).fit(blocks(13, 4, 7, order=[1, 2, 0]))
    report = new.match(old)
    assert report.segments.tolist() == [0, 1]
    assert report.previous.tolist() == [0, 2]
    np.testing.assert_allclose(report.overlaps, [9 / 13, 1])
    assert report.appeared.tolist() == []
    assert report.vanished.tolist() == [1]
    assert report.moved_items.tolist() == list(range(9, 17))
    assert report.moved_from.tolist() == [1] * 8
    assert report.moved_to.tolist() == [0] * 4 + [-1] * 4
    assert (report.n_common_items, report.n_new_items, report.n_gone_items) == (
        24,
        0,
        0,
    )
    lines = report.text.split("\n")
    assert lines[0] == "segments: 2 kept, 0 appeared, 1 vanished"
    assert lines[1] == "items: 24 in both, of which 8 moved; 0 new, 0 gone"
    assert lines[3:5] == [
        "  tea (0+, 9 items) -> 1+ (13 items), 69% of the items of either are shared",
        "  milk (2+, 7 items) -> 0+ (7 items), 100% of the items of either are shared",
    ]
    assert lines[5:] == ["vanished:", "  coffee (1+, 8 items)"]


def test_a_new_segment_gets_an_id_of_its_own(old):
    # Tea and milk in other places, and a new segment on the latents of coffee.
    new = LatentSegments(namer=lambda facts: "tea").fit(
        blocks(9, 0, 7, 6, order=[2, 3, 0, 1]), item_names=[*range(9), *range(17, 30)]
    )
    old.fit(blocks(9, 8, 7), item_names=range(24))
    report = new.transfer(old)
    assert report.appeared.tolist() == [2]
    assert new.segment_names_.tolist() == ["tea", "milk", "tea (3)"]
    assert new.segment_ids_.tolist() == ["0+", "2+", "1+.2"]
    assert new.former_ids_.tolist() == ["1+"]
    assert (report.n_new_items, report.n_gone_items) == (6, 8)
    # An id stays out of use, also after a training in which nobody had it.
    newer = LatentSegments().fit(
        blocks(9, 6, 6, order=[0, 1, 2]), item_names=[*range(9), *range(40, 52)]
    )
    newer.transfer(new)
    assert newer.segment_ids_.tolist() == ["0+", "1+.3", "2+.2"]
    assert newer.former_ids_.tolist() == ["1+", "1+.2", "2+"]


def test_names_that_are_ids_follow_them():
    old = LatentSegments().fit(blocks(9, 8, 7))
    new = LatentSegments().fit(blocks(9, 7, 6, order=[2, 0, 1]))
    new.transfer(old, previous_items=[*range(9), *range(17, 24), *[-1] * 6])
    assert new.segment_ids_.tolist() == ["0+", "2+", "1+.2"]
    assert new.segment_names_.tolist() == ["0+", "2+", "1+.2"]
    assert new.items_of(segment="0+")[0].tolist() == list(range(9))


def test_items_are_the_same_by_name(old, X):
    rng = np.random.default_rng(0)
    names = np.array([f"item {i}" for i in range(300)])
    old = LatentSegments().fit(X, item_names=names)
    order = rng.permutation(300)[:250]
    new = LatentSegments().fit(X[order], item_names=names[order])
    report = new.match(old)
    assert (report.n_common_items, report.n_new_items, report.n_gone_items) == (
        250,
        0,
        50,
    )
    np.testing.assert_array_equal(
        new.segment_ids_[report.segments], old.segment_ids_[report.previous]
    )
    np.testing.assert_allclose(report.overlaps, 1)
    # The same without names.
    new = LatentSegments().fit(X[order])
    again = new.match(old, previous_items=order)
    for key in report.keys() - {"text"}:
        np.testing.assert_array_equal(again[key], report[key])
    with pytest.raises(ValueError, match="there are 250 items and were 300"):
        new.match(old)


def test_outliers_that_stay_outliers_have_not_moved(old):
    one, two = (
        LatentSegments().fit(blocks(9, 3, 12, order=o)) for o in ([0, 1, 2], [2, 0, 1])
    )
    assert (one.labels_ == -1).sum() == 3
    assert len(two.match(one).moved_items) == 0
    report = old.match(one)
    assert report.moved_from.tolist() == [-1] * 3 + [0] * 5
    assert report.moved_to.tolist() == [1] * 8


def test_no_segments_on_either_side(old, X):
    none = LatentSegments().fit(blocks(2, 2, 20) * 0)
    report = none.match(old)
    assert report.vanished.tolist() == [0, 1, 2]
    assert len(report.moved_items) == 24
    assert old.match(none).appeared.tolist() == [0, 1, 2]
    none.transfer(old)
    assert none.former_ids_.tolist() == ["0+", "1+", "2+"]
    assert none.match(none).text.startswith("segments: 0 kept, 0 appeared, 0 vanished")


def test_no_items_in_common(old):
    report = old.match(old, previous_items=[-1] * 24)
    assert report.appeared.tolist() == report.vanished.tolist() == [0, 1, 2]
    assert report.n_common_items == 0


def test_long_reports_name_the_first_few(embeddings):
    old, new = (
        LatentSegments(min_size=1).fit(embeddings(400, 40, seed=seed))
        for seed in (1, 2)
    )
    lines = new.match(old).text.split("\n")
    assert len(lines) < 40
    assert any(line.startswith("  and ") for line in lines)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"min_overlap": -0.1}, "min_overlap"),
        ({"min_overlap": 1.1}, "min_overlap"),
        ({"min_overlap": "1"}, "min_overlap"),
        ({"previous_items": [0]}, "one position an item"),
        ({"previous_items": np.arange(24.0)}, "one position an item"),
        ({"previous_items": np.arange(24) + 1}, "from 1 to 24"),
        ({"previous_items": np.arange(24) - 2}, "from -2 to 21"),
        ({"previous_items": [3, 3] + [-1] * 22}, "the previous item 3"),
    ],
)
def test_arguments_are_checked(old, options, match):
    ids = old.segment_ids_
    with pytest.raises(ValueError, match=match):
        old.transfer(old, **options)
    assert old.segment_ids_ is ids


def test_other_things_cannot_be_matched(old):
    with pytest.raises(TypeError, match="must be a LatentSegments, got dict"):
        old.match({})
    twice = LatentSegments().fit(blocks(12, 12), item_names=["a"] * 24)
    with pytest.raises(ValueError, match="item_names of these segments"):
        twice.match(twice)


def test_fresh_ids():
    ids = fresh_ids(["1+", "2-.2", "3+"], ["1+", "1+.2", "2-.2"])
    assert ids.tolist() == ["1+.3", "2-.3", "3+"]
    assert fresh_ids([], ["1+"]).tolist() == []
