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
from _segment_scores import frequent_tags
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
    """

    dataset: Dataset
    load_tags: Callable[[], dict]
    rows: str

    @property
    def name(self):
        """Name of the folder of its records."""
        return self.dataset.name


def one_hot(lists):
    """Return the CSR of ones of lists of tags, a column for each tag."""
    vectorizer = CountVectorizer(analyzer=set, binary=True, dtype=np.float32)
    return sp.csr_array(vectorizer.fit_transform(lists))


def _split(column, *, counted=False):
    lists = [text.split("|") if text else [] for text in column]
    if counted:
        # tag:number of users
        lists = [[tag.rpartition(":")[0] for tag in tags] for tags in lists]
    return one_hot(lists)


def _load_folder(name, min_rating, facets):
    folder = data_folder() / name
    items = pd.read_csv(folder / "items.csv.gz", keep_default_na=False)
    kept = kept_items(sp.load_npz(folder / "interactions.npz"), min_rating)
    return {
        facet: frequent_tags(_split(items[facet], counted=counted)[kept])
        for facet, counted in facets.items()
    }


def _load_debian():
    data = load_debian()
    kept = kept_items(data.data, 0)
    facets = {
        "section": one_hot([[section] for section in data.item_sections]),
        "debtags": sp.csr_array(data.item_tags, dtype=np.float32),
    }
    return {name: frequent_tags(tags[kept]) for name, tags in facets.items()}


def _tagged(name, rows, load, *arguments):
    return Tagged(DATASETS[name], partial(load, *arguments), rows)


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
