"""Small models of every kind, and what to ask them."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from sksparse_rec import (
    CompresSAE,
    CompressedELSA,
    CompressedELSACV,
    load_model,
    save_model,
)

FEW = {"max_iter": 2, "random_state": 0}
SMALL = FEW | {"n_components": 16, "n_nonzero": 4, "batch_size": 64}
LEVELS = SMALL | {"n_nonzero": (8, 4), "cv": 2, "max_iter_per_level": 1}
CODES = SMALL | {"n_components": 64, "batch_size": 50}

RECOMMENDERS = {
    "anchors": CompressedELSA(**SMALL),
    "dense": CompressedELSA(**(SMALL | {"n_nonzero": None})),
    "dense start": CompressedELSA(
        **(SMALL | {"init": "dense", "max_iter": 1, "pruning_share": 1.0})
    ),
    "calibrated": CompressedELSA(
        **SMALL, calibration=True, early_stopping=True, precision="float64"
    ),
    "weighted": CompressedELSA(**SMALL, item_weighting=0.2, popularity_weighting=0.25),
    "search": CompressedELSACV(**LEVELS),
    "weighted search": CompressedELSACV(**LEVELS, popularity_weighting=0.25),
}
CODERS = {
    "codes": CompresSAE(**CODES),
    "tied": CompresSAE(**CODES, encoder="tied", center=True, positive=True),
}


@pytest.fixture(scope="session")
def histories(planted):
    """Interactions: a matrix, and a DataFrame with names."""
    names = [f"item {i} ě梨" for i in range(planted.train.shape[1])]
    return {
        "matrix": planted.train,
        "named": pd.DataFrame(planted.train.toarray(), columns=names),
    }


@pytest.fixture(scope="session")
def vectors():
    E = np.random.default_rng(0).normal(size=(120, 24))
    E[3] = 0
    return E


@pytest.fixture(name="X", scope="session", params=["matrix", "named"])
def one_of_the_histories(request, histories):
    return histories[request.param]


@pytest.fixture(scope="session", params=RECOMMENDERS.values(), ids=RECOMMENDERS)
def recommender(request, X):
    """A fitted one; tests must not change it."""
    return clone(request.param).fit(X)


@pytest.fixture(scope="session", params=CODERS.values(), ids=CODERS)
def coder(request, vectors):
    """A fitted one; tests must not change it."""
    return clone(request.param).fit(vectors)


@pytest.fixture(scope="session")
def elsa(histories):
    """The plainest fitted model; tests must not change it."""
    return clone(RECOMMENDERS["anchors"]).fit(histories["named"])


@pytest.fixture(
    params=[*RECOMMENDERS.values(), *CODERS.values()], ids=[*RECOMMENDERS, *CODERS]
)
def unfitted(request):
    return clone(request.param)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model"


@pytest.fixture
def again(path):
    """A function that saves a model and loads it."""

    def again(model, **options):
        save_model(model, path, overwrite=True)
        return load_model(path, **options)

    return again


def same(a, b, where="model"):
    """Assert that two things are equal in type and value, and share no memory."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{where}[{i}]")
    elif sp.issparse(a):
        assert a.shape == b.shape, where
        for part in ("data", "indices", "indptr"):
            same(getattr(a, part), getattr(b, part), f"{where}.{part}")
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), where
        np.testing.assert_array_equal(a, b, err_msg=where, strict=True)
        assert a.size == 0 or not np.shares_memory(a, b), where
    elif hasattr(a, "get_params"):
        # numpy's float64 becomes Python's float.
        state, other = (
            {k: v for k, v in vars(model).items() if k != "explained_variance_"}
            for model in (a, b)
        )
        same(state, other, where)
        same(a.get_params(), b.get_params(), where)
    else:
        assert a == b, where


@pytest.fixture(name="assert_same", scope="session")
def make_assertion():
    return same
