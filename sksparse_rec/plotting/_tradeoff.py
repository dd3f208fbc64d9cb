"""Quality against bytes."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksparse_rec.plotting._axes import (
    STYLES,
    curves_on,
    draw_baseline,
    label_sizes,
    tidy,
    use_axes,
)

# Marks the curves of displays among whatever else is on the axes.
CURVE = "sparsity path"


class SparsityPathDisplay:
    r"""Quality against bytes per item along a path of sparsity levels.

    Use it to see what each halving of the embeddings costs, and whether the selected
    level is where the curve bends. Make one with `from_estimator` or `from_scores`;
    all parameters are stored as attributes. Several displays on the same axes get
    colours and markers of their own.

    Parameters
    ----------
    n_nonzero : array-like of shape (n_levels,)
        Non-zeros of an item at each level.
    bytes_per_item : array-like of shape (n_levels,)
        What an item takes at each level.
    scores : array-like of shape (n_levels, n_folds)
        Score of each level on each fold.
    score_name : str, default="score"
        What the scores are, for the axis.
    selected : int or None, default=None
        The level to mark, one of ``n_nonzero``.
    baselines : dict of str to float, default=None
        Scores to compare with, such as those of a dense model or of the most popular
        items, by name: horizontal lines.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last ``plot``.
    figure_ : matplotlib Figure
        Their figure.
    line_ : matplotlib Line2D
        The means over the folds.
    band_ : matplotlib PolyCollection or None
        One standard error around the means.
    points_ : list of matplotlib Line2D or None
        The scores of each fold.
    selected_ : matplotlib Line2D or None
        The ring around the selected level.
    baselines_ : list of matplotlib Line2D
        The baselines.

    See Also
    --------
    sksparse_rec.CompressedELSACV : Scores a path and selects a level.
    sklearn.model_selection.ValidationCurveDisplay : Scores against any parameter.

    Examples
    --------
    >>> from sksparse_rec.plotting import SparsityPathDisplay
    >>> display = SparsityPathDisplay.from_scores(
    ...     n_nonzero=[32, 16, 8],
    ...     scores=[[0.42, 0.44], [0.42, 0.43], [0.39, 0.41]],
    ...     score_name="nDCG@100",
    ...     selected=16,
    ... )
    >>> [label.get_text() for label in display.ax_.get_xticklabels()][0]
    '64 B\n(8)'
    """

    def __init__(
        self,
        *,
        n_nonzero,
        bytes_per_item,
        scores,
        score_name="score",
        selected=None,
        baselines=None,
    ):
        self.n_nonzero = n_nonzero
        self.bytes_per_item = bytes_per_item
        self.scores = scores
        self.score_name = score_name
        self.selected = selected
        self.baselines = baselines

    @classmethod
    def from_estimator(
        cls, estimator, *, score_name=None, baselines=None, ax=None, **options
    ):
        """Draw the path of a fitted `CompressedELSACV`.

        Parameters
        ----------
        estimator : CompressedELSACV
            Fitted; it is read, not evaluated again.
        score_name : str, default=None
            What the scores are. None takes it from ``estimator.scoring``.
        baselines : dict of str to float, default=None
            Scores to compare with, by name.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : SparsityPathDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(estimator, "score_path_")
        if score_name is None:
            score_name = _name_of(estimator.scoring)
        return cls.from_scores(
            estimator.n_nonzero_grid_,
            estimator.score_path_,
            bytes_per_nonzero=estimator.bytes_per_item_ / estimator.n_nonzero_,
            score_name=score_name,
            selected=estimator.n_nonzero_,
            baselines=baselines,
            ax=ax,
            **options,
        )

    @classmethod
    def from_scores(
        cls,
        n_nonzero,
        scores,
        *,
        bytes_per_nonzero=8,
        score_name="score",
        selected=None,
        baselines=None,
        ax=None,
        **options,
    ):
        """Draw scores that were computed in any other way.

        Parameters
        ----------
        n_nonzero : array-like of shape (n_levels,)
            The levels, in any order.
        scores : array-like of shape (n_levels, n_folds) or (n_levels,)
            Their scores on each fold, or on a single hold-out.
        bytes_per_nonzero : float, default=8
            A float32 value and an int32 column. With float16 values and uint16
            columns, which up to 65,536 components allow, it is 4.
        score_name : str, default="score"
            What the scores are.
        selected : int, default=None
            The level to mark.
        baselines : dict of str to float, default=None
            Scores to compare with, by name.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : SparsityPathDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the shapes do not match, a level is below 1, or ``selected`` is none of
            the levels.
        ImportError
            If matplotlib is not installed.
        """
        n_nonzero, scores = np.asarray(n_nonzero), np.asarray(scores, dtype=float)
        if scores.ndim == 1:
            scores = scores[:, None]
        _check_path(n_nonzero, scores, selected)
        display = cls(
            n_nonzero=n_nonzero,
            bytes_per_item=bytes_per_nonzero * n_nonzero,
            scores=scores,
            score_name=score_name,
            selected=selected,
            baselines=baselines,
        )
        return display.plot(ax=ax, **options)

    def plot(self, *, ax=None, name=None, spread="both", line_kw=None):
        """Draw the path.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        name : str, default=None
            Name of the curve in the legend, where there are several.
        spread : {"both", "band", "points"} or None, default="both"
            How the folds show: "band" is one standard error of the mean to each side,
            what ``rule="one_standard_error"`` allows; "points" are the scores of each
            fold.
        line_kw : dict, default=None
            Passed to matplotlib's ``plot`` of the means, such as
            ``{"color": "black"}``.

        Returns
        -------
        display : SparsityPathDisplay
            This display.

        Raises
        ------
        ValueError
            If ``spread`` is none of the above.
        ImportError
            If matplotlib is not installed.
        """
        if spread not in ("both", "band", "points", None):
            raise ValueError(
                f"spread must be 'both', 'band', 'points' or None, got {spread!r}"
            )
        use_axes(self, ax)
        order = np.argsort(self.bytes_per_item, kind="stable")
        sizes = np.asarray(self.bytes_per_item)[order]
        levels = np.asarray(self.n_nonzero)[order]
        scores = np.asarray(self.scores, dtype=float)[order]
        self._draw_means(sizes, scores, name, line_kw or {})
        self._draw_spread(sizes, scores, spread)
        self._draw_selected(sizes, levels, scores)
        self._draw_baselines()
        self._label_axes(sizes, levels)
        return self

    def _draw_means(self, sizes, scores, name, line_kw):
        from matplotlib import cbook, lines

        color, marker = STYLES[_n_curves(self.ax_) % len(STYLES)]
        style = {"color": color, "marker": marker, "linewidth": 2, "label": name}
        style |= cbook.normalize_kwargs(line_kw, lines.Line2D) | {"gid": CURVE}
        (self.line_,) = self.ax_.plot(sizes, scores.mean(axis=1), **style)

    def _draw_spread(self, sizes, scores, spread):
        self.band_ = self.points_ = None
        n_folds = scores.shape[1]
        if n_folds < 2:
            return
        color, below = self.line_.get_color(), self.line_.get_zorder() - 0.1
        # One entry in the legend is enough for all curves.
        is_first = _n_curves(self.ax_) == 1
        if spread in ("both", "band"):
            means = scores.mean(axis=1)
            error = scores.std(axis=1, ddof=1) / np.sqrt(n_folds)
            self.band_ = self.ax_.fill_between(
                sizes,
                means - error,
                means + error,
                color=color,
                alpha=0.18,
                linewidth=0,
                zorder=below,
                label="one standard error" if is_first else None,
            )
        if spread in ("both", "points"):
            self.points_ = self.ax_.plot(
                sizes, scores, ".", color=color, alpha=0.5, zorder=below
            )
            self.points_[0].set_label("folds" if is_first else None)

    def _draw_selected(self, sizes, levels, scores):
        self.selected_ = None
        if self.selected is None:
            return
        at = int(np.flatnonzero(levels == self.selected)[0])
        (self.selected_,) = self.ax_.plot(
            sizes[at],
            scores[at].mean(),
            "o",
            markersize=14,
            markerfacecolor="none",
            markeredgecolor=self.line_.get_color(),
            markeredgewidth=2,
            label=f"selected: {self.selected} non-zeros, {sizes[at]:g} B",
        )

    def _draw_baselines(self):
        self.baselines_ = [
            draw_baseline(self.ax_, score, label, i)
            for i, (label, score) in enumerate((self.baselines or {}).items())
        ]

    def _label_axes(self, sizes, levels):
        ax = self.ax_
        labels = {}
        if _n_curves(ax) > 1:
            texts = [label.get_text() for label in ax.get_xticklabels()]
            labels = dict(zip(ax.get_xticks(), texts, strict=True))
        for size, level in zip(sizes, levels, strict=True):
            labels[size] = f"{size:g} B\n({level})"
        label_sizes(ax, labels)
        ax.set(xlabel="bytes per item (non-zeros)", ylabel=self.score_name)
        tidy(ax)
        if ax.get_legend_handles_labels()[1]:
            ax.legend(edgecolor="none")


def _n_curves(ax):
    return len(curves_on(ax, CURVE))


def _check_path(n_nonzero, scores, selected):
    if scores.ndim != 2 or n_nonzero.shape != scores.shape[:1] or scores.size == 0:
        raise ValueError(
            f"n_nonzero has shape {n_nonzero.shape} and scores {scores.shape}: scores "
            "must have a row for each level and a column for each fold"
        )
    if n_nonzero.min() < 1:
        raise ValueError(
            f"n_nonzero must be at least 1, got {n_nonzero.min()}: the axis of bytes "
            "is logarithmic; pass a model of size 0 in baselines"
        )
    if selected is not None and selected not in n_nonzero:
        raise ValueError(
            f"selected={selected} is none of the levels {n_nonzero.tolist()}"
        )


def _name_of(scoring):
    """Return what a scorer measures, in words."""
    if scoring is None:
        return "nDCG@100"
    metric = getattr(scoring, "metric", scoring)
    if callable(metric):
        metric = getattr(metric, "__name__", "score")
    metric = metric.replace("_", " ").replace("ndcg", "nDCG")
    return f"{metric}@{scoring.k}" if hasattr(scoring, "k") else metric
