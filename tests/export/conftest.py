"""A small model, users, and what is read back."""

import functools
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from sksparse_rec import CompresSAE, CompressedELSA
from sksparse_rec.export import recommend_to_parquet

# The tests that all stores share are in a module of their own.
sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("round_trips", "engines")

SMALL = {
    "n_components": 16,
    "n_nonzero": 4,
    "max_iter": 2,
    "batch_size": 64,
    "random_state": 0,
}


@pytest.fixture(scope="session")
def train(planted):
    return planted.train


@pytest.fixture(scope="session")
def model(train):
    return CompressedELSA(**SMALL).fit(train)


@pytest.fixture
def other_model(train):
    return CompressedELSA(**SMALL | {"random_state": 1}).fit(train)


@pytest.fixture(scope="session")
def sae():
    X = np.random.default_rng(0).normal(size=(60, 8))
    return CompresSAE(32, n_nonzero=4, max_iter=1, random_state=0).fit(X)


@pytest.fixture(name="X")
def make_users(planted):
    """80 users: some without history, and one who has seen everything."""
    X = planted.test.tolil()
    X[[0, 13, 14, 79]] = 0
    X[5] = 1
    return sp.csr_array(X)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lists"


@pytest.fixture
def unfinished(tmp_path):
    """Where parts are until all are there."""
    return tmp_path / "_lists.unfinished"


@pytest.fixture
def write(model, X, path):
    """A function that writes the lists of the 80 users to four files."""

    def write(model=model, X=X, path=path, **options):
        options = {"k": 7, "users_per_part": 23} | options
        recommend_to_parquet(model, X, path, **options)
        return pq.read_table(path)

    return write


@pytest.fixture
def columns():
    """A function that makes the columns which a result of ``recommend`` should give."""

    def columns(R):
        rows = []
        for user in range(R.shape[0]):
            entries = slice(R.indptr[user], R.indptr[user + 1])
            items = zip(R.indices[entries].tolist(), R.data[entries], strict=True)
            rows += [
                (user, item, rank, score)
                for rank, (item, score) in enumerate(items, start=1)
            ]
        return rows

    return columns


@pytest.fixture
def rows_of():
    """A function that returns the rows of a table as tuples."""
    return lambda table: list(zip(*table.to_pydict().values(), strict=True))


@pytest.fixture
def stop_at():
    """A function that makes a callback which raises after so many users."""

    def stop_at(n_users, error=KeyboardInterrupt):
        def stop(n_done, n_all):
            if n_done >= n_users:
                raise error

        return stop

    return stop_at


@pytest.fixture
def counted(monkeypatch):
    """How many users every call of ``recommend`` was for."""
    calls, recommend = [], CompressedELSA.recommend

    @functools.wraps(recommend)
    def count(self, X, k, **options):
        calls.append(X.shape[0])
        return recommend(self, X, k, **options)

    monkeypatch.setattr(CompressedELSA, "recommend", count)
    return calls
