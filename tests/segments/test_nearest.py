"""Items put to the nearest segment, against a slower, simpler way."""

import numpy as np
import pytest
from sklearn import config_context

from sksparse_rec import LatentSegments, save_model
from sksparse_rec.persistence import load_model


def unit(X):
    X = X.toarray()
    return X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-300)


def slow_nearest(X, latent, min_size):
    """The nearest of the segments of dominant latents, few members at a time.

    Returns the labels by the ids of segments, "" for none.
    """
    rows, directions = unit(X), unit(latent.segment_embeddings_)
    left = list(range(len(directions)))
    while True:
        labels = np.full(len(rows), -1)
        for item, row in enumerate(rows):
            cosines = {segment: row @ directions[segment] for segment in left}
            best = max(left, key=cosines.get, default=None)
            if best is not None and cosines[best] > 0:
                labels[item] = best
        small = [segment for segment in left if np.sum(labels == segment) < min_size]
        if not small:
            return np.append(latent.segment_ids_, "")[labels]
        left = [segment for segment in left if segment not in small]


@pytest.fixture(scope="module")
def nearest(X):
    return LatentSegments(assign="nearest").fit(X)


@pytest.mark.parametrize("min_size", [1, 5, 14, 17])
@pytest.mark.parametrize("threshold", [None, 0.3])
def test_items_are_in_the_nearest_segment(X, min_size, threshold):
    params = {"min_size": min_size, "merge_threshold": threshold}
    latent = LatentSegments(**params).fit(X)
    segments = LatentSegments(**params, assign="nearest").fit(X)
    expected = slow_nearest(X, latent, min_size)
    found = np.append(segments.segment_ids_, "")[segments.labels_]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(segments.predict(X), segments.labels_)
    sizes = np.bincount(segments.labels_[segments.labels_ >= 0])
    np.testing.assert_array_equal(segments.segment_sizes_, sizes)
    assert np.all(np.diff(sizes) <= 0)
    assert sizes.min() >= min_size
    # Segments are what dominant latents made, whoever is in them now.
    where = [latent.segment_ids_.tolist().index(i) for i in segments.segment_ids_]
    np.testing.assert_array_equal(
        segments.segment_embeddings_.toarray(),
        latent.segment_embeddings_.toarray()[where],
    )
    for segment, former in enumerate(where):
        np.testing.assert_array_equal(
            segments.segment_parts_[segment], latent.segment_parts_[former]
        )


@pytest.mark.parametrize("n_staying", [0, 2])
def test_segments_that_few_stay_with_are_given_up(n_staying):
    # Four segments of two latents each, and items that share both with one of them but
    # are dominated by a latent of their own; some have nothing but that.
    X = np.zeros((16 + n_staying, 9))
    for group in range(4):
        X[3 * group : 3 * group + 3, 2 * group : 2 * group + 2] = 1, 0.9
        X[12 + group, [2 * group, 2 * group + 1, 8]] = 1, 0.9, 1.01
    X[16:, 8] = 1
    segments = {
        assign: LatentSegments(min_size=3, assign=assign).fit(X)
        for assign in ("latent", "nearest")
    }
    assert "8+" in segments["latent"].segment_ids_
    found = segments["nearest"]
    assert found.segment_ids_.tolist() == ["0+", "2+", "4+", "6+"]
    expected = [*np.repeat(np.arange(4), 3), *range(4), *[-1] * n_staying]
    np.testing.assert_array_equal(found.labels_, expected)
    np.testing.assert_array_equal(found.predict(X), expected)
    assert np.flatnonzero(found.pair_segments_ >= 0).tolist() == [0, 4, 8, 12]
    assert found.transform(X).shape == (len(X), 4)


def test_outliers_find_a_segment_and_empty_rows_do_not(X, fitted, nearest):
    empty = np.diff(X.indptr) == 0
    assert np.all(nearest.labels_[empty] == -1)
    found = nearest.labels_ >= 0
    assert np.sum(found) == np.sum(~empty)
    few = LatentSegments(min_size=14).fit(X).labels_ < 0
    still = LatentSegments(min_size=14, assign="nearest").fit(X).labels_ < 0
    assert still.sum() < few.sum() / 2
    np.testing.assert_array_equal(nearest.predict(0 * X[:9]), -1)
    # What is opposite to everything is in nothing.
    ray = LatentSegments(min_size=1, assign="nearest").fit([[1.0, 0.0]])
    np.testing.assert_array_equal(ray.predict([[-1.0, 0], [0, 1], [1, 9]]), [-1, -1, 0])


@pytest.mark.parametrize("n_latents", [1, 2, 50])
def test_memberships_are_shares_of_the_largest_cosines(X, n_latents):
    segments = LatentSegments(assign="nearest", n_latents=n_latents).fit(X)
    cosines = unit(X) @ unit(segments.segment_embeddings_).T
    shares = np.maximum(cosines, 0)
    limits = -np.sort(-shares, axis=1)[:, [min(n_latents, shares.shape[1]) - 1]]
    shares[shares < limits] = 0
    totals = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, totals, out=shares, where=totals > 0)
    memberships = segments.memberships_
    np.testing.assert_allclose(memberships.toarray(), shares, atol=1e-12)
    assert memberships.has_canonical_format
    found = segments.labels_ >= 0
    best = memberships.toarray().argmax(axis=1)
    np.testing.assert_array_equal(best[found], segments.labels_[found])
    np.testing.assert_array_equal(
        segments.transform(X).toarray(), memberships.toarray()
    )


def test_members_come_nearest_first(X, nearest):
    cosines = unit(X) @ unit(nearest.segment_embeddings_).T
    for segment in range(len(nearest.segment_ids_)):
        items, weights = nearest.items_of(segment=segment)
        assert sorted(items) == np.flatnonzero(nearest.labels_ == segment).tolist()
        np.testing.assert_allclose(weights, cosines[items, segment])
        assert np.all(np.diff(weights) <= 0)


def test_names_are_of_the_items_that_are_there():
    # The mean of the items of the second latent is nearest to the last item, whose
    # dominant latent is the first.
    X = [[1, 0], [1, 0], [1, 0], [0, 1], [0.6, 0.8], [0.6, 0.8], [0.75, 0.7]]
    texts = ["tea", "tea", "tea", "milk", "milk", "milk", "cup"]
    asked = {"latent": {}, "nearest": {}}
    for assign, members in asked.items():

        def namer(facts, members=members):
            members[facts.id] = facts.texts
            return facts.words[0]

        segments = LatentSegments(min_size=2, assign=assign, namer=namer)
        segments.fit(X, item_texts=texts)
    assert asked["latent"] == {
        "0+": ["tea", "tea", "tea", "cup"],
        "1+": ["milk", "milk", "milk"],
    }
    assert asked["nearest"] == {
        "0+": ["tea", "tea", "tea"],
        "1+": ["milk", "milk", "cup", "milk"],
    }
    assert segments.segment_names_.tolist() == ["milk", "tea"]


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_lengths_of_rows_do_not_count(X, nearest, scale):
    again = LatentSegments(assign="nearest").fit(X * scale)
    np.testing.assert_array_equal(again.labels_, nearest.labels_)
    np.testing.assert_array_equal(nearest.predict(X * scale), nearest.labels_)


def test_ties_go_to_the_lower_latent():
    X = np.repeat(np.eye(2), [2, 3], axis=0)
    segments = LatentSegments(min_size=2, assign="nearest").fit(X)
    assert segments.segment_ids_.tolist() == ["1+", "0+"]
    assert segments.segment_ids_[segments.predict([[1.0, 1.0]])] == ["0+"]
    shares = segments.transform([[1.0, 1.0]]).toarray()
    np.testing.assert_array_equal(shares, [[0, 1]])


def test_blocks_change_nothing(embeddings):
    X = embeddings(n_items=2000, n_components=40, seed=3)
    whole = LatentSegments(assign="nearest", n_latents=3).fit(X)
    # A megabyte holds the cosines of 600 items.
    with config_context(working_memory=1):
        parts = LatentSegments(assign="nearest", n_latents=3).fit(X)
        np.testing.assert_array_equal(parts.labels_, whole.labels_)
        np.testing.assert_array_equal(
            parts.transform(X).toarray(), whole.memberships_.toarray()
        )


def test_memory_is_bounded(embeddings, peak_of):
    X = embeddings(n_items=10_000, n_components=300)
    segments = LatentSegments(assign="nearest", n_latents=3, merge_threshold=None)
    with config_context(working_memory=4):
        _, peak = peak_of(lambda: segments.fit(X))
    # Beside some copies of the embeddings; the cosines of all pairs are 48 MB.
    assert len(segments.segment_ids_) > 500
    assert peak < 4 * 2**20 + 10 * X.nnz * 12


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_keep_their_precision(X, dtype):
    segments = LatentSegments(assign="nearest", n_latents=2).fit(X.astype(dtype))
    for matrix in (segments.segment_embeddings_, segments.memberships_):
        assert matrix.dtype == dtype
    np.testing.assert_array_equal(segments.predict(X.astype(dtype)), segments.labels_)


def test_there_may_be_no_segments(X):
    for data, min_size in ((X, 301), (0 * X, 1)):
        segments = LatentSegments(min_size=min_size, assign="nearest").fit(data)
        assert set(segments.labels_) == {-1}
        assert segments.transform(X).shape == segments.memberships_.shape == (300, 0)
        assert set(segments.predict(X)) == {-1}
        assert not np.any(segments.pair_segments_ >= 0)
        assert segments.segment_parts_ == []


def test_names_are_compared_too(X):
    tags = [["even"] if item % 2 else ["odd"] for item in range(300)]

    def embedder(names):
        return [[name.startswith("even"), name.startswith("odd")] for name in names]

    segments = LatentSegments(assign="nearest", embedder=embedder, n_words=1)
    segments.fit(X, item_tags=tags)
    assert len(segments.segment_ids_) == 2
    np.testing.assert_array_equal(segments.predict(X), segments.labels_)


def test_pages_show_only_members(X):
    segments = LatentSegments(assign="nearest", n_latents=3).fit(X)
    page = segments.layout(X[:20], n_rows=4, k=5)
    rows = np.broadcast_to(page.segments[:, :, None], page.items.shape)
    shown = page.items >= 0
    shares = segments.memberships_.toarray()
    assert shown.sum() > 200
    assert np.all(shares[page.items[shown], rows[shown]] > 0)


def test_segments_are_found_again(X, nearest, tmp_path):
    names = [f"item {item}" for item in range(300)]
    newer = LatentSegments(assign="nearest").fit(X[::-1], item_names=names[::-1])
    older = LatentSegments(assign="nearest").fit(X, item_names=names)
    report = newer.transfer(older)
    assert len(report.segments) == len(older.segment_ids_)
    assert len(report.moved_items) == 0
    np.testing.assert_array_equal(nearest.labels_, older.labels_)
    save_model(newer, tmp_path / "segments")
    loaded = load_model(tmp_path / "segments")
    assert loaded.assign == "nearest"
    np.testing.assert_array_equal(loaded.predict(X[::-1]), newer.labels_)
