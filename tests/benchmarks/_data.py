"""The data sets of the benchmarks, and how users and items are held out."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sksparse_rec.datasets import (
    fetch_goodbooks,
    load_debian,
    load_interactions,
    make_interactions,
)
from sksparse_rec.model_selection import holdout_split

DATA_VARIABLE = "SKSPARSE_REC_DATA"
MIN_RATING = 4
MIN_ITEMS = 5
MAX_TEST_USERS = 1000
# Smaller data sets hold out one user in so many.
USERS_PER_TEST_USER = 5
HIDDEN_SHARE = 0.2
# A twentieth of a small data set would choose by chance: at least so many users, but no
# more than one in five.
VALIDATION_SHARE = 0.05
MIN_VALIDATION_USERS = 100


@dataclass(frozen=True)
class Dataset:
    """What a benchmark runs on.

    Parameters
    ----------
    name : str
        Also the name of the folder of its records.
    load : callable
        Returns a canonical csr_array of ones, float32.
    max_test_users : int
        Users held out of training.
    """

    name: str
    load: Callable[[], sp.csr_array]
    max_test_users: int = MAX_TEST_USERS


def synthetic(n_users, n_items, n_interactions, *, max_test_users=MAX_TEST_USERS):
    """Return generated data of a size; the name is made of the three numbers."""
    return Dataset(
        f"generated-{n_users}-{n_items}-{n_interactions}",
        partial(_load_generated, n_users, n_items, n_interactions),
        max_test_users,
    )


def _load_generated(n_users, n_items, n_interactions):
    # Items without interactions stay: the size of the catalogue is what is varied.
    return sp.csr_array(
        make_interactions(n_users, n_items, n_interactions, random_state=0)
    )


def _load_folder(name, min_rating):
    X = sp.load_npz(data_folder() / name / "interactions.npz")
    return binarize(X, min_value=min_rating)


def _load_debian():
    return binarize(load_debian().data, min_value=0)


def _load_goodbooks():
    """Read ``goodbooks/ratings.csv`` of the data folder, or download the archive."""
    folder = Path(os.environ.get(DATA_VARIABLE, "")) / "goodbooks"
    if folder.is_dir():
        data = load_interactions(folder, format="goodbooks", binary=False)
    else:
        data = fetch_goodbooks(binary=False)
    return binarize(data.data, min_value=MIN_RATING)


def _named(name, load, *arguments):
    return Dataset(name, partial(load, *arguments))


# The order is that of the pages.
DATASETS = {
    dataset.name: dataset
    for dataset in (
        _named("ml-1m", _load_folder, "ml-1m", MIN_RATING),
        _named("gowalla", _load_folder, "gowalla", 0),
        _named("citeulike-a", _load_folder, "citeulike-a", 0),
        _named("ml-latest-small", _load_folder, "ml-latest-small", MIN_RATING),
        _named("debian", _load_debian),
        _named("goodbooks", _load_goodbooks),
    )
}
# Goodbooks is for those who have the ratings.
DEFAULT_DATASETS = tuple(name for name in DATASETS if name != "goodbooks")


def data_folder():
    """Return the folder that the environment names, or say which variable does."""
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
    X = _long_rows(X, min_value)
    X = X[:, _is_used(X)]
    X.sort_indices()
    return X


def kept_items(X, min_value):
    """Return the columns of a matrix that `binarize` keeps, in their order."""
    return np.flatnonzero(_is_used(_long_rows(X, min_value)))


def _long_rows(X, min_value):
    X = sp.coo_array(X)
    kept = (X.data >= min_value) & (X.data > 0)
    ones = np.ones(kept.sum(), dtype=np.float32)
    X = sp.csr_array((ones, (X.row[kept], X.col[kept])), shape=X.shape)
    X.sum_duplicates()
    X.data[:] = 1
    return X[np.diff(X.indptr) >= MIN_ITEMS]


def _is_used(X):
    return np.bincount(X.indices, minlength=X.shape[1]) > 0


def split_dataset(X, seed, max_test_users=MAX_TEST_USERS):
    """Split users into training and test users, and hide items of the latter.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    seed : int
        Of the choice of users and of hidden items.
    max_test_users : int

    Returns
    -------
    train, history, targets : CSR
        The training users, and what is shown and hidden of the test users.
    """
    n_users = X.shape[0]
    n_test = min(max_test_users, n_users // USERS_PER_TEST_USER)
    order = np.random.default_rng(seed).permutation(n_users)
    history, targets = holdout_split(
        X[np.sort(order[:n_test])], test_share=HIDDEN_SHARE, random_state=seed
    )
    return X[np.sort(order[n_test:])], history, targets


def split_validation(train, seed):
    """Split training users again, for systems that choose settings before they train.

    Parameters
    ----------
    train : CSR of shape (n_users, n_items)
    seed : int

    Returns
    -------
    train, history, targets : CSR
        As `split_dataset`, of the training users alone.
    """
    n_users = train.shape[0]
    n_validation = max(
        round(VALIDATION_SHARE * n_users), min(MIN_VALIDATION_USERS, n_users // 5)
    )
    order = np.random.default_rng(seed).permutation(n_users)
    history, targets = holdout_split(
        train[order[:n_validation]], test_share=HIDDEN_SHARE, random_state=seed
    )
    return train[order[n_validation:]], history, targets


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
