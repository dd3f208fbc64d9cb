"""Segments as circles in a plane."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from sksparse_rec.plotting._axes import STYLES, import_pyplot, use_axes
from sksparse_rec.plotting._map_geometry import (
    circle_radii,
    half_extents,
    place_names,
    plan_names,
    plane_positions,
    push_apart,
    scale_positions,
)
from sksparse_rec.plotting._text import LINE_SPACING, axes_size

INK, MUTED_INK = "#222222", "#5f5f5f"
NAME_SIZES = (9.0, 8.5, 8.0, 7.5, 7.0)
# Told apart by the colour-blind and in grey; dark is much.
COLOR_MAP = "cividis_r"


class SegmentMapDisplay:
    """All segments in a plane: similar ones near each other, sized and named.

    Use it to see what a catalogue is made of, or, with ``values``, what a user's taste
    or the drift since the last training looks like. Areas are in proportion to the
    number of items. Distances between neighbours say something; those across the map
    say little, as hundreds of dimensions do not fit into two. Make one with
    `from_estimator` or `from_arrays`; all parameters are stored as attributes.

    Parameters
    ----------
    positions : array-like of shape (n_segments, 2)
        Where segments are, in any unit; circles that would overlap are pushed apart.
    sizes : array-like of shape (n_segments,)
        Numbers of items.
    names : array-like of shape (n_segments,)
        What segments are called.
    values : array-like of shape (n_segments,), default=None
        What the colours say.
    value_name : str, default="value"
        What the values are, for the colour bar.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last ``plot``; one unit is one point of the size at that time.
    figure_ : matplotlib Figure
        Their figure.
    circles_ : matplotlib PatchCollection
        The segments, in order.
    labels_ : dict of int to matplotlib Text
        The names, by place in ``names``; those without room are missing.
    colorbar_ : matplotlib Colorbar or None
        What the colours mean.

    See Also
    --------
    SegmentLayoutDisplay : The best segments of a user, with their items.
    sklearn.manifold.TSNE : Makes the positions.

    Examples
    --------
    >>> from sksparse_rec.plotting import SegmentMapDisplay
    >>> display = SegmentMapDisplay.from_arrays(
    ...     [[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1]],
    ...     sizes=[40, 20, 10],
    ...     names=["comedy", "satire", "western"],
    ... )
    >>> sorted(label.get_text() for label in display.labels_.values())
    ['comedy', 'satire', 'western']
    """

    def __init__(self, *, positions, sizes, names, values=None, value_name="value"):
        self.positions = positions
        self.sizes = sizes
        self.names = names
        self.values = values
        self.value_name = value_name

    @classmethod
    def from_estimator(
        cls,
        segments,
        *,
        values=None,
        value_name="value",
        n_segments=None,
        random_state=0,
        ax=None,
        **options,
    ):
        """Draw fitted segments.

        Parameters
        ----------
        segments : LatentSegments
            Fitted; ``segment_embeddings_``, ``segment_sizes_`` and ``segment_names_``
            are read.
        values : array-like of shape (n_segments,), default=None
            What the colours say, such as the scores of a user.
        value_name : str, default="value"
            What the values are.
        n_segments : int, default=None
            Draw only so many, the largest. None draws all; more than some hundred do
            not all get a name.
        random_state : int, RandomState instance or None, default=0
            Of the positions.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : SegmentMapDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the segments are not fitted.
        ValueError
            As ``from_arrays``.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(segments, "segment_embeddings_")
        return cls.from_arrays(
            segments.segment_embeddings_,
            segments.segment_sizes_,
            segments.segment_names_,
            values=values,
            value_name=value_name,
            n_segments=n_segments,
            random_state=random_state,
            ax=ax,
            **options,
        )

    @classmethod
    def from_arrays(
        cls,
        embeddings,
        sizes,
        names,
        *,
        values=None,
        value_name="value",
        n_segments=None,
        random_state=0,
        ax=None,
        **options,
    ):
        """Draw segments that were made in any other way.

        Parameters
        ----------
        embeddings : {array-like, sparse matrix} of shape (n_segments, n_components)
            Rows of unit length, compared by cosine.
        sizes : array-like of shape (n_segments,)
            Numbers of items, positive.
        names : array-like of shape (n_segments,)
            What segments are called.
        values : array-like of shape (n_segments,), default=None
            What the colours say; None draws all in one.
        value_name : str, default="value"
            What the values are.
        n_segments : int, default=None
            Draw only so many, the largest; ties to the first.
        random_state : int, RandomState instance or None, default=0
            Of the positions: t-SNE of the cosines.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : SegmentMapDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If there are no segments, if the arguments are not equally long, if a size
            is not positive, or if ``n_segments`` is below 1.
        ImportError
            If matplotlib is not installed.

        Notes
        -----
        O(n_segments²) time and memory.
        """
        import_pyplot(f"{cls.__name__}.from_arrays")
        if sp.issparse(embeddings):
            embeddings = sp.csr_array(embeddings)
        else:
            embeddings = np.asarray(embeddings, dtype=np.float64)
        sizes, names = np.asarray(sizes), np.asarray(names, dtype=object)
        values = None if values is None else np.asarray(values, dtype=np.float64)
        _check_lengths(embeddings.shape[0], sizes, names, values)
        if n_segments is not None and n_segments < 1:
            raise ValueError(f"n_segments must be at least 1, got {n_segments!r}")
        shown = np.lexsort((np.arange(len(sizes)), -sizes))[:n_segments]
        display = cls(
            positions=plane_positions(embeddings[shown], random_state),
            sizes=sizes[shown],
            names=names[shown],
            values=None if values is None else values[shown],
            value_name=value_name,
        )
        return display.plot(ax=ax, **options)

    def plot(self, *, ax=None, cmap=COLOR_MAP, circle_kw=None):
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. Names find their places for the size
            that the axes have now.
        cmap : str or matplotlib Colormap, default="cividis_r"
            Of the values.
        circle_kw : dict, default=None
            Passed to matplotlib's ``PatchCollection``, such as ``{"alpha": 1}``.

        Returns
        -------
        display : SegmentMapDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = use_axes(self, ax, (9, 7))
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_color("#dddddd")
        ax.set_xlabel("area: number of items", color=MUTED_INK, fontsize=9)
        circles = self._make_circles(cmap, circle_kw or {})
        width, height = axes_size(ax)
        ax.set(xlim=(0, width), ylim=(0, height))
        radii = circle_radii(self.sizes, width, height)
        texts, extents, has_room, size = plan_names(
            self.names, radii, width * height, NAME_SIZES
        )
        reserved = extents * has_room[:, None]
        halves = half_extents(radii, reserved)
        centers = scale_positions(np.asarray(self.positions), halves, width, height)
        centers = push_apart(centers, halves, width, height)
        # The circle is in the upper part of its box, the name in the lower one.
        centers[:, 1] += reserved[:, 1] / 2
        # Where boxes found no room, circles do.
        circle = half_extents(radii, 0 * extents)
        centers = push_apart(centers, circle, width, height)
        circles(centers, radii)
        self._write_names(
            texts, size, place_names(extents, centers, radii, (width, height))
        )
        return self

    def _make_circles(self, cmap, circle_kw):
        """Return a function that draws circles; a colour bar takes its room now."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.collections import PatchCollection
        from matplotlib.patches import Circle

        style = {"facecolor": STYLES[0][0], "alpha": 0.3, "edgecolor": "none"}
        self.colorbar_ = None
        if self.values is not None:
            colors = ScalarMappable(cmap=cmap)
            colors.set_array(np.asarray(self.values))
            self.colorbar_ = self.figure_.colorbar(
                colors, ax=self.ax_, label=self.value_name, shrink=0.6
            )
            style = {"facecolor": colors.to_rgba(self.values), "edgecolor": "none"}

        def draw(centers, radii):
            patches = [Circle(*circle) for circle in zip(centers, radii, strict=True)]
            self.circles_ = PatchCollection(patches, **(style | circle_kw))
            self.ax_.add_collection(self.circles_)

        return draw

    def _write_names(self, texts, size, places):
        self.labels_ = {
            segment: self.ax_.text(
                *places[segment],
                texts[segment],
                fontsize=size,
                ha="center",
                va="center",
                color=INK,
                linespacing=LINE_SPACING,
                parse_math=False,
            )
            for segment in sorted(places)
        }
        # An empty name needs no room.
        n_left = sum(map(bool, texts)) - len(self.labels_)
        if n_left:
            left = "1 segment has" if n_left == 1 else f"{n_left} segments have"
            note = f"area: number of items; {left} no room for a name"
            self.ax_.set_xlabel(note, color=MUTED_INK, fontsize=9)


def _check_lengths(n, sizes, names, values):
    if n == 0:
        raise ValueError("there are no segments to draw")
    for what, array in (("sizes", sizes), ("names", names), ("values", values)):
        if array is not None and array.shape != (n,):
            raise ValueError(
                f"{what} has shape {array.shape}, but embeddings has {n} rows"
            )
    if not np.all(np.isfinite(sizes)) or np.min(sizes) <= 0:
        raise ValueError(f"sizes must be positive, got {np.min(sizes)}")
