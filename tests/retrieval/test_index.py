"""SparseIndex against float64 sums and sorting."""

import threading

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec import SparseIndex, top_items
from sksparse_rec.retrieval._index_state import restore_state

N_ITEMS, N_COMPONENTS = 60, 12
NAMES = np.array([f"item {i}" for i in range(N_ITEMS)])
NUMBERS = np.arange(N_ITEMS) * 10**12 - 5


def brute_force(A, Q, k, popularity=None, may=None):
    """Positions and scores, best first, by sums in the order of the columns."""
    A = np.asarray(A, dtype=float)
    popularity = np.zeros(len(A)) if popularity is None else popularity
    lists = []
    for query, q in enumerate(np.asarray(Q, dtype=float)):
        scores = np.zeros(len(A))
        for column in range(A.shape[1]):
            scores += A[:, column] * q[column]
        order = np.lexsort((np.arange(len(A)), -np.asarray(popularity), -scores))
        if may is not None:
            order = order[may[query, order]]
        lists.append((order[:k], scores[order[:k]]))
    return lists


def assert_found(R, expected):
    R = sp.csr_array(R)
    assert R.shape[0] == len(expected)
    for row, (positions, scores) in enumerate(expected):
        stored = slice(*R.indptr[row : row + 2])
        assert_array_equal(R.indices[stored], positions)
        assert_array_equal(R.data[stored], scores)


@pytest.fixture(name="A")
def make_items(rng):
    """Rows in float16, with equal and empty ones."""
    A = rng.normal(size=(N_ITEMS, N_COMPONENTS))
    A *= rng.random(A.shape) < 0.4
    A[20:30] = A[:10]
    A[30:33] = 0
    return A.astype(np.float16).astype(float)


@pytest.fixture(name="Q")
def make_queries(rng):
    Q = rng.normal(size=(9, N_COMPONENTS)) * (rng.random((9, N_COMPONENTS)) < 0.6)
    Q[4] = 0
    return Q


@pytest.fixture
def popularity(rng):
    return rng.integers(0, 3, N_ITEMS)


@pytest.fixture
def make_mask(rng):
    return lambda density: rng.random((9, N_ITEMS)) < density


@pytest.mark.usefixtures("any_way", "any_pieces", "any_threads")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("inverted", [True, False])
def test_equals_sorting(A, Q, popularity, dtype, inverted):
    index = SparseIndex(A, popularity=popularity, dtype=dtype, inverted=inverted)
    for k in (1, 7, 59, 60, 1000):
        assert_found(index.search(Q, k), brute_force(A, Q, k, popularity))
        assert_found(index.search(sp.csr_array(Q), k), brute_force(A, Q, k, popularity))
    index = SparseIndex(sp.coo_array(A), dtype=dtype, inverted=inverted)
    assert_found(index.search(Q), brute_force(A, Q, 10))


@pytest.mark.parametrize(
    "container",
    [
        sp.csr_array,
        sp.csr_matrix,
        sp.csc_array,
        sp.coo_matrix,
        np.asarray,
        pd.DataFrame,
    ],
)
def test_containers(A, Q, container):
    index = SparseIndex(container(A))
    assert_found(index.search(container(Q), 5), brute_force(A, Q, 5))


def test_wide_indices_duplicates_and_zeros(A, Q):
    wide = sp.csr_array(A)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(int)
    index = SparseIndex(wide)
    assert_found(index.search(Q, 5), brute_force(A, Q, 5))
    halves = sp.coo_array(A / 2)
    twice = sp.coo_array(
        (np.tile(halves.data, 2), (np.tile(halves.row, 2), np.tile(halves.col, 2))),
        shape=A.shape,
    ).tocsr()
    twice.data[0] = 0
    twice = sp.csr_array(twice)
    same = SparseIndex(twice)
    assert np.all(same.values != 0)
    assert_found(same.search(Q, 5), brute_force(twice.toarray(), Q, 5))


@pytest.mark.usefixtures("any_way")
@pytest.mark.parametrize(
    "ids", [None, NAMES, NUMBERS, NAMES.tolist(), NAMES.astype(object)]
)
def test_filters(A, Q, make_mask, ids):
    index = SparseIndex(A, ids=ids)
    own = np.arange(N_ITEMS) if ids is None else np.asarray(ids)
    allow, deny, seen = make_mask(0.5), make_mask(0.3), make_mask(0.2)
    listed = np.arange(N_ITEMS) % 3 > 0
    for options, may in (
        ({"allow": own[listed]}, listed),
        ({"allow": listed}, listed),
        ({"deny": own[~listed]}, listed),
        ({"allow": own[listed], "deny": own[:20]}, listed & (np.arange(N_ITEMS) > 19)),
        ({"allow": sp.csr_array(allow)}, allow),
        ({"deny": sp.csc_array(deny)}, ~deny),
        ({"allow": allow, "deny": deny}, allow & ~deny),
        ({"exclude": sp.csr_array(seen)}, ~seen),
        ({"exclude": sp.csr_array(seen), "deny": deny}, ~seen & ~deny),
        ({"exclude": own[5:14]}, np.arange(N_ITEMS) != np.arange(5, 14)[:, None]),
        ({"allow": own[:0]}, np.zeros(N_ITEMS, dtype=bool)),
    ):
        may = np.broadcast_to(may, (9, N_ITEMS))
        assert_found(index.search(Q, 8, **options), brute_force(A, Q, 8, may=may))


@pytest.mark.usefixtures("any_way")
@pytest.mark.parametrize("ids", [None, NAMES, NUMBERS])
def test_search_ids(A, Q, make_mask, ids):
    index = SparseIndex(A, ids=ids)
    allow = make_mask(0.1)
    allow[0] = False
    found, scores = index.search_ids(Q, 8, allow=sp.csr_array(allow))
    positions, expected = top_items(
        sp.csr_array(index.search(Q, 8, allow=sp.csr_array(allow)))
    )
    assert found.shape == scores.shape == (9, 8)
    assert found.dtype == (object if ids is NAMES else np.int64)
    missing = None if ids is NAMES else -1
    own = [*(range(N_ITEMS) if ids is None else ids.tolist()), missing]
    width = positions.shape[1]
    assert found[:, :width].tolist() == [[own[i] for i in row] for row in positions]
    assert np.all(found[:, width:] == missing)
    assert np.all(found[0] == missing)
    assert_array_equal(scores[:, :width], expected)
    assert np.all(scores[:, width:] == -np.inf)


def test_empty_indexes_and_no_queries(A, Q):
    empty = SparseIndex(np.empty((0, N_COMPONENTS)), ids=[])
    assert len(empty) == 0
    R = empty.search(Q)
    assert (R.shape, R.nnz) == ((9, 0), 0)
    ids, scores = empty.search_ids(Q, 3)
    assert np.all(ids == -1)
    assert np.all(scores == -np.inf)
    R = SparseIndex(A).search(Q[:0])
    assert (R.shape, R.nnz) == ((0, N_ITEMS), 0)
    for rows in (np.zeros((4, 3)), sp.csr_array((4, 3))):
        zeros = SparseIndex(rows)
        assert_found(zeros.search([[1.0, 2, 3]], 3), [(range(3), np.zeros(3))])


@pytest.mark.parametrize("ids", [None, NAMES, NUMBERS])
@pytest.mark.parametrize("inverted", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_items_come_and_go(A, Q, popularity, ids, inverted, dtype, rng):
    """An index that was changed is an index of what there is now."""
    options = {"dtype": dtype, "inverted": inverted}
    index = SparseIndex(A[:40], ids=None if ids is None else ids[:40], **options)
    counted = SparseIndex(
        A[:40],
        ids=None if ids is None else ids[:40],
        popularity=popularity[:40],
        **options,
    )
    own = np.arange(N_ITEMS) if ids is None else ids
    rows, kept = A[:40].copy(), np.arange(40)
    counts = popularity[:40].astype(float)

    def check():
        for changed, ties in ((index, None), (counted, counts)):
            expected = SparseIndex(rows, ids=own[kept], popularity=ties, **options)
            names = "indptr columns values rank latent_lengths "
            for name in (names + "list_starts list_places list_values").split():
                assert_array_equal(getattr(changed, name), getattr(expected, name))
            for found, wanted in zip(
                changed.search_ids(Q, 7), expected.search_ids(Q, 7), strict=True
            ):
                assert_array_equal(found, wanted)

    check()
    new = np.arange(40, N_ITEMS)
    index.add(own[new], A[new])
    counted.add(own[new], sp.csr_array(A[new]), popularity=popularity[new])
    rows, kept = A.copy(), np.arange(N_ITEMS)
    counts = popularity.astype(float)
    check()
    gone = rng.permutation(N_ITEMS)[:15]
    for one in (index, counted):
        one.remove(own[gone])
    kept = np.delete(kept, gone)
    rows, counts = rows[kept], counts[kept]
    check()
    places = rng.permutation(len(kept))[:11]
    fresh = rng.normal(size=(11, N_COMPONENTS)).astype(np.float16)
    fresh[3] = 0
    index.update(own[kept[places]], fresh)
    counted.update(own[kept[places]], fresh, popularity=np.arange(11))
    rows[places], counts[places] = fresh, np.arange(11)
    check()
    counted.update(own[kept[:2]], rows[:2])
    check()
    back = gone[:1]
    index.add(own[back], A[back])
    counted.add(own[back], A[back])
    rows, kept = np.vstack([rows, A[back]]), np.append(kept, back)
    counts = np.append(counts, 0)
    check()
    for one in (index, counted):
        one.remove(own[kept])
        assert len(one) == 0
        one.add(own[:3], A[:3])
        assert len(one) == 3


def test_default_ids_stay_with_their_items(A):
    index = SparseIndex(A[:5])
    assert index.ids is None
    index.remove([0, 2])
    assert_array_equal(index.ids, [1, 3, 4])
    with pytest.raises(ValueError, match="contains 2, which is not in the index"):
        index.remove([2])
    index.add([2], A[[2]])
    assert_array_equal(index.ids, [1, 3, 4, 2])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda i, A: i.add(["item 1"], A[:1]), ValueError, "'item 1', which is in"),
        (lambda i, A: i.add(["x", "x"], A[:2]), ValueError, "contains 'x' twice"),
        (lambda i, A: i.add([7], A[:1]), TypeError, "integers such as 7.*strings"),
        (lambda i, A: i.add([1.5], A[:1]), TypeError, "strings or integers"),
        (lambda i, A: i.add(["x"], A[:2]), ValueError, r"ids has shape \(1,\).* 2 row"),
        (lambda i, A: i.add(["x"], A[:1, :3]), ValueError, "rows has 3 columns.* 12"),
        (lambda i, A: i.add(["x"], A[:1] * np.nan), ValueError, "NaN"),
        (lambda i, A: i.add(["x"], A[:1], popularity=[1]), ValueError, "made without"),
        (lambda i, A: i.remove(["x"]), ValueError, "'x', which is not in the index"),
        (lambda i, A: i.update(["x"], A[:1]), ValueError, "'x', which is not in"),
        (
            lambda i, A: i.update(["item 1", "item 1"], A[:2]),
            ValueError,
            "contains 'item 1' twice",
        ),
        (lambda i, A: i.search(A, allow=["x"]), ValueError, "allow contains 'x'"),
        (lambda i, A: i.search(A, deny=[3]), TypeError, "deny holds integers"),
        (lambda i, A: i.search(A, exclude=["item 1"]), ValueError, "exclude.* 60 quer"),
        (
            lambda i, A: i.search(A, exclude=sp.csr_array((2, 3))),
            ValueError,
            r"exclude is a mask of shape \(2, 3\)",
        ),
        (lambda i, A: i.search(A[:, :3]), ValueError, "Q has 3 columns.* 12"),
        (lambda i, A: i.search(A * np.inf), ValueError, r"Q\[0, 0\] is nan|infinity"),
        (lambda i, A: i.search(A, 0), ValueError, "k must be an integer of at least 1"),
        (lambda i, A: i.search(A[0]), ValueError, "2D array"),
    ],
)
def test_what_is_refused(A, change, error, words):
    index = SparseIndex(A, ids=NAMES)
    before = index.search(A).toarray()
    with np.errstate(invalid="ignore"), pytest.raises(error, match=words):
        change(index, A)
    assert_array_equal(index.search(A).toarray(), before)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"ids": NAMES[:5]}, ValueError, r"ids has shape \(5,\), but there are 60"),
        ({"ids": np.zeros(60, int)}, ValueError, "ids contains 0 twice"),
        ({"ids": np.full(60, 2**63, np.uint64)}, ValueError, "64-bit integers"),
        ({"ids": NAMES.reshape(2, 30)}, ValueError, "one-dimensional"),
        ({"ids": np.linspace(0, 1, 60)}, TypeError, "strings or integers"),
        ({"popularity": np.ones(3)}, ValueError, r"popularity has shape \(3,\)"),
        ({"popularity": np.full(60, np.nan)}, ValueError, r"popularity\[0\] is nan"),
        ({"dtype": "float64"}, ValueError, "dtype must be one of.*'float64'"),
    ],
)
def test_wrong_parameters(A, options, error, words):
    with pytest.raises(error, match=words):
        SparseIndex(A, **options)


def test_values_out_of_range(A):
    A[7, 2] = 1e5
    place = r"item_embeddings\[7, 2\] is 100000.*float16"
    with pytest.raises(ValueError, match=place):
        SparseIndex(A, dtype="float16")
    SparseIndex(A)
    A[7, 2] = np.inf
    with pytest.raises(ValueError, match=r"infinity: item_embeddings\[7, 2\] is inf"):
        SparseIndex(A)


def codes(rng, n_items, n_components=4096, n_nonzero=32):
    columns = np.sort(
        rng.integers(0, n_components // n_nonzero, (n_items, n_nonzero))
        + np.arange(n_nonzero) * (n_components // n_nonzero),
        axis=1,
    )
    values = rng.normal(size=columns.size).astype(np.float32)
    indptr = np.arange(0, columns.size + 1, n_nonzero)
    return sp.csr_array((values, columns.ravel(), indptr), (n_items, n_components))


def test_bytes(rng):
    pytest.importorskip("numba")
    A = codes(rng, 70_000)
    sizes = {
        (dtype, inverted): SparseIndex(A, dtype=dtype, inverted=inverted).nbytes
        for dtype in ("float16", "float32")
        for inverted in (False, True)
    }
    per_item = {key: size / 70_000 for key, size in sizes.items()}
    assert per_item["float16", False] <= 140
    assert per_item["float16", True] <= 280
    assert per_item["float32", False] <= 204
    index = SparseIndex(A, ids=[f"{i:07}" for i in range(70_000)])
    assert index.nbytes == sum(
        getattr(index, name).nbytes
        for name in (
            "indptr columns values latent_lengths ids id_order list_starts list_places "
            "list_values"
        ).split()
    )


@pytest.mark.usefixtures("any_way")
def test_memory_of_a_search_is_bounded_by_the_working_memory(rng, peak_of):
    A = codes(rng, 5000, 512, 8)
    Q = sp.random_array((3000, 512), density=0.02, rng=rng, format="csr")
    index = SparseIndex(A)
    index.search(Q[:9])
    with sklearn.config_context(working_memory=4):
        R, peak = peak_of(lambda: index.search(Q, 5))
    result = R.data.nbytes + R.indices.nbytes + R.indptr.nbytes
    # Profiles alone take 12 MB, scores of all would take 120 MB.
    assert peak < 4.5 * 2**20 + 4 * result


def test_state_can_be_taken_apart_and_read_only(A, Q, popularity, tmp_path):
    """What saving and opening need: arrays, numbers, and nothing else."""
    index = SparseIndex(A, ids=NAMES, popularity=popularity, dtype="float16")
    arrays, opened = index._state.arrays(), {}
    for name, array in arrays.items():
        np.save(tmp_path / name, array)
        opened[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    other = SparseIndex(A[:1])
    other._state = restore_state(opened, index._state.numbers())
    for found, wanted in zip(
        other.search_ids(Q, 7), index.search_ids(Q, 7), strict=True
    ):
        assert_array_equal(found, wanted)
    other.remove(NAMES[:50])
    assert len(other) == 10
    assert len(index) == N_ITEMS


def test_searches_in_other_threads_see_all_of_a_change_or_nothing(A):
    """Every list must be that of one of two states."""
    index = SparseIndex(A[:30], ids=NAMES[:30])
    Q = A[:20]
    states = [index.search_ids(Q, 60)[0].tolist()]
    index.add(NAMES[30:], A[30:])
    states.append(index.search_ids(Q, 60)[0].tolist())
    seen, done = [], threading.Event()

    def watch():
        while not done.is_set():
            seen.append(index.search_ids(Q, 60)[0].tolist())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(10):
        index.remove(NAMES[30:])
        index.add(NAMES[30:], A[30:])
    done.set()
    watcher.join()
    assert seen
    assert all(found in states for found in seen)


def test_scores_of_unit_rows_are_cosines(rng):
    A = codes(rng, 500, 64, 4)
    A.data /= np.repeat(np.sqrt(A.multiply(A).sum(axis=1)), 4)
    ids, scores = SparseIndex(A, dtype="float16").search_ids(A[:20], 1)
    assert_array_equal(ids[:, 0], np.arange(20))
    assert_allclose(scores[:, 0], 1, atol=1e-3)


def test_repr_and_unknown_attributes(A):
    index = SparseIndex(A)
    assert repr(index).startswith("SparseIndex(60 items, 12 components, float32, ")
    assert index.popularity is None
    with pytest.raises(AttributeError, match="'SparseIndex' has no attribute 'rows'"):
        index.rows  # noqa: B018
