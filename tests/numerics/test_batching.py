import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_array_equal

from sksparse_rec._numerics.batching import (
    load_interactions,
    sample_outputs,
    shuffled_batches,
    take_users,
    thin,
)
from sksparse_rec._numerics.device import make_generator

CPU = torch.device("cpu")


@pytest.fixture(name="X")
def make_interactions(rng):
    X = sp.random_array((11, 7), density=0.4, rng=rng, format="csr")
    X = X.toarray()
    X[[0, 4, 5, 10]] = 0  # users without interactions, first and last too
    return sp.csr_array(X)


def dense(batch):
    """Back to numpy; an interaction that is there twice would count twice."""
    X = sp.coo_array(
        (batch.values, (batch.users, batch.items)), shape=(batch.n_users, batch.n_items)
    )
    return X.toarray()


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    "users",
    [[3], [4], [], [10, 0, 4], [2, 2, 9], list(range(11)), list(range(10, -1, -1))],
    ids=str,
)
def test_take_users_equals_row_slicing(X, users, index_dtype):
    X.indptr, X.indices = X.indptr.astype(index_dtype), X.indices.astype(index_dtype)
    users = np.array(users, dtype=np.int64)
    batch = take_users(
        load_interactions(X, CPU, torch.float64), torch.from_numpy(users)
    )
    assert_array_equal(dense(batch), X[users].toarray())
    assert (batch.users.diff() >= 0).all()
    assert batch.users.dtype == batch.items.dtype == torch.int64
    assert (batch.n_users, batch.n_items) == (len(users), 7)


def test_interactions_take_the_dtype(X):
    assert load_interactions(X, CPU, torch.float32).values.dtype == torch.float32


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_every_user_once_an_epoch(X, batch_size):
    X = sp.csr_array(X.toarray() + np.arange(1, 12)[:, None])  # rows tell who they are
    interactions = load_interactions(X, CPU, torch.float64)
    batches = list(shuffled_batches(interactions, batch_size, make_generator(0)))
    assert [batch.n_users for batch in batches[:-1]] == [batch_size] * (
        len(batches) - 1
    )
    rows = np.concatenate([dense(batch) for batch in batches])
    assert_array_equal(rows[np.argsort(rows[:, 0])], X.toarray())


def test_order_changes_with_every_epoch_and_follows_the_seed(X):
    interactions = load_interactions(X, CPU, torch.float64)

    def epochs(seed):
        generator = make_generator(seed)
        return [
            np.concatenate(
                [dense(b) for b in shuffled_batches(interactions, 4, generator)]
            )
            for _ in range(2)
        ]

    (first, second), again = epochs(0), epochs(0)
    assert not np.array_equal(first, second)
    assert_array_equal(again, [first, second])
    assert not np.array_equal(epochs(1)[0], first)


def test_thin_leaves_out_a_share(make_batch):
    X = np.arange(1, 4001.0).reshape(40, 100)
    batch = make_batch(X)
    thinned = thin(batch, 0.3, make_generator(0))
    kept = dense(thinned)
    assert_array_equal(kept[kept > 0], X[kept > 0])
    assert abs(len(thinned.items) / X.size - 0.7) < 0.05
    assert (thinned.n_users, thinned.n_items) == X.shape
    assert (thinned.users.diff() >= 0).all()
    other = thin(batch, 0.3, make_generator(1))
    assert not torch.equal(thinned.values[:1000], other.values[:1000])


def test_thin_may_leave_nothing(make_batch):
    assert len(thin(make_batch(np.ones((2, 3))), 1.0, make_generator(0)).items) == 0


@pytest.mark.parametrize("max_output", [1, 4, 5, 6, 7, 50])
def test_sampled_outputs(make_batch, max_output):
    X = np.zeros((3, 7))
    X[0, [1, 5]], X[2, [5, 6]] = 1, 2
    restricted, outputs = sample_outputs(make_batch(X), max_output, make_generator(0))
    outputs = outputs.numpy()
    assert set(outputs) >= {1, 5, 6}
    assert len(outputs) == min(max(max_output, 3), 7)
    assert (np.diff(outputs) > 0).all()
    assert restricted.n_items == len(outputs)
    assert_array_equal(dense(restricted), X[:, outputs])


def test_negatives_are_uniform(make_batch):
    batch, generator = make_batch(np.eye(1, 6)), make_generator(0)
    drawn = np.zeros(6)
    for _ in range(500):
        drawn[sample_outputs(batch, 3, generator)[1]] += 1
    assert drawn[0] == 500
    # 200 each; the standard deviation is 11.
    assert np.abs(drawn[1:] - 200).max() < 50
