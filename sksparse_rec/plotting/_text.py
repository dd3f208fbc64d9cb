"""Text that has to fit: measured, wrapped and shortened before it is drawn."""

import re
from functools import lru_cache
from itertools import accumulate

ELLIPSIS = "…"
# Of the font's size: from one line to the next, as matplotlib's ``linespacing``.
LINE_SPACING = 1.2
# Words with the space after them, and the parts at whose ends a long one is broken.
WORDS = re.compile(r"\S*\s*")
PARTS = re.compile(r"[^\-_/.:,]*[\-_/.:,\s]*")


def axes_size(ax):
    """Return width and height of axes in points, once their layout is settled."""
    ax.figure.draw_without_rendering()
    box, (width, height) = ax.get_position(), ax.figure.get_size_inches()
    return 72 * width * box.width, 72 * height * box.height


def text_width(text, size, weight="normal"):
    """Return the width of a line of text in points, in matplotlib's default font.

    A few per cent more than most renderers need, as they hint glyphs.
    """
    from matplotlib import rcParams

    family = tuple(rcParams["font.family"])
    widths = (_letter_width(letter, weight, family) for letter in text)
    return 1.03 * size * sum(widths)


@lru_cache(maxsize=10_000)
def _letter_width(letter, weight, family):
    """Return the advance of a letter in a font of size 1."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=list(family), size=100, weight=weight)
    # Between others, as a space alone would have no width.
    widths = [
        text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]
        for text in (f"x{letter}x", "xx")
    ]
    return (widths[0] - widths[1]) / 100


def text_height(n_lines, size):
    """Return the height of lines of text in points."""
    return size * (LINE_SPACING * (n_lines - 1) + 1.15)


def shorten(text, width, size, weight="normal"):
    """Cut a text so that it is a line of at most so many points.

    Spaces and line breaks are one space each.
    """
    text = _one_line(text)
    if text_width(text, size, weight) <= width:
        return text
    for end in range(_n_fitting(text, width, size, weight), 0, -1):
        cut = text[:end].rstrip(" -_/.:,") + ELLIPSIS
        if text_width(cut, size, weight) <= width:
            return cut
    return ELLIPSIS if text_width(ELLIPSIS, size, weight) <= width else ""


def _one_line(text):
    return " ".join(str(text).split())


def _n_fitting(text, width, size, weight):
    """Return how many letters of a text that is too wide fit into a line."""
    widths = accumulate(text_width(letter, size, weight) for letter in text)
    return next((n for n, total in enumerate(widths) if total > width), len(text) - 1)


def wrap(text, width, n_lines, size, weight="normal"):
    """Break a text into lines of so many points; what is too long is cut.

    Returns
    -------
    lines : list of str
        At most ``n_lines``.
    is_whole : bool
        Whether nothing is missing and no word had to be broken.
    """
    lines, is_whole = [""], True
    for piece in _pieces(_one_line(text), width, size, weight):
        if text_width((lines[-1] + piece).rstrip(), size, weight) <= width:
            lines[-1] += piece
            continue
        lines.append("")
        for letter in piece:
            if text_width((lines[-1] + letter).rstrip(), size, weight) > width:
                is_whole = False
                lines.append("")
            lines[-1] += letter
    lines = [line for line in lines if line.strip()]
    if len(lines) > n_lines:
        last = "".join(lines[n_lines - 1 :])
        lines = [*lines[: n_lines - 1], shorten(last, width, size, weight)]
        is_whole = False
    return [line.rstrip() for line in lines], is_whole


def _pieces(text, width, size, weight):
    """Return words, and what is between hyphens and the like of those too wide."""
    pieces = []
    for word in WORDS.findall(text):
        is_wide = text_width(word.rstrip(), size, weight) > width
        pieces += PARTS.findall(word) if is_wide else [word]
    return [piece for piece in pieces if piece]


def fit(text, width, height, sizes, weight="normal"):
    """Return the lines of a text in a box, and the largest size at which it fits.

    Where it fits at none it is cut at the smallest.
    """
    for size in sizes:
        n_lines = max(1, int((height / size - 1.15) / LINE_SPACING + 1))
        lines, is_whole = wrap(text, width, n_lines, size, weight)
        if is_whole:
            break
    return lines, size
