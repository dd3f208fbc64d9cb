"""Small problems in float64, with every edge that a row or a user can have."""

from importlib.util import find_spec

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sksparse_rec._numerics.batching import Batch, load_interactions, take_users
from sksparse_rec._numerics.rows import DenseRows, SparseRows

N_COMPONENTS = 6


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def small_blocks(monkeypatch):
    """Make every blocked loop of the products and the relu loss go round often."""
    products = "sksparse_rec._numerics.products_torch"
    monkeypatch.setattr(f"{products}.BLOCK_ENTRIES", 3)
    monkeypatch.setattr(f"{products}.DEVICE_BLOCK_ENTRIES", 8)
    monkeypatch.setattr("sksparse_rec._numerics.products_dense.STRIP", 4)
    monkeypatch.setattr("sksparse_rec._numerics.losses.USER_BLOCK", 3)


@pytest.fixture(params=["numba", "torch"])
def any_products(request, monkeypatch):
    """Compute the products of row-sparse matrices in both ways."""
    if request.param == "numba":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(
            "sksparse_rec._numerics.rows.load_compiled_products", lambda: None
        )


@pytest.fixture(params=["one block", "several blocks"])
def any_blocks(request):
    if request.param == "several blocks":
        request.getfixturevalue("small_blocks")


@pytest.fixture(params=["whole rows", "pairs"])
def any_gram(request, monkeypatch):
    """Compute Gram matrices in both ways; the small problems are for whole rows."""
    if request.param == "pairs":
        products = ["torch", "numba"] if find_spec("numba") else ["torch"]
        for name in products:
            module = f"sksparse_rec._numerics.products_{name}"
            monkeypatch.setattr(f"{module}.SCATTER", (0, 0))
            monkeypatch.setattr(f"{module}.GATHER", (0, 0))


@pytest.fixture
def histories(rng):
    """Nine items (the last but one alone in its direction, the last one zero)."""
    X = rng.uniform(0.5, 2, (8, 9)) * (rng.random((8, 9)) < 0.5)
    X[:, 7:] = 0
    X[1] = 0  # no interactions
    X[2] = np.eye(9)[4] * 1.5  # one item
    X[3] = X[0]  # identical users
    X[4] = np.eye(9)[7]  # a prediction of zero: the item is orthogonal to all others
    X[5] = rng.uniform(0.5, 2, 9)  # everything
    X[6, [3, 8]] = 1, 2  # an item whose row is zero
    return X


@pytest.fixture
def batch(histories):
    return batch_of(histories)


@pytest.fixture
def make_batch():
    return batch_of


def batch_of(X, dtype=torch.float64):
    interactions = load_interactions(sp.csr_array(X), torch.device("cpu"), dtype)
    batch = take_users(interactions, torch.arange(X.shape[0]))
    assert isinstance(batch, Batch)
    return batch


def sparse_pattern(rng, lengths):
    """Columns and mask of rows that use columns 0 to 4; row 7 has column 5 last."""
    columns = np.zeros((9, 3), dtype=np.int32)
    live = np.arange(3) < np.asarray(lengths)[:, None]
    for item in range(9):
        columns[item] = np.sort(rng.choice(5, 3, replace=False))
    columns[7, live[7].sum() - 1] = 5
    columns[~live] = 0
    return columns, live


@pytest.fixture(params=["dense", "masked dense", "sparse", "padded sparse"])
def rows(request, rng):
    """Nine rows that are not of unit length, of every kind that training knows."""
    padded = request.param in ("masked dense", "padded sparse")
    lengths = [3, 3, 3, 3, 3, 3, 1, 1, 0] if padded else [3] * 9
    columns, live = sparse_pattern(rng, lengths)
    values = rng.normal(size=(9, 3)) * live
    values[7, columns[7] != 5] = 0
    values[8] = 0
    values, live = torch.from_numpy(values), torch.from_numpy(live)
    columns = torch.from_numpy(columns)
    if "sparse" in request.param:
        return SparseRows(values, columns, N_COMPONENTS, live if padded else None)
    dense = to_dense(SparseRows(values, columns, N_COMPONENTS), values)
    mask = to_dense(SparseRows(values, columns, N_COMPONENTS), live.double()) > 0
    return DenseRows(dense, mask if padded else None)


def to_dense(rows, values):
    """Scatter entries to (n_items, n_components), differentiably."""
    if isinstance(rows, DenseRows):
        return values
    item = torch.arange(len(values))[:, None].expand_as(values)
    dense = values.new_zeros(len(values), rows.n_components)
    return dense.index_put((item, rows.columns.long()), values, accumulate=True)


@pytest.fixture
def densify():
    return to_dense


@pytest.fixture
def at_pattern():
    """Read a dense (n_items, n_components) matrix at the stored entries of rows."""

    def read(rows, dense):
        if isinstance(rows, DenseRows):
            return dense
        return dense.gather(1, rows.columns.long())

    return read
