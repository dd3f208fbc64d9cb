"""Exact search against sorting everything."""

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec._numerics import search as kernels
from sksparse_rec._numerics.search_scipy import best_columns
from sksparse_rec.retrieval import search, top_items

N_QUERIES, N_ITEMS, N_COMPONENTS = 13, 17, 5


def brute_force(Q, A, k, popularity=None, candidates=None, allowed=None, excluded=()):
    """Ids and scores of every query: sorted by score, popularity, position."""
    Q, A = Q.toarray().astype(float), A.toarray().astype(float)
    popularity = np.zeros(len(A)) if popularity is None else popularity
    lists = []
    for query, profile in enumerate(Q):
        scores = A @ profile
        ranked = sorted(
            range(len(A)), key=lambda i, s=scores: (-s[i], -popularity[i], i)
        )
        kept = [
            item
            for item in ranked
            if (candidates is None or candidates[item])
            and (allowed is None or allowed.toarray()[query, item])
            and not any(mask.toarray()[query, item] for mask in excluded)
        ]
        lists.append([(item, scores[item]) for item in kept[:k]])
    return lists


def assert_equal_lists(R, expected):
    assert isinstance(R, sp.csr_array)
    assert R.shape == (len(expected), N_ITEMS)
    assert R.dtype == np.float64
    for row, items in enumerate(expected):
        stored = slice(R.indptr[row], R.indptr[row + 1])
        assert R.indices[stored].tolist() == [item for item, _ in items]
        assert_allclose(R.data[stored], [score for _, score in items])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(name="Q")
def make_queries(rng):
    """Small integers: many ties, and sums without rounding."""
    Q = rng.integers(-2, 3, (N_QUERIES, N_COMPONENTS)) * 1.0
    Q[[0, 7]] = 0  # no history: every item ties
    return sp.csr_array(Q)


@pytest.fixture(name="A")
def make_embeddings(rng):
    A = rng.integers(-2, 3, (N_ITEMS, N_COMPONENTS)) * (
        rng.random((N_ITEMS, N_COMPONENTS)) < 0.5
    )
    A[4] = 0
    A[[9, 10]] = A[2]
    return sp.csr_array(A.astype(np.float32))


@pytest.fixture
def popularity(rng):
    return rng.integers(0, 3, N_ITEMS)


@pytest.fixture
def mask(rng):
    def make(density):
        pattern = rng.random((N_QUERIES, N_ITEMS)) < density
        pattern[2], pattern[3] = True, False
        return sp.csr_array(pattern)

    return make


@pytest.mark.parametrize("k", [1, 3, 16, 17, 18, 1000])
@pytest.mark.parametrize("by_popularity", [False, True])
def test_equals_sorting(Q, A, k, popularity, by_popularity):
    popularity = popularity if by_popularity else None
    R = search(Q, A, k, popularity=popularity)
    assert_equal_lists(R, brute_force(Q, A, k, popularity))
    assert np.diff(R.indptr).tolist() == [min(k, N_ITEMS)] * N_QUERIES


@pytest.mark.parametrize("k", [2, 6, 50])
@pytest.mark.parametrize("n_candidates", [0, 1, 6, N_ITEMS])
def test_candidates(Q, A, k, n_candidates, popularity, rng):
    candidates = rng.permutation(N_ITEMS) < n_candidates
    R = search(Q, A, k, popularity=popularity, candidates=candidates)
    assert_equal_lists(R, brute_force(Q, A, k, popularity, candidates))


@pytest.mark.parametrize("k", [2, 6, 50])
def test_masks_of_every_query(Q, A, k, popularity, mask, rng):
    options = {
        "candidates": rng.random(N_ITEMS) < 0.8,
        "allowed": mask(0.6),
        "excluded": [mask(0.3), mask(0.2)],
    }
    R = search(Q, A, k, popularity=popularity, **options)
    expected = brute_force(Q, A, k, popularity, **options)
    assert {len(items) for items in expected} > {0}
    assert_equal_lists(R, expected)


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
def test_containers_and_indices(Q, A, mask, container, index_dtype, popularity):
    def wide(S):
        S = container(S)
        S.indices, S.indptr = (
            S.indices.astype(index_dtype),
            S.indptr.astype(index_dtype),
        )
        return S

    allowed, excluded = mask(0.6), mask(0.3)
    R = search(
        wide(Q),
        sp.csr_array(wide(A)),
        5,
        allowed=wide(allowed),
        excluded=[wide(excluded)],
    )
    assert_equal_lists(R, brute_force(Q, A, 5, allowed=allowed, excluded=[excluded]))


@pytest.mark.parametrize("working_memory", [1e-6, 5 * 32 * N_ITEMS / 2**20, 1024])
def test_working_memory_changes_nothing(rng, mask, working_memory, popularity):
    """Not one bit: the order of every sum is fixed."""
    Q = sp.random_array((N_QUERIES, 30), density=0.7, rng=rng, format="csr")
    A = sp.random_array((N_ITEMS, 30), density=0.7, rng=rng, format="csr")
    options = {"popularity": popularity, "allowed": mask(0.8), "excluded": [mask(0.2)]}
    expected = search(Q, A, 6, **options)
    with sklearn.config_context(working_memory=working_memory):
        R = search(Q, A, 6, **options)
    for name in ("data", "indices", "indptr"):
        assert_array_equal(getattr(R, name), getattr(expected, name))


def test_query_alone_is_query_among_others(rng):
    Q = sp.random_array((9, 30), density=0.7, rng=rng, format="csr")
    A = sp.random_array((N_ITEMS, 30), density=0.7, rng=rng, format="csr")
    together = search(Q, A, 6)
    for query in range(9):
        alone = search(Q[[query]], A, 6)
        stored = slice(*together.indptr[query : query + 2])
        assert_array_equal(alone.indices, together.indices[stored])
        assert_array_equal(alone.data, together.data[stored])


@pytest.mark.parametrize(
    ("n_queries", "n_components", "n_candidates"),
    [(20_000, 16, 200), (2_000, 2_000, 20)],
    ids=["many items", "few candidates, many components"],
)
def test_memory_is_bounded_by_the_working_memory(
    rng, peak_of, n_queries, n_components, n_candidates
):
    Q = sp.random_array((n_queries, n_components), density=2e-3, rng=rng, format="csr")
    A = sp.random_array((200, n_components), density=0.01, rng=rng, format="csr")
    candidates = np.arange(200) < n_candidates
    with sklearn.config_context(working_memory=2):
        R, peak = peak_of(lambda: search(Q, A, 5, candidates=candidates))
    # The result exists as blocks, joined, and as matrix.
    result = R.data.nbytes + R.indices.nbytes + R.indptr.nbytes
    assert peak < 2.5 * 2**20 + 4 * result


def test_no_queries(A):
    R = search(sp.csr_array((0, N_COMPONENTS)), A, 3)
    assert (R.shape, R.nnz) == ((0, N_ITEMS), 0)


def test_no_items(Q):
    R = search(Q, sp.csr_array((0, N_COMPONENTS)), 3)
    assert (R.shape, R.nnz) == ((N_QUERIES, 0), 0)


def test_rows_are_read_best_first(Q, A):
    R = search(Q, A, 5)
    assert not R.has_sorted_indices
    ids, scores = top_items(R)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert_array_equal(ids, [[i for i, _ in row] for row in brute_force(Q, A, 5)])


def test_arguments_are_left_as_they_were(Q, A, mask):
    allowed, excluded = mask(0.6), mask(0.3)
    arguments = (Q, A, allowed, excluded)
    before = [argument.copy() for argument in arguments]
    search(Q, A, 3, allowed=allowed, excluded=[excluded])
    for argument, copy in zip(arguments, before, strict=True):
        for name in ("data", "indices", "indptr"):
            assert_array_equal(getattr(argument, name), getattr(copy, name))


class TestTopColumns:
    @pytest.mark.parametrize("k", [1, 2, 5, 8, 20])
    def test_equals_sorting(self, rng, k):
        scores = rng.integers(0, 4, (30, 8)).astype(float)
        scores[rng.random(scores.shape) < 0.3] = -np.inf
        scores[3] = -np.inf
        scores[4] = 0
        columns = best_columns(scores, k)
        assert_array_equal(columns, np.argsort(-scores, axis=1, kind="stable")[:, :k])

    def test_leaves_the_scores_alone(self, rng):
        scores = rng.normal(size=(4, 6))
        before = scores.copy()
        best_columns(scores, 2)
        assert_array_equal(scores, before)


def test_a_listing_costs_its_share_of_a_scan(rng):
    """So lists of everything are not taken for what a short scan would answer."""
    A = sp.random_array((400, 40), density=0.15, rng=rng, format="csr")
    A.sort_indices()
    columns = kernels.narrow_columns(A.indices, 40)
    rows = kernels.make_rows(A.indptr.astype(np.int64), columns, A.data, 40)
    lists, lengths = kernels.make_lists(rows), kernels.latent_lengths(rows)
    Q = sp.random_array((9, 40), density=0.1, rng=rng, format="csr")
    everything, _ = kernels._take_lists(rows, lists, lengths, Q, 1.0)
    a_little, _ = kernels._take_lists(rows, lists, lengths, Q, 1e-9)
    assert everything.all()
    assert not a_little[np.diff(Q.indptr) > 0].any()
