"""Early stopping: who is held out, which epochs count, which one is published."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer

from sksparse_rec import CompressedELSA
from sksparse_rec._numerics.pruning import n_nonzero_at
from sksparse_rec.datasets import open_interactions, save_interactions
from sksparse_rec.models._fit import hold_out
from sksparse_rec.models._resources import draw_seed
from sksparse_rec.models._training import schedule_of

WAYS = {
    "anchors": {},
    "anchors, linear": {"pruning": "linear", "pruning_share": 0.8},
    "dense start": {"init": "dense"},
    "dense": {"n_nonzero": None},
    "no pruning phase": {"pruning_share": 0},
}


@pytest.fixture(name="stopping")
def make_stopping_model(make):
    """A function that makes a small model with early stopping."""

    def stopping(**options):
        defaults = {"early_stopping": True, "max_iter": 8, "validation_fraction": 0.25}
        return make(**defaults | options)

    return stopping


@pytest.fixture
def scripted(monkeypatch):
    """A function that prescribes the scores of the epochs."""

    def scripted(*scores):
        remaining = iter(scores)
        monkeypatch.setattr(CompressedELSA, "score", lambda *_: next(remaining))

    return scripted


class Stop:
    """A callback that stops the training after some epochs."""

    def __init__(self, after):
        self.after, self.epochs = after, 0

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        self.epochs += context.task_name == "epoch"
        return self.epochs == self.after


def split(model, X):
    """The users that a fit of the model trains on, and those it holds out."""
    return hold_out(model, X, draw_seed(model.random_state))


def counted_epochs(model, n_epochs, n_items):
    """Epochs that train rows of the final number of non-zeros."""
    schedule = schedule_of(model, n_items)
    if schedule is None:
        return list(range(n_epochs))
    return [e for e in range(n_epochs) if n_nonzero_at(e, schedule) <= schedule.target]


def train_epochs(model, X, n_epochs):
    """The model without early stopping after some of its epochs."""
    plain = CompressedELSA(**model.get_params()).set_params(early_stopping=False)
    return plain.set_callbacks(Stop(n_epochs)).fit(X)


def same_embeddings(first, second):
    A, B = first.item_embeddings_, second.item_embeddings_
    return A.shape == B.shape and (A != B).nnz == 0


# Who is held out


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.25, 55), (0.1, 22), (1e-6, 1), (0.99, 218)]
)
def test_a_share_of_the_users_is_held_out(stopping, planted, fraction, expected):
    X = planted.train
    model = stopping(validation_fraction=fraction)
    train, held_out = hold_out(model, X, 7)
    assert held_out.shape == (expected, 90)
    assert train.shape == (220 - expected, 90)
    # Together they are all users, each once.
    rows = [tuple(row) for part in (train, held_out) for row in part.toarray()]
    assert sorted(rows) == sorted(tuple(row) for row in X.toarray())


def test_the_seed_chooses_them(stopping, planted):
    model, X = stopping(), planted.train
    first, again, other = (hold_out(model, X, seed)[1].toarray() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_they_are_not_trained_on(stopping, planted):
    X = planted.train
    model = stopping().fit(X)
    train, held_out = split(model, X)
    popularity = np.diff(train.tocsc().indptr)
    np.testing.assert_array_equal(model.item_popularity_, popularity)
    assert model.n_steps_ == model.n_iter_ * 3  # 165 users in batches of 64
    plain = train_epochs(model, train, model.n_iter_)
    assert model.loss_curve_ == plain.loss_curve_
    # Editing them changes the scores and nothing else.
    users = {tuple(row) for row in held_out.toarray()}
    edited = X.toarray()
    for row in edited:
        if tuple(row) in users:
            row[:] = row[::-1].copy()
    other = stopping().fit(sp.csr_array(edited))
    n_both = min(model.n_iter_, other.n_iter_)
    assert other.loss_curve_[:n_both] == model.loss_curve_[:n_both]
    assert other.validation_scores_[:n_both] != model.validation_scores_[:n_both]


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(3)])
def test_other_kinds_of_random_state(stopping, planted, random_state):
    model = stopping(random_state=random_state, max_iter=3).fit(planted.train)
    assert len(model.validation_scores_) == 3
    assert model.item_popularity_.sum() < planted.train.nnz


# Scores


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_every_epoch_has_the_score_of_its_model(stopping, planted, options):
    X = planted.train
    model = stopping(max_iter=6, n_iter_no_change=6, **options).fit(X)
    assert len(model.validation_scores_) == model.n_iter_ == 6
    assert all(type(score) is float for score in model.validation_scores_)
    train, held_out = split(model, X)
    expected = [train_epochs(model, train, n + 1).score(held_out) for n in range(6)]
    if options.get("init") == "dense":
        # Stopped trainings do not rewind, so only a model that was not is the same.
        expected, found = expected[:1], model.validation_scores_[:1]
    else:
        found = model.validation_scores_
    assert found == expected


def test_without_it_there_are_no_scores(make, planted, monkeypatch):
    monkeypatch.setattr(CompressedELSA, "score", None)
    model = make().fit(planted.train)
    assert model.validation_scores_ is None
    assert model.item_popularity_.sum() == planted.train.nnz


def test_partial_fit_trains_on_everybody(stopping, planted):
    model = stopping(max_iter=4).fit(planted.train)
    before, n_iter = model.item_popularity_, model.n_iter_
    model.partial_fit(planted.train)
    assert model.item_popularity_.sum() == before.sum() + planted.train.nnz
    assert model.n_iter_ == len(model.loss_curve_) == n_iter + 1


# When it stops, and what it publishes


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_the_best_epoch_is_published(stopping, planted, options):
    X = planted.train
    model = stopping(max_iter=12, n_iter_no_change=2, **options).fit(X)
    _, held_out = split(model, X)
    counted = counted_epochs(model, model.n_iter_, 90)
    best = max(model.validation_scores_[epoch] for epoch in counted)
    assert model.score(held_out) == best
    lengths = np.diff(model.item_embeddings_.indptr)
    assert lengths.max() <= model.n_nonzero_
    lengths = sp.linalg.norm(model.item_embeddings_, axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


# With a share of 1/4, pruning ends after the third of twelve epochs: the fourth is
# the first one that counts.
SCRIPTS = {
    "falls at once": ([0.9, 0.9, 0.9, 0.5, 0.4, 0.3, 0.3], 3, 3),
    "rises, then falls": ([0, 0, 0, 0.1, 0.2, 0.15, 0.19, 0.1], 3, 4),
    "a tie is no rise": ([0, 0, 0, 0.1, 0.2, 0.2, 0.2], 2, 4),
    "a late rise": ([0, 0, 0, 0.1, 0.0, 0.0, 0.2, 0.1, 0.1, 0.1], 3, 6),
    "patience of one": ([0, 0, 0, 0.1, 0.2, 0.1], 1, 4),
    "never": ([1, 1, 1, *np.linspace(0.1, 0.9, 9)], 1, 11),
    "not yet at the end": ([1, 1, 1, *np.linspace(0.9, 0.1, 9)], 9, 3),
    "the score of nobody": ([0.0] * 6, 2, 3),
}


@pytest.mark.parametrize(
    ("scores", "n_iter_no_change", "best"), SCRIPTS.values(), ids=SCRIPTS
)
def test_it_stops_after_epochs_without_a_better_score(
    stopping, planted, scripted, scores, n_iter_no_change, best
):
    X = planted.train
    model = stopping(max_iter=12, pruning_share=0.25, n_iter_no_change=n_iter_no_change)
    assert counted_epochs(model, 12, 90) == list(range(3, 12))
    scripted(*scores)
    model.fit(X)
    assert model.validation_scores_ == list(scores)
    assert model.n_iter_ == len(model.loss_curve_) == len(scores)
    train, _ = split(model, X)
    assert same_embeddings(model, train_epochs(model, train, best + 1))
    assert not same_embeddings(model, train_epochs(model, train, best))
    # And so is the state that training goes on from.
    model.partial_fit(train)
    expected = train_epochs(model, train, best + 1)
    # The batches are drawn by the number of steps.
    expected.n_steps_ = model.n_steps_ - 3
    assert same_embeddings(model, expected.partial_fit(train))


def test_without_an_epoch_that_counts_the_last_is_published(
    stopping, planted, scripted
):
    scripted(0.9, 0.8, 0.7, 0.6)
    model = stopping(max_iter=4, pruning_share=1.0, n_iter_no_change=1)
    model.fit(planted.train)
    assert model.n_iter_ == 4
    train, _ = split(model, planted.train)
    plain = model.get_params() | {"early_stopping": False}
    assert same_embeddings(model, CompressedELSA(**plain).fit(train))


def test_it_is_reproducible(stopping, planted):
    models = [stopping(n_iter_no_change=1).fit(planted.train) for _ in range(2)]
    assert same_embeddings(*models)
    assert models[0].validation_scores_ == models[1].validation_scores_
    assert models[0].loss_curve_ == models[1].loss_curve_


def test_the_log_has_the_score(stopping, planted, caplog):
    with caplog.at_level("INFO", logger="sksparse_rec"):
        model = stopping(max_iter=2, verbose=1).fit(planted.train)
    for record, score in zip(caplog.records, model.validation_scores_, strict=True):
        assert f"score {score:.4f}" in record.message


# Errors


def test_nobody_left_to_train_on(stopping, tiny):
    with pytest.raises(
        ValueError, match=r"holds 3 of 3 users out.*validation_fraction=0\.9"
    ):
        stopping(validation_fraction=0.9).fit(tiny[:3])
    with pytest.raises(ValueError, match=r"1 of 1 users.*early_stopping=False"):
        stopping().fit(tiny[[0]])
    assert stopping(validation_fraction=0.1).fit(tiny[:2]).n_iter_ > 0


def test_held_out_users_without_an_item_to_hide(stopping):
    X = sp.csr_array(np.eye(20, 12))
    with pytest.raises(
        ValueError, match=r"none of the 5 users.*validation_fraction=0\.25"
    ):
        stopping().fit(X)
    # One user with two items is enough.
    X = np.eye(20, 12)
    X[hold_out_order(stopping(), X)[0], [3, 4]] = 1
    assert len(stopping(max_iter=2).fit(X).validation_scores_) == 2


def hold_out_order(model, X):
    """Positions of the users that are held out."""
    marked = sp.csr_array(np.hstack([np.arange(1.0, len(X) + 1)[:, None], X + 1]))
    _, held_out = split(model, marked)
    return held_out[:, [0]].toarray().ravel().astype(int) - 1


def test_a_failed_fit_leaves_the_model_as_it_was(make, stopping, tiny):
    model = make().fit(tiny)
    A = model.item_embeddings_
    model.set_params(early_stopping=True, validation_fraction=0.9)
    with pytest.raises(ValueError, match="leaves none"):
        model.fit(tiny[:3, :5])
    assert model.item_embeddings_ is A
    assert model.n_features_in_ == 12


def test_memory_mapped_interactions(stopping, planted, tmp_path):
    save_interactions(planted.train, tmp_path / "X")
    opened = open_interactions(tmp_path / "X")
    model = stopping().fit(opened)
    expected = stopping().fit(planted.train)
    assert same_embeddings(model, expected)
    assert model.validation_scores_ == expected.validation_scores_
    with (
        config_context(working_memory=1e-3),
        pytest.raises(ValueError, match=r"memory-mapped.*early_stopping=False"),
    ):
        stopping().fit(opened)


# With the rest of scikit-learn


def test_names_of_a_data_frame(stopping, planted):
    names = [f"item {i:02d}" for i in range(90)]
    frame = pd.DataFrame(planted.train.toarray(), columns=names)
    model = stopping().fit(frame)
    expected = stopping().fit(planted.train)
    assert model.validation_scores_ == expected.validation_scores_
    assert list(model.feature_names_in_) == names
    assert model.predict(frame)[0, 0] in names


@pytest.mark.parametrize("y", ["labels", "targets", "matrix"])
def test_y_is_ignored(stopping, planted, y):
    X = planted.train
    targets = {"labels": np.arange(220) % 2, "targets": X, "matrix": X.toarray()}[y]
    model, expected = stopping().fit(X, targets), stopping().fit(X)
    assert model.validation_scores_ == expected.validation_scores_
    assert same_embeddings(model, expected)


def test_in_a_pipeline_and_a_search(stopping, planted):
    X = planted.train
    pipeline = make_pipeline(Binarizer(), stopping())
    grid = {"compressedelsa__n_nonzero": [1, 8]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X)
    train, test = next(KFold(2).split(X))
    expected = stopping(n_nonzero=8).fit(X[train]).score(X[test])
    found = search.cv_results_["split0_test_score"][1]
    assert found == pytest.approx(expected, abs=1e-6)
    model = search.best_estimator_[-1]
    assert len(model.validation_scores_) == model.n_iter_ <= 8
    assert search.predict(planted.test).shape == (80, 10)


@pytest.mark.parametrize("after", [2, 6])
def test_a_callback_can_stop_it_too(stopping, planted, scripted, after):
    scripted(0, 0, 0, 0.3, 0.2, 0.1)
    model = stopping(max_iter=12, pruning_share=0.25, n_iter_no_change=10)
    model.set_callbacks(Stop(after)).fit(planted.train)
    assert len(model.validation_scores_) == model.n_iter_ == after
    train, _ = split(model, planted.train)
    # The best epoch that counted, or else the last one.
    best = 4 if after == 6 else after
    assert same_embeddings(model, train_epochs(model, train, best))


def test_callbacks_see_all_users(stopping, planted):
    seen = []

    class Look(Stop):
        def on_fit_task_end(self, estimator, context, *, X=None, y=None):
            seen.append((X.shape, y))

    stopping(max_iter=2).set_callbacks(Look(0)).fit(planted.train, planted.train)
    assert {shape for shape, _ in seen} == {(220, 90)}
    assert all(y is planted.train for _, y in seen)
