"""A long fit that is killed goes on from its checkpoint, to the same model."""

import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from sksparse_rec import CompressedELSA
from sksparse_rec._files import read_arrays
from sksparse_rec._numerics import elsa
from sksparse_rec.datasets import open_interactions, save_interactions
from sksparse_rec.models._fit import hold_out

WAYS = {
    "anchors": {},
    "dense start": {"init": "dense"},
    "dense start, linear": {"init": "dense", "pruning": "linear"},
    "dense start, masked": {"init": "dense", "n_nonzero": 12},
    "dense start, sampled": {"init": "dense", "max_output": 40},
    "anchors, rewinding": {"rewind": True},
    "dense": {"n_nonzero": None},
    "relu": {"loss": "relu"},
    "dropout": {"dropout": 0.3},
    "weighted": {"item_weighting": 0.2, "popularity_weighting": 0.3},
    "constant steps": {"learning_rate_decay": False},
    "float64": {"precision": "float64"},
    "bfloat16": {"precision": "bfloat16"},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 6},
    "early stopping, dense start": {
        "early_stopping": True,
        "init": "dense",
        "pruning_share": 0.3,
        "n_iter_no_change": 6,
    },
}


class Interrupt:
    """A callback that raises at the end of an epoch, or of the fit (None)."""

    def __init__(self, epoch, error=KeyboardInterrupt):
        self.epoch, self.error, self.epochs = epoch, error, 0

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        self.epochs += context.task_name == "epoch"
        if (context.task_name == "fit") if self.epoch is None else self.reached:
            raise self.error

    @property
    def reached(self):
        return self.epochs == self.epoch


class Count(Interrupt):
    """Counts the epochs."""

    def __init__(self):
        super().__init__(-1)


def without_checkpoint(model):
    return clone(model).set_params(checkpoint=None).set_callbacks()


def interrupt(model, X, epoch=4, error=KeyboardInterrupt):
    """Fit until an epoch; what this epoch trained is lost."""
    model.set_callbacks(Interrupt(epoch, error))
    with pytest.raises(error):
        model.fit(X)
    return model.set_callbacks()


def files_in(folder):
    return sorted(file.name for file in folder.iterdir())


def state_of(model):
    """The bytes of everything that a fit has set."""
    own = set(model.get_params()) | {"_skl_callbacks"}
    return {k: pickle.dumps(v) for k, v in vars(model).items() if k not in own}


def assert_identical(model, expected):
    A, B = model.item_embeddings_, expected.item_embeddings_
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(A, name), getattr(B, name))
    for name in ("loss_curve_", "validation_scores_", "n_iter_", "n_steps_"):
        assert getattr(model, name) == getattr(expected, name)
    np.testing.assert_array_equal(model.anchors_, expected.anchors_)
    np.testing.assert_array_equal(model.item_popularity_, expected.item_popularity_)
    state, wanted = model._training_state, expected._training_state
    assert state.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)


# Going on


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_an_interrupted_fit_ends_as_an_uninterrupted_one(
    long, planted, folder, options
):
    X = planted.train
    expected = without_checkpoint(long(**options)).fit(X)
    interrupt(long(**options), X)
    assert len(files_in(folder)) == 1
    count = Count()
    model = long(**options).set_callbacks(count).fit(X)
    assert_identical(model, expected)
    assert count.epochs == expected.n_iter_ - 3
    assert files_in(folder) == []
    # And it trains on as the other one.
    assert_identical(model.partial_fit(X), expected.partial_fit(X))


@pytest.mark.parametrize("epoch", [1, 2, 3, 4, 5, 6, None])
@pytest.mark.parametrize(
    "options", [{"init": "dense"}, {"early_stopping": True, "n_iter_no_change": 1}]
)
def test_wherever_it_was_interrupted(long, planted, folder, options, epoch):
    X = planted.train
    expected = without_checkpoint(long(**options)).fit(X)
    # Early stopping may have ended the training before.
    epoch = epoch and min(epoch, expected.n_iter_)
    interrupt(long(**options), X, epoch)
    assert len(files_in(folder)) == (epoch != 1)
    assert_identical(long(**options).fit(X), expected)
    assert files_in(folder) == []


@pytest.mark.parametrize("init", ["anchors", "dense"])
def test_the_best_epoch_may_be_before_the_interruption(
    long, planted, folder, monkeypatch, init
):
    X, scores = planted.train, [0.1, 0.3, 0.2, 0.25, 0.1, 0.0]
    options = {"early_stopping": True, "n_iter_no_change": 4, "pruning_share": 0}

    def fit(model, scores):
        remaining = iter(scores)
        monkeypatch.setattr(CompressedELSA, "score", lambda *_: next(remaining))
        return model.fit(X)

    expected = fit(without_checkpoint(long(init=init, **options)), scores)
    model = long(init=init, **options).set_callbacks(Interrupt(4))
    with pytest.raises(KeyboardInterrupt):
        fit(model, scores)
    assert_identical(fit(model.set_callbacks(), scores[3:]), expected)
    assert expected.validation_scores_ == scores


def test_interrupted_again_and_again(long, planted, folder):
    X, options = planted.train, {"early_stopping": True, "n_iter_no_change": 9}
    expected = without_checkpoint(long(**options)).fit(X)
    for _ in range(5):
        interrupt(long(**options), X, 2, RuntimeError)
        assert len(files_in(folder)) == 1
    count = Count()
    assert_identical(long(**options).set_callbacks(count).fit(X), expected)
    assert count.epochs == 1


def test_a_loss_that_goes_wrong_is_in_the_epoch_of_the_whole_training(
    long, planted, monkeypatch
):
    interrupt(long(), planted.train)
    step = elsa.train_step
    monkeypatch.setattr(elsa, "train_step", lambda *given: step(*given) * np.nan)
    with pytest.raises(FloatingPointError, match="became nan in epoch 4:"):
        long().fit(planted.train)


def test_leaving_checkpoints_changes_nothing(long, planted, folder):
    model = long().fit(planted.train)
    assert_identical(model, without_checkpoint(model).fit(planted.train))
    assert files_in(folder) == []


SCRIPT = """
import os, signal, sys
import torch
from sksparse_rec import CompressedELSA
from sksparse_rec.datasets import open_interactions

class Kill:
    epochs = 0
    def setup(self, estimator, context):
        pass
    teardown = on_fit_task_begin = setup
    def on_fit_task_end(self, estimator, context):
        self.epochs += 1
        if self.epochs == 4:
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
CompressedELSA(
    16, n_nonzero=4, max_iter=6, batch_size=64, random_state=0,
    init="dense", early_stopping=True, checkpoint=sys.argv[2],
).set_callbacks(Kill()).fit(open_interactions(sys.argv[1]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills")
def test_a_killed_process(long, planted, tmp_path, folder):
    X, options = tmp_path / "X", {"init": "dense", "early_stopping": True}
    save_interactions(planted.train, X)
    command = [sys.executable, "-c", SCRIPT, X, folder]
    answer = subprocess.run(command, capture_output=True, check=False)
    assert answer.returncode == -signal.SIGKILL, answer.stderr
    assert len(files_in(folder)) == 1
    count = Count()
    model = long(**options).set_callbacks(count).fit(open_interactions(X))
    assert_identical(model, without_checkpoint(model).fit(planted.train))
    assert count.epochs == model.n_iter_ - 3
    assert files_in(folder) == []


@pytest.mark.parametrize("where", ["np.savez", "os.fsync", "os.replace"])
def test_a_fit_killed_while_it_writes(long, planted, folder, monkeypatch, where):
    X = planted.train
    expected = without_checkpoint(long()).fit(X)
    interrupt(long(), X, 3)
    (name,) = files_in(folder)
    before = (folder / name).read_bytes()

    def fail(file, *args, **kwargs):
        if where == "np.savez":
            file.write(b"half a checkpoint")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"sksparse_rec._files.{where}", fail)
        with pytest.raises(KeyboardInterrupt):
            long().fit(X)
    assert files_in(folder) == [name]
    assert (folder / name).read_bytes() == before
    assert_identical(long().fit(X), expected)
    assert files_in(folder) == []


def test_memory_mapped_interactions(long, planted, folder, tmp_path):
    save_interactions(planted.train, tmp_path / "X")
    interrupt(long(), open_interactions(tmp_path / "X"))
    count = Count()
    model = long().set_callbacks(count).fit(open_interactions(tmp_path / "X"))
    assert count.epochs == 3
    assert_identical(model, without_checkpoint(model).fit(planted.train))
    assert files_in(folder) == []


def test_a_warm_start_that_was_interrupted(long, planted, folder):
    X, options = planted.train, {"warm_start": True, "early_stopping": True}
    started = long(**options).fit(X).set_params(n_nonzero=2)
    expected = pickle.loads(pickle.dumps(started)).set_params(checkpoint=None).fit(X)
    again = pickle.loads(pickle.dumps(started))
    interrupt(started, X)
    assert len(files_in(folder)) == 1
    count = Count()
    assert_identical(again.set_callbacks(count).fit(X), expected)
    assert count.epochs < expected.n_iter_
    assert files_in(folder) == []


def test_a_warm_start_from_another_model_starts_by_itself(long, planted, folder):
    X = planted.train
    first, other = (
        long(warm_start=True, max_iter=max_iter).fit(X).set_params(max_iter=6)
        for max_iter in (1, 2)
    )
    interrupt(first, X)
    expected = pickle.loads(pickle.dumps(other)).set_params(checkpoint=None).fit(X)
    assert_identical(other.fit(X), expected)
    assert len(files_in(folder)) == 1


# Seeds


def test_without_a_seed_it_goes_on_too(long, planted, folder):
    X, options = planted.train, {"random_state": None, "early_stopping": True}
    interrupt(long(**options), X)
    (name,) = files_in(folder)
    meta = read_arrays(folder / name)[1]
    assert len(meta["losses"]) == 3
    count = Count()
    model = long(**options).set_callbacks(count).fit(X)
    train, _ = hold_out(model, X, meta["seed"])
    popularity = np.diff(train.tocsc().indptr)
    np.testing.assert_array_equal(model.item_popularity_, popularity)
    assert model.loss_curve_[:3] == meta["losses"]
    assert model.validation_scores_[:3] == meta["scores"]
    assert count.epochs == model.n_iter_ - 3
    assert files_in(folder) == []
    # The next one is another training.
    assert long(**options).fit(X).loss_curve_[:3] != meta["losses"]


def test_a_generator_in_the_state_it_had_goes_on(long, planted, folder):
    X = planted.train
    generator = np.random.RandomState(5)
    interrupt(long(random_state=generator), X)
    # A generator that has been used is another seed.
    other = long(random_state=generator).fit(X)
    assert len(files_in(folder)) == 1
    model = long(random_state=np.random.RandomState(5)).fit(X)
    assert files_in(folder) == []
    expected = without_checkpoint(long(random_state=np.random.RandomState(5))).fit(X)
    assert_identical(model, expected)
    assert model.loss_curve_ != other.loss_curve_


# Whose checkpoint it is


@pytest.mark.parametrize("option", [{"device": "cpu"}, {"n_jobs": 1}, {"verbose": 1}])
def test_parameters_that_do_not_matter(long, planted, folder, option):
    X = planted.train
    interrupt(long(), X)
    count = Count()
    model = long(**option).set_callbacks(count).fit(X)
    assert count.epochs == 3
    assert_identical(model, without_checkpoint(long()).fit(X))
    assert files_in(folder) == []


def test_the_same_data_in_a_frame(long, planted):
    interrupt(long(), planted.train)
    count = Count()
    frame = pd.DataFrame(planted.train.toarray()).add_prefix("item ")
    long().set_callbacks(count).fit(frame)
    assert count.epochs == 3


@pytest.mark.parametrize(
    "options", [{"n_nonzero": 3}, {"random_state": 1}, {"random_state": None}]
)
def test_nobody_goes_on_with_the_model_of_another(long, planted, folder, options):
    X = planted.train
    interrupt(long(), X)
    (name,) = files_in(folder)
    before = (folder / name).read_bytes()
    count = Count()
    long(**options).set_callbacks(count).fit(X)
    long().fit(planted.test)
    assert count.epochs == 6
    assert files_in(folder) == [name]
    assert (folder / name).read_bytes() == before
    assert_identical(long().fit(X), without_checkpoint(long()).fit(X))


def test_candidates_of_a_search_share_a_folder(long, planted, folder):
    X = planted.train
    grid = {"n_nonzero": [1, 8], "max_iter": [5, 6]}
    plain = GridSearchCV(without_checkpoint(long()), grid, cv=2, refit=False).fit(X)
    train, _ = next(KFold(2).split(X))
    for n_nonzero in (1, 8):
        interrupt(long(n_nonzero=n_nonzero), X[train])
    assert len(files_in(folder)) == 2
    search = GridSearchCV(long(verbose=1), grid, cv=2, refit=False, n_jobs=2)
    with parallel_config(backend="threading"):
        search.fit(X)
    for fold in (0, 1):
        name = f"split{fold}_test_score"
        np.testing.assert_allclose(
            search.cv_results_[name], plain.cv_results_[name], rtol=1e-5
        )
    assert files_in(folder) == []


# Folders and files


@pytest.mark.parametrize("kind", [str, os.fspath, lambda path: path])
def test_the_folder_is_made(long, tiny, tmp_path, kind):
    path = tmp_path / "some" / "where"
    long(checkpoint=kind(path)).fit(tiny)
    assert files_in(path) == []
    long(checkpoint=kind(path)).fit(tiny)


def test_an_interrupted_fit_leaves_the_model_as_it_was(long, planted, folder):
    X = planted.train
    model = long(max_iter=2).fit(X).set_params(max_iter=6)
    before = state_of(model)
    interrupt(model, X, error=RuntimeError)
    assert state_of(model) == before
    assert len(files_in(folder)) == 1
    assert_identical(model.fit(X), without_checkpoint(model).fit(X))
    fresh = long()
    interrupt(fresh, X)
    assert not hasattr(fresh, "item_embeddings_")


@pytest.mark.parametrize("damage", [b"", b"PK nonsense", "half"])
def test_a_damaged_file_is_named(long, tiny, folder, damage):
    interrupt(long(), tiny)
    (name,) = files_in(folder)
    path = folder / name
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])
    if damage != "half":
        path.write_bytes(damage)
    model = long()
    with pytest.raises(ValueError, match=rf"{name} cannot be read.*Remove this check"):
        model.fit(tiny)
    assert not hasattr(model, "item_embeddings_")
    path.unlink()
    assert_identical(model.fit(tiny), without_checkpoint(model).fit(tiny))


def test_a_fit_that_goes_on_says_so(long, planted, folder, caplog):
    interrupt(long(), planted.train)
    with caplog.at_level("INFO", logger="sksparse_rec"):
        long(verbose=1).fit(planted.train)
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0].endswith(".npz: going on after epoch 3")
    assert [message[:12] for message in messages[1:]] == [
        f"epoch {n} of 6" for n in (4, 5, 6)
    ]


def test_a_checkpoint_every_epoch(long, planted, folder):
    """Each holds the training until then."""
    seen = []

    class Look(Count):
        def on_fit_task_begin(self, estimator, context):
            if context.task_name == "epoch":
                files = files_in(folder)
                metas = [read_arrays(folder / name)[1] for name in files]
                seen.append([meta["losses"] for meta in metas])

    model = long().set_callbacks(Look()).fit(planted.train)
    losses = model.loss_curve_
    assert seen == [[]] + [[losses[:n]] for n in range(1, 6)]
