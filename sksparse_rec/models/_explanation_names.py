"""What the parts of explanations are called, and sentences about them."""

from typing import Any, NamedTuple

import numpy as np

from sksparse_rec._names import check_n_names, names_at, names_of_latents

# What contributes, in the order of texts and tables: what parts are called, and where
# contributions come from.
WAYS = {
    "history": ("items", "the history"),
    "feature": ("features", "the query"),
    "segment": ("segments", "segments"),
    "latent": ("latents", "latents"),
}
NO_SEGMENT = "no segment"


class Labels(NamedTuple):
    """What an explanation knows of its parts, beside their positions."""

    positions: Any  # ndarray of the items that were asked for
    item_names: Any = None
    anchors: Any = None  # for each latent the item that it started from
    segment_names: Any = None
    feature_names: Any = None
    n_items: int | None = None  # of the catalogue

    def with_names(self, item_names, latent_names=None):
        """Return a function from a way and positions to names."""
        check_n_names(item_names, self.n_items, "item")
        own = self.item_names if item_names is None else np.asarray(item_names, object)

        def names_of(way, positions):
            if way == "history":
                return names_at(own, positions, "item")
            if way == "feature":
                return names_at(self.feature_names, positions, "feature")
            if way == "segment":
                names = [*self.segment_names, NO_SEGMENT]
                return names_at(names, positions, "segment")
            if latent_names is not None:
                return names_at(latent_names, positions, "latent")
            return names_of_latents(positions, self.anchors, own)

        return names_of


def strongest_first(parts, values):
    """Return the order by descending magnitude; ties to the lower part."""
    # Rounded, as sums that are equal on paper are not in the last digit.
    return np.lexsort((parts, -np.round(np.abs(values), 9)))


def sentence(way, names, values, n_top, digits):
    """Say in a sentence what contributes most, and what is left.

    Parameters
    ----------
    way : str
        One of ``WAYS``.
    names : list of str
    values : ndarray
        Contributions, strongest first.
    n_top : int
        How many are named.
    digits : int
        After the point.
    """
    parts, source = WAYS[way]
    if len(values) == 0:
        return f"Nothing comes from {source}."
    if not is_whole(names, n_top):
        names = names[:n_top]
    n_named = len(names)
    pairs = zip(names, values[:n_named], strict=True)
    told = [f"{quoted(name)} {number(value, digits)}" for name, value in pairs]
    text = f"From {source}: {enumeration(told)}"
    n_left = len(values) - n_named
    if n_left:
        left = number(values[n_named:].sum(), digits)
        text += f"; the other {n_left} {parts} together {left}"
    return text + "."


def is_whole(names, n_top):
    """Tell whether all are named: leaving out a single one saves no words."""
    return len(names) <= n_top + 1


def quoted(name):
    """Return a name with quotes where it would fall apart in a list."""
    return f'"{name}"' if ", " in name or " and " in name else name


def number(value, digits):
    """Write a contribution with its sign."""
    text = f"{value:+.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text


def digits_for(scores):
    """Return how many digits after the point show three digits of the scores."""
    largest = np.max(np.abs(scores), initial=0)
    if largest == 0:
        return 2
    return int(np.clip(2 - np.floor(np.log10(largest)), 0, 9))


def enumeration(texts):
    """Join texts as a list of words."""
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} and {texts[-1]}"
