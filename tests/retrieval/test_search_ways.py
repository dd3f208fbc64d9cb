"""All ways of searching against float64 sums and sorting, to the last bit."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from sksparse_rec._numerics import search as kernels
from sksparse_rec._numerics.threads import thread_count
from sksparse_rec.retrieval import prepare, search
from sksparse_rec.retrieval._search import Searchable, ranks

pytestmark = pytest.mark.usefixtures("any_way")


def exact_scores(A, Q):
    """Sums in the order of an item's columns, one product after the other."""
    Q = Q.toarray() if sp.issparse(Q) else Q
    scores = np.zeros((len(Q), A.shape[0]))
    for item in range(A.shape[0]):
        for entry in range(A.indptr[item], A.indptr[item + 1]):
            scores[:, item] += float(A.data[entry]) * Q[:, A.indices[entry]]
    return scores


def assert_exact(R, A, Q, k, popularity=None, may=None):
    """Compare rows with sorting by score, popularity and position."""
    scores = exact_scores(A, Q)
    positions = np.arange(A.shape[0])
    popularity = np.zeros(A.shape[0]) if popularity is None else popularity
    for query, row in enumerate(scores):
        order = np.lexsort((positions, -popularity, -row))
        if may is not None:
            order = order[may[query, order]]
        stored = slice(*R.indptr[query : query + 2])
        assert_array_equal(R.indices[stored], order[:k])
        assert_array_equal(R.data[stored], row[order[:k]])


def make_items(rng, n_items=300, n_components=40, n_nonzero=6, dtype=np.float32):
    """Items of which many are equal, nearly equal or zero."""
    A = sp.random_array(
        (n_items, n_components),
        density=n_nonzero / n_components,
        rng=rng,
        format="lil",
        data_sampler=lambda size: rng.normal(size=size),
    )
    A = A.toarray()
    third = n_items // 3
    A[third : 2 * third] = A[:third]  # equal
    A[third : third + 9] *= 1 + 1e-7  # nearly
    A[2 * third : 2 * third + 20] = 0
    return sp.csr_array(A.astype(dtype))


def make_queries(rng, n_queries, n_components, density):
    Q = rng.normal(size=(n_queries, n_components))
    Q *= rng.random(Q.shape) < density
    Q[::5] = 0
    if n_queries > 3:
        Q[3] = np.abs(Q[3])
    return sp.csr_array(Q)


@pytest.mark.usefixtures("any_pieces")
@pytest.mark.parametrize("density", [0.05, 0.5, 1])
@pytest.mark.parametrize("n_queries", [1, 70])
def test_random_problems(rng, any_threads, density, n_queries):
    for k in (1, 7, 100, 1000):
        A = make_items(rng)
        Q = make_queries(rng, n_queries, 40, density)
        popularity = rng.integers(0, 4, 300)
        assert_exact(search(Q, A, k), A, Q, k)
        R = search(Q.toarray(), A, k, popularity=popularity)
        assert_exact(R, A, Q, k, popularity)


@pytest.mark.usefixtures("any_pieces", "any_threads")
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_random_masks(rng, share):
    A, popularity = make_items(rng), rng.integers(0, 4, 300)
    Q = make_queries(rng, 70, 40, 0.5)
    candidates = rng.random(300) < 0.7
    allowed, excluded, seen = (
        sp.csr_array(rng.random((70, 300)) < density)
        for density in (share, 0.3, 1 - share)
    )
    for options, may in (
        ({"allowed": allowed}, allowed.toarray()),
        ({"excluded": [excluded, seen]}, ~(excluded + seen).toarray()),
        (
            {"allowed": allowed, "excluded": [excluded]},
            allowed.toarray() & ~excluded.toarray(),
        ),
    ):
        for k in (3, 100):
            R = search(Q, A, k, popularity=popularity, **options)
            assert_exact(R, A, Q, k, popularity, may)
            R = search(Q, A, k, popularity=popularity, candidates=candidates, **options)
            assert_exact(R, A, Q, k, popularity, may & candidates)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n_components", [40, 70_000])
def test_dtypes(rng, dtype, n_components):
    A = make_items(rng, dtype=np.float32)
    A.indices *= n_components // 40
    A = sp.csr_array((A.data, A.indices, A.indptr), shape=(300, n_components))
    Q = make_queries(rng, 9, 40, 0.5)
    Q = sp.csr_array(
        (Q.data, Q.indices * (n_components // 40), Q.indptr), shape=(9, n_components)
    )
    # scipy does not know float16.
    rows = kernels.make_rows(A.indptr, A.indices, A.data.astype(dtype), n_components)
    assert rows.columns.dtype == (np.uint16 if n_components == 40 else np.int32)
    A.data = rows.values.astype(np.float64)
    for k in (1, 20):
        assert_exact(search(Q, Searchable(rows), k), A, Q, k)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("item_scale", "query_scale"),
    [
        (1e-30, 1e30),
        (1e30, 1e-30),
        (1e30, 1e30),
        (1e-30, 1e-30),
        (1e-42, 1e-310),
        (2.0**-539, 2.0**-539),
    ],
)
def test_scales(rng, dtype, item_scale, query_scale):
    """Also where float32 has neither room nor digits."""
    A = make_items(rng)
    A.data = (A.data.astype(float) * item_scale).astype(dtype)
    Q = make_queries(rng, 9, 40, 0.5)
    Q.data *= query_scale
    assert_exact(search(Q, A, 20), A, Q, 20)


def test_one_large_entry_hides_the_rest(rng):
    """What a query has beside it is below the digits of the screening."""
    A = make_items(rng)
    Q = make_queries(rng, 9, 40, 1.0).toarray()
    Q[:, 7] = 1e6
    A = A.toarray()
    A[:, 7] = 0.125
    A = sp.csr_array(A)
    assert_exact(search(Q, A, 20), A, Q, 20)


def test_scores_closer_than_bfloat16_tells(rng):
    A = np.ones((500, 8)) / np.sqrt(8)
    A += 1e-6 * rng.normal(size=A.shape)
    A = sp.csr_array(A.astype(np.float32))
    Q = rng.random((70, 8))
    assert_exact(search(Q, A, 10), A, Q, 10)


def test_long_and_empty_rows(rng):
    A = np.zeros((60, 300), np.float32)
    A[::7] = rng.normal(size=(9, 300))
    A[3, 5] = 2
    A = sp.csr_array(A)
    Q = make_queries(rng, 20, 300, 0.3)
    assert_exact(search(Q, A, 25), A, Q, 25)


@pytest.mark.usefixtures("small_pieces")
def test_threads_and_pieces_change_nothing(rng):
    A, Q = make_items(rng), make_queries(rng, 150, 40, 0.5)
    expected = search(Q, A, 9)
    for threads in (1, 2, 5):
        with thread_count(threads, 1):
            R = search(Q, A, 9)
        for name in ("data", "indices", "indptr"):
            assert_array_equal(getattr(R, name), getattr(expected, name))


@pytest.mark.parametrize("changed", ["unsorted", "duplicates"])
def test_matrices_that_are_not_canonical(rng, changed):
    A, Q = make_items(rng), make_queries(rng, 9, 40, 0.5)
    odd = {"A": A, "Q": Q}
    for name, X in odd.items():
        order = np.concatenate(
            [np.arange(*X.indptr[i : i + 2])[::-1] for i in range(X.shape[0])]
        )
        odd[name] = sp.csr_array((X.data[order], X.indices[order], X.indptr), X.shape)
        if changed == "duplicates":
            halves = np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr
            odd[name] = sp.csr_array(halves, X.shape)
    before = {name: X.data.copy() for name, X in odd.items()}
    assert_exact(search(odd["Q"], odd["A"], 9), A, Q, 9)
    for name, X in odd.items():
        assert_array_equal(X.data, before[name])


def test_lists_are_made_when_they_are_worth_it(rng, any_way):
    A, Q = make_items(rng), make_queries(rng, 1, 40, 0.1)
    items = prepare(A)
    expected = search(Q, A, 9)
    for _ in range(100):
        R = search(Q, items, 9)
        assert_array_equal(R.indices, expected.indices)
    assert (items.lists is None) == (any_way in ("scipy", "scan"))


@pytest.mark.parametrize("name", ["candidates", "allowed"])
def test_lists_are_not_made_for_searches_that_take_none(rng, any_way, name):
    A, Q = make_items(rng), make_queries(rng, 1, 40, 0.1)
    items, one = prepare(A), np.arange(A.shape[0]) == 7
    few = one if name == "candidates" else sp.csr_array(one[None])
    for _ in range(100):
        assert search(Q, items, 9, **{name: few}).nnz == 1
    assert (items.lists is None) == (any_way != "lists")


def test_ranks():
    assert ranks(None) is None
    popularity = np.array([1, 3, 3, 0], dtype=np.uint8)
    assert_array_equal(ranks(popularity), [2, 0, 1, 3])
    assert len(ranks([])) == 0
