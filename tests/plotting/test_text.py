"""Text that is measured before it is drawn."""

import pytest
from matplotlib import pyplot

from sksparse_rec.plotting import _text
from sksparse_rec.plotting._text import fit, shorten, text_width, wrap

TEXTS = [
    "wilderness",
    "slow-cooking",
    "a$b$c",
    "Straßenbahn",
    "x",
    "an exceedingly long name of a segment, with no end in sight whatsoever",
]


@pytest.mark.parametrize("text", [*TEXTS, "many-parts::of_a/name, in a row", ""])
@pytest.mark.parametrize("width", [20, 45, 90, 1000])
def test_wrapped_lines_fit_and_lose_nothing(text, width):
    lines, is_whole = wrap(text, width, 99, 9)
    assert all(text_width(line, 9) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    if width == 1000:
        assert (lines, is_whole) == ([text] if text else [], True)
    short, is_whole = wrap(text, width, 1, 9)
    assert len(short) <= 1
    assert is_whole == (len(lines) <= 1) or not is_whole
    if len(lines) > 1:
        assert short[0].endswith("…")
        assert text.startswith(short[0].rstrip("…"))


@pytest.mark.parametrize("text", [*TEXTS, "WWWiiil.,", "AVATAR Ty"])
def test_measured_widths_are_those_of_the_renderer(text):
    figure, ax = pyplot.subplots(dpi=72)
    for size, weight in ((7, "normal"), (11, "bold")):
        label = ax.text(0, 0, text, fontsize=size, weight=weight, parse_math=False)
        figure.canvas.draw()
        extent = label.get_window_extent()
        measured = text_width(text, size, weight)
        assert extent.width - 2 <= measured <= 1.15 * extent.width + 2


def test_line_breaks_of_a_name_are_spaces():
    text = "slow\r\n\tcooking\n"
    assert shorten(text, 1000, 9) == "slow cooking"
    assert wrap(text, 1000, 2, 9) == (["slow cooking"], True)


@pytest.mark.parametrize("width", [2, 8, 20, 45, 90])
def test_what_is_cut_is_as_long_as_it_can_be(width):
    for text in [*TEXTS, "a  - b"]:
        cut = shorten(text, width, 9)
        assert text_width(cut, 9) <= width
        longer = [
            text[:end].rstrip(" -_/.:,") + "…"
            for end in range(len(cut.rstrip("…")) + 1, len(text))
        ]
        if cut != text:
            lengths = [len(other) for other in longer if text_width(other, 9) <= width]
            assert max(lengths, default=0) <= len(cut)


def test_long_texts_take_time_in_proportion(monkeypatch):
    n_measured, plain = [0], _text._letter_width

    def counted(*letter):
        n_measured[0] += 1
        return plain(*letter)

    monkeypatch.setattr(_text, "_letter_width", counted)
    text = "a word and more " * 500
    fit(text, 90, 60, (9, 8))
    assert shorten(text, 90, 9).endswith("…")
    assert n_measured[0] < 60 * len(text)
