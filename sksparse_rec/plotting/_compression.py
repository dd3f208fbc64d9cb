"""Quality against the bytes of a vector, for any number of methods."""

from collections.abc import Mapping
from itertools import count

import numpy as np

from sksparse_rec.plotting._axes import (
    curve_style,
    curves_on,
    draw_baseline,
    import_pyplot,
    label_sizes,
    tidy,
    use_axes,
)
from sksparse_rec.plotting._evaluation import compression_curves
from sksparse_rec.plotting._labels import Name, label_ends

MUTED = "#8c8c8c"
# Of names, as the lighter colours are hard to read as text.
INK, MUTED_INK = "#222222", "#6b6b6b"
# Marks what displays draw among whatever else is on the axes.
CURVE, UNCOMPRESSED, LABEL = ("compression " + x for x in ("curve", "none", "label"))


class CompressionTradeoffDisplay:
    r"""Quality against bytes per vector, a curve for each way to compress.

    Use it to see which way keeps most of the neighbours, or of any other quality, at
    the size that you can pay for, and what halving the size costs. Make one with
    `from_estimators` or `from_scores`; all parameters are stored as attributes.

    Parameters
    ----------
    curves : dict of str to (bytes, scores)
        For each method the bytes that a vector takes, of shape (n_levels,), and the
        scores, of shape (n_levels,) or (n_levels, n_repeats).
    uncompressed : (bytes, score), default=None
        The size and the score of the vectors as they are: a horizontal line, and how
        many times smaller the sizes on the axis are.
    score_name : str, default="score"
        What the scores are, for the axis.
    highlight : str or list of str, default=None
        Curves to draw in colour, with all others in grey. None colours all, which is
        readable up to six or so.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last ``plot``.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : dict of str to matplotlib Line2D
        The means over the repeats.
    spreads_ : dict of str to matplotlib ErrorbarContainer or PolyCollection
        One standard deviation around the means, of curves with repeats.
    uncompressed_ : matplotlib Line2D or None
        The line of the vectors as they are.
    labels_ : list of matplotlib Text
        The names of the curves at their right, empty with ``labels="legend"``.

    See Also
    --------
    SparsityPathDisplay : Levels of one model, with a selected one.
    sksparse_rec.CompresSAE : Compresses dense embeddings.

    Examples
    --------
    >>> from sksparse_rec.plotting import CompressionTradeoffDisplay
    >>> display = CompressionTradeoffDisplay.from_scores(
    ...     {
    ...         "sparse": ([64, 128], [[0.52, 0.53], [0.61, 0.62]]),
    ...         "short": ([64, 128, 256], [0.35, 0.50, 0.70]),
    ...     },
    ...     score_name="recall@100",
    ...     uncompressed=(768, 1.0),
    ... )
    >>> [label.get_text() for label in display.ax_.get_xticklabels()]
    ['64\n(12×)', '128\n(6×)', '256\n(3×)']
    """

    def __init__(
        self, *, curves, uncompressed=None, score_name="score", highlight=None
    ):
        self.curves = curves
        self.uncompressed = uncompressed
        self.score_name = score_name
        self.highlight = highlight

    @classmethod
    def from_estimators(
        cls,
        estimators,
        X,
        X_queries=None,
        *,
        k=100,
        n_nonzero=None,
        space=("sparse", "reconstructed"),
        n_queries=1000,
        bytes_per_nonzero=None,
        bytes_per_value=2,
        random_state=0,
        highlight=None,
        ax=None,
        **options,
    ):
        """Compress vectors, and draw how many of their neighbours stay neighbours.

        The neighbours of a query are the ``k`` rows of ``X`` of largest cosine. They
        are searched among the vectors and among their codes, both exactly; the score
        is the share of the former that is among the latter, recall@k.

        Parameters
        ----------
        estimators : estimator, list of estimators, or dict of str to either
            Fitted; a curve for each name. An estimator alone whose ``transform`` takes
            ``n_nonzero``, such as `CompresSAE`, is evaluated at several levels. Of a
            list each estimator is a point of the curve: models that were fitted at
            several sizes, such as `TruncatedSVD` of several dimensions.
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            The catalogue, in which neighbours are searched. A memory-map is read in
            blocks.
        X_queries : {array-like, sparse matrix, DataFrame} of shape (n_queries, \
n_features), default=None
            Whose neighbours are searched. None draws rows of ``X``, which are not
            their own neighbours. Queries of zeros are left out.
        k : int, default=100
            Number of neighbours.
        n_nonzero : array-like of int, default=None
            The levels. None takes ``n_nonzero_`` of the estimator, its half and its
            quarter, where a model with ``nested=True`` is good.
        space : {"sparse", "reconstructed", "asymmetric"} or sequence of these, \
default=("sparse", "reconstructed")
            What of sparse codes is compared, in a curve each: the codes; their
            reconstructions by ``inverse_transform``; or the queries as they are with
            the reconstructions of the catalogue. Dense codes are compared as they are.
        n_queries : int, default=1000
            Number of rows drawn where there are no ``X_queries``. With 1,000 the mean
            recall is within about 0.01 of that over all rows.
        bytes_per_nonzero : float, default=None
            None is a float16 value and the column, in uint16 up to 65,536 components
            and uint32 beyond: 4 or 6.
        bytes_per_value : float, default=2
            A value of dense codes, and of the vectors as they are: float16.
        random_state : int, RandomState instance or None, default=0
            Draws the queries.
        highlight : str or list of str, default=None
            Curves to draw in colour, with all others in grey.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : CompressionTradeoffDisplay
            The display, drawn. Its ``curves`` hold the numbers.

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        ValueError
            If there are no estimators, a level is below 1, or ``X`` has NaN, infinity,
            or no two rows.
        ImportError
            If matplotlib is not installed.

        Notes
        -----
        Every row is encoded once for each level, and compared with every query:
        O(n_samples × n_queries × n_features) for the vectors and for each
        reconstruction, less for sparse codes. Memory is bounded by scikit-learn's
        ``working_memory``, whatever n_samples.
        """
        import_pyplot(f"{cls.__name__}.from_estimators")
        curves, k = compression_curves(
            estimators,
            X,
            X_queries,
            k=k,
            n_nonzero=n_nonzero,
            space=space,
            n_queries=n_queries,
            sizes=(bytes_per_nonzero, bytes_per_value),
            random_state=random_state,
        )
        return cls.from_scores(
            curves,
            score_name=f"recall@{k} of the nearest neighbours",
            uncompressed=(bytes_per_value * np.shape(X)[1], 1.0),
            highlight=highlight,
            ax=ax,
            **options,
        )

    @classmethod
    def from_scores(
        cls,
        curves,
        *,
        score_name="score",
        uncompressed=None,
        highlight=None,
        ax=None,
        **options,
    ):
        """Draw scores that were computed in any other way.

        Parameters
        ----------
        curves : dict of str to (bytes, scores)
            For each method its sizes, in any order, and its scores at each of them:
            one, or one for each repeat, such as a seed.
        score_name : str, default="score"
            What the scores are.
        uncompressed : (bytes, score), default=None
            The size and the score of the vectors as they are.
        highlight : str or list of str, default=None
            Curves to draw in colour, with all others in grey.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : CompressionTradeoffDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is no curve, shapes do not match, a size is not positive, a score
            is not finite, or ``highlight`` names none of the curves.
        ImportError
            If matplotlib is not installed.
        """
        curves = {name: _check_curve(name, *curve) for name, curve in curves.items()}
        if not curves:
            raise ValueError("curves is empty: pass a name and a curve at least")
        _check_highlight(highlight, curves)
        if uncompressed is not None:
            _check_curve("uncompressed", *([value] for value in uncompressed))
        display = cls(
            curves=curves,
            uncompressed=uncompressed,
            score_name=score_name,
            highlight=highlight,
        )
        return display.plot(ax=ax, **options)

    def plot(self, *, ax=None, spread="bars", labels="direct", line_kw=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Names stand at the right of the axes:
            make your own figures with ``layout="constrained"``, so that there is room.
        spread : {"bars", "band"} or None, default="bars"
            How the repeats show: one standard deviation to each side of the mean.
        labels : {"direct", "legend"} or None, default="direct"
            Where the names of the curves are: at their ends, or in a legend beside the
            axes.
        line_kw : dict, default=None
            Passed to matplotlib's ``plot`` of each curve, such as
            ``{"markersize": 4}``.

        Returns
        -------
        display : CompressionTradeoffDisplay
            This display.

        Raises
        ------
        ValueError
            If ``spread`` or ``labels`` is none of the above.
        ImportError
            If matplotlib is not installed.
        """
        if spread not in ("bars", "band", None):
            raise ValueError(f"spread must be 'bars', 'band' or None, got {spread!r}")
        if labels not in ("direct", "legend", None):
            raise ValueError(
                f"labels must be 'direct', 'legend' or None, got {labels!r}"
            )
        use_axes(self, ax, (7.5, max(4.4, 1 + 0.25 * len(self.curves))))
        self._draw_curves(spread, line_kw or {})
        self._draw_uncompressed()
        self._label_axes()
        self._name_curves(labels)
        return self

    def _draw_curves(self, spread, line_kw):
        from matplotlib import cbook, lines

        line_kw = cbook.normalize_kwargs(line_kw, lines.Line2D)
        strong = _as_list(self.highlight) or list(self.curves)
        # In this order the chosen curves get the first styles.
        names = [*strong, *(name for name in self.curves if name not in strong)]
        styles = map(curve_style, count(len(curves_on(self.ax_, CURVE))))
        drawn, self.spreads_ = {}, {}
        for name, style in zip(names, styles, strict=False):
            sizes, means, deviations = _summary(*self.curves[name])
            if name not in strong:
                style |= {"color": MUTED, "linewidth": 1, "markersize": 4, "zorder": 2}
            style |= {"label": name} | line_kw | {"gid": CURVE}
            (drawn[name],) = self.ax_.plot(sizes, means, **style)
            if spread is not None and deviations is not None:
                self.spreads_[name] = _draw_spread(
                    drawn[name], sizes, means, deviations, spread
                )
        self.lines_ = {name: drawn[name] for name in self.curves}

    def _draw_uncompressed(self):
        self.uncompressed_ = None
        if self.uncompressed is None:
            return
        n_bytes, score = self.uncompressed
        label = f"uncompressed, {n_bytes:g} B"
        before = curves_on(self.ax_, UNCOMPRESSED)
        if any(line.get_label() == label for line in before):
            return
        self.uncompressed_ = draw_baseline(self.ax_, score, label, len(before))
        self.uncompressed_.set_gid(UNCOMPRESSED)

    def _label_axes(self):
        ax = self.ax_
        sizes = np.concatenate([x.get_xdata() for x in curves_on(ax, CURVE)])
        powers = 2.0 ** np.arange(
            np.ceil(np.log2(sizes.min())), np.floor(np.log2(sizes.max())) + 1
        )
        ticks = powers if len(powers) > 1 else np.unique(sizes)
        texts, xlabel = [f"{tick:g}" for tick in ticks], "bytes per vector"
        if self.uncompressed is not None:
            factors = self.uncompressed[0] / ticks
            texts = [f"{t}\n({f:.3g}×)" for t, f in zip(texts, factors, strict=True)]
            xlabel += " (times smaller)"
        label_sizes(ax, dict(zip(ticks, texts, strict=True)))
        ylabel = self.score_name
        if self.spreads_:
            ylabel += "\n(mean and standard deviation)"
        ax.set(xlabel=xlabel, ylabel=ylabel)
        tidy(ax)

    def _name_curves(self, labels):
        self.labels_ = []
        for text in [text for text in self.ax_.texts if text.get_gid() == LABEL]:
            text.remove()
        lines = [*curves_on(self.ax_, CURVE), *curves_on(self.ax_, UNCOMPRESSED)]
        lines.sort(key=lambda line: line.get_ydata()[-1], reverse=True)
        if labels == "direct":
            some_muted = any(line.get_color() == MUTED for line in lines)
            names = [_named(line, some_muted) for line in lines]
            self.labels_ = label_ends(self.ax_, names, LABEL)
        elif labels == "legend":
            # Beside the axes it covers nothing.
            self.ax_.legend(
                handles=lines,
                loc="upper left",
                bbox_to_anchor=(1.01, 1),
                edgecolor="none",
            )


def _summary(sizes, scores):
    """Return sizes ascending, the means, and the deviations where there are repeats."""
    order = np.argsort(sizes, kind="stable")
    sizes, scores = np.asarray(sizes)[order], np.asarray(scores, dtype=float)[order]
    if scores.ndim == 1:
        return sizes, scores, None
    several = scores.shape[1] > 1
    return sizes, scores.mean(axis=1), scores.std(axis=1, ddof=1) if several else None


def _draw_spread(line, sizes, means, deviations, spread):
    ax, color, below = line.axes, line.get_color(), line.get_zorder() - 0.1
    if spread == "bars":
        return ax.errorbar(
            sizes,
            means,
            yerr=deviations,
            fmt="none",
            ecolor=color,
            elinewidth=1.2,
            capsize=3,
            zorder=below,
        )
    return ax.fill_between(
        sizes,
        means - deviations,
        means + deviations,
        color=color,
        alpha=0.18,
        linewidth=0,
        zorder=below,
    )


def _named(line, some_muted):
    is_level = line.get_gid() == UNCOMPRESSED
    if is_level or line.get_color() == MUTED:
        return Name(line, is_level, MUTED_INK, "normal")
    return Name(line, is_level, INK, "bold" if some_muted else "normal")


def _as_list(names):
    return [names] if isinstance(names, str) else list(names or [])


def _check_curve(name, sizes, scores):
    sizes, scores = np.asarray(sizes, dtype=float), np.asarray(scores, dtype=float)
    if (
        sizes.ndim != 1
        or scores.ndim not in (1, 2)
        or sizes.shape != scores.shape[:1]
        or scores.size == 0
    ):
        raise ValueError(
            f"curve {name!r} has bytes of shape {sizes.shape} and scores of shape "
            f"{scores.shape}: there must be a score, or a row of scores, for each size"
        )
    if not (sizes > 0).all() or not np.isfinite(sizes).all():
        bad = sizes[~((sizes > 0) & np.isfinite(sizes))][0]
        raise ValueError(
            f"curve {name!r} has a size of {bad:g} bytes: the axis is logarithmic, so "
            "sizes must be positive"
        )
    if not np.isfinite(scores).all():
        bad = ~np.isfinite(scores.reshape(len(sizes), -1)).all(axis=1)
        raise ValueError(
            f"curve {name!r} has a score at {sizes[bad][0]:g} bytes that is NaN or "
            "infinite: leave that size or that repeat out"
        )
    return sizes, scores


def _check_highlight(highlight, curves):
    if isinstance(highlight, Mapping):
        raise ValueError("highlight must be a name or a list of names")
    unknown = [name for name in _as_list(highlight) if name not in curves]
    if unknown:
        raise ValueError(
            f"highlight={unknown[0]!r} is none of the curves: {list(curves)}"
        )
