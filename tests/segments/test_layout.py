"""Pages of rows against a definition in plain Python."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from sksparse_rec._numerics import search as kernels
from sksparse_rec.retrieval import prepare, search, top_items
from sksparse_rec.segments import _layout
from sksparse_rec.segments._layout import lay_out, make_shelves

N_USERS, N_ITEMS, N_SEGMENTS, N_COMPONENTS = 23, 61, 9, 6


def slow_page(u, C, A, members, n_rows, k, min_items, diversity, hidden):
    """One page: segments, their scores, lists of items and their scores."""

    def rank(candidates, scores, sizes):
        return sorted(candidates, key=lambda i: (-scores[i], -sizes[i], i))

    segment_scores, item_scores = C @ u, A @ u
    length = np.linalg.norm(u) or 1
    sizes = [len(items) for items in members]
    plain = rank(range(len(C)), segment_scores, sizes)
    rows, shown = [], set(hidden)
    while len(rows) < n_rows:
        best, best_value = None, None
        for j in plain:
            if j in [row[0] for row in rows]:
                continue
            if len(set(members[j]) - shown) < min_items:
                continue
            value = (1 - diversity) * segment_scores[j] / length
            if rows and diversity:
                value -= diversity * max(0, *(C[j] @ C[row[0]] for row in rows))
            # Of segments that only rounding tells apart the first is taken.
            if best is None or value > best_value + 1e-12:
                best, best_value = j, value
        if best is None:
            break
        left = set(members[best]) - shown
        items = rank(left, item_scores, np.zeros(len(A)))[:k]
        shown |= set(items)
        rows.append((best, segment_scores[best], items, item_scores[items]))
    return rows


def assert_equal_pages(pages, expected, n_rows, k):
    assert pages.segments.shape == pages.segment_scores.shape == (len(expected), n_rows)
    assert pages.items.shape == pages.scores.shape == (len(expected), n_rows, k)
    assert pages.segments.dtype == pages.items.dtype == np.int64
    for user, page in enumerate(expected):
        n = len(page)
        assert pages.segments[user, :n].tolist() == [row[0] for row in page]
        assert_array_equal(pages.segments[user, n:], -1)
        np.testing.assert_allclose(
            pages.segment_scores[user, :n], [row[1] for row in page], atol=1e-12
        )
        assert_array_equal(pages.segment_scores[user, n:], -np.inf)
        assert_array_equal(pages.items[user, n:], -1)
        for row, (_, _, items, scores) in enumerate(page):
            m = len(items)
            assert pages.items[user, row, :m].tolist() == items
            assert_array_equal(pages.items[user, row, m:], -1)
            np.testing.assert_allclose(pages.scores[user, row, :m], scores, atol=1e-12)
            assert_array_equal(pages.scores[user, row, m:], -np.inf)


class Catalogue:
    """Random users, segments and items; ``ties``: of small integers."""

    def __init__(self, seed=0, ties=False, overlap=0.0):
        rng = np.random.default_rng(seed)

        def vectors(n):
            if ties:
                return rng.integers(-1, 2, (n, N_COMPONENTS)).astype(float)
            return rng.normal(size=(n, N_COMPONENTS))

        self.X, self.A, self.C = map(vectors, (N_USERS, N_ITEMS, N_SEGMENTS))
        self.X[[3, 11]] = 0
        if not ties:
            self.C /= np.linalg.norm(self.C, axis=1, keepdims=True)
        labels = rng.choice(N_SEGMENTS, N_ITEMS, p=np.arange(1, 10) / 45)
        labels[20:29] = np.arange(N_SEGMENTS)
        self.belongs = rng.random((N_ITEMS, N_SEGMENTS)) < overlap
        self.belongs[np.arange(N_ITEMS), labels] = True
        self.belongs[[5, 17]] = False
        self.seen = rng.random((N_USERS, N_ITEMS)) < 0.3
        self.seen[4], self.seen[5] = True, False
        self.allowed = rng.random((N_USERS, N_ITEMS)) < 0.6
        self.candidates = rng.random(N_ITEMS) < 0.7

    def shelves(self, candidates=None):
        A, C = map(sp.csr_array, (self.A, self.C))
        sizes = self.belongs.sum(axis=0)
        memberships = sp.csr_array(self.belongs * 0.25)
        shelves = make_shelves(prepare(A), C, sizes, memberships)
        return shelves if candidates is None else shelves.only(candidates)

    def members(self):
        return [np.flatnonzero(column).tolist() for column in self.belongs.T]

    def expected(self, n_rows, k, min_items=1, diversity=0.0, hidden=None):
        hidden = np.zeros((N_USERS, N_ITEMS), bool) if hidden is None else hidden
        fixed = self.C, self.A, self.members(), n_rows, k, min_items, diversity
        return [
            slow_page(u, *fixed, np.flatnonzero(row).tolist())
            for u, row in zip(self.X, hidden, strict=True)
        ]


@pytest.fixture(params=[1, 4, 1000], ids="blocks of {}".format, autouse=True)
def any_block(request, monkeypatch):
    monkeypatch.setattr(_layout, "_block_size", lambda *parts: request.param)


@pytest.fixture(params=[0.0, 0.3], ids=["disjoint", "overlapping"])
def overlap(request):
    return request.param


# Between 0 and 1 rounding would decide about ties.
@pytest.mark.parametrize(
    ("ties", "diversity"),
    [(False, 0.0), (False, 0.3), (False, 1.0), (True, 0.0), (True, 1.0)],
)
@pytest.mark.parametrize(("n_rows", "k", "min_items"), [(4, 3, 1), (12, 5, 4)])
def test_equals_the_definition(overlap, ties, diversity, n_rows, k, min_items):
    catalogue = Catalogue(ties=ties, overlap=overlap)
    pages = lay_out(
        catalogue.X,
        catalogue.shelves(),
        n_rows,
        k,
        min_items=min_items,
        diversity=diversity,
        excluded=[sp.csr_array(catalogue.seen)],
    )
    expected = catalogue.expected(n_rows, k, min_items, diversity, catalogue.seen)
    assert_equal_pages(pages, expected, n_rows, k)
    # All that can happen happens.
    lengths = {len(page) for page in expected}
    assert 0 in lengths
    assert len(lengths) > 1


def test_filters_are_respected(overlap):
    catalogue = Catalogue(overlap=overlap)
    pages = lay_out(
        sp.csr_array(catalogue.X),
        catalogue.shelves(catalogue.candidates),
        5,
        3,
        min_items=2,
        allowed=sp.csr_array(catalogue.allowed),
        excluded=[sp.csr_array(catalogue.seen), sp.csr_array(catalogue.seen[::-1])],
    )
    hidden = catalogue.seen | catalogue.seen[::-1] | ~catalogue.allowed
    hidden |= ~catalogue.candidates
    assert_equal_pages(pages, catalogue.expected(5, 3, 2, hidden=hidden), 5, 3)


def test_duplicates_are_summed():
    catalogue = Catalogue()
    X = sp.csr_array(catalogue.X)
    halves = sp.coo_array(
        (np.tile(X.data / 2, 2), np.tile(X.tocoo().coords, 2)), shape=X.shape
    )
    starts = np.append(0, np.cumsum(np.bincount(halves.row, minlength=N_USERS)))
    order = np.argsort(halves.row, kind="stable")
    doubled = sp.csr_array(
        (halves.data[order], halves.col[order], starts), shape=X.shape
    )
    assert doubled.nnz == 2 * X.nnz
    before = doubled.data.copy()
    options = {"n_rows": 4, "k": 3, "diversity": 0.5}
    usual = lay_out(X, catalogue.shelves(), **options)
    pages = lay_out(doubled, catalogue.shelves(), **options)
    for one, other in zip(pages, usual, strict=True):
        assert_array_equal(one, other)
    assert_array_equal(doubled.data, before)


def test_without_numba(monkeypatch):
    catalogue = Catalogue(overlap=0.3)
    options = {"n_rows": 5, "k": 4, "diversity": 0.3}
    usual = lay_out(catalogue.X, catalogue.shelves(), **options)
    monkeypatch.setattr(kernels, "load_compiled_search", lambda: None)
    pages = lay_out(catalogue.X, catalogue.shelves(), **options)
    for one, other in zip(pages, usual, strict=True):
        assert_array_equal(one, other)


def test_no_item_comes_twice():
    catalogue = Catalogue(overlap=0.5)
    pages = lay_out(catalogue.X, catalogue.shelves(), 9, 10)
    for page in pages.items:
        items = page[page >= 0]
        assert len(items) == len(set(items))
    # Without the rule some would: segments overlap.
    assert catalogue.belongs.sum() > 2 * N_ITEMS
    assert (pages.items[:, -1] >= 0).any()


def test_without_diversity_rows_are_the_plain_ranking():
    catalogue = Catalogue(ties=True)
    pages = lay_out(catalogue.X, catalogue.shelves(), N_SEGMENTS, 1)
    sizes = catalogue.belongs.sum(axis=0)
    plain = search(catalogue.X, sp.csr_array(catalogue.C), 9, popularity=sizes)
    segments, scores = top_items(plain)
    assert_array_equal(pages.segments, segments)
    assert_array_equal(pages.segment_scores, scores)


def test_diversity_spreads_the_rows():
    catalogue = Catalogue()

    def mean_similarity(diversity):
        pages = lay_out(catalogue.X, catalogue.shelves(), 4, 1, diversity=diversity)
        C = catalogue.C[pages.segments]
        return np.einsum("uij,ukj->uik", C, C)[:, *np.triu_indices(4, 1)].mean()

    plain = mean_similarity(0.0)
    assert mean_similarity(0.5) < plain - 0.05
    assert mean_similarity(1.0) < plain - 0.05


def test_opposites_do_not_call_for_each_other():
    """Of a latent's two signs the second comes by its own score, not by the first."""
    C = sp.csr_array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 1]])
    shelves = make_shelves(prepare(C), C, np.ones(4), sp.csr_array(np.eye(4)))
    for diversity in (0.0, 0.5, 0.9):
        pages = lay_out(np.array([[3.0, 0.2, 0.1]]), shelves, 4, 1, diversity=diversity)
        assert pages.segments.tolist() == [[0, 2, 3, 1]]


def test_a_user_without_history_gets_the_largest_segments():
    catalogue = Catalogue()
    pages = lay_out(catalogue.X[[3]], catalogue.shelves(), 3, 2, diversity=0.0)
    sizes = catalogue.belongs.sum(axis=0)
    assert_array_equal(pages.segments[0], np.lexsort((np.arange(9), -sizes))[:3])
    assert_array_equal(pages.segment_scores, 0)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e200])
def test_lengths_of_profiles_do_not_matter(scale):
    catalogue = Catalogue()
    X = catalogue.X
    if scale == 1e-320:
        # What is left of such numbers are integers.
        X = np.round(10 * X)
    options = {"n_rows": 5, "k": 2, "diversity": 0.5}
    usual = lay_out(X, catalogue.shelves(), **options)
    scaled = lay_out(X * scale, catalogue.shelves(), **options)
    if scale == 1e-320:
        # Their products are rounded, so that order is not that of the others.
        assert (scaled.segments >= 0).all()
        return
    assert_array_equal(scaled.segments, usual.segments)
    assert_array_equal(scaled.items, usual.items)


@pytest.mark.parametrize("diversity", [0.0, 0.5])
def test_without_segments_pages_are_empty(diversity):
    C, A = sp.csr_array((0, N_COMPONENTS)), sp.csr_array(np.eye(N_COMPONENTS))
    memberships = sp.csr_array((N_COMPONENTS, 0))
    shelves = make_shelves(prepare(A), C, np.empty(0), memberships)
    pages = lay_out(np.ones((2, N_COMPONENTS)), shelves, 2, 3, diversity=diversity)
    assert_equal_pages(pages, [[], []], 2, 3)


def test_without_users_there_are_no_pages():
    pages = lay_out(np.empty((0, N_COMPONENTS)), Catalogue().shelves(), 2, 3)
    assert_equal_pages(pages, [], 2, 3)
