import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import save_npz

from sksparse_rec._numerics import batching
from sksparse_rec._numerics.batching import (
    HostInteractions,
    Interactions,
    load_interactions,
    sample_outputs,
    shuffled_batches,
    take_users,
    thin,
)
from sksparse_rec._numerics.device import make_generator, to_device
from sksparse_rec.datasets import open_interactions

CPU = torch.device("cpu")


@pytest.fixture(name="X")
def make_interactions(rng):
    X = sp.random_array((11, 7), density=0.4, rng=rng, format="csr")
    X = X.toarray()
    X[[0, 4, 5, 10]] = 0  # users without interactions, first and last too
    return sp.csr_array(X)


def load_to_device(X, dtype):
    """What another device than the CPU is given, on the CPU."""
    return Interactions(
        to_device(X.indptr, CPU, torch.int64),
        to_device(X.indices, CPU),
        to_device(X.data, CPU, dtype),
        X.shape[1],
    )


@pytest.fixture(params=["host", "file", "device"])
def load(request, tmp_path):
    """A function that loads interactions for batches on the CPU."""

    def load(X, dtype=torch.float64, **options):
        if request.param == "device":
            assert not options
            return load_to_device(X, dtype)
        if request.param == "file":
            save_npz(tmp_path / "X.npz", X, compressed=False)
            X = sp.csr_array(open_interactions(tmp_path / "X.npz"))
        return load_interactions(X, CPU, dtype, **options)

    return load


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
def test_take_users_equals_row_slicing(X, load, users, index_dtype):
    X.indptr, X.indices = X.indptr.astype(index_dtype), X.indices.astype(index_dtype)
    users = np.array(users, dtype=np.int64)
    batch = take_users(load(X), torch.from_numpy(users))
    assert_array_equal(dense(batch), X[users].toarray())
    assert (batch.users.diff() >= 0).all()
    assert batch.users.dtype == batch.items.dtype == torch.int64
    assert (batch.n_users, batch.n_items) == (len(users), 7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", [bool, np.int8, np.int64, np.float32, np.float64])
def test_batches_take_the_dtype(X, load, given, dtype):
    X.data = np.ceil(5 * X.data).astype(given)
    batch = take_users(load(X, dtype), torch.arange(11))
    assert batch.values.dtype == dtype
    assert_array_equal(dense(batch), X.toarray())


@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
@pytest.mark.parametrize("where", ["host", "file"])
def test_unit_rows(X, tmp_path, where, scale):
    """Also where the squares do not fit float32."""
    X = (X * scale).astype(np.float32)
    loaded = X
    if where == "file":
        save_npz(tmp_path / "X.npz", X, compressed=False)
        loaded = sp.csr_array(open_interactions(tmp_path / "X.npz"))
    interactions = load_interactions(loaded, CPU, torch.float32, unit_rows=True)
    users = torch.tensor([3, 0, 7, 1])
    unit = X.toarray().astype(float)[users]
    lengths = np.linalg.norm(unit, axis=1, keepdims=True)
    unit /= np.where(lengths > 0, lengths, 1)
    assert_allclose(dense(take_users(interactions, users)), unit, rtol=1e-6)


def test_a_copy_on_the_device_has_the_same_batches(X):
    """The meta device has shapes and no data, which is enough to see who copies."""
    device, users = torch.device("meta"), torch.tensor([3, 0, 7])
    interactions = load_interactions(X, device, torch.float32, unit_rows=True)
    assert isinstance(interactions, Interactions)
    assert interactions.values.shape == (X.nnz,)
    assert {tensor.device for tensor in interactions[:3]} == {device}
    host = HostInteractions(X, True, device, torch.float32)
    batch, expected = take_users(host, users), X[users.numpy()]
    for tensor, dtype in zip(
        batch[:3], (torch.int64, torch.int64, torch.float32), strict=True
    ):
        assert (tensor.device, tensor.dtype) == (device, dtype)
        assert tensor.shape == (expected.nnz,)
    assert batch[3:] == (3, 7)


@pytest.mark.parametrize("unit_rows", [False, True])
def test_item_weights(X, unit_rows, monkeypatch):
    """Before the rows are scaled, and nothing is done to the matrix itself."""
    before, weights = X.copy(), np.linspace(0.5, 2, 7)
    options = {"unit_rows": unit_rows, "item_weights": weights}
    interactions = load_interactions(X, CPU, torch.float64, **options)
    found = dense(take_users(interactions, torch.arange(X.shape[0])))
    expected = X.toarray() * weights
    if unit_rows:
        lengths = np.linalg.norm(expected, axis=1, keepdims=True)
        expected /= np.where(lengths > 0, lengths, 1)
    assert_allclose(found, expected, rtol=1e-6)
    assert abs(X - before).max() == 0
    # Away from the CPU, were it not for what moves tensors there.
    monkeypatch.setattr(batching, "to_device", lambda array, *_: torch.tensor(array))
    copied = load_interactions(X, torch.device("meta"), torch.float64, **options)
    assert isinstance(copied, Interactions)
    found = dense(take_users(copied, torch.arange(X.shape[0])))
    assert_allclose(found, expected, rtol=1e-6)


def test_mapped_interactions_are_not_copied_to_the_device(X, tmp_path):
    save_npz(tmp_path / "X.npz", X, compressed=False)
    X = sp.csr_array(open_interactions(tmp_path / "X.npz"))
    interactions = load_interactions(X, torch.device("meta"), torch.float32)
    assert interactions.X is X


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_every_user_once_an_epoch(X, load, batch_size):
    X = sp.csr_array(X.toarray() + np.arange(1, 12)[:, None])  # rows tell who they are
    interactions = load(X)
    batches = list(shuffled_batches(interactions, batch_size, make_generator(0)))
    assert [batch.n_users for batch in batches[:-1]] == [batch_size] * (
        len(batches) - 1
    )
    rows = np.concatenate([dense(batch) for batch in batches])
    assert_array_equal(rows[np.argsort(rows[:, 0])], X.toarray())


def test_order_changes_with_every_epoch_and_follows_the_seed(X, load):
    interactions = load(X)

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


def test_order_of_the_entries_is_the_same_everywhere(X, tmp_path):
    save_npz(tmp_path / "X.npz", X, compressed=False)
    mapped = sp.csr_array(open_interactions(tmp_path / "X.npz"))
    everywhere = [
        load_interactions(X, CPU, torch.float64),
        load_interactions(mapped, CPU, torch.float64),
        load_to_device(X, torch.float64),
    ]
    batches = [
        list(shuffled_batches(interactions, 4, make_generator(0)))
        for interactions in everywhere
    ]
    for same in zip(*batches, strict=True):
        for other in same[1:]:
            for one, two in zip(same[0][:3], other[:3], strict=True):
                assert torch.equal(one, two)


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
