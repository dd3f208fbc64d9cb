"""make_interactions: sizes, structure, determinism, errors."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import config_context

from sksparse_rec.datasets import make_interactions


def _share_planted(X, user_clusters, item_clusters):
    X = X.tocoo()
    return (user_clusters[X.row] == item_clusters[X.col]).mean()


@pytest.mark.parametrize(
    ("n_users", "n_items", "n_interactions"),
    [(1, 2, 1), (30, 40, 0), (300, 200, 5000), (20, 10, 100), (2000, 50_000, 30_000)],
)
def test_number_of_interactions_is_exact(n_users, n_items, n_interactions):
    X = make_interactions(
        n_users, n_items, n_interactions, n_clusters=2, random_state=0
    )
    assert X.shape == (n_users, n_items)
    assert X.nnz == n_interactions
    assert X.dtype == np.float32
    assert X.has_canonical_format
    assert (X.data == 1).all()


def test_clusters_are_planted():
    X, users, items = make_interactions(
        500, 1000, 5000, n_clusters=8, noise=0, random_state=0, return_clusters=True
    )
    assert users.shape == (500,)
    assert items.shape == (1000,)
    assert set(items) == set(range(8))
    assert np.ptp(np.bincount(items)) <= 1
    assert _share_planted(X, users, items) == 1


def test_noise_leaves_no_clusters():
    X, users, items = make_interactions(
        500, 1000, 5000, n_clusters=10, noise=1, random_state=0, return_clusters=True
    )
    assert _share_planted(X, users, items) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("exponent", [0, 0.5, 1, 1.5])
def test_popularity_follows_the_exponent(exponent):
    X = make_interactions(
        20_000,
        1000,
        100_000,
        n_clusters=1,
        popularity_exponent=exponent,
        random_state=0,
    )
    counts = np.sort(np.bincount(X.indices, minlength=1000))[::-1]
    ranks = np.arange(10, 200)
    slope = np.polyfit(np.log(ranks + 1), np.log(counts[ranks]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.15)


def test_users_differ_in_activity():
    X = make_interactions(random_state=0)
    lengths = np.diff(X.indptr)
    # Equally busy users would differ by about sqrt(20), the spread of a Poisson count.
    assert lengths.mean() == 20
    assert lengths.std() > 1.5 * np.sqrt(20)


def test_dense_request_is_filled():
    X, users, items = make_interactions(
        50, 20, 500, n_clusters=5, noise=0, random_state=0, return_clusters=True
    )
    assert X.nnz == 500
    # Clusters hold 200 cells only: all are taken but few, and the rest is noise.
    assert 0.3 < _share_planted(X, users, items) < 0.5


def test_extreme_exponent_does_not_overflow():
    X = make_interactions(50, 40, 200, popularity_exponent=1000.0, random_state=0)
    assert X.nnz == 200


def test_same_seed_same_data_and_global_state_untouched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = make_interactions(random_state=3)
    second = make_interactions(random_state=np.random.RandomState(3))
    other = make_interactions(random_state=4)
    assert (first != second).nnz == 0
    assert (first != other).nnz > 0
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("interface", "kind"), [("sparray", sp.csr_array), ("spmatrix", sp.csr_matrix)]
)
def test_sparse_interface(interface, kind):
    with config_context(sparse_interface=interface):
        assert type(make_interactions(random_state=0)) is kind


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_interactions": 300_000}, r"n_interactions\(300000\).*250000"),
        ({"n_clusters": 501}, r"n_clusters\(501\) must be <= n_items\(500\)"),
        ({"n_users": 0}, "n_users"),
        ({"noise": 1.5}, "noise"),
        ({"popularity_exponent": -1}, "popularity_exponent"),
        ({"return_clusters": "yes"}, "return_clusters"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_interactions(**parameters)
