"""What holdout_split hides, and what the choice depends on."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import config_context

from sksparse_rec.model_selection import holdout_split

N_USERS, N_ITEMS = 40, 25


@pytest.fixture(name="X")
def interactions():
    rng = np.random.default_rng(0)
    X = sp.random_array((N_USERS, N_ITEMS), density=0.4, rng=rng, format="csr")
    X = X.tolil()
    X[0] = 0  # no items
    X[1] = 0
    X[1, 3] = 0.5  # one item
    X[2] = 0
    X[2, [4, 9]] = 0.25  # two items
    X[3] = 1.0  # all items
    return sp.csr_array(X)


@pytest.fixture
def timestamps(X):
    times = X.copy()
    times.data = np.random.default_rng(1).permutation(X.nnz) - 5  # one is an explicit 0
    assert (times.data == 0).any()
    return times


def counts(S):
    return np.diff(S.indptr)


def assert_is_split_of(X, history, targets):
    assert history.shape == targets.shape == X.shape
    assert history.dtype == targets.dtype == X.dtype
    assert history.multiply(targets).nnz == 0
    np.testing.assert_array_equal((history + targets).toarray(), X.toarray())
    assert history.has_canonical_format
    assert targets.has_canonical_format


@pytest.mark.parametrize("test_share", [0.01, 0.2, 0.29, 0.5, 0.99])
def test_share(X, test_share):
    history, targets = holdout_split(X, test_share=test_share, random_state=0)
    assert_is_split_of(X, history, targets)
    n = counts(X)
    expected = np.ceil(test_share * n - 1e-9)
    expected = np.minimum(expected, np.maximum(n - 1, 0))
    np.testing.assert_array_equal(counts(targets), expected)


def test_share_is_rounded_as_written():
    _, targets = holdout_split(np.ones((1, 100)), test_share=0.07)
    assert targets.nnz == 7  # 0.07 * 100 is above 7 in floating point


@pytest.mark.parametrize("test_count", [1, 3, 1000])
@pytest.mark.parametrize("min_history", [0, 1, 5])
def test_count(X, test_count, min_history):
    history, targets = holdout_split(
        X, test_count=test_count, min_history=min_history, random_state=0
    )
    assert_is_split_of(X, history, targets)
    expected = np.minimum(test_count, np.maximum(counts(X) - min_history, 0))
    np.testing.assert_array_equal(counts(targets), expected)


@pytest.mark.parametrize("as_dense", [True, False])
def test_time_hides_the_latest(X, timestamps, as_dense):
    times = timestamps.toarray()
    history, targets = holdout_split(X, timestamps=times if as_dense else timestamps)
    assert_is_split_of(X, history, targets)
    _, by_share = holdout_split(X)
    np.testing.assert_array_equal(counts(targets), counts(by_share))
    history, targets = history.toarray() > 0, targets.toarray() > 0
    for u in range(N_USERS):
        if targets[u].any():
            assert times[u, history[u]].max() < times[u, targets[u]].min()


def test_time_by_count_and_from_any_sparse_format(X, timestamps):
    _, expected = holdout_split(X, timestamps=timestamps, test_count=2)
    shuffled = sp.coo_matrix(timestamps)
    order = np.random.default_rng(0).permutation(X.nnz)
    shuffled = sp.coo_matrix(
        (shuffled.data[order], (shuffled.row[order], shuffled.col[order])), X.shape
    )
    for times in (shuffled, timestamps.astype(float), timestamps.tocsc()):
        _, targets = holdout_split(X, timestamps=times, test_count=2)
        np.testing.assert_array_equal(targets.toarray(), expected.toarray())


def test_large_times_are_not_rounded():
    # Nanoseconds: float32 and float64 cannot tell these apart.
    times = np.array([[1_700_000_000_000_000_001, 1_700_000_000_000_000_000]])
    _, targets = holdout_split([[1, 1]], timestamps=times)
    np.testing.assert_array_equal(targets.toarray(), [[1, 0]])
    _, targets = holdout_split([[1, 1]], timestamps=np.array([[3, 7]], dtype=np.uint8))
    np.testing.assert_array_equal(targets.toarray(), [[0, 1]])


def test_equal_times_are_split_by_the_seed(X):
    times = np.ones(X.shape)
    for seed in (0, 1):
        _, by_time = holdout_split(X, timestamps=times, random_state=seed)
        _, random = holdout_split(X, random_state=seed)
        np.testing.assert_array_equal(by_time.toarray(), random.toarray())


def test_bad_timestamps(X, timestamps):
    with pytest.raises(ValueError, match=r"timestamps has shape \(40, 2\) but X has"):
        holdout_split(X, timestamps=timestamps[:, :2])
    cleaned = timestamps.copy()
    cleaned.eliminate_zeros()
    with pytest.raises(ValueError, match=r"timestamps lacks X\[\d+, \d+\]"):
        holdout_split(X, timestamps=cleaned)
    with pytest.raises(ValueError, match="timestamps lacks"):
        holdout_split(X, timestamps=sp.csr_array(X.shape))
    with pytest.raises(ValueError, match=r"timestamps\[0, 1\] is NaN"):
        holdout_split([[1, 1]], timestamps=[[1, np.nan]])
    with pytest.raises(ValueError, match="convert dates to seconds"):
        holdout_split([[1]], timestamps=np.array([["2020-01-01"]], dtype="M8[s]"))
    twice = sp.coo_array(([1, 2], ([0, 0], [1, 1])), shape=(1, 2))
    with pytest.raises(ValueError, match=r"stores \[0, 1\] more than once"):
        holdout_split([[0, 1]], timestamps=twice)


def test_choice_follows_the_row_and_not_its_position(X):
    _, targets = holdout_split(X, random_state=3)
    rng = np.random.default_rng(0)
    for rows in (rng.permutation(N_USERS), np.arange(7, 19), np.array([30]), [5, 5, 2]):
        _, part = holdout_split(X[rows], random_state=3)
        np.testing.assert_array_equal(part.toarray(), targets.toarray()[rows])


def test_choice_ignores_values_and_storage(X):
    _, targets = holdout_split(X, random_state=3)
    expected = targets.toarray() > 0
    ones = X.copy()
    ones.data[:] = 1
    unsorted = sp.csr_array(
        (X.data[::-1].copy(), X.indices[::-1].copy(), X.nnz - X.indptr[::-1]), X.shape
    )[::-1]
    wide = X.copy()
    wide.indices = wide.indices.astype(np.int64)
    wide.indptr = wide.indptr.astype(np.int64)
    for same in (ones, unsorted, wide, X.tocoo(), X.tocsc(), X.toarray()):
        _, part = holdout_split(same, random_state=3)
        np.testing.assert_array_equal(part.toarray() > 0, expected)


def test_other_rows_and_seeds_hide_other_items():
    # One row for each of 300 users that differ in a single item.
    X = np.hstack([np.ones((300, 10)), np.eye(300)])
    _, targets = holdout_split(X, test_count=1, random_state=0)
    hidden = targets.toarray()[:, :10].sum(axis=0)
    # Uniform: about 300 / 11 for each of the ten common items.
    assert hidden.min() > 10
    assert hidden.max() < 50
    _, other = holdout_split(X, test_count=1, random_state=1)
    same = (targets.toarray() * other.toarray()).sum()
    assert same < 60


def test_seeds(X):
    def hide(seed):
        return holdout_split(X, random_state=seed)[1].toarray()

    np.testing.assert_array_equal(hide(0), hide(0))
    np.testing.assert_array_equal(hide(np.int64(7)), hide(7))
    assert not np.array_equal(hide(0), hide(1))
    assert not np.array_equal(hide(0), hide(2**32 - 1))
    first, second = np.random.RandomState(0), np.random.RandomState(0)
    np.testing.assert_array_equal(hide(first), hide(second))
    assert not np.array_equal(hide(first), hide(np.random.RandomState(0)))
    assert not np.array_equal(hide(None), hide(None))


def test_global_generator_is_left_alone(X):
    before = np.random.get_state()  # noqa: NPY002
    for seed in (None, 0, np.random.RandomState(0)):
        holdout_split(X, random_state=seed)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float32, np.float64])
def test_values_and_dtype_are_kept(dtype):
    X = np.arange(12).reshape(2, 6).astype(dtype)
    for container in (np.asarray, sp.csr_array, sp.coo_matrix):
        history, targets = holdout_split(container(X), random_state=0)
        assert_is_split_of(sp.csr_array(X), history, targets)


@pytest.mark.parametrize(
    ("dtype", "entries", "expected"),
    [
        (np.int8, [100, 100], np.int64),
        (np.int8, [100, 27], np.int8),
        (np.uint8, [200, 200, 200], np.int64),
        (np.int16, [30_000, 30_000], np.int64),
        (bool, [True, True], np.int64),
        (bool, [True, False], bool),
        (np.int64, [2**53, 1], np.int64),
        (np.int64, [2**62, 2**62], np.float64),
        (np.uint64, [2**63, 2**63], np.float64),
        (np.float32, [0.5, 0.25], np.float32),
    ],
)
@pytest.mark.parametrize("format", ["csr", "csc", "coo", "lil"])
def test_sums_of_duplicates_do_not_wrap(dtype, entries, expected, format):  # noqa: A002
    entries = np.array(entries, dtype=dtype)
    place = np.zeros(len(entries), dtype=int), np.full(len(entries), 2)
    X = sp.coo_array((entries, place), shape=(1, 4))
    if format == "csr":
        X = sp.csr_array((X.data, X.col, [0, X.nnz]), shape=X.shape)
    elif format == "csc":
        X = sp.csc_array((X.data, X.row, [0, 0, 0, X.nnz, X.nnz]), shape=X.shape)
    elif format == "lil":  # has no duplicates
        X, entries = X.tolil(), entries[:1]
        X[0, 2] = entries[0]
        expected = dtype
    history, targets = holdout_split(X, random_state=0)
    assert targets.nnz == 0
    assert history.dtype == targets.dtype == expected
    assert history[0, 2] == sum(entries.tolist())


def test_input_is_not_changed():
    X = sp.csr_array(
        (np.array([1.0, 1.0, 0.0, 2.0]), np.array([2, 2, 0, 1]), np.array([0, 4])),
        shape=(1, 3),
    )
    history, targets = holdout_split(X)
    assert X.nnz == 4
    np.testing.assert_array_equal((history + targets).toarray(), [[0, 2, 2]])


def test_interface_follows_the_configuration(X):
    with config_context(sparse_interface="sparray"):
        assert all(isinstance(S, sp.csr_array) for S in holdout_split(X))
    with config_context(sparse_interface="spmatrix"):
        assert all(isinstance(S, sp.csr_matrix) for S in holdout_split(X))


def test_wide_data_are_never_dense():
    rng = np.random.default_rng(0)
    users, items = rng.integers(200_000, size=1000), rng.integers(300_000, size=1000)
    X = sp.coo_array((np.ones(1000), (users, items)), shape=(200_000, 300_000))
    history, targets = holdout_split(X, timestamps=X.tocsr(), min_history=0)
    assert history.nnz + targets.nnz == X.tocsr().nnz


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_share": 0.0}, "'test_share' parameter of holdout_split"),
        ({"test_share": 1.0}, "'test_share' parameter of holdout_split"),
        ({"test_count": 0}, "'test_count' parameter of holdout_split"),
        ({"min_history": -1}, "'min_history' parameter of holdout_split"),
        ({"random_state": "seed"}, "'random_state' parameter of holdout_split"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        holdout_split(np.ones((2, 3)), **options)


def test_bad_interactions():
    with pytest.raises(ValueError, match="Negative values in data"):
        holdout_split([[1, -1]])
    with pytest.raises(ValueError, match="NaN"):
        holdout_split([[1, np.nan]])
