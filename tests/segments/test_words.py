"""Words that tell groups apart, against sums over items."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

from sksparse_rec import LatentSegments
from sksparse_rec.segments._words import (
    best_words,
    class_tfidf,
    count_tags,
    count_words,
)

LABELS = np.array([0, 0, 0, 1, 1, -1, 2])
TAGS = [
    ["red", "round"],
    ["red"],
    ["red", "red", "sweet"],
    ["round", "sweet"],
    ["round"],
    ["sweet", "other"],
    [],
]


def slow_weights(tags, labels, n_labels):
    """f_wg · log(f_wg / f_w), by words, for each group."""
    tags = [set(own) for own in tags]
    everything = [tag for own in tags for tag in own]
    weights = []
    for label in range(n_labels):
        own = [
            tag
            for item, at in zip(tags, labels, strict=True)
            if at == label
            for tag in item
        ]
        weights.append(
            {
                tag: own.count(tag)
                / len(own)
                * math.log(
                    own.count(tag)
                    / len(own)
                    / (everything.count(tag) / len(everything))
                )
                for tag in set(own)
            }
        )
    return weights


def test_weights_are_those_of_the_formula():
    counted = count_tags(TAGS)
    weights, shares = class_tfidf(counted.counts, LABELS, 3)
    for row, expected in enumerate(slow_weights(TAGS, LABELS, 3)):
        for column, word in enumerate(counted.words):
            assert weights[row, column] == pytest.approx(expected.get(word, 0))
    assert shares.toarray()[0].sum() == pytest.approx(1)
    assert shares.toarray()[2].sum() == 0


def test_words_come_by_weight_and_rarer_ones_than_elsewhere_are_left_out():
    found = best_words(count_tags(TAGS), LABELS, 3, 5)
    weights = slow_weights(TAGS, LABELS, 3)
    for words, of_group in zip(found, weights, strict=True):
        assert set(words) == {word for word, w in of_group.items() if w > 0}
        for one, two in itertools.pairwise(words):
            assert of_group[one] >= of_group[two]
    assert found[0] == ["red"]
    assert found[2] == []
    assert best_words(count_tags(TAGS), LABELS, 3, 1)[1] == ["round"]


def test_one_group_of_everything_is_named_by_frequency():
    words = best_words(count_tags(TAGS[:5]), np.zeros(5, dtype=np.int64), 1, 2)
    assert words == [["red", "round"]]


def test_ties_are_in_alphabetical_order():
    tags = [["b", "a", "é"], ["c"], ["c"]]
    assert best_words(count_tags(tags), np.array([0, 1, 1]), 2, 3) == [
        ["a", "b", "é"],
        ["c"],
    ]


def test_texts_are_counted_once_without_numbers_and_common_words():
    counted = count_words(["The Tea of 1999, tea x", "naïve 3d teas", "", "the"])
    assert counted.words.tolist() == ["naïve", "tea", "teas"]
    np.testing.assert_array_equal(
        counted.counts.toarray(), [[0, 1, 0], [1, 0, 1], [0, 0, 0], [0, 0, 0]]
    )
    for texts in (["", ""], ["the 1"]):
        assert count_words(texts).counts.shape == (len(texts), 0)


def test_vectorizers_of_the_user(drinks):
    X, texts = drinks
    vectorizer = CountVectorizer(ngram_range=(2, 2))
    segments = LatentSegments(min_size=2, vectorizer=vectorizer, n_words=1)
    segments.fit(X, item_texts=texts)
    # Ties go by the alphabet.
    assert segments.segment_names_.tolist() == ["black tea", "coffee beans"]
    assert not hasattr(vectorizer, "vocabulary_")

    class Negative(CountVectorizer):
        def fit_transform(self, raw_documents, y=None):
            return -super().fit_transform(raw_documents)

    segments.set_params(vectorizer=Negative())
    with pytest.raises(ValueError, match=r"counts a word -1\.0 times"):
        segments.fit(X, item_texts=texts)
    segments.set_params(vectorizer=HashingVectorizer())
    with pytest.raises(ValueError, match="vectorizer"):
        segments.fit(X, item_texts=texts)
    segments.set_params(vectorizer=CountVectorizer(min_df=6))
    with pytest.raises(ValueError, match=r"max_df corresponds|no terms remain"):
        segments.fit(X, item_texts=texts)


def test_tags_as_lists_matrices_and_frames_are_the_same(drinks):
    X, _ = drinks
    lists = [["hot", "leaf"], ["leaf"], ("leaf",), {"bean"}, np.array(["bean"]), None]
    lists.append(["hot"])
    columns = ["hot", "bean", "leaf"]
    table = np.array([[tag in (own or []) for tag in columns] for own in lists])
    expected = ["leaf", "bean"]
    for tags, options in (
        (lists, {}),
        (table * 3, {"tag_names": columns}),
        (sp.coo_matrix(table * 1.0), {"tag_names": np.array(columns)}),
        (pd.DataFrame(table, columns=columns), {}),
        (pd.Series(lists), {}),
    ):
        segments = LatentSegments(min_size=2).fit(X, item_tags=tags, **options)
        assert segments.segment_names_.tolist() == expected
