"""Data sets whose items carry curated tags."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import scipy.sparse as sp
from _data import (
    DATASETS,
    MIN_RATING,
    Dataset,
    data_folder,
    kept_items,
)
from _segment_scores import is_frequent
from sklearn.feature_extraction.text import CountVectorizer

from sksparse_rec.datasets import load_debian


@dataclass(frozen=True)
class Tagged:
    """A data set and the facets of its items.

    Parameters
    ----------
    dataset : Dataset
    load_tags : callable
        Returns the facets by name: CSR of ones (n_items, n_tags) for the columns of
        ``dataset.load()``, of tags that enough items carry.
    rows : str
        The facet of which rows of a page would be made.
    load_names : callable or None
        Returns the names of the tags of every facet, arrays of objects.
    """

    dataset: Dataset
    load_tags: Callable[[], dict]
    rows: str
    load_names: Callable[[], dict] | None = None

    @property
    def name(self):
        """Name of the folder of its records."""
        return self.dataset.name


def one_hot(lists):
    """Return the CSR of ones of lists of tags, a column for each tag."""
    return _named_one_hot(lists)[0]


def _named_one_hot(lists):
    vectorizer = CountVectorizer(analyzer=set, binary=True, dtype=np.float32)
    tags = sp.csr_array(vectorizer.fit_transform(lists))
    return tags, vectorizer.get_feature_names_out()


def _split(column, *, counted=False):
    lists = [text.split("|") if text else [] for text in column]
    if counted:
        # tag:number of users
        lists = [[tag.rpartition(":")[0] for tag in tags] for tags in lists]
    return _named_one_hot(lists)


def _frequent(facets, kept):
    """Keep the tags of enough of the items that are left, and their names."""
    found = {}
    for facet, (tags, names) in facets.items():
        tags = tags[kept]
        frequent = is_frequent(tags)
        found[facet] = tags[:, frequent], names[frequent]
    return found


def _load_folder(name, min_rating, facets):
    folder = data_folder() / name
    items = pd.read_csv(folder / "items.csv.gz", keep_default_na=False)
    kept = kept_items(sp.load_npz(folder / "interactions.npz"), min_rating)
    named = {
        facet: _split(items[facet], counted=counted)
        for facet, counted in facets.items()
    }
    return _frequent(named, kept)


def _load_debian():
    data = load_debian()
    kept = kept_items(data.data, 0)
    debtags = sp.csr_array(data.item_tags, dtype=np.float32)
    facets = {
        "section": _named_one_hot([[section] for section in data.item_sections]),
        "debtags": (debtags, np.asarray(data.tag_names)),
    }
    return _frequent(facets, kept)


def _part(load, place):
    return {facet: pair[place] for facet, pair in load().items()}


def _tagged(name, rows, load, *arguments):
    load = partial(load, *arguments)
    tags, names = (partial(_part, load, place) for place in (0, 1))
    return Tagged(DATASETS[name], tags, rows, names)


MOVIES = {"genres": False, "tags": True}
# The order is that of the page.
TAGGED = {
    each.name: each
    for each in (
        _tagged("debian", "section", _load_debian),
        _tagged("ml-1m", "genres", _load_folder, "ml-1m", MIN_RATING, MOVIES),
        _tagged(
            *("ml-latest-small", "genres", _load_folder),
            *("ml-latest-small", MIN_RATING, MOVIES),
        ),
        _tagged("citeulike-a", "tags", _load_folder, "citeulike-a", 0, {"tags": False}),
    )
}
