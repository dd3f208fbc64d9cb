"""A home page: rows of segments, each with cards of items."""

from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sksparse_rec._names import check_n_names, names_at
from sksparse_rec._validation import as_row
from sksparse_rec.plotting._axes import STYLES, use_axes
from sksparse_rec.plotting._text import axes_size, fit, shorten, text_height

INK, MUTED_INK = "#222222", "#5f5f5f"
CARD, CARD_EDGE = "#f6f6f6", "#c4c4c4"
# Points: around everything, between cards, between rows, of the stripe, inside a card.
MARGIN, CARD_GAP, ROW_GAP, STRIPE, PADDING = 8, 7, 12, 4, 5
TITLE_SIZE, SCORE_SIZE = 11.0, 7.0
NAME_SIZES = (9.5, 9, 8.5, 8, 7.5, 7, 6.5, 6)
# All names get the size of the one that needs the smallest, if that is not below this.
COMMON_SIZE = 8
# A card that is lower has no room for a score below the name.
LEAST_HEIGHT = 2 * PADDING + 1.4 * SCORE_SIZE + text_height(1, NAME_SIZES[-1])
# Inches of a figure for each card and each row, and for the title.
CARD_WIDTH, ROW_HEIGHT, HEAD = 1.3, 1.12, 0.35


class _Sizes(NamedTuple):
    """Of a page, in points."""

    row: float  # from the top of a row to the top of the next
    title: float  # font size
    width: float  # of a card
    height: float
    has_score: bool
    name_box: tuple  # room for a name on a card
    fonts: list  # sizes of names, descending


class SegmentLayoutDisplay:
    """A home page as cards: a row for each segment, with its items.

    Use it to look at what ``LatentSegments.layout`` makes of a user. Make one with
    `from_estimator` or `from_arrays`; all parameters are stored as attributes.

    Parameters
    ----------
    segment_names : list of str
        Titles of the rows, from the top.
    item_names : list of list of str
        The items of each row, best first; rows may differ in length.
    scores : list of array-like, default=None
        Their scores, written on the cards.
    title : str, default=None
        Written above the rows.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the last ``plot``.
    figure_ : matplotlib Figure
        Their figure.
    titles_ : list of matplotlib Text
        The titles of the rows.
    cards_ : list of list of matplotlib FancyBboxPatch
        The cards of each row.
    names_ : list of list of matplotlib Text
        What is written on them; names that do not fit end with "…".
    scores_ : list of list of matplotlib Text
        The scores on them; none where there are no scores, or no room.

    See Also
    --------
    SegmentMapDisplay : All segments, in a plane.
    LatentActivationDisplay : What makes a user's profile.

    Examples
    --------
    >>> from sksparse_rec.plotting import SegmentLayoutDisplay
    >>> display = SegmentLayoutDisplay.from_arrays(
    ...     [1, 0],
    ...     [[3, 2], [0, -1]],
    ...     segment_names=["comedy", "drama"],
    ...     item_names=["Hamlet", "Faust", "Tartuffe", "The Bourgeois Gentleman"],
    ... )
    >>> [title.get_text() for title in display.titles_]
    ['drama', 'comedy']
    >>> [len(cards) for cards in display.cards_]
    [2, 1]
    """

    def __init__(self, *, segment_names, item_names, scores=None, title=None):
        self.segment_names = segment_names
        self.item_names = item_names
        self.scores = scores
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        segments,
        X,
        *,
        n_rows=4,
        k=6,
        seen=None,
        item_names=None,
        title=None,
        layout_kw=None,
        ax=None,
        **options,
    ):
        """Draw the home page that fitted segments make for a user.

        Parameters
        ----------
        segments : LatentSegments
            Fitted; its ``layout`` is called.
        X : {array-like, sparse matrix} of shape (1, n_components) or (n_components,)
            The profile of one user: what ``CompressedELSA.transform`` returns.
        n_rows : int, default=4
            Number of rows.
        k : int, default=6
            Items of a row.
        seen : {array-like, sparse matrix} of shape (1, n_items), default=None
            What is not to be shown, such as the history that the profile is of.
        item_names : array-like of shape (n_items,), default=None
            What items are called. None takes the names that the segments were fitted
            with, or "item 7".
        title : str, default=None
            Written above the rows.
        layout_kw : dict, default=None
            More arguments of ``layout``, such as ``{"diversity": 0.3}``.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : SegmentLayoutDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the segments are not fitted.
        ValueError
            If ``X`` has more than one row, if there are more or fewer ``item_names``
            than items, or as ``layout``.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(segments)
        X = as_row(X)
        if X.shape[0] != 1:
            raise ValueError(f"X must be the profile of one user, got {X.shape[0]}")
        check_n_names(item_names, len(segments.labels_), "item")
        if item_names is None:
            item_names = getattr(segments, "item_names_", None)
        page = segments.layout(X, n_rows, k, seen=seen, **(layout_kw or {}))
        return cls.from_arrays(
            page.segments[0],
            page.items[0],
            page.scores[0],
            segment_names=segments.segment_names_,
            item_names=item_names,
            title=title,
            ax=ax,
            **options,
        )

    @classmethod
    def from_arrays(
        cls,
        segments,
        items,
        scores=None,
        *,
        segment_names=None,
        item_names=None,
        title=None,
        ax=None,
        **options,
    ):
        """Draw a home page that was made in any other way.

        Parameters
        ----------
        segments : array-like of shape (n_rows,)
            The segment of each row; rows of -1 are left out.
        items : array-like of shape (n_rows, k)
            The items of each row, best first, padded with -1.
        scores : array-like of shape (n_rows, k), default=None
            Their scores, to be written on the cards.
        segment_names : array-like of shape (n_segments,), default=None
            What segments are called; None is "segment 7".
        item_names : array-like of shape (n_items,), default=None
            What items are called; None is "item 7".
        title : str, default=None
            Written above the rows.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **options : dict
            Passed to ``plot``.

        Returns
        -------
        display : SegmentLayoutDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the shapes do not match, if a segment or an item is beyond the names, or
            if there is no item at all.
        ImportError
            If matplotlib is not installed.
        """
        segments, items = np.asarray(segments), np.asarray(items)
        if items.ndim != 2 or segments.shape != items.shape[:1]:
            raise ValueError(
                f"segments has shape {segments.shape} and items {items.shape}: items "
                "must have a row for each segment"
            )
        if scores is not None and np.shape(scores) != items.shape:
            raise ValueError(
                f"scores has shape {np.shape(scores)} and items {items.shape}"
            )
        rows = np.flatnonzero((segments >= 0) & (items >= 0).any(axis=1))
        if not len(rows):
            raise ValueError("items are all -1: there is nothing to draw")
        display = cls(
            segment_names=names_at(segment_names, segments[rows], "segment"),
            item_names=[
                names_at(item_names, items[row][items[row] >= 0], "item")
                for row in rows
            ],
            scores=None
            if scores is None
            else [np.asarray(scores)[row][items[row] >= 0] for row in rows],
            title=title,
        )
        return display.plot(ax=ax, **options)

    def plot(self, *, ax=None, score_format="{:.2f}"):
        """Draw the cards.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure, as large as the cards ask for. Cards
            are made for the size that the axes have now.
        score_format : str, default="{:.2f}"
            How scores are written.

        Returns
        -------
        display : SegmentLayoutDisplay
            This display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        n_rows, n_cards = len(self.item_names), max(map(len, self.item_names))
        head = HEAD if self.title else 0.05
        size = CARD_WIDTH * max(n_cards, 3) + 0.3, ROW_HEIGHT * n_rows + head
        ax = use_axes(self, ax, size)
        if self.title:
            ax.set_title(self.title, loc="left", fontsize=TITLE_SIZE + 1)
        ax.set_axis_off()
        width, height = axes_size(ax)
        # One unit is one point, so that text and boxes are measured alike.
        ax.set(xlim=(0, width), ylim=(height, 0))
        sizes = _measure(self.item_names, self.scores is not None, width, height)
        self.titles_, self.cards_, self.names_, self.scores_ = [], [], [], []
        for i in range(n_rows):
            self._draw_row(i, sizes, score_format)
        return self

    def _draw_row(self, i, sizes, score_format):
        from matplotlib.patches import Rectangle

        top = MARGIN + i * sizes.row
        left = MARGIN + STRIPE + CARD_GAP
        room = self.ax_.get_xlim()[1] - left - MARGIN
        title = shorten(str(self.segment_names[i]), room, sizes.title, "bold")
        style = {"va": "top", "weight": "bold", "color": INK}
        self.titles_.append(self._write(left, top, title, sizes.title, **style))
        height = sizes.row - ROW_GAP
        color = STYLES[i % len(STYLES)][0]
        self.ax_.add_patch(Rectangle((MARGIN, top), STRIPE, height, color=color))
        y = top + height - sizes.height
        cards, names, scores = [], [], []
        for j, name in enumerate(self.item_names[i]):
            x = left + j * (sizes.width + CARD_GAP)
            cards.append(self._draw_card(x, y, sizes.width, sizes.height))
            if sizes.has_score:
                score = score_format.format(self.scores[i][j])
                scores.append(self._draw_score(x, y, sizes, score))
            names.append(self._draw_name(x, y, sizes, str(name)))
        self.cards_.append(cards)
        self.names_.append(names)
        self.scores_.append(scores)

    def _draw_card(self, x, y, width, height):
        from matplotlib.patches import FancyBboxPatch

        card = FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle=f"round,pad=0,rounding_size={min(5, height / 4, width / 4)}",
            facecolor=CARD,
            edgecolor=CARD_EDGE,
        )
        return self.ax_.add_patch(card)

    def _draw_name(self, x, y, sizes, name):
        lines, size = fit(name, *sizes.name_box, sizes.fonts)
        return self._write(
            x + PADDING, y + PADDING, "\n".join(lines), size, va="top", color=INK
        )

    def _draw_score(self, x, y, sizes, score):
        x, y = x + sizes.width - PADDING, y + sizes.height - PADDING
        score = shorten(score, sizes.width - 2 * PADDING, SCORE_SIZE)
        style = {"ha": "right", "va": "bottom", "color": MUTED_INK}
        return self._write(x, y, score, SCORE_SIZE, **style)

    def _write(self, x, y, text, size, **style):
        return self.ax_.text(x, y, text, fontsize=size, parse_math=False, **style)


def _measure(item_names, has_scores, width, height):
    """Divide a page of so many points; all names have one size if that is legible."""
    n_rows, n_cards = len(item_names), max(map(len, item_names))
    row = (height - 2 * MARGIN + ROW_GAP) / n_rows
    title = min(TITLE_SIZE, 0.25 * (row - ROW_GAP))
    card_width = (width - 2 * MARGIN - STRIPE - CARD_GAP * n_cards) / n_cards
    card_height = row - ROW_GAP - 1.55 * title
    has_score = has_scores and card_height >= LEAST_HEIGHT
    name_height = card_height - 2 * PADDING - 1.4 * SCORE_SIZE * has_score
    name_box = card_width - 2 * PADDING, name_height
    names = [str(name) for names in item_names for name in names]
    smallest = min(fit(name, *name_box, NAME_SIZES)[1] for name in names)
    fonts = [size for size in NAME_SIZES if size <= max(smallest, COMMON_SIZE)]
    return _Sizes(row, title, card_width, card_height, has_score, name_box, fonts)
