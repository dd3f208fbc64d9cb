"""Saved concept maps: the same when loaded, and refused when they are wrong."""

import numpy as np
import pandas as pd
import pytest

from sksparse_rec import ConceptMap, PersistenceError, load_model, save_model
from sksparse_rec._format import read_folder, write_folder


@pytest.fixture(name="X", scope="module")
def activations():
    X = np.random.default_rng(0).normal(size=(60, 7))
    X[np.abs(X) < 0.8] = 0
    return X


@pytest.fixture(name="y", scope="module")
def concepts():
    y = np.random.default_rng(1).random((60, 3)) < 0.3
    y[:, 2] = False
    return pd.DataFrame(y, columns=["čaj", "梨", "none"])


@pytest.mark.parametrize("params", [{}, {"method": "probe", "n_neurons": 2}])
def test_concept_maps(X, y, params, again, assert_same):
    columns = [f"n{j}" for j in range(7)]
    for activations in (X, np.abs(X), pd.DataFrame(X, columns=columns), 0 * X):
        fitted = ConceptMap(**params).fit(activations, y)
        loaded = again(fitted)
        assert_same(loaded, fitted)
        assert loaded.to_frame().equals(fitted.to_frame())
        assert_same(loaded.concepts_of(3), fitted.concepts_of(3))
    assert_same(again(ConceptMap(**params)), ConceptMap(**params))


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("neuron_concepts_", (0, 0), 3, "neuron_concepts_ must be less than 3"),
        ("neuron_concepts_", (0, 1), -2, "neuron_concepts_ must be at least -1"),
        ("concept_counts_", 0, -1, "concept_counts_ must be at least 0"),
        ("scores_.indices", 0, 7, "scores_"),
        ("weights_.data", 0, np.nan, "weights_"),
    ],
)
def test_wrong_values_are_refused(X, y, path, name, place, value, message):
    save_model(ConceptMap().fit(X, y), path)
    folder = read_folder(path, verify=True, max_bytes=None)
    arrays = dict(folder.arrays)
    arrays[name] = arrays[name].copy()
    arrays[name][place] = value
    write_folder(path, folder.kind, arrays, folder.content, overwrite=True)
    with pytest.raises(PersistenceError, match=message):
        load_model(path)


@pytest.mark.parametrize(
    ("name", "part", "message"),
    [
        ("neuron_concepts_", np.s_[:, :1], "has 1 columns, and should have 2"),
        ("neuron_concepts_", np.s_[:-1], "n_neurons"),
        ("concept_counts_", np.s_[:-1], "n_concepts"),
    ],
)
def test_arrays_of_other_sizes_are_refused(X, y, path, name, part, message):
    save_model(ConceptMap().fit(X, y), path)
    folder = read_folder(path, verify=True, max_bytes=None)
    arrays = dict(folder.arrays)
    arrays[name] = arrays[name][part].copy()
    write_folder(path, folder.kind, arrays, folder.content, overwrite=True)
    with pytest.raises(PersistenceError, match=message):
        load_model(path)
