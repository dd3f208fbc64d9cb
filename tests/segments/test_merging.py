"""Groups that are alike become one segment."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.cluster.hierarchy import is_valid_linkage
from sklearn.cluster import AgglomerativeClustering
from sklearn.feature_extraction.text import TfidfVectorizer

from sksparse_rec import LatentSegments
from sksparse_rec.segments import _merging


def twins(n=6):
    """Latents 0 and 1 mean the same, up to which of them is a little larger."""
    X = np.zeros((3 * n, 4))
    X[:n, :2] = 1.0, 0.9
    X[n : 2 * n - 1, :2] = 0.9, 1.0
    X[2 * n :, 2] = -1
    return X


def test_similar_groups_are_merged_and_their_items_stay_together():
    segments = LatentSegments().fit(twins())
    assert segments.segment_ids_.tolist() == ["0+", "2-"]
    assert segments.segment_sizes_.tolist() == [11, 6]
    assert segments.labels_.tolist() == [0] * 11 + [-1] + [1] * 6
    parts = [part.tolist() for part in segments.segment_parts_]
    assert parts == [[[0, 1], [1, 1]], [[2, -1]]]
    assert segments.memberships_.sum(axis=0).tolist() == [11, 6]
    alone = LatentSegments(merge_threshold=None).fit(twins())
    assert alone.segment_ids_.tolist() == ["0+", "2-", "1+"]
    assert alone.merge_tree_.shape == (0, 4)


def test_small_groups_become_large_enough_by_merging():
    X = twins()[4:8]
    assert LatentSegments(min_size=3).fit(X).labels_.tolist() == [0] * 4
    alone = LatentSegments(min_size=3, merge_threshold=None).fit(X)
    assert alone.labels_.tolist() == [-1] * 4


def test_the_largest_part_gives_the_id_and_the_lower_pair_of_a_tie():
    X = twins()
    assert LatentSegments().fit(X[1:11]).segment_ids_[0] == "0+"
    assert LatentSegments().fit(X[2:11]).segment_ids_[0] == "1+"
    assert LatentSegments().fit(X[2:11]).segment_latents_.tolist() == [1]


@pytest.mark.parametrize("b", range(2, 40))
def test_a_threshold_that_is_met_exactly(b):
    X, cosine = np.array([[b, b - 1.0], [b - 1.0, b]]), 1 - 1 / (b**2 + (b - 1) ** 2)
    for threshold, n_segments in ((cosine, 1), (cosine + 1e-6, 2)):
        segments = LatentSegments(min_size=1, merge_threshold=threshold).fit(X)
        assert len(segments.segment_ids_) == n_segments


def mean_similarities(segments, X):
    """Cosines of the groups' mean directions, a row and a column for each leaf."""
    X = X.toarray()
    unit = X / np.maximum(1e-300, np.linalg.norm(X, axis=1))[:, None]
    dominant = np.abs(X).argmax(axis=1)
    signs = np.sign(X[np.arange(len(X)), dominant])
    means = []
    for latent, sign, size in segments.merge_leaves_:
        members = unit[(dominant == latent) & (signs == sign)]
        assert len(members) == size
        means.append(members.mean(axis=0) / np.linalg.norm(members.mean(axis=0)))
    return np.array(means) @ np.transpose(means)


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.4, 0.9])
@pytest.mark.parametrize("block", [1, 50, 1 << 22])
@pytest.mark.parametrize("dense", [0, 1])
def test_merging_is_average_linkage(X, threshold, block, dense, monkeypatch):
    monkeypatch.setattr(_merging, "BLOCK_ENTRIES", block)
    monkeypatch.setattr(_merging, "DENSE", dense)
    segments = LatentSegments(min_size=1, merge_threshold=threshold).fit(X)
    similarities = mean_similarities(segments, X)
    expected = AgglomerativeClustering(
        n_clusters=None,
        metric="precomputed",
        linkage="average",
        distance_threshold=1 - threshold,
    ).fit_predict(np.clip(1 - similarities, 0, 2))
    latents, signs, _ = segments.merge_leaves_.T
    found = segments.pair_segments_[2 * latents + (signs < 0)]
    same = found[:, None] == found
    np.testing.assert_array_equal(same, expected[:, None] == expected)
    assert 1 <= found.max() + 1 <= len(found)


def test_the_tree_has_all_merges(X, fitted):
    assert is_valid_linkage(fitted.merge_tree_)
    assert len(fitted.merge_tree_) == len(fitted.merge_leaves_) - 1
    nearest = 1 - np.triu(mean_similarities(fitted, X), 1).max()
    assert fitted.merge_tree_[0, 2] == pytest.approx(nearest)


def test_opposite_signs_of_a_latent_are_not_alike():
    X = np.repeat([[1.0, 0.0], [-1.0, 0.0]], 5, axis=0)
    segments = LatentSegments(merge_threshold=0.01).fit(X)
    assert segments.segment_ids_.tolist() == ["0+", "0-"]
    assert segments.merge_tree_[0, 2] == pytest.approx(2)


def test_merging_by_names(drinks):
    X, _ = drinks
    texts = ["tea"] * 5 + ["", "glass"]
    segments = LatentSegments(min_size=2).fit(X, item_texts=texts)
    assert segments.segment_names_.tolist() == ["tea", "tea (2)"]
    asked = []

    def embed(names):
        asked.append(names)
        return TfidfVectorizer().fit_transform(names)

    segments.set_params(embedder=embed).fit(X, item_texts=texts)
    # Groups by ascending latent, the small one too.
    assert asked == [["tea", "tea", "glass"]]
    assert segments.segment_names_.tolist() == ["tea"]
    assert segments.labels_.tolist() == [0, 0, 0, 0, 0, -1, -1]
    np.testing.assert_array_equal(segments.segment_parts_, [[[0, 1], [1, -1]]])
    asked.clear()
    segments.set_params(merge_threshold=None).fit(X, item_texts=texts)
    assert asked == []
    assert len(segments.segment_ids_) == 2


def test_a_merged_segment_whose_items_cancel_has_an_empty_embedding():
    X = np.repeat([[1.0, 0.0], [-1.0, 0.0]], 5, axis=0)
    segments = LatentSegments(embedder=lambda names: np.ones((len(names), 1))).fit(X)
    assert segments.segment_sizes_.tolist() == [10]
    assert segments.segment_embeddings_.nnz == 0


def test_a_callable_is_asked_again_only_for_merged_segments(drinks):
    X, _ = drinks
    asked = []

    def name(facts):
        asked.append(facts.id)
        return "drink" if facts.latent < 2 else "glass"

    segments = LatentSegments(
        min_size=1,
        namer=name,
        embedder=lambda names: np.eye(2)[[int(n == "glass") for n in names]],
    ).fit(X)
    assert asked == ["0+", "1-", "3+", "0+"]
    assert segments.segment_names_.tolist() == ["drink", "glass"]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (np.ones((2, 2)), "2 rows for 3 names"),
        (np.full((3, 2), np.nan), "what embedder returned contains NaN"),
        (np.ones(3), "1D array"),
    ],
)
def test_embeddings_of_names_are_checked(drinks, rows, match):
    with pytest.raises(ValueError, match=match):
        LatentSegments(embedder=lambda names: rows).fit(drinks[0])


def test_sparse_embeddings_of_names(drinks):
    segments = LatentSegments(min_size=1, embedder=lambda n: sp.eye_array(len(n)))
    assert len(segments.fit(drinks[0]).segment_ids_) == 3
