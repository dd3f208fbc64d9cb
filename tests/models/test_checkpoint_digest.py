"""The name of a checkpoint: which fits share one, and which do not."""

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse_rec import CompressedELSA
from sksparse_rec.models._checkpoint import NOT_THE_RESULT, Checkpoint

OTHER = {
    "n_components": 15,
    "n_nonzero": 3,
    "init": "dense",
    "loss": "relu",
    "n_nonzero_start": 5,
    "pruning": "linear",
    "pruning_share": 0.5,
    "rewind": True,
    "max_iter": 7,
    "batch_size": 50,
    "learning_rate": 0.2,
    "learning_rate_decay": False,
    "dropout": 0.1,
    "max_output": 40,
    "user_weighting": 0.4,
    "item_weighting": 0.1,
    "popularity_weighting": 0.2,
    "early_stopping": True,
    "calibration": True,
    "validation_fraction": 0.2,
    "n_iter_no_change": 4,
    "warm_start": True,
    "precision": "float64",
}
SAME = {"device": "cpu", "n_jobs": 1, "verbose": 1}


def path_of(model, X, seed=0):
    return Checkpoint.of(model, sp.csr_array(X), seed).path


def test_every_parameter_has_been_thought_of():
    assert set(OTHER) | NOT_THE_RESULT == set(CompressedELSA().get_params())
    assert set(SAME) | {"checkpoint", "random_state"} == NOT_THE_RESULT


@pytest.mark.parametrize("name", OTHER)
def test_other_parameters_have_another_checkpoint(long, tiny, name):
    other = long(**{name: OTHER[name]})
    assert path_of(other, tiny) != path_of(long(), tiny)


@pytest.mark.parametrize("name", SAME)
def test_parameters_that_do_not_matter_have_the_same(long, tiny, name):
    assert path_of(long(**{name: SAME[name]}), tiny) == path_of(long(), tiny)


@pytest.mark.parametrize(
    "options",
    [
        {"n_nonzero": np.int32(4), "max_iter": np.int64(6)},
        {"learning_rate": np.float64(0.1), "dropout": 0},
        {"early_stopping": np.bool_(False), "learning_rate_decay": np.bool_(True)},
        {"pruning": np.str_("exponential")},
    ],
)
def test_numbers_of_numpy_are_equal_to_those_of_python(long, tiny, options):
    assert path_of(long(**options), tiny) == path_of(long(), tiny)
    assert long(**options).fit(tiny).n_iter_ == 6


def test_other_data_have_another_checkpoint(long, tiny):
    def edited(row, column, value):
        X = tiny.toarray()
        X[row, column] = value
        return X

    row, column = (positions[5] for positions in tiny.nonzero())
    others = [
        edited(row, column, 0.5),
        edited(row, column, 0),
        tiny[::-1],
        tiny[:, ::-1],
        tiny[:-1],
        sp.hstack([tiny, np.zeros((40, 1))]),
        sp.vstack([tiny, np.zeros((1, 12))]),
        tiny.astype(np.float32),
    ]
    paths = [path_of(long(), X) for X in (tiny, *others)]
    assert len(set(paths)) == len(paths)
    assert path_of(long(), tiny, None) != path_of(long(), tiny, 0)
    assert path_of(long(), tiny, 1) != path_of(long(), tiny, 0)


def test_wide_indices_have_the_same_checkpoint(long, tiny):
    wide = tiny.copy()
    wide.indices, wide.indptr = wide.indices.astype("i8"), wide.indptr.astype("i8")
    assert path_of(long(), wide) == path_of(long(), tiny)


def test_large_data_are_hashed_in_chunks(long, tiny, monkeypatch):
    whole = path_of(long(), tiny)
    monkeypatch.setattr("sksparse_rec._sparse.HASH_ENTRIES", 7)
    assert path_of(long(), tiny) == whole
