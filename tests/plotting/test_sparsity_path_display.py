"""SparsityPathDisplay: what is drawn, where, and what it refuses."""

import inspect
import io
import sys

import numpy as np
import pytest
from matplotlib import pyplot
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sksparse_rec import CompressedELSACV
from sksparse_rec.model_selection import make_ranking_scorer
from sksparse_rec.plotting import SparsityPathDisplay
from sksparse_rec.plotting._axes import MAX_TICKS, spread_out

LEVELS = np.array([64, 32, 16, 8])
SCORES = np.array(
    [[0.44, 0.42, 0.46], [0.44, 0.43, 0.45], [0.41, 0.40, 0.42], [0.37, 0.36, 0.41]]
)


def draw(**options):
    return SparsityPathDisplay.from_scores(LEVELS, SCORES, **options)


def tick_labels(ax):
    return [label.get_text() for label in ax.get_xticklabels()]


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def saved(figure):
    """Render, so that nothing fails later than in a test."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def cv(planted):
    return CompressedELSACV(
        16, n_nonzero=(8, 4, 2), cv=2, max_iter=2, max_iter_per_level=1, random_state=0
    ).fit(planted.train)


def test_the_constructor_only_stores():
    options = {
        "n_nonzero": LEVELS,
        "bytes_per_item": 8 * LEVELS,
        "scores": SCORES,
        "score_name": "recall@20",
        "selected": 16,
        "baselines": {"dense": 0.4},
    }
    display = SparsityPathDisplay(**options)
    assert vars(display) == options
    assert set(inspect.signature(SparsityPathDisplay).parameters) == set(options)
    assert not pyplot.get_fignums()


def test_the_line_goes_through_the_means_in_the_order_of_bytes():
    display = draw(score_name="nDCG@100")
    x, y = display.line_.get_data()
    np.testing.assert_array_equal(x, [64, 128, 256, 512])
    np.testing.assert_allclose(y, [0.38, 0.41, 0.44, 0.44])
    assert display.ax_.get_ylabel() == "nDCG@100"
    assert display.ax_.get_xscale() == "log"
    assert "bytes per item" in display.ax_.get_xlabel()
    assert display.figure_ is display.ax_.figure
    assert saved(display.figure_)


@pytest.mark.parametrize("order", [[3, 0, 2, 1], [0, 1, 2, 3]])
def test_levels_may_come_in_any_order(order):
    display = SparsityPathDisplay.from_scores(LEVELS[order], SCORES[order], selected=32)
    for found, expected in zip(
        display.line_.get_data(), draw().line_.get_data(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(display.selected_.get_data(), [[256], [0.44]])


def test_ticks_are_at_the_levels_and_say_both_sizes():
    display = draw()
    np.testing.assert_array_equal(display.ax_.get_xticks(), [64, 128, 256, 512])
    assert tick_labels(display.ax_) == [
        "64 B\n(8)",
        "128 B\n(16)",
        "256 B\n(32)",
        "512 B\n(64)",
    ]
    assert len(display.ax_.get_xticks(minor=True)) == 0


def test_other_bytes_per_nonzero():
    display = draw(bytes_per_nonzero=4)
    np.testing.assert_array_equal(display.bytes_per_item, 4 * LEVELS)
    assert tick_labels(display.ax_)[0] == "32 B\n(8)"


def test_spread_of_the_folds():
    display = draw()
    band = display.band_.get_paths()[0].vertices
    means = SCORES.mean(axis=1)
    error = SCORES.std(axis=1, ddof=1) / np.sqrt(3)
    for level, mean, half in zip(LEVELS, means, error, strict=True):
        heights = band[band[:, 0] == 8 * level, 1]
        assert heights.min() == pytest.approx(mean - half)
        assert heights.max() == pytest.approx(mean + half)
    points = np.array([line.get_ydata() for line in display.points_])
    np.testing.assert_array_equal(points, SCORES[::-1].T)
    assert "one standard error" in legend_texts(display.ax_)


@pytest.mark.parametrize(
    ("spread", "band", "points"),
    [("both", 1, 1), ("band", 1, 0), ("points", 0, 1), (None, 0, 0)],
)
def test_kinds_of_spread(spread, band, points):
    display = draw(spread=spread)
    assert (display.band_ is not None) == band
    assert (display.points_ is not None) == points


def test_a_single_hold_out_has_no_spread():
    display = SparsityPathDisplay.from_scores([8, 4], [0.4, 0.3])
    assert display.scores.shape == (2, 1)
    assert display.band_ is None
    assert display.points_ is None
    assert display.ax_.get_legend() is None
    assert saved(display.figure_)


def test_a_single_level():
    display = SparsityPathDisplay.from_scores([8], [[0.4, 0.5]], selected=8)
    assert tick_labels(display.ax_) == ["64 B\n(8)"]
    assert saved(display.figure_)


def test_the_selected_level_is_marked():
    assert draw().selected_ is None
    display = draw(selected=16)
    np.testing.assert_allclose(display.selected_.get_data(), [[128], [0.41]])
    assert "selected: 16 non-zeros, 128 B" in legend_texts(display.ax_)


def test_baselines_are_labelled_lines_of_different_dashes():
    display = draw(baselines={"dense": 0.43, "most popular": 0.2})
    assert [line.get_ydata()[0] for line in display.baselines_] == [0.43, 0.2]
    assert len({line.get_linestyle() for line in display.baselines_}) == 2
    assert {"dense", "most popular"} <= set(legend_texts(display.ax_))
    assert display.ax_.get_ylim()[0] < 0.2
    assert draw().baselines_ == []


def test_given_axes_and_style():
    figure, ax = pyplot.subplots()
    display = draw(ax=ax, name="mine", line_kw={"color": "black", "gid": "other"})
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert display.line_.get_color() == "black"
    assert "mine" in legend_texts(ax)
    assert len(pyplot.get_fignums()) == 1


def test_several_curves_can_be_told_apart():
    first = draw(name="first", selected=16)
    n_entries = len(legend_texts(first.ax_))
    other = SparsityPathDisplay.from_scores(
        [128, 8, 4], SCORES[:3], ax=first.ax_, name="second", selected=4
    )
    assert other.line_.get_color() != first.line_.get_color()
    assert other.line_.get_marker() != first.line_.get_marker()
    assert other.selected_.get_markeredgecolor() == other.line_.get_color()
    # A name and a selection more; what the band is needs no second entry.
    assert len(legend_texts(first.ax_)) == n_entries + 2
    np.testing.assert_array_equal(first.ax_.get_xticks(), [32, 64, 128, 256, 512, 1024])
    assert tick_labels(first.ax_)[0] == "32 B\n(4)"
    assert tick_labels(first.ax_)[4] == "512 B\n(64)"


def test_plot_again_draws_anew():
    display = draw(baselines={"dense": 0.4})
    before = display.ax_
    assert display.plot() is display
    assert display.ax_ is not before
    assert len(display.baselines_) == 1


@pytest.mark.parametrize(
    "sizes",
    [[64], [64, 128], list(range(8, 400, 8)), [8, 9, 10, 11, 12, 4096], [8, 8.1]],
)
def test_tick_labels_have_room(sizes):
    kept = spread_out(sizes, MAX_TICKS)
    assert set(kept) <= set(sizes)
    assert kept == sorted(kept)
    assert kept[-1] == sizes[-1]
    assert len(kept) <= MAX_TICKS + 1
    if len(kept) > 1:
        span = np.log2(sizes[-1] / sizes[0])
        assert np.diff(np.log2(kept)).min() >= span / MAX_TICKS - 1e-12


def test_powers_of_two_all_have_a_label():
    sizes = [8 * 2**i for i in range(MAX_TICKS)]
    assert spread_out(sizes, MAX_TICKS) == sizes


# From an estimator


def test_from_estimator(cv):
    display = SparsityPathDisplay.from_estimator(cv, baselines={"dense": 0.3})
    np.testing.assert_array_equal(display.n_nonzero, [8, 4, 2])
    np.testing.assert_array_equal(display.bytes_per_item, [64, 32, 16])
    np.testing.assert_array_equal(display.scores, cv.score_path_)
    assert display.selected == cv.n_nonzero_
    x, y = display.selected_.get_data()
    assert x[0] == cv.bytes_per_item_
    assert y[0] == pytest.approx(cv.best_score_)
    assert display.score_name == display.ax_.get_ylabel() == "nDCG@100"
    assert saved(display.figure_)


def test_from_estimator_passes_options_on(cv):
    _, ax = pyplot.subplots()
    display = SparsityPathDisplay.from_estimator(
        cv, ax=ax, name="mine", spread=None, score_name="quality"
    )
    assert display.ax_ is ax
    assert display.band_ is None
    assert ax.get_ylabel() == "quality"
    assert "mine" in legend_texts(ax)


def some_score(estimator, X, y=None):
    return 0.5


class Scorer:
    def __call__(self, estimator, X, y=None):
        return 0.5


@pytest.mark.parametrize(
    ("scoring", "name"),
    [
        (None, "nDCG@100"),
        (make_ranking_scorer(k=10), "nDCG@10"),
        (make_ranking_scorer("average_precision", k=5), "average precision@5"),
        (make_ranking_scorer(some_score, k=5), "some score@5"),
        ("neg_log_loss", "neg log loss"),
        (some_score, "some score"),
        (Scorer(), "score"),
    ],
)
def test_the_score_is_named_after_the_scorer(cv, scoring, name):
    renamed = clone(cv).set_params(scoring=scoring)
    vars(renamed).update({k: v for k, v in vars(cv).items() if k.endswith("_")})
    assert SparsityPathDisplay.from_estimator(renamed).score_name == name


def test_an_estimator_must_be_fitted(cv):
    with pytest.raises(NotFittedError):
        SparsityPathDisplay.from_estimator(clone(cv))
    assert not pyplot.get_fignums()


# What is refused


@pytest.mark.parametrize(
    ("n_nonzero", "scores"),
    [([8, 4], SCORES), ([[8, 4, 2, 1]], SCORES), ([], []), ([8], [[[0.1]]])],
)
def test_shapes_must_match(n_nonzero, scores):
    with pytest.raises(ValueError, match="a row for each level"):
        SparsityPathDisplay.from_scores(n_nonzero, scores)


def test_levels_must_be_positive():
    with pytest.raises(ValueError, match=r"at least 1, got 0.*baselines"):
        SparsityPathDisplay.from_scores([8, 0], [0.4, 0.2])


def test_the_selected_level_must_exist():
    with pytest.raises(ValueError, match=r"selected=5 is none of .*\[64, 32, 16, 8\]"):
        draw(selected=5)


def test_unknown_spread():
    with pytest.raises(ValueError, match=r"spread must be .*'violin'"):
        draw(spread="violin")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"matplotlib.*sksparse-rec\[plot\]"):
        draw()
