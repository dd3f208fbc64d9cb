"""Slopes and intercepts of items against regressions over dense scores."""

import numpy as np
import pytest
import scipy.sparse as sp
from torch.utils.flop_counter import FlopCounterMode

from sksparse_rec._numerics import calibration
from sksparse_rec._numerics.calibration import PRIOR_SHARE, calibrate, moments

N_ITEMS, N_COMPONENTS = 14, 5


@pytest.fixture(params=["one block", "blocks of users", "blocks of one user"])
def blocks(request, monkeypatch):
    """Bound blocks by everything, by six users or items, by one."""
    limit = {"one block": 1 << 22, "blocks of users": 6 * N_COMPONENTS}
    entries = limit.get(request.param, 1)
    monkeypatch.setattr(calibration, "BLOCK_ENTRIES", entries)


@pytest.fixture
def embeddings(rng):
    """Unit rows of one to three entries; items 11 and 12 have none."""
    A = rng.normal(size=(N_ITEMS, N_COMPONENTS))
    A *= np.argsort(rng.random(A.shape), axis=1) < rng.integers(1, 4, (N_ITEMS, 1))
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    A[[11, 12]] = 0
    return sp.csr_array(A)


def make_histories(rng, n_users):
    """Ratings with every edge that a user or an item can have."""
    X = rng.uniform(0.5, 5, (n_users, N_ITEMS)) * (rng.random((n_users, N_ITEMS)) < 0.3)
    X[:, 13] = 0  # an item that nobody has
    X[1] = 0  # an empty user
    X[4] = 2.5 * np.eye(N_ITEMS)[3]  # a single item
    X[7], X[7, [11, 12]] = 0, (1, 4)  # a profile of zero
    X[n_users - 1] = 0
    return sp.csr_array(X)


@pytest.fixture
def histories(rng):
    return make_histories(rng, 40)


@pytest.fixture
def held_out(rng):
    return make_histories(rng, 25)


def dense_scores(X, embeddings):
    """z and x of the users with two items and more, one user after another."""
    A = embeddings.toarray().astype(np.float64)
    has_row = np.linalg.norm(A, axis=1) > 0
    scores, seen = [], []
    for x in X.toarray().astype(np.float64):
        if np.count_nonzero(x) < 2:
            continue
        u = x @ A
        length = np.linalg.norm(u)
        z = (A @ u - x * has_row) / length if length > 0 else np.zeros(N_ITEMS)
        scores.append(z)
        seen.append(x > 0)
    return np.array(scores), np.array(seen, dtype=float)


def least_squares(a, b):
    return np.linalg.lstsq(a[:, None], b)[0][0]


def dense_slopes(z, x):
    """Slopes before the factor, each of a least squares fit with one more row."""
    z, x = z - z.mean(axis=0), x - x.mean(axis=0)
    common = least_squares(z.ravel(), x.ravel())
    prior = np.sqrt(PRIOR_SHARE * (z**2).mean() * len(z))
    return np.array(
        [
            least_squares(np.append(a, prior), np.append(b, prior * common))
            for a, b in zip(z.T, x.T, strict=True)
        ]
    )


def dense_factor(slopes, z, x, z_held_out, x_held_out):
    line = (z_held_out - z.mean(axis=0)) * slopes
    return least_squares(line.ravel(), (x_held_out - x.mean(axis=0)).ravel())


def planted_histories(rng, embeddings, n_users, sign=1):
    """Users that take the items whose rows point to them (or away from them)."""
    scores = rng.normal(size=(n_users, N_COMPONENTS)) @ embeddings.T.toarray()
    return sp.csr_array((sign * scores > 0.7).astype(np.float32))


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_equal_sums_over_users(histories, embeddings, dtype):
    X = histories.astype(dtype)
    z, x = dense_scores(X, embeddings)
    assert len(z) <= X.shape[0] - 3
    found = moments(X, embeddings)
    assert found.n_users == len(z)
    for sums, expected in (
        (found.z, z),
        (found.zz, z**2),
        (found.x, x),
        (found.xz, x * z),
    ):
        assert sums.dtype == np.float64
        np.testing.assert_allclose(sums, expected.sum(axis=0), atol=1e-10)
    # Somebody has the items without an embedding, whose scores are zero all the same.
    assert np.all(found.x[[11, 12]] > 0)
    assert not found.z[[11, 12]].any()
    assert not found.zz[[11, 12]].any()


@pytest.mark.usefixtures("blocks")
def test_float32_embeddings_are_summed_in_float64(histories, embeddings):
    found = moments(histories, embeddings.astype(np.float32))
    z, _ = dense_scores(histories, embeddings.astype(np.float32))
    assert found.zz.dtype == np.float64
    np.testing.assert_allclose(found.zz, (z**2).sum(axis=0), atol=1e-5)


@pytest.mark.usefixtures("blocks")
def test_the_product_of_profiles_is_torchs(histories, embeddings):
    """Its threads are counted; those of numpy are not."""
    with FlopCounterMode(display=False) as counter:
        found = moments(histories, embeddings)
    assert counter.get_total_flops() == 2 * found.n_users * N_COMPONENTS**2


def test_input_is_left_alone(histories, held_out, embeddings):
    given = (histories, held_out, embeddings)
    before = [M.copy() for M in given]
    calibrate(*given)
    for M, copy in zip(given, before, strict=True):
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(M, name), getattr(copy, name))


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("planted", [True, False])
def test_calibration_equals_regressions_item_by_item(
    rng, histories, held_out, embeddings, planted
):
    if planted:
        histories = planted_histories(rng, embeddings, 60)
        held_out = planted_histories(rng, embeddings, 30)
    slopes, intercepts = calibrate(histories, held_out, embeddings)
    assert slopes.dtype == intercepts.dtype == np.float32
    z, x = dense_scores(histories, embeddings)
    expected = np.maximum(dense_slopes(z, x), 0)
    factor = dense_factor(expected, z, x, *dense_scores(held_out, embeddings))
    assert (factor > 0.1) == planted
    expected *= max(factor, 0)
    np.testing.assert_allclose(slopes, expected, atol=1e-6)
    expected = x.mean(axis=0) - expected * z.mean(axis=0)
    np.testing.assert_allclose(intercepts, expected, atol=1e-6)


def test_items_without_scores(rng, embeddings):
    X = make_histories(rng, 200)
    X = sp.csr_array(sp.vstack([planted_histories(rng, embeddings, 200), X]))
    slopes, intercepts = calibrate(X, X, embeddings)
    assert slopes.max() > 0
    frequent = X[np.diff(X.indptr) > 1]
    popularity = (frequent > 0).sum(axis=0) / frequent.shape[0]
    np.testing.assert_allclose(intercepts[[11, 12]], popularity[[11, 12]], rtol=1e-6)
    # They have the slope of all, which multiplies a score of zero.
    z, x = dense_scores(X, embeddings)
    common = least_squares(*((m - m.mean(axis=0)).ravel() for m in (z, x)))
    factor = dense_factor(np.maximum(dense_slopes(z, x), 0), z, x, z, x)
    np.testing.assert_allclose(slopes[[11, 12]], factor * common, rtol=1e-6)


def test_slopes_are_not_negative(rng, embeddings):
    # The items of users point away from each other in two of five directions.
    A = embeddings.toarray()
    away = A * np.array([1, 1, 1, -1, -1])
    users = rng.normal(size=(400, N_COMPONENTS)) / np.array([1, 1, 1, 0.3, 0.3])
    X = sp.csr_array((users @ away.T > 0.8).astype(float))
    X.data[:] = 1
    mixed = A.copy()
    mixed[:6] *= np.where(rng.random((6, 1)) < 0.5, -1, 1)
    mixed[0] *= -1
    mixed = sp.csr_array(mixed)
    raw = dense_slopes(*dense_scores(X, mixed))
    assert raw.min() < 0 < raw.max()
    slopes, _ = calibrate(X, X, mixed)
    assert np.all(slopes >= 0)
    np.testing.assert_array_equal(slopes == 0, raw <= 0)


def test_held_out_users_who_contradict_leave_popularity(rng, embeddings):
    X = planted_histories(rng, embeddings, 200)
    slopes, _ = calibrate(X, planted_histories(rng, embeddings, 100), embeddings)
    assert slopes.max() > 0.05
    # Users who take items of opposite directions: scores say what they do not take.
    A = embeddings.toarray()
    opposite = A @ A.T
    other = np.eye(N_ITEMS)[rng.integers(0, 11, 100)]
    other[np.arange(100), opposite[other.argmax(axis=1)].argmin(axis=1)] = 1
    contrary = sp.csr_array(other)
    z, x = dense_scores(X, embeddings)
    raw = np.maximum(dense_slopes(z, x), 0)
    assert dense_factor(raw, z, x, *dense_scores(contrary, embeddings)) < 0
    slopes, intercepts = calibrate(X, contrary, embeddings)
    np.testing.assert_array_equal(slopes, 0)
    np.testing.assert_allclose(intercepts, x.mean(axis=0), rtol=1e-6)


def test_scores_that_say_nothing_get_a_factor_near_zero(rng):
    popularity = 0.5 / np.arange(1, N_ITEMS + 1) ** 0.5
    X = sp.csr_array((rng.random((4000, N_ITEMS)) < popularity).astype(float))
    rows = rng.normal(size=(N_ITEMS, N_COMPONENTS))
    A = sp.csr_array(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    slopes, intercepts = calibrate(X[:3000], X[3000:], A)
    assert slopes.max() < 0.02
    np.testing.assert_allclose(intercepts, X.mean(axis=0), rtol=0.25)
    order = np.argsort(-intercepts)
    np.testing.assert_array_equal(order[:4], np.arange(4))


@pytest.mark.parametrize("which", ["trained on", "held out"])
def test_users_with_fewer_than_two_items_do_not_count(rng, embeddings, which):
    X = planted_histories(rng, embeddings, 100)
    held_out = planted_histories(rng, embeddings, 50)
    few = sp.csr_array(np.vstack([3 * np.eye(N_ITEMS)] * 20 + [np.zeros((9, N_ITEMS))]))
    expected = calibrate(X, held_out, embeddings)
    if which == "trained on":
        found = calibrate(sp.vstack([few, X], format="csr"), held_out, embeddings)
    else:
        found = calibrate(X, sp.vstack([held_out, few], format="csr"), embeddings)
    for values, others in zip(found, expected, strict=True):
        np.testing.assert_allclose(values, others, atol=1e-6)


@pytest.mark.usefixtures("blocks")
def test_without_anybody_to_learn_from(rng, embeddings):
    X = planted_histories(rng, embeddings, 60)
    _, x = dense_scores(X, embeddings)
    nobody = sp.csr_array(np.eye(N_ITEMS)[:5])
    slopes, intercepts = calibrate(X, nobody, embeddings)
    np.testing.assert_array_equal(slopes, 0)
    np.testing.assert_allclose(intercepts, x.mean(axis=0), rtol=1e-6)
    for values in calibrate(nobody, X, embeddings):
        np.testing.assert_array_equal(values, np.zeros(N_ITEMS, np.float32))
    for values in calibrate(nobody, X[:0], embeddings):
        np.testing.assert_array_equal(values, np.zeros(N_ITEMS, np.float32))


def test_without_embeddings_popularity_is_left(histories, held_out):
    A = sp.csr_array((N_ITEMS, N_COMPONENTS), dtype=np.float32)
    slopes, intercepts = calibrate(histories, held_out, A)
    _, x = dense_scores(histories, A)
    np.testing.assert_array_equal(slopes, np.zeros(N_ITEMS, np.float32))
    np.testing.assert_allclose(intercepts, x.mean(axis=0), rtol=1e-6)
