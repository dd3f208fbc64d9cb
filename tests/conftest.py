"""Fixtures shared by the whole suite, doctests included."""

import importlib.util
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.utils import Bunch

from sksparse_rec.datasets import (
    make_interactions,
    open_interactions,
    save_interactions,
)

# Two busy cores make torch's default thread count spin: see docs/contributing.
torch.set_num_threads(1)

# What the examples of a module need that not every system has.
CLIENTS = {"sksparse_rec.export.seismic": "seismic"}


def pytest_collection_modifyitems(items):
    """Skip the doctests of modules whose client is missing."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            client = CLIENTS.get(item.dtest.globs["__name__"])
            if client is not None and importlib.util.find_spec(client) is None:
                item.add_marker(pytest.mark.skip(reason=f"{client} is not installed"))


@pytest.fixture(scope="session")
def development_data():
    """Folder of the development data sets; skips where there is none."""
    folder = os.environ.get("SKSPARSE_REC_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SKSPARSE_REC_DATA does not name a folder of development data")
    return Path(folder)


@pytest.fixture(scope="session")
def peak_of():
    """A function that calls another: what it returns, and the most bytes it held."""

    def peak_of(call):
        tracemalloc.start()
        try:
            result = call()
            return result, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return peak_of


@pytest.fixture
def many_histories(tmp_path):
    """A mapped matrix of 40,000 users with 50 of 500 items each."""
    rng = np.random.default_rng(0)
    n_users, length, n_items = 40_000, 50, 500
    items = np.sort(rng.integers(0, n_items - length, (n_users, length)), axis=1)
    items += np.arange(length)
    starts = np.arange(0, items.size + 1, length)
    X = sp.csr_array((np.ones(items.size), items.ravel(), starts), (n_users, n_items))
    save_interactions(X, tmp_path / "X")
    return open_interactions(tmp_path / "X")


@pytest.fixture(scope="session")
def checkerboard():
    """Even users like even items, odd users odd ones; the diagonal is withheld.

    So the best new item of user ``i`` is item ``i``, for any model worth its name.
    """
    n = 30
    same_parity = np.add.outer(np.arange(n), np.arange(n)) % 2 == 0
    X = sp.csr_array(same_parity & ~np.eye(n, dtype=bool), dtype=np.float64)
    X.data.flags.writeable = False
    return X


@pytest.fixture(scope="session")
def planted():
    """Interactions with planted clusters: a Bunch of train, test and the labels."""
    X, user_clusters, item_clusters = make_interactions(
        300, 90, 4000, n_clusters=5, noise=0.05, random_state=0, return_clusters=True
    )
    X = sp.csr_array(X)
    return Bunch(
        train=X[:220],
        test=X[220:],
        user_clusters=user_clusters[:220],
        item_clusters=item_clusters,
    )
