"""Where texts are in a picture, for tests that they can be read."""

import itertools

LONG = "an exceedingly long name of a segment, with no end in sight whatsoever"


def boxes(figure, texts):
    """Return the extents of texts, after a layout."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in texts]


def assert_apart(extents):
    for one, other in itertools.combinations(extents, 2):
        width = min(one.x1, other.x1) - max(one.x0, other.x0)
        height = min(one.y1, other.y1) - max(one.y0, other.y0)
        # Half a pixel is rounding.
        assert min(width, height) <= 0.5


def assert_inside(extent, frame, slack=0.5):
    assert extent.x0 >= frame.x0 - slack
    assert extent.y0 >= frame.y0 - slack
    assert extent.x1 <= frame.x1 + slack
    assert extent.y1 <= frame.y1 + slack
