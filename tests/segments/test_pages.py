"""What fitted segments recommend."""

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from sksparse_rec import (
    CompressedELSA,
    LatentSegments,
    load_model,
    save_model,
    top_items,
)
from sksparse_rec.retrieval import search
from sksparse_rec.segments._row_choice import similarities_of


@pytest.fixture(name="model", scope="module")
def fit_model(planted):
    model = CompressedELSA(16, n_nonzero=4, max_iter=3, random_state=0)
    return model.fit(planted.train)


@pytest.fixture(scope="module")
def history(planted):
    return sp.csr_array(planted.test)


@pytest.fixture(name="X", scope="module")
def make_profiles(model, history):
    return model.transform(history)


@pytest.fixture(scope="module", params=[1, 3], ids="{} latents".format)
def segments(request, model):
    """Segments that are disjoint, and ones that overlap."""
    names = [f"item {i}" for i in range(model.item_embeddings_.shape[0])]
    segments = LatentSegments(min_size=3, n_latents=request.param)
    return segments.fit(model.item_embeddings_, item_names=names)


def members(segments, segment):
    return set(np.flatnonzero(segments.memberships_.toarray()[:, segment]))


def test_segments_are_ranked_by_products(segments, X):
    R = segments.recommend_segments(X, k=4)
    assert R.shape == (X.shape[0], len(segments.segment_names_))
    scores = X.toarray().astype(float) @ segments.segment_embeddings_.toarray().T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    ids, values = top_items(sp.csr_array(R))
    assert_array_equal(ids, best)
    np.testing.assert_allclose(values, np.take_along_axis(scores, best, 1), atol=1e-5)


def test_ties_go_to_the_larger_segment_then_to_the_lower_number(segments):
    n_components = segments.item_embeddings_.shape[1]
    ids, scores = top_items(segments.recommend_segments(np.zeros((1, n_components))))
    sizes = segments.segment_sizes_
    assert_array_equal(ids[0], np.lexsort((np.arange(len(sizes)), -sizes))[:10])
    assert_array_equal(scores, 0)
    assert len(set(sizes)) < len(sizes)


def test_fewer_segments_than_asked_for(segments, X):
    ids, _ = top_items(segments.recommend_segments(X, k=1000))
    n_segments = len(segments.segment_names_)
    assert_array_equal(np.sort(ids), np.tile(np.arange(n_segments), (len(ids), 1)))


@pytest.mark.parametrize("interface", ["sparray", "spmatrix"])
def test_sparse_flavours(segments, X, interface):
    with sklearn.config_context(sparse_interface=interface):
        R = segments.recommend_segments(X)
        S = segments.recommend(X, segment=0)
    for matrix in (R, S):
        assert isinstance(matrix, sp.csr_array) == (interface == "sparray")


def test_items_of_a_segment(segments, X, history):
    R = sp.csr_array(segments.recommend(X, k=5, segment=2, seen=history))
    assert R.shape == history.shape
    allowed = np.zeros(history.shape, bool)
    allowed[:, sorted(members(segments, 2))] = True
    scores = X.toarray().astype(float) @ segments.item_embeddings_.toarray().T
    scores[~allowed | (history.toarray() > 0)] = -np.inf
    for user, row in enumerate(scores):
        order = np.argsort(-row, kind="stable")[:5]
        expected = order[row[order] > -np.inf]
        found = R.indices[R.indptr[user] : R.indptr[user + 1]]
        assert_array_equal(found, expected)


def test_the_model_recommends_the_same(model, segments, X, history):
    R = sp.csr_array(segments.recommend(X.astype(float), k=5, segment=1, seen=history))
    allowed = np.flatnonzero(segments.memberships_.toarray()[:, 1])
    if segments.n_latents == 1:
        assert_array_equal(allowed, np.sort(segments.items_of(segment=1)[0]))
    expected = sp.csr_array(model.recommend(history, k=5, allow=allowed))
    np.testing.assert_allclose(R.toarray(), expected.toarray(), rtol=1e-6)


def test_several_segments_by_number_name_and_id(segments, X):
    number = segments.recommend(X, k=8, segment=[0, 3])
    mixed = [segments.segment_names_[3], segments.segment_ids_[0]]
    assert (number != segments.recommend(X, k=8, segment=mixed)).nnz == 0
    is_in = members(segments, 0) | members(segments, 3)
    assert set(number.indices) <= is_in
    alone = segments.recommend(X, k=8, segment=segments.segment_names_[0])
    assert set(alone.indices) <= members(segments, 0)
    assert segments.recommend(X, segment=[]).nnz == 0


def test_filters_of_recommend(segments, X):
    own = np.array(sorted(members(segments, 0)))
    R = segments.recommend(X, k=1000, segment=0, deny=own[:2])
    assert_array_equal(np.unique(R.indices), own[2:])
    R = segments.recommend(X, segment=0, allow=[f"item {own[0]}"])
    assert set(R.indices) == {own[0]}
    everything = segments.recommend(X, k=1000, segment=0)
    assert_array_equal(np.diff(everything.indptr), len(own))


def test_pages(segments, X, history):
    page = segments.layout(X, 4, 3, seen=history, min_items=2, diversity=0.2)
    n_users = X.shape[0]
    assert page.segments.shape == (n_users, 4)
    assert page.items.shape == page.scores.shape == (n_users, 4, 3)
    scores = X.toarray().astype(float) @ segments.item_embeddings_.toarray().T
    seen = history.toarray() > 0
    for user in range(n_users):
        shown = page.items[user][page.items[user] >= 0]
        assert len(shown) == len(set(shown))
        assert not seen[user, shown].any()
        for row, segment in enumerate(page.segments[user]):
            items = page.items[user, row]
            items = items[items >= 0]
            assert len(items) >= 2 or segment == -1
            assert set(items) <= (members(segments, segment) if len(items) else set())
            np.testing.assert_allclose(
                page.scores[user, row, : len(items)], scores[user, items], atol=1e-5
            )
    assert (page.segments >= 0).any(axis=1).all()


def test_plain_pages_are_the_plain_rankings(segments, X):
    page = segments.layout(X, 5, 4, min_items=1)
    ids, scores = top_items(segments.recommend_segments(X, k=5))
    if segments.n_latents == 1:
        assert_array_equal(page.segments, ids)
        assert_array_equal(page.segment_scores, scores)
    else:
        # A segment may have lost its items to those above it.
        assert_array_equal(page.segments[:, 0], ids[:, 0])
    for user in range(X.shape[0]):
        first = page.segments[user, 0]
        R = segments.recommend(X[[user]], k=4, segment=first)
        assert_array_equal(page.items[user, 0, : R.nnz], R.indices)
        assert_array_equal(page.scores[user, 0, : R.nnz], R.data)


def test_a_page_does_not_depend_on_others(segments, X, history):
    options = {"n_rows": 3, "k": 3, "diversity": 0.4}
    together = segments.layout(X, seen=history, **options)
    for user in (0, 7):
        alone = segments.layout(X[[user]], seen=history[[user]], **options)
        for one, many in zip(alone, together, strict=True):
            assert_array_equal(one[0], many[user])


@pytest.mark.parametrize("container", [sp.csr_array, sp.coo_matrix, np.asarray])
def test_containers(segments, X, history, container):
    options = {"n_rows": 3, "k": 3}
    usual = segments.layout(X, seen=history, **options)
    X, seen = container(X.toarray()), container(history.toarray())
    for one, other in zip(segments.layout(X, seen=seen, **options), usual, strict=True):
        assert_array_equal(one, other)


def test_explicit_zeros_are_not_seen(segments, X):
    shape = X.shape[0], len(segments.labels_)
    seen = sp.csr_array(np.ones(shape))
    seen.data[:] = 0
    page = segments.layout(X, 3, 3, seen=seen)
    assert_array_equal(page.items, segments.layout(X, 3, 3).items)


def test_who_has_seen_everything_gets_an_empty_page(segments, X):
    seen = np.ones((X.shape[0], len(segments.labels_)))
    page = segments.layout(X, 3, 3, seen=seen)
    assert_array_equal(page.segments, -1)
    assert_array_equal(page.items, -1)
    assert_array_equal(page.scores, -np.inf)
    assert len(segments.layout(X, 3, 3, seen=seen, as_frame=True)) == 0


def test_full_rows(segments, X, history):
    page = segments.layout(X, 6, 4, seen=history, min_items=100)
    rows = page.items[page.segments >= 0]
    assert len(rows)
    assert (rows >= 0).all()


def test_filters_of_pages(segments, X):
    n_items = len(segments.labels_)
    odd = np.arange(n_items) % 2 == 1
    for allow in (odd, np.flatnonzero(odd), [f"item {i}" for i in np.flatnonzero(odd)]):
        page = segments.layout(X, 3, 3, allow=allow, deny=[1], min_items=1)
        shown = page.items[page.items >= 0]
        assert (shown % 2 == 1).all()
        assert 1 not in shown
    each = np.tile(odd, (X.shape[0], 1))
    each[::2] = ~odd
    page = segments.layout(X, 3, 3, allow=each, min_items=1)
    assert (page.items[::2][page.items[::2] >= 0] % 2 == 0).all()
    assert (page.items[1::2][page.items[1::2] >= 0] % 2 == 1).all()
    page = segments.layout(X, 3, 3, deny=each, min_items=1)
    assert (page.items[::2][page.items[::2] >= 0] % 2 == 1).all()


def test_popularity_breaks_ties_of_items(segments):
    nobody = np.zeros((1, segments.item_embeddings_.shape[1]))
    popularity = np.random.default_rng(0).permutation(len(segments.labels_))
    page = segments.layout(nobody, 1, 5, popularity=popularity, min_items=1)
    own = np.array(sorted(members(segments, page.segments[0, 0])))
    assert_array_equal(page.items[0, 0], own[np.argsort(-popularity[own])][:5])
    R = segments.recommend(nobody, 5, segment=0, popularity=popularity)
    assert_array_equal(R.indices, page.items[0, 0])
    page = segments.layout(nobody, 1, 5)
    assert_array_equal(page.items[0, 0], own[:5])


def test_other_item_embeddings(segments, X):
    A = segments.item_embeddings_
    page = segments.layout(X, 3, 3, item_embeddings=-A)
    assert_array_equal(page.segments[:, 0], segments.layout(X, 3, 3).segments[:, 0])
    segment = page.segments[0, 0]
    allowed = np.zeros(A.shape[0], bool)
    allowed[sorted(members(segments, segment))] = True
    worst = search(X[[0]], -A, 3, candidates=allowed)
    assert_array_equal(page.items[0, 0], worst.indices)


def test_the_frame_has_a_line_an_item(segments, X, history):
    pytest.importorskip("pandas")
    options = {"n_rows": 3, "k": 4, "seen": history, "min_items": 2}
    page = segments.layout(X, **options)
    frame = segments.layout(X, **options, as_frame=True)
    columns = ["user", "row", "segment", "name", "place", "item", "score"]
    assert list(frame.columns) == columns
    assert len(frame) == (page.items >= 0).sum()
    for line in frame.itertuples():
        assert page.segments[line.user, line.row] == line.segment
        assert segments.segment_names_[line.segment] == line.name
        item = page.items[line.user, line.row, line.place]
        assert item in (line.item, int(str(line.item).removeprefix("item ")))
        assert page.scores[line.user, line.row, line.place] == line.score


def test_the_first_embeddings_are_forgotten(model, planted):
    """Fitting again replaces what was prepared for the search."""
    A = sp.csr_array(model.item_embeddings_)
    segments, X = LatentSegments(min_size=3).fit(A), model.transform(planted.test)
    segments.layout(X)
    changed = A[::-1]
    fresh = LatentSegments(min_size=3).fit(changed).layout(X)
    again = segments.fit(changed).layout(X)
    for one, other in zip(again, fresh, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_rows": 0}, "n_rows must be an integer of at least 1, got 0"),
        ({"k": 2.0}, "k must be an integer of at least 1, got 2.0"),
        ({"min_items": 0}, "min_items must be an integer of at least 1"),
        ({"diversity": 1.5}, "diversity must be a number from 0 to 1, got 1.5"),
        ({"diversity": np.nan}, "diversity must be a number from 0 to 1, got nan"),
        ({"diversity": True}, "diversity must be a number from 0 to 1"),
        ({"diversity": None}, "diversity must be a number from 0 to 1"),
        ({"seen": np.ones((2, 3))}, "seen is a mask of shape"),
        ({"allow": [10**6]}, "allow contains position 1000000"),
        ({"deny": ["nothing"]}, "deny contains 'nothing'"),
        ({"item_embeddings": np.ones((3, 16))}, "item_embeddings has 3 rows"),
        ({"item_embeddings": np.ones((3, 5))}, "item_embeddings has 5 columns"),
        ({"popularity": [1.0]}, "popularity has shape"),
    ],
)
def test_what_a_page_refuses(segments, X, options, message):
    with pytest.raises(ValueError, match=message):
        segments.layout(X, **options)


@pytest.mark.parametrize("method", ["layout", "recommend", "recommend_segments"])
def test_what_profiles_have_to_be(segments, method):
    options = {"segment": 0} if method == "recommend" else {}
    ask = getattr(segments, method)
    with pytest.raises(ValueError, match="X has 5 columns, but n_components is 16"):
        ask(np.ones((2, 5)), **options)
    with pytest.raises(ValueError, match="NaN"):
        ask(np.full((2, 16), np.nan), **options)
    with pytest.raises(ValueError, match="k must be"):
        ask(np.ones((2, 16)), k=0, **options)
    with pytest.raises(NotFittedError):
        getattr(LatentSegments(), method)(np.ones((2, 16)), **options)


@pytest.mark.parametrize("segment", [1000, -1, "no such segment", None, [0, "none"]])
def test_unknown_segments(segments, X, segment):
    with pytest.raises(ValueError, match="segment"):
        segments.recommend(X, segment=segment)


def test_without_segments(model, X):
    segments = LatentSegments(min_size=10**6).fit(model.item_embeddings_)
    assert segments.recommend_segments(X).shape == (X.shape[0], 0)
    page = segments.layout(X, 2, 3, diversity=0.5)
    assert_array_equal(page.segments, np.full((X.shape[0], 2), -1))
    assert_array_equal(page.items, -1)


def test_no_users(segments):
    page = segments.layout(np.empty((0, 16)), 2, 3)
    assert page.items.shape == (0, 2, 3)
    assert segments.recommend_segments(np.empty((0, 16))).shape[0] == 0


@pytest.mark.parametrize("diversity", [0.0, 0.5])
def test_memory_is_bounded(peak_of, diversity):
    """Twice as many users take no more than their pages."""
    rng = np.random.default_rng(0)
    n_items, n_components = 6000, 300
    columns = rng.integers(0, n_components, (n_items, 4))
    values = rng.normal(size=columns.shape)
    starts = np.arange(0, columns.size + 1, 4)
    A = sp.csr_array((values.ravel(), columns.ravel(), starts), (n_items, n_components))
    segments = LatentSegments(merge_threshold=None, n_latents=2).fit(A)
    X = sp.random_array((4000, n_components), density=0.05, rng=rng, format="csr")
    seen = sp.random_array((4000, n_items), density=0.001, rng=rng, format="csr")

    def lay_out(n):
        options = {"n_rows": 2, "k": 2, "diversity": diversity}
        return segments.layout(X[:n], seen=seen[:n], **options)

    with sklearn.config_context(working_memory=8):
        lay_out(10)
        _, few = peak_of(lambda: lay_out(1000))
        _, many = peak_of(lambda: lay_out(4000))
    # The pages and a copy of the mask; tables of users and segments would take 60 MB.
    assert len(segments.segment_names_) > 400
    assert many - few < 6e6
    assert many < 24e6


def test_similarities_of_wide_embeddings_take_no_dense_copy(peak_of):
    rng = np.random.default_rng(0)
    E = sp.random_array((500, 60_000), density=0.002, rng=rng, format="csr")
    with sklearn.config_context(working_memory=8):
        similarities, peak = peak_of(lambda: similarities_of(E))
    np.testing.assert_allclose(similarities, (E @ E.T).toarray(), atol=1e-11)
    # Dense rows would be 240 MB.
    assert peak < 16e6


def test_saved_segments_make_the_same_pages(segments, X, history, tmp_path):
    save_model(segments, tmp_path / "segments")
    loaded = load_model(tmp_path / "segments")
    options = {"n_rows": 3, "k": 3, "seen": history, "diversity": 0.3}
    pages = segments.layout(X, **options), loaded.layout(X, **options)
    for one, other in zip(*pages, strict=True):
        assert_array_equal(one, other)
