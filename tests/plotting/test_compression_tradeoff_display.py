"""CompressionTradeoffDisplay: what is drawn, where, and what it refuses."""

import inspect
import io
import sys

import numpy as np
import pytest
from matplotlib import colors, pyplot
from matplotlib.lines import Line2D

from sksparse_rec.plotting import CompressionTradeoffDisplay
from sksparse_rec.plotting._compression import MUTED
from sksparse_rec.plotting._labels import apart

SEEDS = np.array([[0.60, 0.64], [0.50, 0.52], [0.70, 0.70]])
CURVES = {
    "sparse": ([128, 64, 256], SEEDS),
    "short": ([64, 128, 256, 512], [0.35, 0.5, 0.7, 0.8]),
    "random": ([128, 512], [[0.3], [0.5]]),
}


def draw(curves=CURVES, **options):
    return CompressionTradeoffDisplay.from_scores(curves, **options)


def many(n, n_levels=5):
    sizes = 2.0 ** np.arange(4, 4 + n_levels)
    scores = np.linspace(0.1, 0.9, n_levels)
    return {f"method {i}": (sizes, scores / (1 + 0.05 * i)) for i in range(n)}


def tick_labels(ax):
    return [label.get_text() for label in ax.get_xticklabels()]


def look(line):
    """Return all that tells a line from another in grey."""
    return (
        line.get_marker(),
        line.get_linestyle(),
        colors.same_color(line.get_markerfacecolor(), "white"),
    )


def boxes(display):
    """Return the extents of the names, after a layout."""
    display.figure_.canvas.draw()
    renderer = display.figure_.canvas.get_renderer()
    # Without the arrow.
    return [
        super(type(text), text).get_window_extent(renderer) for text in display.labels_
    ]


def saved(figure):
    """Render, so that nothing fails later than in a test."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


def test_the_constructor_only_stores():
    options = {
        "curves": CURVES,
        "uncompressed": (768, 1.0),
        "score_name": "recall@10",
        "highlight": "sparse",
    }
    display = CompressionTradeoffDisplay(**options)
    assert vars(display) == options
    assert set(inspect.signature(CompressionTradeoffDisplay).parameters) == set(options)
    assert not pyplot.get_fignums()


def test_lines_go_through_the_means_in_the_order_of_bytes():
    display = draw(score_name="recall@100")
    assert list(display.lines_) == list(CURVES)
    x, y = display.lines_["sparse"].get_data()
    np.testing.assert_array_equal(x, [64, 128, 256])
    np.testing.assert_allclose(y, [0.51, 0.62, 0.7])
    np.testing.assert_allclose(
        display.lines_["short"].get_xydata(), np.transpose(CURVES["short"])
    )
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "bytes per vector"
    assert display.ax_.get_ylabel().startswith("recall@100")
    assert display.figure_ is display.ax_.figure
    assert saved(display.figure_)


# Ticks


def test_ticks_are_powers_of_two():
    display = draw({"a": ([24, 100], [0.1, 0.2]), "b": ([300], [0.4])})
    np.testing.assert_array_equal(display.ax_.get_xticks(), [32, 64, 128, 256])
    assert tick_labels(display.ax_) == ["32", "64", "128", "256"]
    assert len(display.ax_.get_xticks(minor=True)) == 0


@pytest.mark.parametrize("sizes", [[128], [65, 100, 127], [100, 130]])
def test_sizes_within_an_octave_are_ticks_themselves(sizes):
    display = draw({"a": (sizes, np.full(len(sizes), 0.5))})
    np.testing.assert_array_equal(display.ax_.get_xticks(), sizes)
    assert saved(display.figure_)


def test_ticks_of_a_wide_range_have_room():
    sizes = 2.0 ** np.arange(20)
    display = draw({"a": (sizes, np.linspace(0, 1, 20))})
    assert 4 <= len(display.ax_.get_xticks()) <= 9


def test_the_uncompressed_vectors_are_a_line_and_the_unit_of_ticks():
    display = draw(uncompressed=(768, 0.9))
    assert display.uncompressed_.get_ydata()[0] == 0.9
    assert tick_labels(display.ax_) == [
        "64\n(12×)",
        "128\n(6×)",
        "256\n(3×)",
        "512\n(1.5×)",
    ]
    assert "times smaller" in display.ax_.get_xlabel()
    assert "uncompressed, 768 B" in [text.get_text() for text in display.labels_]
    assert display.ax_.get_ylim()[1] > 0.9
    assert draw().uncompressed_ is None


# Spread


def test_error_bars_are_one_standard_deviation():
    display = draw()
    assert list(display.spreads_) == ["sparse"]
    (bars,) = display.spreads_["sparse"].lines[2]
    heights = np.array([segment[:, 1] for segment in bars.get_segments()])
    order = [1, 0, 2]
    means, deviations = SEEDS.mean(axis=1)[order], SEEDS.std(axis=1, ddof=1)[order]
    np.testing.assert_allclose(heights[:, 0], means - deviations)
    np.testing.assert_allclose(heights[:, 1], means + deviations)
    assert "standard deviation" in display.ax_.get_ylabel()


def test_a_band_in_place_of_bars():
    display = draw(spread="band")
    band = display.spreads_["sparse"].get_paths()[0].vertices
    heights = band[band[:, 0] == 128, 1]
    half = SEEDS[0].std(ddof=1)
    np.testing.assert_allclose(
        [heights.min(), heights.max()], [0.62 - half, 0.62 + half]
    )


@pytest.mark.parametrize("options", [{"spread": None}, {"curves": many(2)}])
def test_no_spread(options):
    display = draw(**options)
    assert display.spreads_ == {}
    assert display.ax_.get_ylabel() == "score"


# Telling curves apart


@pytest.mark.parametrize("highlight", [None, "method 3"])
def test_curves_differ_in_grey(highlight):
    display = draw(many(20), highlight=highlight)
    assert len({look(line) for line in display.lines_.values()}) == 20


def test_few_curves_differ_in_colour():
    display = draw(many(6))
    assert len({line.get_color() for line in display.lines_.values()}) == 6


def test_highlighted_curves_stand_out():
    chosen = ["method 11", "method 2"]
    display = draw(many(12), highlight=chosen, uncompressed=(768, 1))
    plain = draw(many(2))
    for name, first in zip(chosen, plain.lines_.values(), strict=True):
        assert display.lines_[name].get_color() == first.get_color()
        assert display.lines_[name].get_marker() == first.get_marker()
    others = [line for name, line in display.lines_.items() if name not in chosen]
    assert {line.get_color() for line in others} == {MUTED}
    for name in chosen:
        strong = display.lines_[name]
        assert strong.get_linewidth() > max(line.get_linewidth() for line in others)
        assert strong.get_zorder() > max(line.get_zorder() for line in others)
    bold = [text for text in display.labels_ if text.get_fontweight() == "bold"]
    assert {text.get_text() for text in bold} == set(chosen)


def test_one_highlighted_curve_may_be_a_string():
    display = draw(highlight="short")
    assert display.lines_["short"].get_color() != MUTED
    assert display.lines_["sparse"].get_color() == MUTED
    # Its bars are as grey as it is.
    (bars,) = display.spreads_["sparse"].lines[2]
    assert colors.same_color(bars.get_color()[0], MUTED)


# Names of the curves


@pytest.mark.parametrize("n", [1, 2, 12, 30])
def test_names_cover_neither_data_nor_each_other(n):
    display = draw(many(n), uncompressed=(768, 1.0))
    extents = boxes(display)
    assert len(extents) == n + 1
    right = display.ax_.get_window_extent().x1
    figure = display.figure_.bbox
    assert all(box.x0 >= right and box.x1 <= figure.x1 for box in extents)
    heights = sorted((box.y0 + box.y1) / 2 for box in extents)
    # Letters of names take less than the extent, which has room for ascenders.
    size = display.labels_[0].get_fontsize() * display.figure_.dpi / 72
    assert np.diff(heights).min() > 0.95 * size


def test_names_follow_the_order_of_the_ends():
    display = draw()
    assert [text.get_text() for text in display.labels_] == [
        "short",
        "sparse",
        "random",
    ]
    heights = [text.get_position()[1] for text in display.labels_]
    assert heights == sorted(heights, reverse=True)
    for text, name in zip(display.labels_, ["short", "sparse", "random"], strict=True):
        np.testing.assert_array_equal(text.xy, display.lines_[name].get_xydata()[-1])


def test_a_legend_is_beside_the_axes():
    display = draw(labels="legend", uncompressed=(768, 0.75))
    assert display.labels_ == []
    display.figure_.canvas.draw()
    legend = display.ax_.get_legend()
    assert legend.get_window_extent().x0 > display.ax_.get_window_extent().x1
    assert [text.get_text() for text in legend.get_texts()] == [
        "short",
        "uncompressed, 768 B",
        "sparse",
        "random",
    ]


def test_no_names():
    display = draw(labels=None)
    assert display.labels_ == []
    assert not display.ax_.texts
    assert display.ax_.get_legend() is None


@pytest.mark.parametrize(
    ("heights", "gap", "expected"),
    [
        ([0.9, 0.5, 0.1], 0.1, [0.9, 0.5, 0.1]),
        ([0.5, 0.5], 0.1, [0.55, 0.45]),
        ([1.0, 1.0, 0.5], 0.1, [1.0, 0.9, 0.5]),
        ([0.02, 0.0], 0.1, [0.1, 0.0]),
        ([0.5, 0.45, 0.40], 0.2, [0.65, 0.45, 0.25]),
        ([0.5, 0.5, 0.5], 0.8, [1.0, 0.5, 0.0]),
        ([0.3], 0.5, [0.3]),
    ],
)
def test_names_are_moved_apart(heights, gap, expected):
    np.testing.assert_allclose(apart(heights, gap), expected)


@pytest.mark.parametrize("seed", range(3))
def test_names_move_no_more_than_they_must(seed):
    rng = np.random.default_rng(seed)
    heights = np.sort(rng.random(8))[::-1]
    moved = apart(heights, 0.1)
    assert np.diff(moved).max() <= -0.1 + 1e-12
    assert moved.min() >= -1e-12
    assert moved.max() <= 1 + 1e-12
    best = np.square(moved - heights).sum()
    for _ in range(2000):
        other = np.sort(rng.random(8) * 0.3)[::-1] + 0.1 * np.arange(7, -1, -1)
        if other.max() <= 1:
            assert np.square(other - heights).sum() >= best - 1e-12


# Axes


def test_given_axes_and_style():
    figure, ax = pyplot.subplots()
    display = draw(ax=ax, line_kw={"ms": 3, "gid": "other"})
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert display.lines_["short"].get_markersize() == 3
    assert len(pyplot.get_fignums()) == 1


def test_two_displays_on_the_same_axes():
    first = draw(uncompressed=(768, 1.0))
    other = draw(
        {"more": ([1024], [0.9])}, ax=first.ax_, uncompressed=(768, 1.0), spread=None
    )
    assert look(other.lines_["more"]) not in {
        look(line) for line in first.lines_.values()
    }
    assert other.uncompressed_ is None
    # All are named once, and the ticks span both.
    names = [text.get_text() for text in other.ax_.texts]
    assert sorted(names) == sorted([*CURVES, "more", "uncompressed, 768 B"])
    assert other.ax_.get_xticks()[-1] == 1024


def test_plot_again_draws_anew():
    display = draw(uncompressed=(768, 1.0))
    before = display.ax_
    assert display.plot() is display
    assert display.ax_ is not before
    assert len(display.ax_.texts) == len(CURVES) + 1
    assert all(isinstance(line, Line2D) for line in display.lines_.values())


# What is refused


@pytest.mark.parametrize(
    "curve",
    [
        ([64, 128], [0.1]),
        ([[64, 128]], [[0.1, 0.2]]),
        ([], []),
        ([64], [[[0.1]]]),
        (64, 0.1),
        ([64], [[]]),
    ],
)
def test_shapes_must_match(curve):
    with pytest.raises(ValueError, match=r"curve 'mine' has bytes of shape.*each size"):
        draw({"mine": curve})


@pytest.mark.parametrize("size", [0, -4, np.inf, np.nan])
def test_sizes_must_be_positive(size):
    with pytest.raises(ValueError, match=r"'mine' has a size of .* bytes.*positive"):
        draw({"mine": ([64, size], [0.1, 0.2])})


@pytest.mark.parametrize("scores", [[0.1, np.nan], [[0.1, 0.2], [0.3, np.inf]]])
def test_scores_must_be_finite(scores):
    with pytest.raises(ValueError, match=r"'mine' has a score at 128 bytes that is"):
        draw({"mine": ([64, 128], scores)})


def test_the_uncompressed_score_must_be_finite():
    with pytest.raises(ValueError, match="'uncompressed' has a score at 768"):
        draw(uncompressed=(768, np.nan))


def test_no_curves():
    with pytest.raises(ValueError, match="curves is empty"):
        draw({})


@pytest.mark.parametrize("highlight", ["spares", ["sparse", "spares"]])
def test_highlighted_curves_must_exist(highlight):
    with pytest.raises(ValueError, match=r"highlight='spares' is none of .*'sparse'"):
        draw(highlight=highlight)


def test_highlighted_curves_are_no_mapping():
    with pytest.raises(ValueError, match="a name or a list of names"):
        draw(highlight={"sparse": True})


def test_unknown_options():
    with pytest.raises(ValueError, match=r"spread must be .*'violin'"):
        draw(spread="violin")
    with pytest.raises(ValueError, match=r"labels must be .*'inside'"):
        draw(labels="inside")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"matplotlib.*sksparse-rec\[plot\]"):
        draw()
    # Before anything is computed.
    with pytest.raises(ImportError, match=r"from_estimators needs matplotlib"):
        CompressionTradeoffDisplay.from_estimators(None, None)
