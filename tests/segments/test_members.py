"""The inverted indexes."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from sksparse_rec import LatentSegments


def strongest_first(items, weights):
    order = np.lexsort((items, -np.abs(weights)))
    return items[order], weights[order]


def test_items_of_a_latent(X, fitted):
    dense = X.toarray()
    for latent in range(12):
        used = np.flatnonzero(dense[:, latent])
        items, weights = fitted.items_of(latent)
        expected = strongest_first(used, dense[used, latent])
        np.testing.assert_array_equal(items, expected[0])
        np.testing.assert_array_equal(weights, expected[1])
        assert items.dtype == np.int64


@pytest.mark.parametrize("threshold", [0.1, 0.95])
def test_members_of_a_segment(X, threshold):
    segments = LatentSegments(merge_threshold=threshold, n_latents=2).fit(X)
    norms = np.linalg.norm(X.toarray(), axis=1, keepdims=True)
    unit = X.toarray() / np.maximum(norms, 1e-300)
    for segment, parts in enumerate(segments.segment_parts_):
        members = np.flatnonzero(segments.labels_ == segment)
        strengths = sum(
            np.maximum(sign * unit[members, latent], 0) for latent, sign in parts
        )
        items, weights = segments.items_of(segment=segment)
        assert sorted(items) == members.tolist()
        np.testing.assert_allclose(weights, strengths[np.searchsorted(members, items)])
        assert np.all(np.diff(weights) <= 0)


def test_ties_go_to_the_lower_position():
    X = np.repeat([[1.0, 0.5]], 6, axis=0)
    segments = LatentSegments().fit(X)
    assert segments.items_of(segment=0)[0].tolist() == list(range(6))
    assert segments.items_of(1)[0].tolist() == list(range(6))


def test_segments_by_position_name_and_id(drinks):
    X, texts = drinks
    segments = LatentSegments(min_size=2, n_words=1).fit(X, item_texts=texts)
    for segment in (0, np.int32(0), "tea", "0+"):
        assert segments.items_of(segment=segment)[0].tolist() == [1, 0, 2]
    # An item outside of all segments uses latents all the same.
    assert segments.items_of(3)[0].tolist() == [6, 2, 3]


def test_a_latent_without_items(drinks):
    segments = LatentSegments().fit(sp.csr_array(drinks[0].multiply([1, 1, 0, 1])))
    items, weights = segments.items_of(2)
    assert len(items) == len(weights) == 0


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "give either"),
        ({"latent": 0, "segment": 0}, "give either"),
        ({"latent": 12}, "from 0 to 11, got 12"),
        ({"latent": -1}, "from 0 to 11, got -1"),
        ({"latent": True}, "got True"),
        ({"latent": "0+"}, r"segment='0\+'"),
        ({"segment": 24}, "position below 24"),
        ({"segment": -1}, "position below"),
        ({"segment": 0.0}, "position below"),
        ({"segment": "0"}, "segment '0' is neither"),
    ],
)
def test_what_there_is_not(fitted, arguments, match):
    assert len(fitted.segment_ids_) == 24
    with pytest.raises(ValueError, match=match):
        fitted.items_of(**arguments)


def test_questions_leave_the_estimator_alone(X, fitted):
    before = pickle.dumps(fitted)
    items, weights = fitted.items_of(0)
    items[:], weights[:] = -1, 0
    fitted.items_of(segment=0)[0][:] = -1
    fitted.predict(X), fitted.transform(X)
    assert pickle.dumps(fitted) == before
    assert fitted.items_of(0)[0].min() >= 0
    assert fitted.items_of(segment=0)[0].min() >= 0


def test_a_new_fit_has_a_new_index(X):
    segments = LatentSegments(min_size=1).fit(X)
    segments.items_of(0), segments.items_of(segment=0)
    segments.fit(X[:40])
    assert segments.items_of(0)[0].max() < 40
    assert segments.items_of(segment=0)[0].max() < 40


def test_before_fit():
    for call in (
        lambda segments: segments.items_of(0),
        lambda segments: segments.predict([[1.0]]),
        lambda segments: segments.transform([[1.0]]),
        lambda segments: segments.match(segments),
    ):
        with pytest.raises(NotFittedError):
            call(LatentSegments())
