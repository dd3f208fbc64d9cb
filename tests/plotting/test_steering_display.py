"""SteeringTradeoffDisplay: what is drawn, where, and what it refuses."""

import inspect
import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from extents import LONG, assert_apart, assert_inside, boxes
from matplotlib import colors, pyplot
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sksparse_rec import SteerableRecommender
from sksparse_rec.plotting import SteeringTradeoffDisplay
from sksparse_rec.plotting._point_labels import APART, DARKER, place_labels

STRENGTHS = np.arange(11) / 10
MEASURES = ("ndcg", "recall", "overlap", "coverage")


def report(n=3, strengths=STRENGTHS, seed=0):
    """Curves that fall as the share rises, as those of steering do."""
    rng = np.random.default_rng(seed)
    s = np.asarray(strengths, dtype=float)
    before, after = rng.uniform(0, 0.1, n), rng.uniform(0.3, 1, n)
    share = before[:, None] + (after - before)[:, None] * s**1.5
    bent = 1 + rng.random((n, 1))
    measures = {m: (i + 1) / 4 * (1 - s**bent) for i, m in enumerate(MEASURES)}
    return SimpleNamespace(
        concept_names=np.array([f"concept {i}" for i in range(n)], dtype=object),
        strengths=s,
        share=share,
        unsteered={m: (i + 1) / 4 for i, m in enumerate(MEASURES)} | {"share": before},
        method="raise",
        k=10,
        **measures,
    )


def draw(n=3, **options):
    return SteeringTradeoffDisplay.from_report(report(n), **options)


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def label_boxes(display):
    """Return the extents of the strengths, which are annotations without arrows."""
    return boxes(display.figure_, display.labels_)


def saved(figure):
    """Render, so that nothing fails later than in a test."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def steerable(model, planted):
    tags = np.zeros((90, 6))
    tags[np.arange(90), planted.item_clusters] = 1
    names = [*"abcde", "nothing"]
    return SteerableRecommender(model).fit(
        planted.train, item_concepts=sp.csr_array(tags), concept_names=names
    )


def test_the_constructor_only_stores():
    options = {
        "concept_names": ["a"],
        "strengths": [0, 1],
        "share": [[0, 1]],
        "quality": [[1, 0]],
        "unsteered": ([0], 1),
        "quality_name": "nDCG",
        "method": "set",
        "k": 5,
    }
    display = SteeringTradeoffDisplay(**options)
    assert vars(display) == options
    assert set(inspect.signature(SteeringTradeoffDisplay).parameters) == set(options)
    assert not pyplot.get_fignums()


@pytest.mark.parametrize(
    ("measure", "label"),
    [
        ("ndcg", "nDCG@100 on hidden items"),
        ("recall", "recall@100 on hidden items"),
        ("overlap", "overlap with the unsteered first 10"),
        ("coverage", "share of all items in somebody's first 10"),
    ],
)
def test_curves_go_through_shares_and_qualities(measure, label):
    measured = report()
    display = SteeringTradeoffDisplay.from_report(measured, measure=measure)
    assert list(display.lines_) == ["concept 0", "concept 1", "concept 2"]
    for row, line in enumerate(display.lines_.values()):
        x, y = line.get_data()
        np.testing.assert_array_equal(x, measured.share[row])
        np.testing.assert_array_equal(y, getattr(measured, measure)[row])
        assert line.get_marker() not in ("", "None", None)
    assert display.ax_.get_ylabel() == label
    assert display.ax_.get_xlabel().startswith("share of the concept in the first 10")
    before = 1 if measure == "overlap" else measured.unsteered[measure]
    assert display.unsteered_.get_ydata()[0] == before
    assert f"unsteered: {before:g}" in legend_texts(display.ax_)
    assert display.figure_ is display.ax_.figure
    assert display.mean_ is None


def test_the_same_picture_twice():
    assert saved(draw(8).figure_) == saved(draw(8).figure_)
    display = draw()
    picture = saved(display.figure_)
    assert display.plot() is display
    assert saved(display.figure_) == picture


def test_some_concepts_by_name_and_position():
    assert list(draw(concepts=["concept 2", 0]).lines_) == ["concept 2", "concept 0"]
    assert list(draw(concepts="concept 1").lines_) == ["concept 1"]
    shares = draw(concepts=[2], mean=True).mean_.get_xdata()
    np.testing.assert_array_equal(shares, report().share[2])


# Many concepts


def test_of_many_concepts_the_mean_stands_out():
    assert draw(6).mean_ is None
    display = draw(7)
    measured = report(7)
    np.testing.assert_allclose(
        display.mean_.get_xydata(),
        np.column_stack([measured.share.mean(axis=0), measured.ndcg.mean(axis=0)]),
    )
    for row, line in enumerate(display.lines_.values()):
        np.testing.assert_array_equal(line.get_xdata(), measured.share[row])
        assert line.get_alpha() < 0.5
        assert line.get_linewidth() < display.mean_.get_linewidth()
        assert line.get_zorder() < display.mean_.get_zorder()
    assert legend_texts(display.ax_) == [
        "mean of 7 concepts",
        "each of them",
        "unsteered: 0.25",
    ]


def test_the_mean_as_asked_for():
    assert draw(2, mean=True).mean_ is not None
    display = draw(14, mean=False)
    assert display.mean_ is None
    looks = {
        (
            line.get_marker(),
            line.get_linestyle(),
            colors.same_color(line.get_markerfacecolor(), "white"),
        )
        for line in display.lines_.values()
    }
    assert len(looks) == 14


# Strengths at points


@pytest.mark.parametrize("n", [1, 2, 3, 6, 12, 40])
@pytest.mark.parametrize("measure", ["ndcg", "overlap"])
def test_strengths_are_legible(n, measure):
    display = draw(n, measure=measure)
    strong = [display.mean_] if display.mean_ else list(display.lines_.values())
    extents = label_boxes(display)
    frame = display.ax_.get_window_extent()
    assert_apart(extents)
    assert len(extents) >= 3
    for extent in extents:
        assert_inside(extent, frame, slack=1)
        for line in strong:
            points = display.ax_.transData.transform(line.get_xydata())
            inside = (points > extent.min) & (points < extent.max)
            assert not inside.all(axis=1).any()
        height = display.ax_.transData.transform((0, display.unsteered_.get_ydata()[0]))
        assert not extent.y0 + 1 < height[1] < extent.y1 - 1


def test_strengths_are_at_their_points():
    display = draw(2)
    measured = report(2)
    assert {text.get_text() for text in display.labels_} >= {"1", "0.8", "0.6"}
    points = np.stack([measured.share, measured.ndcg], axis=-1)
    for text in display.labels_:
        column = int(np.flatnonzero(STRENGTHS == float(text.get_text()))[0])
        distances = np.abs(points[:, column] - text.xy).sum(axis=1)
        line = display.lines_[f"concept {distances.argmin()}"]
        assert distances.min() == 0
        # In the colour of the curve, but darker.
        ink, own = (np.array(colors.to_rgb(x.get_color())) for x in (text, line))
        np.testing.assert_allclose(ink, DARKER * own, atol=1e-6)
        assert max(abs(np.array(text.xyann))) < 25
    assert "numbers at points: strength of “raise”" in display.ax_.get_xlabel()


def test_no_strengths():
    display = draw(labels=False)
    assert display.labels_ == []
    assert not display.ax_.texts
    assert "\n" not in display.ax_.get_xlabel()


@pytest.mark.parametrize("strengths", [[0.3], [0], [0, 1], [0.25, 0.5]])
def test_few_strengths(strengths):
    display = SteeringTradeoffDisplay.from_report(report(1, strengths))
    expected = {f"{s:g}" for s in strengths if s}
    assert {text.get_text() for text in display.labels_} == expected
    assert saved(display.figure_)


@pytest.mark.parametrize("seed", range(3))
def test_places_of_labels(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 200, (60, 2))
    sizes = np.full((60, 2), (14.0, 9.0))
    curve = np.array([[0, 100], [200, 100]])
    centers = place_labels(points, sizes, [curve], (200, 200))
    kept = np.flatnonzero(~np.isnan(centers[:, 0]))
    assert 5 < len(kept) < 60
    low, high = centers[kept] - sizes[kept] / 2, centers[kept] + sizes[kept] / 2
    assert low.min() >= 0
    assert high.max() <= 200
    assert not ((low[:, 1] < 100) & (high[:, 1] > 100)).any()
    for i in range(len(kept)):
        others = np.arange(len(kept)) != i
        overlap = np.minimum(high[i], high[others]) - np.maximum(low[i], low[others])
        assert overlap.min(axis=1).max() <= 0
        away = np.hypot(*(points[kept[i]] - points[kept[others]]).T)
        assert away.min() >= APART
    assert place_labels(points, sizes + 500, [], (200, 200))[:, 0].tolist() == (
        pytest.approx([np.nan] * 60, nan_ok=True)
    )


# Without steering


def test_where_curves_start():
    assert draw().starts_ == {}
    measured = report(2, [0.5, 1])
    display = SteeringTradeoffDisplay.from_report(measured)
    for name, row in (("concept 0", 0), ("concept 1", 1)):
        start = display.starts_[name]
        assert start.get_xydata().tolist() == [
            [measured.unsteered["share"][row], measured.unsteered["ndcg"]]
        ]
        assert start.get_color() == display.lines_[name].get_color()
    assert SteeringTradeoffDisplay.from_report(measured, mean=True).starts_ == {}


def test_nothing_to_compare_with():
    display = SteeringTradeoffDisplay(
        concept_names=["a"], strengths=[0, 1], share=[[0, 1]], quality=[[1, 0]]
    ).plot()
    assert display.unsteered_ is None
    assert display.starts_ == {}
    assert legend_texts(display.ax_) == ["a"]
    assert display.ax_.get_ylabel() == "quality"


def test_concepts_that_cannot_be_steered_are_left_out_and_said():
    measured = report(4)
    measured.share[1] = np.nan
    measured.ndcg[3, 5] = np.nan
    display = SteeringTradeoffDisplay.from_report(measured)
    assert list(display.lines_) == ["concept 0", "concept 2"]
    assert display.left_out_ == ["concept 1", "concept 3"]
    note = "2 cannot be steered: concept 1, concept 3"
    assert display.ax_.get_xlabel().split("\n")[-1] == note
    many = report(30)
    many.share[1:] = np.nan
    display = SteeringTradeoffDisplay.from_report(many)
    assert display.ax_.get_xlabel().split("\n")[-1].endswith("…")
    assert display.mean_ is None
    (box,) = boxes(display.figure_, [display.ax_.xaxis.label])
    assert_inside(box, display.figure_.bbox)
    assert draw().left_out_ == []


# Names and axes


@pytest.mark.parametrize("names", [[LONG, "_hidden", "$x$"], ["", "a\nb", "梨"]])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_name(names):
    measured = report()
    measured.concept_names = np.array(names, dtype=object)
    measured.share[2] = np.nan
    display = SteeringTradeoffDisplay.from_report(measured)
    texts = display.ax_.get_legend().get_texts()
    assert len(texts) == 3
    found = [text.get_text() for text in texts]
    assert found[0] in ("", LONG[: len(found[0]) - 1] + "…")
    assert found[1] == " ".join(names[1].split())
    assert_apart(boxes(display.figure_, texts))
    for box in boxes(display.figure_, texts):
        assert_inside(box, display.figure_.bbox)


def test_the_legend_covers_no_curve():
    display = draw(6)
    (legend,) = boxes(display.figure_, [display.ax_.get_legend()])
    assert legend.x0 >= display.ax_.get_window_extent().x1
    assert_inside(legend, display.figure_.bbox)


def test_given_axes_and_style():
    figure, ax = pyplot.subplots()
    display = draw(ax=ax, line_kw={"ms": 3, "gid": "other"})
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert display.lines_["concept 0"].get_markersize() == 3
    assert len(pyplot.get_fignums()) == 1


@pytest.mark.parametrize("n", [2, 9])
def test_two_displays_on_the_same_axes(n):
    first = draw(n, name="elsa")
    other = SteeringTradeoffDisplay.from_report(
        report(n, seed=1), ax=first.ax_, name="svd"
    )
    assert other.unsteered_ is None
    found = legend_texts(first.ax_)
    assert len(found) == len(set(found)) == 5
    assert {text.split(":")[0] for text in found} == {"elsa", "svd", "unsteered"}
    one, two = (d.mean_ or d.lines_["concept 0"] for d in (first, other))
    assert one.get_color() != two.get_color()
    assert one.get_marker() != two.get_marker()


# From an estimator


def test_from_estimator(steerable, planted):
    _, ax = pyplot.subplots()
    options = {"strengths": [0, 0.5, 1], "k": 5, "method": "set"}
    display = SteeringTradeoffDisplay.from_estimator(
        steerable, planted.train, ["b", "a"], **options, measure="recall", ax=ax
    )
    measured = steerable.steering_report(planted.train, ["b", "a"], **options)
    np.testing.assert_array_equal(display.share, measured.share)
    np.testing.assert_array_equal(display.quality, measured.recall)
    assert display.unsteered[1] == measured.unsteered["recall"]
    assert list(display.lines_) == ["b", "a"]
    assert display.ax_ is ax
    assert "in the first 5 items" in ax.get_xlabel()
    assert "strength of “set”" in ax.get_xlabel()
    assert saved(display.figure_)


def test_from_estimator_of_all_concepts_and_given_targets(steerable, planted):
    display = SteeringTradeoffDisplay.from_estimator(
        steerable, planted.train[:40], y=planted.train[:40], mean=True
    )
    assert list(display.lines_) == [*"abcde"]
    assert display.left_out_ == ["nothing"]
    np.testing.assert_allclose(display.strengths, STRENGTHS)
    assert display.mean_ is not None


def test_an_estimator_must_be_fitted(steerable, planted):
    with pytest.raises(NotFittedError):
        SteeringTradeoffDisplay.from_estimator(clone(steerable), planted.train)
    assert not pyplot.get_fignums()


# What is refused


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"measure": "auc"}, r"measure must be one of .*'ndcg'.*, got 'auc'"),
        ({"concepts": ["other"]}, r"concept 'other' is none of .*'concept 0'"),
        ({"concepts": [3]}, "no concept 3 in the report, whose positions .* 0 to 2"),
        ({"concepts": [0, 0]}, "concept 'concept 0' is there twice"),
        ({"mean": "no"}, "mean must be True, False or 'auto', got 'no'"),
        ({"concepts": []}, "there is no curve to draw"),
    ],
)
def test_wrong_options(options, says):
    with pytest.raises(ValueError, match=says):
        draw(**options)
    assert not pyplot.get_fignums()


def test_no_concept_that_can_be_steered():
    measured = report()
    measured.share[:] = np.nan
    with pytest.raises(ValueError, match="there is no curve to draw"):
        SteeringTradeoffDisplay.from_report(measured)


@pytest.mark.parametrize("name", ["share", "quality"])
def test_shapes_must_match(name):
    options = {"share": np.ones((2, 3)), "quality": np.ones((2, 3))}
    options[name] = np.ones((3, 2))
    display = SteeringTradeoffDisplay(
        concept_names=["a", "b"], strengths=[0, 0.5, 1], **options
    )
    with pytest.raises(ValueError, match=rf"{name} (has shape )?\(3, 2\).*2 concepts"):
        display.plot()


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"matplotlib.*sksparse-rec\[plot\]"):
        draw()
    # Before anything is computed.
    with pytest.raises(ImportError, match=r"from_estimator needs matplotlib"):
        SteeringTradeoffDisplay.from_estimator(None, None)
