"""Quality against the share of a concept, through the strengths of steering."""

import numpy as np

from sksparse_rec.plotting._axes import (
    curve_style,
    curves_on,
    draw_baseline,
    import_pyplot,
    tidy,
    use_axes,
)
from sksparse_rec.plotting._point_labels import write_at_points
from sksparse_rec.plotting._text import shorten, text_width

MEASURES = {
    "ndcg": "nDCG@100 on hidden items",
    "recall": "recall@100 on hidden items",
    "overlap": "overlap with the unsteered first {k}",
    "coverage": "share of all items in somebody's first {k}",
}
# Concepts that are told apart by colour; of more the mean is drawn.
MANY = 6
# Strengths that are written at a curve, the first and the last included.
N_LABELS = 6
# Points that a name in the legend may take, and names of concepts left out.
NAME_WIDTH, NOTE_WIDTH = 150, 320
# Marks what displays draw among whatever else is on the axes.
CURVE, SINGLE, BASELINE = ("steering " + x for x in ("curve", "single", "unsteered"))


class SteeringTradeoffDisplay:
    r"""Quality against the share of a concept, a curve through strengths for each.

    Use it to choose a strength: each point says how much of the lists a strength fills
    with the concept, and what is left there of what users look for. Make one with
    `from_estimator` or `from_report`; all parameters are stored as attributes.

    Parameters
    ----------
    concept_names : array-like of shape (n_concepts,)
        What the concepts are called.
    strengths : array-like of shape (n_strengths,)
        Strengths, ascending.
    share : array-like of shape (n_concepts, n_strengths)
        Share of a concept in the lists. Concepts with NaN are left out, as those that
        no neuron stands for.
    quality : array-like of shape (n_concepts, n_strengths)
        What the lists are worth.
    unsteered : (array-like of shape (n_concepts,), float), default=None
        Shares and quality of the lists without steering.
    quality_name : str, default="quality"
        What the quality is, for the axis.
    method : str, default="raise"
        What the strengths do with a concept.
    k : int, default=10
        Length of the lists whose share is measured.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last ``plot``.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : dict of str to matplotlib Line2D
        The curve of each concept.
    mean_ : matplotlib Line2D or None
        The means over concepts, strength by strength.
    unsteered_ : matplotlib Line2D or None
        The quality without steering.
    starts_ : dict of str to matplotlib Line2D
        Where lists are without steering, for curves that do not start there.
    labels_ : list of matplotlib Annotation
        The strengths written at points.
    left_out_ : list of str
        Concepts that could not be drawn.

    See Also
    --------
    sksparse_rec.SteerableRecommender : Its ``steering_report`` measures all of this.
    CompressionTradeoffDisplay : Quality against bytes.

    Examples
    --------
    >>> from sksparse_rec.plotting import SteeringTradeoffDisplay
    >>> display = SteeringTradeoffDisplay(
    ...     concept_names=["comedy", "drama"],
    ...     strengths=[0, 0.5, 1],
    ...     share=[[0.1, 0.6, 1.0], [0.2, 0.5, 0.9]],
    ...     quality=[[0.4, 0.3, 0.1], [0.4, 0.35, 0.2]],
    ...     quality_name="nDCG@100",
    ... )
    >>> list(display.plot().lines_)
    ['comedy', 'drama']
    """

    def __init__(
        self,
        *,
        concept_names,
        strengths,
        share,
        quality,
        unsteered=None,
        quality_name="quality",
        method="raise",
        k=10,
    ):
        self.concept_names = concept_names
        self.strengths = strengths
        self.share = share
        self.quality = quality
        self.unsteered = unsteered
        self.quality_name = quality_name
        self.method = method
        self.k = k

    @classmethod
    def from_estimator(
        cls,
        model,
        X,
        concepts=None,
        *,
        y=None,
        strengths=None,
        k=10,
        method="raise",
        measure="ndcg",
        ax=None,
        **options,
    ):
        """Steer lists by each concept at each strength, and draw what comes out.

        Parameters
        ----------
        model : SteerableRecommender
            Fitted, with concepts.
        X : {array-like, sparse matrix} of shape (n_users, n_items)
            Users, best ones that were not in ``fit``; some hundreds tell enough.
        concepts : list of str or int, default=None
            None: all of them.
        y : {array-like, sparse matrix} of shape (n_users, n_items), default=None
            Items that users should find. None hides a fifth of each row of ``X``.
        strengths : array-like of shape (n_strengths,), default=None
            Ascending, from 0 to 1. None is 0 to 1 in steps of 0.1.
        k : int, default=10
            Length of the lists whose share of the concept is measured.
        method : {"raise", "lower", "set"}, default="raise"
            What is done with a concept.
        measure : {"ndcg", "recall", "overlap", "coverage"}, default="ndcg"
            What the lists are worth.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : SteeringTradeoffDisplay
            The display, drawn. To draw several measures call ``steering_report`` once,
            and ``from_report`` for each.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        ValueError
            As ``steering_report`` and ``from_report``.
        ImportError
            If matplotlib is not installed.

        Notes
        -----
        Takes the time of n_concepts × n_strengths calls of ``recommend``.
        """
        import_pyplot(f"{cls.__name__}.from_estimator")
        _check_measure(measure)
        given = {} if strengths is None else {"strengths": strengths}
        report = model.steering_report(X, concepts, y=y, k=k, method=method, **given)
        return cls.from_report(report, measure=measure, ax=ax, **options)

    @classmethod
    def from_report(cls, report, *, measure="ndcg", concepts=None, ax=None, **options):
        """Draw what was measured before.

        Parameters
        ----------
        report : SteeringReport
            What ``SteerableRecommender.steering_report`` returned.
        measure : {"ndcg", "recall", "overlap", "coverage"}, default="ndcg"
            What the lists are worth.
        concepts : list of str or int, default=None
            Names, or positions in the report. None: all of them.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : SteeringTradeoffDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the measure is unknown, a concept is not in the report, or none of them
            can be steered.
        ImportError
            If matplotlib is not installed.
        """
        _check_measure(measure)
        rows = _rows_of(concepts, list(report.concept_names))
        # The list without steering is what overlaps are counted with.
        before = 1.0 if measure == "overlap" else report.unsteered[measure]
        display = cls(
            concept_names=np.asarray(report.concept_names)[rows],
            strengths=report.strengths,
            share=report.share[rows],
            quality=getattr(report, measure)[rows],
            unsteered=(report.unsteered["share"][rows], before),
            quality_name=MEASURES[measure].format(k=report.k),
            method=report.method,
            k=report.k,
        )
        return display.plot(ax=ax, **options)

    def plot(self, *, ax=None, name=None, mean="auto", labels=True, line_kw=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. The legend stands at the right of the
            axes: make your own figures with ``layout="constrained"``, so that there is
            room.
        name : str, default=None
            What to call these curves, where several displays share axes.
        mean : bool or "auto", default="auto"
            Whether to draw the mean over concepts, with the concepts faint behind it.
            "auto" does so for more than 6.
        labels : bool, default=True
            Whether to write some of the strengths at their points; those that would
            cover something are left out.
        line_kw : dict, default=None
            Passed to matplotlib's ``plot`` of each curve in colour, such as
            ``{"markersize": 4}``.

        Returns
        -------
        display : SteeringTradeoffDisplay
            This display.

        Raises
        ------
        ValueError
            If shapes do not match, no concept can be drawn, or ``mean`` is none of the
            above.
        ImportError
            If matplotlib is not installed.
        """
        if not (isinstance(mean, bool) or mean == "auto"):
            raise ValueError(f"mean must be True, False or 'auto', got {mean!r}")
        names, share, quality, kept = self._checked()
        use_axes(self, ax, (7.5, 4.6))
        self.left_out_ = [
            n for n, is_kept in zip(names, kept, strict=True) if not is_kept
        ]
        curves = {
            names[i]: np.column_stack([share[i], quality[i]])
            for i in np.flatnonzero(kept).tolist()
        }
        is_mean = len(curves) > MANY if mean == "auto" else mean
        self._draw_curves(curves, is_mean, name, line_kw or {})
        self._draw_unsteered(kept)
        self._label_axes(labels)
        self._draw_legend()
        self.labels_ = []
        if labels:
            strong = [self.mean_] if is_mean else list(self.lines_.values())
            self.labels_ = _write_strengths(self.ax_, strong, self.strengths)
        return self

    def _checked(self):
        """Return names, shares, qualities, and which concepts can be drawn."""
        share, quality = (
            np.asarray(v, dtype=float) for v in (self.share, self.quality)
        )
        names = [str(name) for name in self.concept_names]
        shape = len(names), len(self.strengths)
        if share.shape != shape or quality.shape != shape:
            raise ValueError(
                f"share has shape {share.shape} and quality {quality.shape}: both need "
                f"a row for each of {shape[0]} concepts and a column for each of "
                f"{shape[1]} strengths"
            )
        if len(set(names)) < len(names):
            repeated = next(n for n in names if names.count(n) > 1)
            raise ValueError(f"concept {repeated!r} is there twice: draw it once")
        kept = np.isfinite(share).all(axis=1) & np.isfinite(quality).all(axis=1)
        if not kept.any():
            raise ValueError(
                "there is no curve to draw: no concept has a share and a quality at "
                "each strength, as no neuron stands for them or no user has hidden "
                "items"
            )
        return names, share, quality, kept

    def _draw_curves(self, curves, is_mean, name, line_kw):
        from matplotlib import cbook, lines

        line_kw = cbook.normalize_kwargs(line_kw, lines.Line2D)
        n_before = len(curves_on(self.ax_, CURVE))

        def draw(points, i, label):
            # Lines without a label get one from matplotlib.
            style = curve_style(n_before + i) | {"markersize": 5, "label": label or " "}
            return self.ax_.plot(*points.T, **(style | line_kw | {"gid": CURVE}))[0]

        start = "" if name is None else f"{name}: "
        self.mean_, self.lines_ = None, {}
        if not is_mean:
            for i, (concept, points) in enumerate(curves.items()):
                self.lines_[concept] = draw(points, i, start + concept)
            return
        many = f"mean of {len(curves)} concepts" if len(curves) > 1 else "mean"
        self.mean_ = draw(np.mean(list(curves.values()), axis=0), 0, start + many)
        for concept, points in curves.items():
            (self.lines_[concept],) = self.ax_.plot(
                *points.T,
                color=self.mean_.get_color(),
                alpha=max(0.2, min(0.45, 4 / len(curves))),
                linewidth=1,
                zorder=self.mean_.get_zorder() - 1,
                label=start + "each of them",
                gid=SINGLE,
            )

    def _draw_unsteered(self, kept):
        self.unsteered_, self.starts_ = None, {}
        if self.unsteered is None:
            return
        shares, quality = self.unsteered
        label = f"unsteered: {quality:.3g}"
        before = curves_on(self.ax_, BASELINE)
        if not any(line.get_label() == label for line in before):
            self.unsteered_ = draw_baseline(self.ax_, quality, label, len(before))
            self.unsteered_.set_gid(BASELINE)
        if self.mean_ is not None:
            return
        for (name, line), share in zip(
            self.lines_.items(), np.asarray(shares)[kept], strict=True
        ):
            start = np.array([share, quality])
            if not np.isclose(line.get_xydata(), start).all(axis=1).any():
                (self.starts_[name],) = self.ax_.plot(
                    *start,
                    color=line.get_color(),
                    marker=line.get_marker(),
                    markersize=8,
                    markerfacecolor="none",
                    zorder=line.get_zorder(),
                )

    def _label_axes(self, labels):
        from matplotlib import rcParams

        notes = [f"share of the concept in the first {self.k} items"]
        if labels:
            notes.append(f"numbers at points: strength of “{self.method}”")
        if self.left_out_:
            start = f"{len(self.left_out_)} cannot be steered: "
            width = NOTE_WIDTH - text_width(start, rcParams["font.size"])
            listed = ", ".join(self.left_out_)
            notes.append(start + shorten(listed, width, rcParams["font.size"]))
        self.ax_.set_xlabel("\n".join(notes), parse_math=False)
        self.ax_.set_ylabel(self.quality_name)
        self.ax_.xaxis.set_major_formatter(_percent)
        tidy(self.ax_)

    def _draw_legend(self):
        from matplotlib import rcParams

        ax = self.ax_
        singles = {line.get_label(): line for line in curves_on(ax, SINGLE)}
        handles = [*curves_on(ax, CURVE), *singles.values(), *curves_on(ax, BASELINE)]
        legend = ax.legend(
            handles=handles,
            # Names may start with an underscore, which a legend would leave out.
            labels=["name"] * len(handles),
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            edgecolor="none",
        )
        for text, line in zip(legend.get_texts(), handles, strict=True):
            text.set_parse_math(False)
            text.set_text(shorten(line.get_label(), NAME_WIDTH, rcParams["font.size"]))


def _write_strengths(ax, lines, strengths):
    """Write some strengths at the points of curves; return the texts."""
    n = len(strengths)
    chosen = np.unique(np.linspace(0, n - 1, min(n, N_LABELS)).round().astype(int))
    # The largest first, as the smallest are close to each other.
    marks = [
        (line, i, f"{strengths[i]:g}")
        for i in chosen[::-1]
        for line in lines
        if strengths[i] != 0
    ]
    return write_at_points(ax, marks, curves_on(ax, CURVE), curves_on(ax, BASELINE))


def _percent(share, place=None):
    return f"{100 * share:.4g}%"


def _check_measure(measure):
    if measure not in MEASURES:
        raise ValueError(f"measure must be one of {list(MEASURES)}, got {measure!r}")


def _rows_of(concepts, names):
    """Return the positions of concepts in a report."""
    if concepts is None:
        return np.arange(len(names))
    rows = []
    for concept in [concepts] if isinstance(concepts, str) else concepts:
        if isinstance(concept, str):
            if concept not in names:
                raise ValueError(
                    f"concept {concept!r} is none of those in the report: {names[:10]}"
                )
            rows.append(names.index(concept))
        elif 0 <= concept < len(names):
            rows.append(int(concept))
        else:
            raise ValueError(
                f"there is no concept {concept} in the report, whose positions go from "
                f"0 to {len(names) - 1}"
            )
    return np.array(rows, dtype=np.int64)
