"""The strongest latents of a user, and the segments they belong to."""

from collections import Counter
from itertools import cycle

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._names import check_n_names, names_at, names_of_latents
from sksparse_rec._validation import as_row, check_segments
from sksparse_rec.plotting._axes import STYLES, use_axes
from sksparse_rec.plotting._text import axes_size, shorten, text_width

# Of bars that match a segment, of those that match none, and of the line at zero.
MATCH, NO_SEGMENT, ZERO = STYLES[0][0], "#cfcfcf", "#7a7a7a"
INK = "#222222"
# Points between a bar and its text, and the share of the axes that a text may take.
GAP, TEXT_SHARE = 4, 0.45
# Points of a name at most; wider ones are cut.
NAME_WIDTH = 150


class LatentActivationDisplay:
    """The strongest latents of one user, with the segments that they match.

    Use it to see what a profile is made of: few latents or many, and of which segments.
    A latent matches the segment that has it with the sign of the activation. Make one
    with `from_estimator` or `from_arrays`; all parameters are stored as attributes.

    Parameters
    ----------
    latents : array-like of shape (n_shown,)
        The latents, the strongest first.
    activations : array-like of shape (n_shown,)
        Their values in the profile.
    latent_names : array-like of shape (n_shown,)
        What they are called.
    segment_names : array-like of shape (n_shown,), default=None
        The segment that each one matches, or None where it matches none.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last ``plot``.
    figure_ : matplotlib Figure
        Their figure.
    bars_ : matplotlib BarContainer
        A bar for each latent, the strongest at the top.
    labels_ : list of matplotlib Text
        The names of the segments, at the ends of the bars of those that match one.

    See Also
    --------
    SegmentMapDisplay : All segments, in a plane.
    sksparse_rec.CompressedELSA.explain : What latents bring to the score of an item.

    Examples
    --------
    >>> from sksparse_rec.plotting import LatentActivationDisplay
    >>> display = LatentActivationDisplay.from_arrays(
    ...     [0.1, -0.8, 0, 1.5],
    ...     segment_parts=[[(3, 1), (1, 1)], [(0, 1)]],
    ...     segment_names=["comedy", "drama"],
    ...     n_latents=2,
    ... )
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['latent 3', 'latent 1']
    >>> [label.get_text() for label in display.labels_]
    ['comedy']
    """

    def __init__(self, *, latents, activations, latent_names, segment_names=None):
        self.latents = latents
        self.activations = activations
        self.latent_names = latent_names
        self.segment_names = segment_names

    @classmethod
    def from_estimator(
        cls,
        estimator,
        x,
        *,
        segments=None,
        item_names=None,
        n_latents=12,
        ax=None,
        **options,
    ):
        """Draw the profile that a fitted model computes of a user.

        Parameters
        ----------
        estimator : estimator
            Fitted; its ``transform`` makes profiles: `CompressedELSA`, or `CompresSAE`
            for the code of a vector.
        x : {array-like, sparse matrix} of shape (1, n_features) or (n_features,)
            The history of one user, or one vector.
        segments : LatentSegments, default=None
            Fitted on ``item_embeddings_`` of the estimator.
        item_names : array-like of shape (n_items,), default=None
            Latents that started from an item are called by its name. None takes the
            columns that the estimator was fitted on.
        n_latents : int, default=12
            How many to draw.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : LatentActivationDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator or the segments are not fitted.
        ValueError
            If ``x`` has more than one row, if ``segments`` were fitted on embeddings of
            another width, if there are more or fewer ``item_names`` than items, or as
            ``from_arrays``.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(estimator)
        profile = estimator.transform(as_row(x))
        if profile.shape[0] != 1:
            raise ValueError(f"x must be one row, got {profile.shape[0]}")
        profile = profile.toarray() if sp.issparse(profile) else np.asarray(profile)
        if segments is not None:
            check_segments(segments, profile.shape[1])
        anchors = getattr(estimator, "anchors_", None)
        if anchors is not None:
            check_n_names(item_names, estimator.n_features_in_, "item")
        if item_names is None:
            item_names = getattr(estimator, "feature_names_in_", None)
        latents = np.arange(profile.shape[1])
        return cls.from_arrays(
            profile[0],
            latent_names=names_of_latents(latents, anchors, item_names),
            segment_parts=getattr(segments, "segment_parts_", None),
            segment_names=getattr(segments, "segment_names_", None),
            n_latents=n_latents,
            ax=ax,
            **options,
        )

    @classmethod
    def from_arrays(
        cls,
        activations,
        *,
        latent_names=None,
        segment_parts=None,
        segment_names=None,
        n_latents=12,
        ax=None,
        **options,
    ):
        """Draw a profile.

        Parameters
        ----------
        activations : array-like of shape (n_components,)
            The profile: a value for each latent.
        latent_names : array-like of shape (n_components,), default=None
            What latents are called; None is "latent 7".
        segment_parts : list of array-like of shape (n_parts, 2), default=None
            For each segment its pairs of a latent and a sign.
        segment_names : array-like of shape (n_segments,), default=None
            What segments are called; None is "segment 7".
        n_latents : int, default=12
            How many to draw: those of largest magnitude that are not zero, ties to the
            lower one.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : LatentActivationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there is an activation that is not finite, if names and activations or
            segments are not equally many, or if ``n_latents`` is below 1.
        ImportError
            If matplotlib is not installed.
        """
        activations = np.asarray(activations, dtype=np.float64)
        if activations.ndim != 1 or not np.all(np.isfinite(activations)):
            raise ValueError(
                "activations must be one-dimensional and finite, got shape "
                f"{activations.shape}"
            )
        if n_latents < 1:
            raise ValueError(f"n_latents must be at least 1, got {n_latents!r}")
        check_n_names(latent_names, len(activations), "latent")
        order = np.lexsort((np.arange(len(activations)), -np.abs(activations)))
        latents = order[: min(n_latents, np.count_nonzero(activations))]
        display = cls(
            latents=latents,
            activations=activations[latents],
            latent_names=names_at(latent_names, latents, "latent"),
            segment_names=_matches(
                latents, activations[latents], segment_parts, segment_names
            ),
        )
        return display.plot(ax=ax, **options)

    def plot(self, *, ax=None, xlabel="activation in the profile", bar_kw=None):
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure, higher for more latents.
        xlabel : str, default="activation in the profile"
            What the axis is called.
        bar_kw : dict, default=None
            Passed to matplotlib's ``barh``, such as ``{"height": 0.5}``.

        Returns
        -------
        display : LatentActivationDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        n = len(self.latents)
        ax = use_axes(self, ax, (7.5, 1.1 + 0.3 * max(n, 3)))
        style = {"height": 0.72, "color": self._colors()} | (bar_kw or {})
        self.bars_ = ax.barh(np.arange(n), self.activations, **style)
        ax.set_ylim(max(n, 1) - 0.4, -0.6)
        size = self._font_size(n)
        names = [shorten(name, NAME_WIDTH, size) for name in self.latent_names]
        ax.set_yticks(np.arange(n), names, fontsize=size, parse_math=False)
        ax.tick_params(axis="y", length=0)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.grid(axis="x", color="#dddddd")
        ax.set_axisbelow(True)
        ax.axvline(0, color=ZERO, linewidth=1)
        if self.segment_names is not None and None in self._segments():
            xlabel = f"{xlabel} (grey: no segment)"
        ax.set_xlabel(xlabel)
        self._name_segments(size)
        return self

    def _font_size(self, n):
        """Return a size at which neighbouring rows do not touch."""
        from matplotlib import rcParams

        _, height = axes_size(self.ax_)
        return float(min(0.95 * rcParams["font.size"], height / max(n, 1) / 1.2))

    def _colors(self):
        """Return a colour for each bar; segments of several have one of their own."""
        count = Counter(name for name in self._segments() if name is not None)
        several = [name for name, n in count.items() if n > 1]
        colors = dict.fromkeys(count, MATCH) | {None: NO_SEGMENT}
        # Names stand at the bars too, so that a colour may come again.
        palette = [color for color, _ in STYLES[1:]]
        colors |= dict(zip(several, cycle(palette), strict=False))
        return [colors[name] for name in self._segments()]

    def _segments(self):
        names = self.segment_names
        return [None] * len(self.latents) if names is None else list(names)

    def _name_segments(self, size):
        width, _ = axes_size(self.ax_)
        values = np.asarray(self.activations, dtype=np.float64)
        names = [name or "" for name in self._segments()]
        texts = [shorten(name, TEXT_SHARE * width, size) for name in names]
        shares = [(text_width(text, size) + 2 * GAP) / width for text in texts]
        self.ax_.set_xlim(*limits(values, np.array(shares)))
        self.labels_ = [
            self.ax_.annotate(
                text,
                # Beside bars to the left there is room on the right.
                (max(value, 0), row),
                xytext=(GAP, 0),
                textcoords="offset points",
                va="center_baseline",
                fontsize=size,
                color=INK,
                parse_math=False,
            )
            for row, (text, value) in enumerate(zip(texts, values, strict=True))
            if text
        ]


def limits(values, shares):
    """Return limits of an axis on which texts fit at the right of bars.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Ends of the bars.
    shares : ndarray of shape (n,)
        What the text of each takes of the axis, less than 1.
    """
    if not len(values):
        return 0.0, 1.0
    low = 1.03 * min(0.0, values.min())
    # Where value + share * (high - low) = high.
    high = np.max((values.clip(0) - shares * low) / (1 - shares))
    return low, high


def _matches(latents, activations, segment_parts, segment_names):
    """Return the name of the segment of each latent with its sign, or None."""
    if segment_parts is None:
        return None
    check_n_names(segment_names, len(segment_parts), "segment")
    names = names_at(segment_names, range(len(segment_parts)), "segment")
    owner = {}
    for name, pairs in zip(names, segment_parts, strict=True):
        for latent, sign in np.asarray(pairs, dtype=np.int64).reshape(-1, 2).tolist():
            owner[latent, sign] = name
    signs = np.sign(activations).astype(int)
    pairs = zip(latents.tolist(), signs.tolist(), strict=True)
    return [owner.get(pair) for pair in pairs]
