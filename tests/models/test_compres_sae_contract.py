"""What CompresSAE promises besides good codes: state, seeds, threads, errors."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.exceptions import NotFittedError

from sksparse_rec.models import _code_training, _resources

VARIANTS = {
    "free": {},
    "random and tied": {"init": "random", "encoder": "tied", "nested": True},
    "positive and centred": {"positive": True, "center": True},
}
NAMES = [f"dimension {i}" for i in range(32)]


@pytest.fixture(name="options", params=VARIANTS.values(), ids=VARIANTS)
def options_of_a_variant(request):
    return request.param


def assert_equal(model, expected):
    for name in ("components_", "encoder_components_", "encoder_intercept_"):
        assert_array_equal(getattr(model, name), getattr(expected, name))
    assert_array_equal(
        model.item_embeddings_.toarray(), expected.item_embeddings_.toarray()
    )
    assert model.loss_curve_ == expected.loss_curve_


def is_equal(model, expected):
    return np.array_equal(model.components_, expected.components_)


def state_of(model):
    return {name: pickle.dumps(value) for name, value in vars(model).items()}


# An interrupted training


@pytest.fixture
def interrupted(monkeypatch):
    """Interrupt the training in its step number ``n``, after the parameters moved."""

    def arm(n):
        steps = []
        original = _code_training.train_step

        def train_step(*arguments):
            steps.append(original(*arguments))
            if len(steps) == n:
                raise KeyboardInterrupt
            return steps[-1]

        monkeypatch.setattr(_code_training, "train_step", train_step)

    yield arm
    monkeypatch.undo()


@pytest.mark.parametrize("n", [2, 9])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_interrupt_leaves_the_model_as_it_was(
    make_sae, vectors, interrupted, monkeypatch, options, method, n
):
    frame = pd.DataFrame(vectors.train[:200], columns=NAMES)
    more = pd.DataFrame(vectors.train, columns=NAMES)
    model = make_sae(**options).fit(frame).partial_fit(frame)
    expected = pickle.loads(pickle.dumps(model)).partial_fit(more)
    saved, threads = state_of(model), torch.get_num_threads()
    interrupted(n)
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)(more)
    assert state_of(model) == saved
    assert torch.get_num_threads() == threads
    monkeypatch.undo()
    # Not even the optimizer remembers the interrupted steps.
    assert_equal(model.partial_fit(more), expected)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_interrupt_of_the_first_training_leaves_nothing(
    make_sae, vectors, interrupted, method
):
    model = make_sae()
    before = set(vars(model))
    interrupted(2)
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)(pd.DataFrame(vectors.train, columns=NAMES))
    assert set(vars(model)) == before
    with pytest.raises(NotFittedError):
        model.transform(vectors.test)


def test_a_failed_check_leaves_the_model_as_it_was(make_sae, vectors):
    model = make_sae().fit(pd.DataFrame(vectors.train, columns=NAMES))
    saved = state_of(model)
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError):
            model.fit(np.full((3, 5), value))
        assert state_of(model) == saved
        with pytest.raises(ValueError):
            model.partial_fit(pd.DataFrame(np.full((3, 32), value), columns=NAMES))
        assert state_of(model) == saved


def test_methods_leave_the_model_alone(fitted_sae, vectors):
    before = pickle.dumps(fitted_sae)
    codes = fitted_sae.transform(vectors.test)
    fitted_sae.inverse_transform(codes), fitted_sae.score(vectors.test)
    for space in ("sparse", "reconstructed"):
        fitted_sae.recommend(vectors.test, space=space)
        fitted_sae.similar_items([1, 2], space=space)
    assert pickle.dumps(fitted_sae) == before


# Once more


def test_fit_starts_over(make_sae, vectors, options):
    once = make_sae(**options).fit(vectors.train)
    twice = (
        make_sae(**options)
        .fit(vectors.train[:70, :9])
        .partial_fit(vectors.train[:70, :9])
    )
    assert_equal(twice.fit(vectors.train), once)
    assert twice.n_steps_ == once.n_steps_
    assert twice.n_features_in_ == 32


def test_partial_fit_from_scratch_is_the_first_epoch_of_fit(make_sae, vectors, options):
    streamed = make_sae(**options)
    for n_calls in range(1, 5):
        streamed.partial_fit(vectors.train)
        assert streamed.n_iter_ == len(streamed.loss_curve_) == n_calls
        assert streamed.n_steps_ == 12 * n_calls
    assert streamed.loss_curve_[-1] < 0.9 * streamed.loss_curve_[0]
    fitted = make_sae(**options).fit(vectors.train)
    assert streamed.loss_curve_[0] == fitted.loss_curve_[0]


def test_a_stream_makes_reconstructions_better(make_sae, vectors, options):
    model = make_sae(max_iter=20, **options)
    scores = []
    for first in range(0, 600, 100):
        model.partial_fit(vectors.train[first : first + 100])
        scores.append(model.score(vectors.test))
    assert scores[-1] > scores[0] + 0.03
    # The catalogue is that of the last call.
    assert model.item_embeddings_.shape == (100, 64)
    assert len(model.reconstruction_norms_) == 100
    codes = model.transform(vectors.train[500:]).toarray()
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    assert_allclose(model.item_embeddings_.toarray(), codes, atol=1e-5)


def test_partial_fit_goes_on_after_fit(make_sae, vectors, options):
    model = make_sae(**options).fit(vectors.train[:300])
    before, mean = model.score(vectors.train[300:]), model.mean_
    for _ in range(10):
        model.partial_fit(vectors.train[300:])
    assert model.n_iter_ == 16
    assert model.score(vectors.train[300:]) > before
    # The centre stays, as older codes would lose their meaning.
    assert_array_equal(model.mean_, mean) if model.center else None


def test_partial_fit_follows_changed_parameters(make_sae, vectors):
    model = make_sae().fit(vectors.train)
    model.set_params(n_nonzero=2, batch_size=100).partial_fit(vectors.train)
    assert model.n_nonzero_ == 2
    assert model.n_steps_ == 6 * 12 + 6
    assert np.diff(model.item_embeddings_.indptr).max() == 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"n_components": 32}, "64 components.*n_components is 32.*call fit"),
        ({"n_components": 65}, "64 components.*n_components is 65.*call fit"),
        ({"encoder": "tied"}, "free encoder.*encoder is 'tied'.*call fit"),
    ],
)
def test_what_partial_fit_cannot_change(make_sae, vectors, changed, words):
    model = make_sae().fit(vectors.train)
    saved = state_of(model.set_params(**changed))
    with pytest.raises(ValueError, match=words):
        model.partial_fit(vectors.train)
    assert state_of(model) == saved
    model.fit(vectors.train).partial_fit(vectors.train)
    with pytest.raises(ValueError, match=r"7 features.*32 features"):
        model.partial_fit(vectors.train[:, :7])


def test_a_tied_encoder_does_not_become_free(make_sae, vectors):
    model = make_sae(encoder="tied").fit(vectors.train).set_params(encoder="free")
    with pytest.raises(ValueError, match=r"tied encoder.*encoder is 'free'"):
        model.partial_fit(vectors.train)


# Randomness


def test_the_seed_decides(make_sae, vectors, options):
    model = make_sae(random_state=3, **options).fit(vectors.train)
    with config_context(working_memory=0.01):
        again = make_sae(random_state=3, **options).fit(vectors.train)
    assert_equal(again, model)
    assert not is_equal(model, make_sae(random_state=4, **options).fit(vectors.train))
    assert_equal(again.partial_fit(vectors.train), model.partial_fit(vectors.train))


def test_every_call_of_partial_fit_shuffles_in_its_own_way(
    make_sae, vectors, monkeypatch
):
    batches, original = [], _code_training.train_step

    def train_step(state, X, *arguments):
        batches.append(X.numpy().copy())
        return original(state, X, *arguments)

    monkeypatch.setattr(_code_training, "train_step", train_step)
    model = make_sae(batch_size=300)
    for _ in range(3):
        model.partial_fit(vectors.train)
    for batch, other in ((0, 2), (2, 4), (0, 4)):
        assert not np.array_equal(batches[batch][:5], batches[other][:5])


def test_kinds_of_random_state(make_sae, vectors):
    X = vectors.train[:100]
    first, same = (
        make_sae(random_state=np.random.RandomState(5)).fit(X) for _ in range(2)
    )
    assert is_equal(first, same)
    generator = np.random.RandomState(5)
    assert is_equal(first, make_sae(random_state=generator).fit(X))
    assert not is_equal(first, make_sae(random_state=generator).fit(X))
    unseeded = [make_sae(random_state=None).fit(X) for _ in range(2)]
    assert not is_equal(*unseeded)


@pytest.mark.parametrize("random_state", [0, None], ids=["seed", "no seed"])
def test_global_generators_are_left_alone(make_sae, vectors, options, random_state):
    numpy_state = np.random.get_state()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    model = make_sae(random_state=random_state, **options)
    model.fit(vectors.train).partial_fit(vectors.train)
    model.recommend(vectors.test), model.score(vectors.test)
    assert torch.equal(torch.get_rng_state(), torch_state)
    numpy_after = np.random.get_state()  # noqa: NPY002
    for before, after in zip(numpy_state, numpy_after, strict=True):
        assert_array_equal(before, after)


# Threads


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1])
@pytest.mark.parametrize("before", [1, 2])
def test_thread_count_is_restored(make_sae, vectors, n_jobs, before, monkeypatch):
    monkeypatch.setattr(_resources, "WORTH_THREADS", 0)
    saved = torch.get_num_threads()
    torch.set_num_threads(before)
    try:
        model = make_sae(n_jobs=n_jobs, max_iter=1).fit(vectors.train)
        model.partial_fit(vectors.train).recommend(vectors.test)
        model.score(vectors.test)
        assert torch.get_num_threads() == before
        with pytest.raises(FloatingPointError):
            model.set_params(learning_rate=1e38).fit(vectors.train)
        assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(saved)


def test_the_model_does_not_depend_on_the_threads(make_sae, vectors, options):
    one, two = (
        make_sae(n_jobs=n_jobs, max_iter=2, precision="float32", **options).fit(
            vectors.train
        )
        for n_jobs in (1, 2)
    )
    assert_allclose(one.loss_curve_, two.loss_curve_, atol=1e-4)
    assert_allclose(one.components_, two.components_, atol=1e-2)


def test_fits_in_threads_equal_fits_in_sequence(make_sae, vectors):
    def fit(seed):
        variant = list(VARIANTS.values())[seed]
        return make_sae(random_state=seed, **variant).fit(vectors.train)

    expected = [fit(seed) for seed in range(3)]
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(fit, range(3)))
        queries = [vectors.test] * 4
        results = list(pool.map(expected[0].recommend, queries))
    for one, other in zip(expected, found, strict=True):
        assert_equal(one, other)
    for R in results:
        assert_array_equal(R.indices, expected[0].recommend(vectors.test).indices)
    assert torch.get_num_threads() == threads


# Wrong input

METHODS = {
    "fit": lambda model, X: model.fit(X),
    "partial_fit": lambda model, X: model.partial_fit(X),
    "transform": lambda model, X: model.transform(X),
    "recommend": lambda model, X: model.recommend(X),
    "score": lambda model, X: model.score(X),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("container", [sp.csr_array, sp.csc_matrix, np.array])
@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
def test_bad_values_are_named(fitted_sae, vectors, method, container, value, words):
    X = vectors.test.copy()
    X[2, 3] = value
    with pytest.raises(ValueError, match=rf"{words}.*X\[2, 3\] is {value}.*finite"):
        method(fitted_sae, container(X))
    fitted_sae.recommend(vectors.test)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_tables_of_another_shape(make_sae, vectors, method):
    model = make_sae(max_iter=1).fit(vectors.train)
    for shape in [(0, 32), (4, 0)]:
        for container in (sp.csr_array, np.empty):
            with pytest.raises(ValueError, match=r"0 sample|0 feature"):
                method(model, container(shape))
    if method is not METHODS["fit"]:
        with pytest.raises(ValueError, match=r"7 features.*32 features"):
            method(model, vectors.test[:, :7])
    with pytest.raises(ValueError, match="2D array"):
        method(model, vectors.test[0])


@pytest.mark.parametrize("n_nonzero", [0, -1, 65, 2.0, True, "all", np.nan])
def test_lengths_of_codes_out_of_range(fitted_sae, vectors, n_nonzero):
    words = rf"from 1 to n_components=64, got {n_nonzero!r}"
    with pytest.raises(ValueError, match=words):
        fitted_sae.transform(vectors.test, n_nonzero=n_nonzero)
    assert fitted_sae.transform(vectors.test, n_nonzero=np.int64(64)).nnz == 6400


def test_codes_of_another_width_or_not_finite(fitted_sae):
    with pytest.raises(ValueError, match=r"X has 5 columns.*n_components is 64"):
        fitted_sae.inverse_transform(np.ones((2, 5)))
    S = np.ones((2, 64))
    S[1, 2] = np.nan
    for container in (np.array, sp.csr_array):
        with pytest.raises(ValueError, match=r"NaN.*\[1, 2\]"):
            fitted_sae.inverse_transform(container(S))


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.transform([[1.0]]),
        lambda model: model.inverse_transform([[1.0]]),
        lambda model: model.score([[1.0]]),
        lambda model: model.get_feature_names_out(),
    ],
)
def test_methods_need_fit(make_sae, call):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        call(make_sae())


def test_a_training_that_diverges_is_an_error(make_sae, vectors):
    with pytest.raises(FloatingPointError, match="learning_rate"):
        make_sae(learning_rate=1e38).fit(vectors.train)
