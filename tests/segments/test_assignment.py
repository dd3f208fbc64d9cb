"""Labels, sizes, embeddings and memberships against slower, simpler ways."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context

from sksparse_rec import CompresSAE, CompressedELSA, LatentSegments


def slow_pairs(X):
    """Latent and sign of the largest absolute value of each row, or None."""
    pairs = []
    for row in X.toarray():
        latent = int(np.argmax(np.abs(row)))  # the first of a tie
        pairs.append((latent, int(np.sign(row[latent]))) if row[latent] else None)
    return pairs


def slow_groups(X, min_size):
    """Pairs with enough items, the largest first, ties to the lower latent and +."""
    pairs = slow_pairs(X)
    sizes = {pair: pairs.count(pair) for pair in set(pairs) - {None}}
    kept = [pair for pair, size in sizes.items() if size >= min_size]
    return sorted(kept, key=lambda pair: (-sizes[pair], pair[0], -pair[1])), sizes


@pytest.mark.parametrize("min_size", [1, 5, 14, 1000])
def test_items_belong_to_their_dominant_latent_and_sign(X, min_size):
    segments = LatentSegments(min_size=min_size, merge_threshold=None).fit(X)
    groups, sizes = slow_groups(X, min_size)
    expected = [groups.index(pair) if pair in groups else -1 for pair in slow_pairs(X)]
    np.testing.assert_array_equal(segments.labels_, expected)
    assert segments.labels_.dtype == np.int64
    found = zip(segments.segment_latents_, segments.segment_signs_, strict=True)
    assert list(found) == groups
    assert segments.segment_sizes_.tolist() == [sizes[pair] for pair in groups]
    ids = [f"{latent}{'+' if sign > 0 else '-'}" for latent, sign in groups]
    assert segments.segment_ids_.tolist() == ids
    assert segments.segment_names_.tolist() == ids


def test_ties_go_to_the_lower_latent_whatever_the_stored_order():
    X = sp.csr_array(
        (np.array([-1.0, 1, 1]), np.array([2, 1, 0]), np.array([0, 2, 3])), (2, 3)
    )
    assert not X.has_sorted_indices
    segments = LatentSegments(min_size=1).fit(X)
    assert segments.segment_ids_.tolist() == ["0+", "1+"]
    assert segments.labels_.tolist() == [1, 0]
    assert not X.has_sorted_indices


def test_segment_embeddings_are_directions_of_the_mean_unit_row(X, fitted):
    unit = (
        X.toarray() / np.maximum(1e-300, np.linalg.norm(X.toarray(), axis=1))[:, None]
    )
    for segment, row in enumerate(fitted.segment_embeddings_.toarray()):
        mean = unit[fitted.labels_ == segment].mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-12)
    assert fitted.segment_embeddings_.format == "csr"
    assert fitted.segment_embeddings_.has_canonical_format


@pytest.mark.parametrize("n_latents", [1, 2, 3, 50])
def test_memberships_are_shares_of_the_strongest_latents(X, n_latents):
    segments = LatentSegments(min_size=14, n_latents=n_latents, merge_threshold=0.1)
    segments.fit(X)
    where = {
        (int(latent), int(sign)): segment
        for segment, parts in enumerate(segments.segment_parts_)
        for latent, sign in parts
    }
    # Not all pairs have a segment, and some segments have several.
    assert len(segments.segment_ids_) < len(where) < 24
    expected = np.zeros(segments.memberships_.shape)
    for item, row in enumerate(X.toarray()):
        for latent in np.argsort(-np.abs(row), kind="stable")[:n_latents]:
            segment = where.get((int(latent), int(np.sign(row[latent]))))
            if segment is not None:
                expected[item, segment] += abs(row[latent])
    totals = expected.sum(axis=1, keepdims=True)
    expected = np.divide(expected, totals, out=expected, where=totals > 0)
    np.testing.assert_allclose(segments.memberships_.toarray(), expected, atol=1e-12)
    assert segments.memberships_.has_canonical_format
    if n_latents == 1:
        labels = segments.labels_
        assert np.all(expected[labels >= 0].argmax(axis=1) == labels[labels >= 0])
        assert not expected[labels < 0].any()


def test_new_items_are_grouped_like_those_of_fit(X, fitted):
    np.testing.assert_array_equal(fitted.predict(X), fitted.labels_)
    np.testing.assert_array_equal(
        fitted.transform(X).toarray(), fitted.memberships_.toarray()
    )
    half = fitted.predict(X[::2].toarray())
    np.testing.assert_array_equal(half, fitted.labels_[::2])
    np.testing.assert_array_equal(fitted.predict(-X[:50] * 0), -1)


def test_lengths_of_rows_do_not_count(X, fitted):
    lengths = np.exp(np.random.default_rng(0).uniform(-300, 300, X.shape[0]))
    scaled = LatentSegments().fit(sp.csr_array(X.multiply(lengths[:, None])))
    np.testing.assert_array_equal(scaled.labels_, fitted.labels_)
    for name in ("segment_embeddings_", "memberships_"):
        np.testing.assert_allclose(
            getattr(scaled, name).toarray(), getattr(fitted, name).toarray(), atol=1e-12
        )


@pytest.mark.parametrize(
    "container",
    [
        sp.csr_matrix,
        sp.csc_array,
        sp.coo_array,
        lambda X: X.toarray(),
        lambda X: pd.DataFrame(X.toarray()),
        lambda X: sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr), X.shape),
    ],
)
def test_any_container(X, fitted, container):
    segments = LatentSegments().fit(container(X))
    np.testing.assert_array_equal(segments.labels_, fitted.labels_)
    np.testing.assert_array_equal(
        segments.segment_embeddings_.toarray(), fitted.segment_embeddings_.toarray()
    )


def test_duplicates_are_summed_and_zeros_ignored():
    data, rows = np.array([0.5, 0.0, 0.4, 0.4]), np.array([0, 0, 0, 0])
    columns = np.array([0, 1, 2, 2])
    X = sp.csr_array((data, columns, np.array([0, 4, 4])), shape=(2, 3))
    segments = LatentSegments(min_size=1).fit(X)
    assert segments.segment_ids_.tolist() == ["2+"]
    assert segments.labels_.tolist() == [0, -1]
    assert segments.item_embeddings_.nnz == 2
    assert X.nnz == len(rows) == 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_keep_their_precision_and_their_memory(X, dtype):
    X = X.astype(dtype)
    segments = LatentSegments().fit(X)
    assert np.shares_memory(segments.item_embeddings_.data, X.data)
    for matrix in (
        segments.segment_embeddings_,
        segments.memberships_,
        segments.transform(X),
    ):
        assert matrix.dtype == dtype


def test_integers_and_half_floats():
    X = np.array([[2, 0], [0, -3]])
    assert LatentSegments(min_size=1).fit(X).segment_embeddings_.dtype == np.float64
    half = LatentSegments(min_size=1).fit(X.astype(np.float16))
    assert half.segment_embeddings_.dtype == np.float32
    assert half.labels_.tolist() == [0, 1]


def test_there_may_be_no_segments(X):
    for segments in (LatentSegments(min_size=301).fit(X), LatentSegments().fit(X * 0)):
        assert set(segments.labels_) == {-1}
        assert segments.segment_embeddings_.shape == (0, 12)
        assert segments.memberships_.shape == (300, 0)
        assert segments.transform(X).shape == (300, 0)
        assert set(segments.predict(X)) == {-1}
        assert segments.segment_parts_ == []
        assert segments.get_feature_names_out().tolist() == []
        assert len(segments.segment_sizes_) == len(segments.segment_names_) == 0


def test_one_item():
    segments = LatentSegments(min_size=1).fit([[0.0, -2.0]])
    assert segments.segment_ids_.tolist() == ["1-"]
    assert segments.merge_tree_.shape == (0, 4)
    assert LatentSegments().fit([[0.0, -2.0]]).labels_.tolist() == [-1]


def test_fit_starts_over_and_keeps_what_there_was_if_it_fails(X):
    segments = LatentSegments().fit(X, item_names=np.arange(300))
    before = dict(vars(segments))
    with pytest.raises(ValueError, match="item_texts has 2 entries"):
        segments.fit(X[:20, :5], item_texts=["a", "b"])
    assert vars(segments).keys() == before.keys()
    assert all(vars(segments)[name] is value for name, value in before.items())
    segments.fit(X[:100])
    assert segments.item_names_ is None
    assert len(segments.labels_) == 100


def test_names_of_the_output(X):
    frame = pd.DataFrame(X.toarray()).rename(columns=str)
    segments = LatentSegments().fit(frame)
    names = segments.get_feature_names_out()
    np.testing.assert_array_equal(names, segments.segment_names_)
    assert names is not segments.segment_names_
    with pytest.raises(ValueError, match="input_features"):
        segments.get_feature_names_out(["a"] * 12)
    with config_context(sparse_interface="sparray"):
        assert isinstance(segments.transform(frame), sp.csr_array)
    with config_context(sparse_interface="spmatrix"):
        assert isinstance(segments.transform(frame), sp.csr_matrix)


@pytest.mark.parametrize("model", [CompressedELSA, CompresSAE])
def test_embeddings_of_both_models(model, planted):
    model = model(16, n_nonzero=4, max_iter=2, random_state=0).fit(planted.train)
    A = model.item_embeddings_
    segments = LatentSegments(min_size=1, merge_threshold=None).fit(A)
    groups, _ = slow_groups(A, 1)
    assert segments.segment_ids_.tolist() == [
        f"{latent}{'+' if sign > 0 else '-'}" for latent, sign in groups
    ]


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"min_size": 0}, "min_size"),
        ({"n_latents": 0}, "n_latents"),
        ({"assign": "far"}, "assign"),
        ({"merge_threshold": 1.5}, "merge_threshold"),
        ({"namer": "words"}, "namer"),
        ({"embedder": "words"}, "embedder"),
        ({"n_words": 0}, "n_words"),
        ({"vectorizer": "words"}, "vectorizer"),
    ],
)
def test_parameters_are_checked(X, params, match):
    with pytest.raises(ValueError, match=match):
        LatentSegments(**params).fit(X)


@pytest.mark.parametrize("scale", [1e-310, 1e308])
def test_shares_of_values_at_the_end_of_the_floats(scale):
    segments = LatentSegments(min_size=1, n_latents=2).fit(np.eye(2))
    shares = segments.transform(scale * np.array([[1, 1], [1, 0.25]])).toarray()
    expected = [[0.5, 0.5], [0.8, 0.2]]
    np.testing.assert_allclose(shares, expected, rtol=1e-9)
