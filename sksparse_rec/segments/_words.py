"""Words of item texts and tags, and which of them tell groups of items apart."""

import itertools
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer

from sksparse_rec._sparse import row_indices
from sksparse_rec.segments._assignment import sum_by_label

# Weights below this are none.
ROUNDING = 1e-12
# Words of two characters or more that begin with a letter: numbers name nothing.
WORDS = r"(?u)\b[^\W\d_]\w+\b"


class WordCounts(NamedTuple):
    """How often every item has every word.

    ``counts`` is CSR of shape (n_items, n_words), ``words`` an array of n_words str.
    """

    counts: sp.csr_array
    words: np.ndarray


def count_words(texts, vectorizer=None):
    """Count the words of texts.

    Parameters
    ----------
    texts : list of str
    vectorizer : object, default=None
        As scikit-learn's vectorizers; it is cloned. None counts a word once a text, so
        that a long text weighs no more than others.

    Returns
    -------
    WordCounts
        Without any words where all texts are empty.
    """
    if vectorizer is None:
        vectorizer = CountVectorizer(
            binary=True, stop_words="english", token_pattern=WORDS
        )
    vectorizer = clone(vectorizer)
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError as error:
        # scikit-learn has no class for it.
        if "empty vocabulary" not in str(error):
            raise
        return WordCounts(sp.csr_array((len(texts), 0)), np.empty(0, dtype=object))
    words = np.asarray(vectorizer.get_feature_names_out(), dtype=object)
    counts = sp.csr_array(counts, dtype=np.float64)
    counts.eliminate_zeros()
    if np.any(counts.data < 0):
        raise ValueError(
            f"{vectorizer} counts a word {counts.data.min()} times: take a vectorizer "
            "without negative values"
        )
    return WordCounts(counts, words)


def count_tags(tags):
    """Count lists of tags, a tag once an item.

    Parameters
    ----------
    tags : list of list of str

    Returns
    -------
    WordCounts
        Tags in ascending order.
    """
    words = sorted({tag for own in tags for tag in own})
    where = {tag: column for column, tag in enumerate(words)}
    columns = [sorted({where[tag] for tag in own}) for own in tags]
    indptr = np.concatenate([[0], np.cumsum(list(map(len, columns)))])
    indices = np.array([column for own in columns for column in own], dtype=np.int64)
    shape = len(tags), len(words)
    counts = sp.csr_array((np.ones(len(indices)), indices, indptr), shape=shape)
    return WordCounts(counts, np.array(words, dtype=object))


def class_tfidf(counts, labels, n_labels):
    """Return how well every word tells a group of items from all items.

    It is TF-IDF with groups in the place of documents,

        f_wg · log(f_wg / f_w),

    where ``f_wg`` is the share of word ``w`` in all words of group ``g``, and ``f_w``
    its share in those of all items. The usual ``log(1 + m / c_w)`` with the mean count
    ``m`` of a group suits long documents: items with a few tags each make ``m`` so
    small that what a single item has comes before what half of a group has.

    Parameters
    ----------
    counts : csr_array of shape (n_items, n_words)
    labels : ndarray of shape (n_items,), int64
        The group of every item, -1 for none.
    n_labels : int

    Returns
    -------
    weights, shares : csr_array of shape (n_labels, n_words), float64
        Of the same pattern; ``shares`` are the ``f_wg``.
    """
    totals = sum_by_label(counts, labels, n_labels)
    of_word = counts.sum(axis=0)
    overall = (of_word / max(of_word.sum(), 1e-300))[totals.indices]
    shares = totals.data / totals.sum(axis=1)[row_indices(totals)]
    data = shares * np.log(shares / overall)
    # What is as frequent everywhere says nothing, whatever rounding makes of it.
    data[np.abs(data) < ROUNDING] = 0
    return tuple(
        sp.csr_array((values, totals.indices, totals.indptr), shape=totals.shape)
        for values in (data, shares)
    )


def best_words(counted, labels, n_labels, n_words):
    """Return the words of largest weight of every group, the more frequent of a tie.

    Words that are rarer in a group than elsewhere are left out, if it has others.

    Returns
    -------
    words : list of list of str
        At most ``n_words`` for each group.
    """
    weights, shares = class_tfidf(counted.counts, labels, n_labels)
    best = []
    for start, stop in itertools.pairwise(weights.indptr):
        data, frequency = weights.data[start:stop], shares.data[start:stop]
        words = counted.words[weights.indices[start:stop]].astype(str)
        order = np.lexsort((words, -frequency, -data))
        if np.any(data > 0):
            order = order[data[order] > 0]
        best.append(words[order[:n_words]].tolist())
    return best
