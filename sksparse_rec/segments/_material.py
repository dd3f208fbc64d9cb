"""What is known of items and latents besides embeddings: checked once, in ``fit``."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_array

from sksparse_rec._validation import Integral, Real
from sksparse_rec.segments._words import WordCounts, count_tags, count_words


class Material(NamedTuple):
    """What names can be made of; None where there is none."""

    item_names: np.ndarray | None
    anchors: np.ndarray | None
    texts: list | None
    words: WordCounts | None
    tags: WordCounts | None


def check_material(
    n_items,
    n_components,
    vectorizer,
    *,
    item_texts=None,
    item_tags=None,
    tag_names=None,
    item_names=None,
    anchors=None,
):
    """Check the keyword arguments of ``LatentSegments.fit``.

    Raises
    ------
    ValueError
        If there are more or fewer of anything than items, or anchors than latents.
    TypeError
        If a text, a tag or a name is no string.
    """
    texts = None if item_texts is None else _texts(item_texts, n_items)
    return Material(
        item_names=None if item_names is None else _names(item_names, n_items),
        anchors=None if anchors is None else _anchors(anchors, n_items, n_components),
        texts=texts,
        words=None if texts is None else count_words(texts, vectorizer),
        tags=_tags(item_tags, tag_names, n_items),
    )


def _check_count(values, n, what, each):
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise TypeError(f"{what} must have one entry {each}, got {values!r:.100}")
    if len(values) != n:
        raise ValueError(
            f"{what} has {len(values)} entries, and must have one {each}: {n}"
        )


def _is_missing(value):
    """Tell whether a value is None, NaN or the NA of pandas, which equals nothing."""
    is_nan = isinstance(value, Real) and value != value
    return value is None or is_nan or type(value).__name__ == "NAType"


def _texts(item_texts, n_items):
    _check_count(item_texts, n_items, "item_texts", "an item")
    texts = ["" if _is_missing(text) else text for text in list(item_texts)]
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"item_texts[{position}] is {text!r:.100}: texts are strings, or None"
            )
    return [str(text) for text in texts]


def _names(item_names, n_items):
    _check_count(item_names, n_items, "item_names", "an item")
    names = np.empty(n_items, dtype=object)
    for position, name in enumerate(list(item_names)):
        if not isinstance(name, str | Integral):
            raise TypeError(
                f"item_names[{position}] is {name!r:.100}: names are strings or "
                "integers"
            )
        names[position] = str(name)
    return names


def _anchors(anchors, n_items, n_components):
    _check_count(anchors, n_components, "anchors", "a latent")
    anchors = np.asarray(anchors)
    if anchors.ndim != 1 or anchors.dtype.kind not in "iu":
        raise TypeError(
            "anchors must be item positions, -1 for latents without one, as "
            f"CompressedELSA.anchors_; got {anchors.dtype} of shape {anchors.shape}"
        )
    bad = np.flatnonzero((anchors < -1) | (anchors >= n_items))
    if len(bad):
        raise ValueError(
            f"anchors[{bad[0]}] is {anchors[bad[0]]}, but items run from 0 to "
            f"{n_items - 1}"
        )
    return anchors.astype(np.int64)


def _tags(item_tags, tag_names, n_items):
    if item_tags is None:
        if tag_names is not None:
            raise ValueError("there are tag_names, but no item_tags")
        return None
    is_table = sp.issparse(item_tags) or getattr(item_tags, "ndim", 1) == 2
    if is_table:
        return _tag_table(item_tags, tag_names, n_items)
    if tag_names is not None:
        raise ValueError(
            "tag_names are the columns of a matrix, but item_tags is none: pass a "
            "sparse matrix or an array of shape (n_items, n_tags), or no tag_names"
        )
    _check_count(item_tags, n_items, "item_tags", "an item")
    tags = [[] if _is_missing(own) else own for own in list(item_tags)]
    for position, own in enumerate(tags):
        is_list = isinstance(own, list | tuple | set | frozenset | np.ndarray)
        if not is_list or not all(isinstance(tag, str) for tag in own):
            raise TypeError(
                f"item_tags[{position}] is {own!r:.100}: the tags of an item are a "
                "list of strings, or None"
            )
    return count_tags(tags)


def _tag_table(item_tags, tag_names, n_items):
    """Return tags that are a matrix with a column for each."""
    if tag_names is None:
        tag_names = getattr(item_tags, "columns", None)
    if tag_names is None:
        raise ValueError(
            f"item_tags is a matrix of shape {item_tags.shape} without names of its "
            "columns: pass tag_names"
        )
    table = check_array(item_tags, accept_sparse="csr", input_name="item_tags")
    if table.shape[0] != n_items:
        raise ValueError(
            f"item_tags has {table.shape[0]} rows, and must have one an item: {n_items}"
        )
    _check_count(tag_names, table.shape[1], "tag_names", "a column of item_tags")
    # A copy, as the comparison sums duplicates in place.
    counts = sp.csr_array(table, copy=True) != 0
    words = np.empty(table.shape[1], dtype=object)
    words[:] = [str(name) for name in list(tag_names)]
    return WordCounts(sp.csr_array(counts, dtype=np.float64), words)
