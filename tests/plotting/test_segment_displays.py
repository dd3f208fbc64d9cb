"""Displays of segments: what is drawn, that it can be read, and what is refused."""

import inspect
import io
import itertools
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from extents import LONG, assert_apart, assert_inside, boxes
from matplotlib import colors, pyplot
from sklearn.exceptions import NotFittedError

from sksparse_rec import CompressedELSA, LatentSegments
from sksparse_rec.plotting import (
    LatentActivationDisplay,
    SegmentLayoutDisplay,
    SegmentMapDisplay,
)
from sksparse_rec.plotting._activation import MATCH, NO_SEGMENT, limits

WORDS = ["wilderness", "jazz", "slow-cooking", "a$b$c", "Straßenbahn", "x"]


def picture(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=60, metadata={"Software": None})
    return buffer.getvalue()


DISPLAYS = {
    LatentActivationDisplay: {
        "latents": [3, 1],
        "activations": [0.5, -0.25],
        "latent_names": ["three", "one"],
        "segment_names": ["comedy", None],
    },
    SegmentLayoutDisplay: {
        "segment_names": ["comedy", "drama"],
        "item_names": [["a", "b"], ["c"]],
        "scores": [[1.0, 0.5], [0.2]],
        "title": "A page",
    },
    SegmentMapDisplay: {
        "positions": np.array([[0.0, 0.0], [1.0, 1.0]]),
        "sizes": [3, 4],
        "names": ["comedy", "drama"],
        "values": [0.5, 0.25],
        "value_name": "score",
    },
}


@pytest.mark.parametrize("display", DISPLAYS)
def test_the_constructor_only_stores(display):
    options = DISPLAYS[display]
    made = display(**options)
    assert vars(made) == options
    assert set(inspect.signature(display).parameters) == set(options)
    assert not pyplot.get_fignums()


@pytest.mark.parametrize("display", DISPLAYS)
def test_plot_draws_on_given_axes_and_again(display):
    figure, ax = pyplot.subplots(layout="constrained")
    made = display(**DISPLAYS[display])
    assert made.plot(ax=ax) is made
    assert made.ax_ is ax
    assert made.figure_ is figure
    assert len(pyplot.get_fignums()) == 1
    made.plot()
    assert made.ax_ is not ax
    assert picture(made.figure_)


@pytest.mark.parametrize("display", DISPLAYS)
def test_pictures_are_reproducible(display):
    made = display(**DISPLAYS[display])
    first, second = (picture(made.plot().figure_) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("display", DISPLAYS)
def test_without_matplotlib_the_extra_is_named(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"matplotlib.*sksparse-rec\[plot\]"):
        display(**DISPLAYS[display]).plot()


# Latents of a user


def test_bars_are_the_largest_magnitudes_from_the_top():
    profile = [0.2, -3.0, 0.0, 3.0, 1.0, 0.0]
    display = LatentActivationDisplay.from_arrays(profile, n_latents=3)
    np.testing.assert_array_equal(display.latents, [1, 3, 4])
    assert [bar.get_width() for bar in display.bars_] == [-3, 3, 1]
    assert display.ax_.yaxis.get_inverted()
    # Zeros are no bars.
    assert len(LatentActivationDisplay.from_arrays(profile).latents) == 4


def test_latents_match_segments_with_their_sign():
    display = LatentActivationDisplay.from_arrays(
        [1.0, -2.0, 3.0, 0.5],
        segment_parts=[[(0, 1), (1, 1)], [(1, -1), (3, 1)], [(2, -1)]],
        segment_names=["plus", "both", "other"],
    )
    assert display.segment_names == [None, "both", "plus", "both"]
    assert [label.get_text() for label in display.labels_] == ["both", "plus", "both"]
    colors_of = [colors.to_hex(bar.get_facecolor()) for bar in display.bars_]
    assert colors_of[0] == NO_SEGMENT
    # Two bars of a segment have a colour of their own.
    assert colors_of[1] == colors_of[3] != colors_of[2]
    assert colors_of[2] == MATCH.lower()
    assert "grey: no segment" in display.ax_.get_xlabel()


@pytest.mark.parametrize("size", [None, (3.5, 3), (12, 2.5)])
@pytest.mark.parametrize("n", [1, 5, 25])
def test_names_at_bars_neither_overlap_nor_leave_the_axes(n, size):
    rng = np.random.default_rng(n)
    names = [f"{i} {LONG}"[: 4 + 9 * (i % 9)] for i in range(n)]
    ax = None
    if size is not None:
        _, ax = pyplot.subplots(figsize=size, layout="constrained")
    display = LatentActivationDisplay.from_arrays(
        rng.normal(size=n),
        latent_names=names,
        segment_parts=[[(i, sign) for sign in (-1, 1)] for i in range(n)],
        segment_names=names,
        n_latents=n,
        ax=ax,
    )
    ticks = display.ax_.get_yticklabels()
    extents = boxes(display.figure_, [*display.labels_, *ticks])
    assert len(extents) == 2 * n
    assert_apart(extents)
    for label in extents[:n]:
        frame = display.ax_.get_window_extent()
        assert_inside(label, frame, slack=3)
    for tick in extents[n:]:
        assert_inside(tick, display.figure_.bbox)
    # Nor do names cover bars.
    for label, bar in zip(extents, display.bars_, strict=False):
        extent = bar.get_window_extent()
        assert label.x0 >= extent.x1 - 0.5


def test_limits_leave_room():
    values, shares = np.array([3.0, -1.0, 0.5]), np.array([0.1, 0.4, 0.6])
    low, high = limits(values, shares)
    span = high - low
    assert low <= -1
    needed = values.clip(0) + shares * span
    assert needed.max() == pytest.approx(high)
    assert limits(np.zeros(0), np.zeros(0)) == (0, 1)


def test_latents_from_estimators(model, segments, planted):
    x = planted.test[[3]]
    profile = model.transform(x).toarray()[0]
    names = np.array([f"film {i}" for i in range(90)], object)
    for given in (x, x.toarray(), x.toarray()[0], sp.coo_array(x).reshape(-1)):
        display = LatentActivationDisplay.from_estimator(
            model, given, segments=segments, item_names=names, n_latents=5
        )
        np.testing.assert_allclose(display.activations, profile[display.latents])
        assert display.latent_names == names[model.anchors_[display.latents]].tolist()
    owner = {
        tuple(pair): name
        for name, pairs in zip(
            segments.segment_names_, segments.segment_parts_, strict=True
        )
        for pair in pairs.tolist()
    }
    pairs = zip(display.latents, np.sign(display.activations), strict=True)
    assert display.segment_names == [owner.get((int(a), int(b))) for a, b in pairs]
    plain = LatentActivationDisplay.from_estimator(model, x)
    assert plain.segment_names is None
    assert plain.latent_names[0].startswith("latent ")


def test_an_empty_profile_is_an_empty_picture(model):
    display = LatentActivationDisplay.from_estimator(model, np.zeros(90))
    assert len(display.bars_) == 0
    assert picture(display.figure_)


@pytest.mark.parametrize("n_names", [89, 91])
def test_names_for_other_numbers_of_items(model, segments, planted, n_names):
    x, names = planted.test[[3]], ["a"] * n_names
    with pytest.raises(ValueError, match=f"item_names has {n_names} names for 90"):
        LatentActivationDisplay.from_estimator(model, x, item_names=names)
    with pytest.raises(ValueError, match=f"item_names has {n_names} names for 90"):
        SegmentLayoutDisplay.from_estimator(
            segments, model.transform(x), item_names=names
        )


def test_refused_profiles(model, planted):
    with pytest.raises(ValueError, match="one row, got 2"):
        LatentActivationDisplay.from_estimator(model, planted.test[:2])
    with pytest.raises(NotFittedError):
        LatentActivationDisplay.from_estimator(CompressedELSA(), planted.test[:1])
    with pytest.raises(NotFittedError):
        LatentActivationDisplay.from_estimator(
            model, planted.test[:1], segments=LatentSegments()
        )
    for width in (15, 17):
        others = LatentSegments(min_size=1).fit(np.eye(width))
        with pytest.raises(ValueError, match=f"of {width} columns.* have 16"):
            LatentActivationDisplay.from_estimator(
                model, planted.test[:1], segments=others
            )
    draw = LatentActivationDisplay.from_arrays
    with pytest.raises(ValueError, match="finite"):
        draw([1.0, np.nan])
    with pytest.raises(ValueError, match="n_latents"):
        draw([1.0], n_latents=0)
    with pytest.raises(ValueError, match="latent_names has 1 names for 2"):
        draw([1.0, 2.0], latent_names=["a"])
    with pytest.raises(ValueError, match="segment_names has 2 names for 1"):
        draw([1.0], segment_parts=[[(0, 1)]], segment_names=["a", "b"])


# A page


@pytest.mark.parametrize("size", [None, (4, 3), (12, 7)])
@pytest.mark.parametrize("scores", [False, True])
def test_names_are_on_their_cards(size, scores):
    rng = np.random.default_rng(0)
    names = [*WORDS, LONG, "unbreakable" * 8, "with-many-parts-that-may-be-broken"]
    items = np.array([rng.permutation(len(names))[:5] for _ in range(4)])
    items[2, 3:] = -1
    ax = None
    if size is not None:
        _, ax = pyplot.subplots(figsize=size, layout="constrained")
    display = SegmentLayoutDisplay.from_arrays(
        np.arange(4),
        items,
        rng.normal(size=(4, 5)) if scores else None,
        segment_names=["wild", LONG * 4, "c", "d"],
        item_names=names,
        title="A page",
        ax=ax,
    )
    assert [len(cards) for cards in display.cards_] == [5, 5, 3, 5]
    texts = [*itertools.chain(*display.names_), *itertools.chain(*display.scores_)]
    extents = boxes(display.figure_, [*texts, *display.titles_])
    assert_apart(extents)
    cards = [card.get_window_extent() for card in itertools.chain(*display.cards_)]
    assert_apart(cards)
    n_scores = len(texts) - len(cards)
    assert n_scores == (len(cards) if scores and size != (4, 3) else 0)
    for extent, card in zip(extents, cards * (1 + (n_scores > 0)), strict=False):
        assert_inside(extent, card)
    for title in extents[len(texts) :]:
        assert_inside(title, display.ax_.get_window_extent())


def test_names_are_whole_where_there_is_room():
    display = SegmentLayoutDisplay.from_arrays([0], [[0, 1]], item_names=WORDS)
    texts = [name.get_text() for name in display.names_[0]]
    assert texts == WORDS[:2]
    display = SegmentLayoutDisplay.from_arrays([0], [[0, 1]], item_names=[LONG] * 2)
    text = display.names_[0][0].get_text()
    assert "\n" in text
    assert LONG.startswith(text.replace("\n", " ").rstrip("…"))


def test_padding_is_left_out():
    display = SegmentLayoutDisplay.from_arrays(
        [4, -1, 2], [[3, -1], [-1, -1], [0, 1]], [[0.5, -np.inf], [0, 0], [2, 1]]
    )
    assert display.segment_names == ["segment 4", "segment 2"]
    assert display.item_names == [["item 3"], ["item 0", "item 1"]]
    assert [text.get_text() for text in display.scores_[0]] == ["0.50"]


def test_a_page_from_segments(model, segments, planted):
    x = planted.test[[3]]
    names = np.array([f"film {i}" for i in range(90)], object)
    display = SegmentLayoutDisplay.from_estimator(
        segments, model.transform(x), n_rows=2, k=4, seen=x, item_names=names
    )
    page = segments.layout(model.transform(x), 2, 4, seen=x)
    for row in range(2):
        shown = page.items[0, row][page.items[0, row] >= 0]
        assert display.item_names[row] == names[shown].tolist()
        assert display.segment_names[row] == str(
            segments.segment_names_[page.segments[0, row]]
        )
    spread = SegmentLayoutDisplay.from_estimator(
        segments, model.transform(x), n_rows=2, k=4, layout_kw={"diversity": 1.0}
    )
    assert picture(spread.figure_)


def test_a_profile_of_any_kind_makes_the_page(model, segments, planted):
    x = model.transform(planted.test[[3]])
    expected = SegmentLayoutDisplay.from_estimator(segments, x)
    dense = x.toarray()
    one_dimensional = sp.coo_array(x).reshape(-1)
    for given in (dense, dense[0], dense.tolist(), dense[0].tolist(), one_dimensional):
        display = SegmentLayoutDisplay.from_estimator(segments, given)
        assert display.item_names == expected.item_names


def test_refused_pages(model, segments, planted):
    with pytest.raises(ValueError, match="one user, got 2"):
        SegmentLayoutDisplay.from_estimator(segments, model.transform(planted.test[:2]))
    with pytest.raises(NotFittedError):
        SegmentLayoutDisplay.from_estimator(LatentSegments(), np.ones((1, 16)))
    draw = SegmentLayoutDisplay.from_arrays
    with pytest.raises(ValueError, match="row for each segment"):
        draw([0, 1], [[1, 2]])
    with pytest.raises(ValueError, match="scores has shape"):
        draw([0], [[1, 2]], [[1]])
    with pytest.raises(ValueError, match=r"item_names has 2 names.* up to 2"):
        draw([0], [[1, 2]], item_names=["a", "b"])
    with pytest.raises(ValueError, match=r"segment_names has 1 names.* up to 1"):
        draw([0, 1], [[1], [2]], segment_names=["a"])
    with pytest.raises(ValueError, match="nothing to draw"):
        draw([-1], [[-1, -1]])
