"""What fit promises besides a good model: state, threads, generators, memory."""

import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context

from sksparse_rec import CompressedELSA
from sksparse_rec._numerics import anchors, elsa
from sksparse_rec._numerics.threads import n_parts

VARIANTS = [{}, {"init": "dense"}, {"n_nonzero": None}, {"loss": "relu"}]
NAMES = list("abcdefghijkl")


def same_embeddings(first, second):
    difference = first.item_embeddings_ != second.item_embeddings_
    return first.item_embeddings_.shape == difference.shape and difference.nnz == 0


def state_of(model):
    return {name: pickle.dumps(value) for name, value in vars(model).items()}


# An interrupted training


class InterruptedAtTheEnd:
    """A callback that is interrupted at the end of the second epoch."""

    def __init__(self, where="on_fit_task_end"):
        self.where, self.epochs = where, 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        if self.where == "on_fit_task_begin" and self.epochs:
            raise KeyboardInterrupt

    def on_fit_task_end(self, estimator, context):
        self.epochs += 1
        if self.where == "on_fit_task_end" and self.epochs == 2:
            raise KeyboardInterrupt
        if self.where == context.task_name:
            raise KeyboardInterrupt


WHERE = ["on_fit_task_begin", "on_fit_task_end", "fit"]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("options", VARIANTS)
def test_an_interrupted_fit_leaves_the_model_as_it_was(make, tiny, where, options):
    frame = pd.DataFrame(tiny.toarray(), columns=NAMES)
    model = make(**options).fit(frame)
    before, names = dict(vars(model)), model.feature_names_in_
    saved = state_of(model)
    model.set_callbacks(InterruptedAtTheEnd(where))
    other = np.ones((9, 5))
    with pytest.raises(KeyboardInterrupt):
        model.fit(other)
    model.set_callbacks()
    assert vars(model).keys() == before.keys()
    assert state_of(model) == saved
    assert model.n_features_in_ == 12
    assert model.feature_names_in_ is names
    # The interactions of the last complete fit are still known.
    codes = model.encode_items(tiny[:, [0]])
    np.testing.assert_allclose(
        codes.toarray(), model.encode_items(tiny[:, [0]], frame).toarray(), atol=1e-6
    )


@pytest.mark.parametrize("where", WHERE)
def test_an_interrupted_first_fit_leaves_nothing(make, tiny, where):
    model = make().set_callbacks(InterruptedAtTheEnd(where))
    before = set(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(pd.DataFrame(tiny.toarray(), columns=NAMES))
    assert set(vars(model)) == before
    model.set_callbacks()
    assert same_embeddings(model.fit(tiny), make().fit(tiny))


@pytest.fixture
def interrupted_training(monkeypatch):
    """Interrupt after two steps of the optimizer have been taken."""

    def arm():
        steps = []
        original = elsa.train_step

        def train_step(*arguments):
            steps.append(original(*arguments))
            if len(steps) == 2:
                raise KeyboardInterrupt
            return steps[-1]

        monkeypatch.setattr(elsa, "train_step", train_step)

    yield arm
    monkeypatch.undo()


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_interrupt_inside_the_training(
    make, tiny, interrupted_training, monkeypatch, options, method
):
    model = make(batch_size=10, **options).fit(tiny[:20]).partial_fit(tiny[20:])
    expected = pickle.loads(pickle.dumps(model)).partial_fit(tiny)
    saved, threads = state_of(model), torch.get_num_threads()
    interrupted_training()
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)(tiny)
    assert state_of(model) == saved
    assert torch.get_num_threads() == threads
    fresh = make(batch_size=10, **options)
    empty = set(vars(fresh))
    interrupted_training()
    with pytest.raises(KeyboardInterrupt):
        getattr(fresh, method)(tiny)
    assert set(vars(fresh)) == empty
    monkeypatch.undo()
    # Not even the optimizer remembers the interrupted steps.
    assert same_embeddings(model.partial_fit(tiny), expected)


def test_a_failed_check_leaves_the_model_as_it_was(make, tiny):
    model = make().fit(pd.DataFrame(tiny.toarray(), columns=NAMES))
    saved = state_of(model)
    for value in (-1.0, np.nan):
        with pytest.raises(ValueError):
            model.fit(np.full((3, 5), value))
        assert state_of(model) == saved
        with pytest.raises(ValueError):
            model.partial_fit(pd.DataFrame(np.full((3, 12), value), columns=NAMES))
        assert state_of(model) == saved


def test_fit_starts_over(make, tiny):
    frame = pd.DataFrame(tiny.toarray(), columns=NAMES)
    model = make().fit(frame).partial_fit(frame)
    model.fit(tiny[:, :7])
    assert same_embeddings(model, make().fit(tiny[:, :7]))
    assert not hasattr(model, "feature_names_in_")
    assert len(model.loss_curve_) == model.n_iter_ == 3


@pytest.mark.parametrize("options", VARIANTS)
def test_fit_twice_is_fit_once(make, planted, options):
    once = make(**options).fit(planted.train)
    twice = make(**options).fit(planted.train[:50]).fit(planted.train)
    assert same_embeddings(once, twice)
    assert once.loss_curve_ == twice.loss_curve_
    assert once.n_steps_ == twice.n_steps_


# Randomness


@pytest.mark.parametrize("options", [*VARIANTS, {"init": "dense", "max_output": 40}])
def test_the_seed_decides(make, planted, options):
    model = make(random_state=3, **options).fit(planted.train)
    assert same_embeddings(model, make(random_state=3, **options).fit(planted.train))
    with config_context(working_memory=0.01):
        again = make(random_state=3, **options).fit(planted.train)
    assert same_embeddings(model, again)
    other = make(random_state=4, **options).fit(planted.train)
    assert not same_embeddings(model, other)


def test_kinds_of_random_state(make, planted):
    X = planted.train
    by_generator = make(random_state=np.random.RandomState(5)).fit(X)
    assert same_embeddings(
        by_generator, make(random_state=np.random.RandomState(5)).fit(X)
    )
    generator = np.random.RandomState(5)
    first = make(random_state=generator).fit(X)
    assert same_embeddings(by_generator, first)
    assert not same_embeddings(first, make(random_state=generator).fit(X))
    # Without a seed every fit is another.
    assert not same_embeddings(
        make(random_state=None).fit(X), make(random_state=None).fit(X)
    )


@pytest.mark.parametrize("random_state", [0, None], ids=["seed", "no seed"])
@pytest.mark.parametrize("options", [*VARIANTS, {"init": "dense", "max_output": 40}])
def test_global_generators_are_left_alone(make, planted, options, random_state):
    numpy_state = np.random.get_state()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    model = make(random_state=random_state, **options)
    model.fit(planted.train).partial_fit(planted.train)
    model.recommend(planted.test), model.score(planted.test)
    assert torch.equal(torch.get_rng_state(), torch_state)
    numpy_after = np.random.get_state()  # noqa: NPY002
    for before, after in zip(numpy_state, numpy_after, strict=True):
        np.testing.assert_array_equal(before, after)


def test_global_generators_do_not_matter(make, planted):
    first = make().fit(planted.train)
    torch_state = torch.get_rng_state()
    torch.manual_seed(123)
    second = make().fit(planted.train)
    torch.set_rng_state(torch_state)
    assert same_embeddings(first, second)


# Threads


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1])
@pytest.mark.parametrize("before", [1, 2])
def test_thread_count_is_restored(make, tiny, n_jobs, before):
    saved = torch.get_num_threads()
    torch.set_num_threads(before)
    try:
        model = make(n_jobs=n_jobs, max_iter=1).fit(tiny).partial_fit(tiny)
        model.recommend(tiny)
        assert torch.get_num_threads() == before
        with pytest.raises(ValueError):
            model.fit(-tiny)
        assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(saved)


def test_n_jobs_reaches_the_training(make, tiny, monkeypatch):
    seen = []
    original = elsa.train_step

    def train_step(*arguments):
        # Torch's own count is 1 beside threads of compiled products.
        seen.append(n_parts())
        return original(*arguments)

    monkeypatch.setattr(elsa, "train_step", train_step)
    for n_jobs in (2, 1):
        make(n_jobs=n_jobs, max_iter=1).fit(tiny)
    assert seen == [2, 1]


def test_fits_in_threads_equal_fits_in_sequence(make, planted):
    seeds = [0, 1, 2, 3]

    def fit(seed):
        options = VARIANTS[seed]
        model = make(random_state=seed, batch_size=16, **options)
        return model.fit(planted.train)

    expected = [fit(seed) for seed in seeds]
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(fit, seeds))
    for one, other in zip(expected, found, strict=True):
        assert same_embeddings(one, other)
    assert torch.get_num_threads() == threads


def test_threads_may_share_a_fitted_model(fitted, planted):
    expected = fitted.recommend(planted.test)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(fitted.recommend, [planted.test] * 6))
    for R in results:
        np.testing.assert_array_equal(R.indices, expected.indices)
        np.testing.assert_array_equal(R.data, expected.data)


# Types


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.int32, np.float64),
        (bool, np.float64),
    ],
)
def test_dtype_of_profiles(fitted, planted, given, expected):
    for X in (planted.test.astype(given), planted.test.astype(given).toarray()):
        U = fitted.transform(X)
        assert U.dtype == expected
        np.testing.assert_allclose(
            U.toarray(), fitted.transform(planted.test).toarray(), rtol=1e-5, atol=1e-6
        )
        # Scores do not suffer from the type of X.
        np.testing.assert_array_equal(
            fitted.recommend(X).data, fitted.recommend(planted.test).data
        )


@pytest.mark.parametrize("precision", ["auto", "bfloat16", "float32", "float64"])
def test_embeddings_are_float32_in_every_precision(make, planted, precision):
    model = make(precision=precision).fit(planted.train)
    assert model.item_embeddings_.dtype == np.float32


# Memory


@pytest.fixture(scope="module")
def crowd(make):
    """20,000 users with some 30 of 2,000 items, and a model of the items."""
    rng = np.random.default_rng(0)
    n_users, n_items, length = 20_000, 2000, 30
    items = rng.integers(0, n_items, n_users * length)
    indptr = np.arange(0, n_users * length + 1, length)
    X = sp.csr_array((np.ones(len(items)), items, indptr), shape=(n_users, n_items))
    X.sum_duplicates()
    X.data[:] = 1
    model = make(n_components=256, n_nonzero=8, max_iter=1, batch_size=500)
    return model.fit(X[:500]), X


def test_memory_of_recommend_is_bounded(crowd, peak_of):
    model, X = crowd
    mebibyte = 2**20
    with config_context(working_memory=8):
        R, peak = peak_of(lambda: model.recommend(X, k=5))
        few, _ = peak_of(lambda: model.recommend(X[:100], k=5))
    assert R.shape == X.shape
    np.testing.assert_array_equal(R[:100].indices, few.indices)
    copies_of_input = 3 * (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes)
    results = 6 * (R.data.nbytes + R.indices.nbytes)
    # Scores of all users would take 320 MB, and their profiles some 30.
    assert peak < copies_of_input + results + 8 * mebibyte


def test_profiles_of_all_users_are_not_held_at_once(crowd, peak_of, monkeypatch):
    model, X = crowd
    profiles = sp.csr_array(X[:2000] @ model.item_embeddings_)
    every = profiles.data.nbytes + profiles.indices.nbytes
    _, short = peak_of(lambda: recommend_one(model, X[:200]))
    _, long = peak_of(lambda: recommend_one(model, X[:2000]))
    extra_input = 3 * (X[200:2000].data.nbytes + X[200:2000].indices.nbytes)
    assert long - short < 0.5 * every + extra_input


def recommend_one(model, X):
    with config_context(working_memory=0.5):
        return model.recommend(X, k=1)


def test_memory_of_score_is_bounded(crowd, peak_of):
    model, X = crowd
    X = X[:5000]
    with config_context(working_memory=4):
        _, peak = peak_of(lambda: model.score(X))
    # Lists of 100 items take 16 bytes an entry; scores of all would take 80 MB.
    lists = 5000 * 100 * 16
    assert peak < 5 * lists + 4 * 2**20 + 40 * X.nnz


@pytest.mark.parametrize("loss", ["gram", "direct", "relu"])
@pytest.mark.parametrize("init", ["anchors", "dense"])
def test_fit_from_anchors_makes_no_dense_embeddings(
    peak_of, make, LargestTensor, monkeypatch, init, loss
):
    monkeypatch.setattr(anchors, "BLOCK_ENTRIES", 1 << 16)
    n_items, n_components = 3000, 512
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(300), 10)
    items = rng.integers(0, n_items, len(users))
    X = sp.csr_array((np.ones(len(items)), (users, items)), shape=(300, n_items))
    model = make(
        n_components=n_components,
        init=init,
        loss=loss,
        max_iter=1,
        batch_size=50,
        n_nonzero=4,
    )
    _, peak = peak_of(lambda: model.fit(X))
    with LargestTensor() as largest:
        model.fit(X).partial_fit(X)
    if init == "dense":
        assert largest.n_entries >= n_items * n_components
        return
    assert largest.n_entries < n_items * n_components / 2
    # Of numpy and scipy: bytes, where a dense array would be 4 times its entries.
    assert peak < 4 * n_items * n_components / 2


def float32_and_its_buffer(X):
    """Return X as fit keeps it, without a copy, and a weak reference to its values."""
    values = np.array(X.data, dtype=np.float32)
    X = sp.csr_array((values, X.indices, X.indptr), shape=X.shape)
    assert X.has_canonical_format
    return X, weakref.ref(values)


def test_a_second_fit_does_not_keep_the_first_data_alive(make, tiny):
    first, data = float32_and_its_buffer(tiny)
    second, _ = float32_and_its_buffer(tiny[:20])
    model = make().fit(first)
    del first
    gc.collect()
    # encode_items needs it, and it is the caller's own.
    assert data() is not None
    model.fit(second)
    gc.collect()
    assert data() is None


def test_a_model_dies_with_its_last_reference(make, tiny):
    first, data = float32_and_its_buffer(tiny)
    model = make().fit(first)
    kept = weakref.ref(model)
    assert len(pickle.dumps(model)) < 10**5
    del model, first
    gc.collect()
    assert kept() is None
    assert data() is None


def test_defaults_are_valid():
    CompressedELSA()._validate_params()
