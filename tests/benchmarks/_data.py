"""The data sets of the benchmark, and how users and items are held out."""

import hashlib
import os
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sksparse_rec.datasets import load_debian
from sksparse_rec.model_selection import holdout_split

DATA_VARIABLE = "SKSPARSE_REC_DATA"
# Whether the values are ratings; the order is that of the page.
HAS_RATINGS = {
    "ml-1m": True,
    "gowalla": False,
    "citeulike-a": False,
    "ml-latest-small": True,
    "debian": False,
}
MIN_RATING = 4
MIN_ITEMS = 5
MAX_TEST_USERS = 1000
# Smaller data sets hold out one user in so many.
USERS_PER_TEST_USER = 5
HIDDEN_SHARE = 0.2


def load_dataset(name):
    """Load a data set as the benchmark uses it: ones, no short rows, no empty column.

    Parameters
    ----------
    name : str
        A key of ``HAS_RATINGS``.

    Returns
    -------
    csr_array of shape (n_users, n_items), float32
    """
    if name == "debian":
        X = load_debian().data
    else:
        X = sp.load_npz(_data_folder() / name / "interactions.npz")
    return binarize(X, min_value=MIN_RATING if HAS_RATINGS[name] else 0)


def _data_folder():
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        raise SystemExit(
            f"{DATA_VARIABLE} is not set: it names the folder of the data sets, with "
            "<data set>/interactions.npz in it. Only debian comes with the package."
        )
    return Path(folder)


def binarize(X, min_value):
    """Keep values of at least ``min_value`` as ones, long enough rows, and their items.

    Parameters
    ----------
    X : sparse matrix
    min_value : float
        Zero keeps every positive value.

    Returns
    -------
    csr_array, float32, canonical
    """
    X = sp.coo_array(X)
    kept = (X.data >= min_value) & (X.data > 0)
    ones = np.ones(kept.sum(), dtype=np.float32)
    X = sp.csr_array((ones, (X.row[kept], X.col[kept])), shape=X.shape)
    X.sum_duplicates()
    X.data[:] = 1
    X = X[np.diff(X.indptr) >= MIN_ITEMS]
    X = X[:, np.bincount(X.indices, minlength=X.shape[1]) > 0]
    X.sort_indices()
    return X


def split_dataset(X, seed):
    """Split users into training and test users, and hide items of the latter.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    seed : int
        Of the choice of users and of hidden items.

    Returns
    -------
    train, history, targets : CSR
        The training users, and what is shown and hidden of the test users.
    """
    n_users = X.shape[0]
    n_test = min(MAX_TEST_USERS, n_users // USERS_PER_TEST_USER)
    order = np.random.default_rng(seed).permutation(n_users)
    history, targets = holdout_split(
        X[np.sort(order[:n_test])], test_share=HIDDEN_SHARE, random_state=seed
    )
    return X[np.sort(order[n_test:])], history, targets


def describe_dataset(name, X):
    """Describe a prepared data set: its size, and a checksum of its content.

    Parameters
    ----------
    name : str
    X : csr_array, canonical

    Returns
    -------
    dict
    """
    digest = hashlib.sha256()
    for array, dtype in (
        (X.shape, "<i8"),
        (X.indptr, "<i8"),
        (X.indices, "<i8"),
        (X.data, "<f4"),
    ):
        digest.update(np.ascontiguousarray(array, dtype=dtype).tobytes())
    return {
        "name": name,
        "n_users": int(X.shape[0]),
        "n_items": int(X.shape[1]),
        "n_interactions": int(X.nnz),
        "sha256": digest.hexdigest(),
    }
