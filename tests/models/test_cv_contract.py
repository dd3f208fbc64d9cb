"""What fit of CompressedELSACV promises besides: state, threads, containers, logs."""

import logging
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.model_selection import ShuffleSplit

from sksparse_rec.models import _compressed_elsa_cv
from sksparse_rec.models._path import fit_path


def state_of(model):
    return {name: pickle.dumps(value) for name, value in vars(model).items()}


def test_fit_starts_over_and_repeats(make_cv, fitted_cv, planted):
    model = make_cv(n_nonzero=(5, 3)).fit(planted.test)
    model.set_params(n_nonzero=(8, 4, 2)).fit(planted.train)
    np.testing.assert_array_equal(model.score_path_, fitted_cv.score_path_)
    assert (model.item_embeddings_ != fitted_cv.item_embeddings_).nnz == 0


@pytest.mark.parametrize("random_state", [0, None, "instance"])
def test_global_generators_and_threads_are_left_alone(make_cv, tiny, random_state):
    if random_state == "instance":
        random_state = np.random.RandomState(0)
    state, torch_state = np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    make_cv(random_state=random_state, n_jobs=2).fit(tiny)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(torch_state, torch.get_rng_state())
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("where", [1, 3, 7], ids=["first fold", "fold", "last fold"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_fit_leaves_the_estimator_as_it_was(make_cv, tiny, where, error):
    frame = pd.DataFrame(tiny.toarray()).add_prefix("item ")
    model = make_cv(cv=3).fit(frame)
    saved = state_of(model)
    calls = []

    def scoring(estimator, X, y):
        calls.append(1)
        if len(calls) == where:
            raise error
        return 0.5

    model.scoring = scoring
    with pytest.raises(error):
        model.fit(np.ones((9, 5)))
    model.scoring = None
    assert state_of(model) == saved
    fresh = make_cv(cv=3, scoring=scoring)
    before = set(vars(fresh))
    calls.clear()
    with pytest.raises(error):
        fresh.fit(frame)
    assert set(vars(fresh)) == before


def test_an_interrupted_refit_leaves_the_estimator_as_it_was(
    make_cv, tiny, monkeypatch
):
    model = make_cv().fit(tiny)
    saved, n_calls = state_of(model), []

    def interrupted(*arguments, **options):
        n_calls.append(1)
        if len(n_calls) == 3:
            raise KeyboardInterrupt
        return fit_path(*arguments, **options)

    monkeypatch.setattr(_compressed_elsa_cv, "fit_path", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(tiny[:30])
    assert state_of(model) == saved


def test_inputs_are_left_alone(make_cv, tiny):
    levels = [2, 8, 4, 8]
    X = tiny.copy()
    make_cv(n_nonzero=levels).fit(X)
    assert levels == [2, 8, 4, 8]
    assert (X != tiny).nnz == 0


def test_any_container_gives_the_same(make_cv, tiny):
    expected = make_cv().fit(tiny).score_path_
    for container in (sp.csr_matrix, sp.coo_array, sp.csc_array):
        model = make_cv().fit(container(tiny))
        np.testing.assert_array_equal(model.score_path_, expected)
    np.testing.assert_array_equal(make_cv().fit(tiny.toarray()).score_path_, expected)


def test_interactions_in_files(make_cv, tiny, tmp_path):
    arrays = []
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{name}.npy", getattr(tiny, name))
        arrays.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    mapped = sp.csr_array(tuple(arrays), shape=tiny.shape)
    model = make_cv(cv=ShuffleSplit(2, random_state=0))
    expected = clone(model).fit(tiny)
    np.testing.assert_array_equal(model.fit(mapped).score_path_, expected.score_path_)


@pytest.mark.parametrize("verbose", [0, 1])
def test_verbose_logs_the_scores_of_the_folds(make_cv, tiny, caplog, verbose):
    with caplog.at_level(logging.INFO, logger="sksparse_rec"):
        model = make_cv(verbose=verbose).fit(tiny)
    assert len(caplog.messages) == 2 * verbose
    if verbose:
        assert caplog.messages[1].startswith("fold 2 of 2: ")
        assert f"{model.score_path_[2, 1]:.4f} at 2" in caplog.messages[1]
