"""warm_start: fit goes on from the fitted model, and prunes it if it is asked to."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from sksparse_rec import CompressedELSA
from sksparse_rec._numerics import elsa

WAYS = {
    "anchors": {},
    "dense start": {"init": "dense"},
    "dense start, masked": {"init": "dense", "n_nonzero": 12},
    "dense": {"n_nonzero": None},
    "relu": {"loss": "relu"},
    "anchors, rewinding": {"rewind": True},
}


@pytest.fixture(name="warm")
def make_warm_model(make):
    """A function that makes a small model that warm-starts."""

    def warm(**options):
        return make(**{"warm_start": True} | options)

    return warm


def same_embeddings(first, second):
    A, B = first.item_embeddings_, second.item_embeddings_
    return A.shape == B.shape and (A != B).nnz == 0


def state_of(model):
    return {k: pickle.dumps(v) for k, v in vars(model).items() if k.endswith("_")}


def lengths_of(model):
    return np.diff(model.item_embeddings_.indptr)


# Going on


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_the_first_fit_is_a_fit(warm, make, planted, options):
    model = warm(**options).fit(planted.train)
    expected = make(**options).fit(planted.train)
    assert same_embeddings(model, expected)
    assert model.loss_curve_ == expected.loss_curve_


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_a_second_fit_goes_on(warm, make, planted, options):
    X = planted.train
    model = warm(max_iter=6, **options).fit(X)
    pattern, last = model.item_embeddings_.copy(), model.loss_curve_[-1]
    model.set_params(max_iter=2, learning_rate=0.02).fit(X)
    assert len(model.loss_curve_) == model.n_iter_ == 2
    assert model.n_steps_ == 8
    fresh = make(**options | {"max_iter": 2, "learning_rate": 0.02}).fit(X)
    assert model.loss_curve_[0] < fresh.loss_curve_[0]
    assert model.loss_curve_[-1] < fresh.loss_curve_[-1]
    assert model.loss_curve_[-1] < last + 0.01
    A = model.item_embeddings_
    np.testing.assert_array_equal(A.indices, pattern.indices)
    np.testing.assert_array_equal(A.indptr, pattern.indptr)
    assert not np.array_equal(A.data, pattern.data)


def test_it_goes_on_with_the_optimizer(warm, planted):
    X = planted.train
    model = warm().fit(X)
    steps = model._training_state["n_steps"]
    assert model.fit(X)._training_state["n_steps"] == 2 * steps


def test_the_step_size_starts_over(warm, planted, monkeypatch):
    rates = []
    original = elsa.train_step

    def train_step(batch, state, setting, rate, generator):
        rates.append(rate)
        return original(batch, state, setting, rate, generator)

    monkeypatch.setattr(elsa, "train_step", train_step)
    model = warm().fit(planted.train)
    model.fit(planted.train)
    assert rates[:12] == rates[12:]
    assert rates[0] == 0.1


def test_other_users(warm, make, planted):
    """Of the same items: popularity is theirs, as after a fit."""
    model = warm().fit(planted.train[:110]).fit(planted.train[110:])
    popularity = np.diff(planted.train[110:].tocsc().indptr)
    np.testing.assert_array_equal(model.item_popularity_, popularity)
    assert model.encode_items(planted.train[110:, [0]]).shape == (1, 16)
    before = make().fit(planted.train[:110])
    np.testing.assert_array_equal(model.anchors_, before.anchors_)


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_items_without_interactions_so_far_are_admitted(warm, planted, options):
    X = planted.train
    without = sp.csr_array(X * (np.arange(90) > 4))
    model = warm(**options).fit(without)
    assert not lengths_of(model)[:5].any()
    model.fit(X)
    assert lengths_of(model).all()
    assert lengths_of(model).max() <= model.n_nonzero_


def test_the_same_seed_the_same_model(warm, planted):
    X = planted.train
    first, second = (warm().fit(X).fit(X) for _ in range(2))
    assert same_embeddings(first, second)


def test_a_loaded_model_goes_on(warm, planted):
    model = warm().fit(planted.train)
    loaded = pickle.loads(pickle.dumps(model))
    assert same_embeddings(loaded.fit(planted.train), model.fit(planted.train))


def test_after_partial_fit(warm, planted):
    model = warm().partial_fit(planted.train)
    assert model.n_iter_ == 1
    model.fit(planted.train)
    assert model.n_iter_ == 3
    assert lengths_of(model).max() == 4


def test_with_early_stopping(warm, planted):
    model = warm(early_stopping=True, max_iter=6).fit(planted.train)
    best = max(model.validation_scores_)
    model.fit(planted.train)
    # Every epoch counts now. The same seed holds the same users out.
    assert len(model.validation_scores_) == model.n_iter_
    assert max(model.validation_scores_) > best - 0.02


# Pruning


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("pruning_share", [0, 0.6, 1])
def test_it_prunes_to_fewer_nonzeros(warm, planted, options, pruning_share):
    X = planted.train
    model = warm(max_iter=6, **options).fit(X)
    before = model.item_embeddings_.toarray() != 0
    model.set_params(n_nonzero=2, pruning_share=pruning_share).fit(X)
    assert model.n_nonzero_ == 2
    assert (lengths_of(model) == 2).all()
    np.testing.assert_allclose(
        sp.linalg.norm(model.item_embeddings_, axis=1), 1, rtol=1e-5
    )
    # Of the entries that there were.
    assert not ((model.item_embeddings_.toarray() != 0) & ~before).any()


def test_pruned_step_by_step(warm, planted):
    model = warm(n_nonzero=16, max_iter=5)
    for n_nonzero in (16, 8, 4, 1):
        model.set_params(n_nonzero=n_nonzero).fit(planted.train)
        assert (lengths_of(model) == n_nonzero).all()
    plain = CompressedELSA(**model.get_params()).fit(planted.train)
    assert model.score(planted.test) > plain.score(planted.test) - 0.1


# Refusals


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({}, {"n_nonzero": 5}, r"lowers the 4 non-zeros.*n_nonzero is 5"),
        ({}, {"n_nonzero": None}, r"lowers the 4 non-zeros.*n_nonzero is None"),
        (
            {"init": "dense", "n_nonzero": 12},
            {"n_nonzero": 13},
            r"lowers the 12 non-zeros.*n_nonzero is 13",
        ),
        ({}, {"n_components": 17}, r"16\s+components.*n_components is 17"),
        ({}, {"n_components": 8}, r"16\s+components.*n_components is 8"),
    ],
)
def test_what_it_cannot_go_on_to(warm, planted, first, second, message):
    model = warm(**first).fit(planted.train)
    before = state_of(model)
    model.set_params(**second)
    with pytest.raises(ValueError, match=message) as caught:
        model.fit(planted.train)
    assert "set warm_start=False" in str(caught.value)
    assert state_of(model) == before
    model.set_params(warm_start=False).fit(planted.train)
    assert model.n_iter_ == 3


def test_another_number_of_items(warm, make, planted):
    model = warm().fit(planted.train)
    before = state_of(model)
    with pytest.raises(ValueError, match=r"X has 80 features.*expecting 90"):
        model.fit(planted.train[:, :80])
    assert state_of(model) == before
    assert model.n_features_in_ == 90
    model.set_params(warm_start=False).fit(planted.train[:, :80])
    assert same_embeddings(model, make().fit(planted.train[:, :80]))


def test_columns_in_another_order(warm, planted):
    pandas = pytest.importorskip("pandas")
    names = [f"item{i}" for i in range(planted.train.shape[1])]
    X = pandas.DataFrame(planted.train.toarray(), columns=names)
    model = warm().fit(X)
    before = state_of(model)
    with pytest.raises(ValueError, match="feature names should match"):
        model.fit(X[names[::-1]])
    assert state_of(model) == before


def test_partial_fit_refuses_more_non_zeros_too(warm, planted):
    model = warm(n_nonzero=4).fit(planted.train)
    with pytest.raises(ValueError, match="partial_fit keeps or lowers the 4 non-zeros"):
        model.set_params(n_nonzero=16).partial_fit(planted.train)


@pytest.mark.parametrize("n_nonzero", [11, 16, 20])
@pytest.mark.parametrize("init", ["anchors", "dense"])
def test_rows_that_the_data_cannot_fill_go_on(warm, tiny, init, n_nonzero):
    """With 12 anchors there are 12 entries at most, whatever was asked for."""
    model = warm(n_components=20, n_nonzero=n_nonzero, init=init).fit(tiny)
    before = lengths_of(model)
    assert model.fit(tiny).n_nonzero_ == n_nonzero
    np.testing.assert_array_equal(lengths_of(model), before)


# Others


def test_without_it_fit_starts_over(warm, make, planted):
    model = warm().fit(planted.train).set_params(warm_start=False)
    assert same_embeddings(model.fit(planted.train), make().fit(planted.train))


def test_clone_drops_the_state(warm, planted):
    model = warm().fit(planted.train)
    again = clone(model)
    assert not any(name.endswith("_") for name in vars(again))
    assert same_embeddings(again.fit(planted.train), model)
    assert model.fit(planted.train) is model
    assert not same_embeddings(again, model)


def test_the_former_model_of_a_copy_is_left_alone(warm, planted):
    model = warm().fit(planted.train)
    published, state = model.item_embeddings_, model._training_state
    before = {k: np.copy(v) for k, v in state.items()}
    data = published.data.copy()
    model.fit(planted.train)
    np.testing.assert_array_equal(published.data, data)
    for name, value in before.items():
        np.testing.assert_array_equal(state[name], value)


@pytest.mark.parametrize("options", [{}, {"init": "dense"}])
def test_the_precision_may_change(warm, planted, options):
    model = warm(precision="float64", **options).fit(planted.train)
    last = model.loss_curve_[-1]
    model.set_params(precision="float32").fit(planted.train)
    assert model._training_state["values"].dtype == np.float32
    assert model.loss_curve_[-1] < last + 0.02
