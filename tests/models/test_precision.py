"""Precision and threads: other numbers, nearly or exactly the same model."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from joblib import Parallel, delayed, parallel_config
from sklearn.utils._param_validation import InvalidParameterError

from sksparse_rec._numerics import elsa, products_dense
from sksparse_rec._numerics.products_dense import multiply
from sksparse_rec._numerics.rows import load_compiled_products
from sksparse_rec._numerics.threads import n_parts
from sksparse_rec.datasets import make_interactions
from sksparse_rec.models import _resources, _training

WAYS = {
    "anchors": {},
    "anchors, blocks": {"n_nonzero": 8},
    "relu": {"loss": "relu"},
    "dense start": {"init": "dense"},
    "dense": {"n_nonzero": None},
    "dense, relu": {"n_nonzero": None, "loss": "relu"},
}


def same_embeddings(first, second):
    A, B = first.item_embeddings_, second.item_embeddings_
    return A.shape == B.shape and (A != B).nnz == 0


# Precision


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("precision", ["bfloat16", "float64"])
def test_the_model_hardly_depends_on_the_precision(make, planted, precision, options):
    plain = make(precision="float32", max_iter=5, **options).fit(planted.train)
    model = make(precision=precision, max_iter=5, **options).fit(planted.train)
    tolerance = 1e-2 if precision == "bfloat16" else 1e-3
    assert model.loss_curve_[0] == pytest.approx(plain.loss_curve_[0], abs=tolerance)
    if "init" in options:
        # Near-ties are pruned otherwise, after which nothing is the same.
        tolerance = 0.05
    assert model.loss_curve_[-1] == pytest.approx(plain.loss_curve_[-1], abs=tolerance)
    assert model.score(planted.test) == pytest.approx(
        plain.score(planted.test), abs=0.03
    )
    A = model.item_embeddings_
    assert A.dtype == np.float32
    np.testing.assert_allclose(sp.linalg.norm(A, axis=1), 1, rtol=1e-5)
    # Products of row-sparse matrices for the relu loss are never dense.
    if precision == "float64" or options != WAYS["relu"]:
        assert not same_embeddings(model, plain)


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("has_it", [False, True])
def test_auto_follows_the_hardware(make, planted, monkeypatch, has_it, options):
    monkeypatch.setattr(_training, "has_bfloat16", lambda device: has_it)
    auto = make(precision="auto", **options).fit(planted.train)
    precision = "bfloat16" if has_it else "float32"
    expected = make(precision=precision, **options).fit(planted.train)
    assert same_embeddings(auto, expected)
    assert auto.loss_curve_ == expected.loss_curve_


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float32", np.float32), ("bfloat16", np.float32), ("float64", np.float64)],
)
@pytest.mark.parametrize("options", [{}, {"init": "dense"}])
def test_the_parameter_has_the_type_of_the_precision(
    make, planted, precision, dtype, options
):
    model = make(precision=precision, **options).fit(planted.train)
    for name in ("values", "first", "second"):
        assert model._training_state[name].dtype == dtype
    model.partial_fit(planted.train)
    assert model._training_state["values"].dtype == dtype


def test_products_in_bfloat16_are_sums_in_float32():
    """Factors lose bits, sums do not: 2 ** 12 ones are not 2 ** 8."""
    ones = torch.ones(1, 1 << 12)
    assert multiply(ones, ones.T, half=True).item() == 1 << 12
    third = torch.full((1, 1), 1 / 3)
    product = multiply(third, third, half=True)
    assert product.dtype == torch.float32
    assert product.item() == pytest.approx(1 / 9, rel=2**-7)
    assert product.item() != multiply(third, third, half=False).item()


@pytest.mark.parametrize("precision", ["half", "float16", torch.float32, None])
def test_other_precisions_are_refused_by_name(make, tiny, precision):
    with pytest.raises(InvalidParameterError, match="'precision' parameter"):
        make(precision=precision).fit(tiny)


# Threads


@pytest.fixture
def two_cores(monkeypatch):
    """Two cores for torch, whatever there is, and a fit that is worth them."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(_resources, "cpu_count", lambda: 2)
    monkeypatch.setattr(_resources, "WORTH_THREADS", 0)
    yield 2
    torch.set_num_threads(before)


@pytest.fixture
def seen(monkeypatch):
    """Threads of every step, and those of torch within it."""
    seen = []
    original = elsa.train_step

    def train_step(*arguments):
        seen.append((n_parts(), torch.get_num_threads()))
        return original(*arguments)

    monkeypatch.setattr(elsa, "train_step", train_step)
    return seen


@pytest.fixture
def threads_everywhere(monkeypatch):
    """Let every product have threads, whatever its size."""
    monkeypatch.setattr(products_dense, "WORTH_THREADS", 0)
    monkeypatch.setattr(products_dense, "WORTH_THREADS_HALF", 0)
    numba = load_compiled_products()
    if numba is not None:
        monkeypatch.setattr(numba, "WORTH_THREADS", 1)


@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_threads_of_a_fit(make, tiny, two_cores, seen, n_jobs):
    make(n_jobs=n_jobs, max_iter=1).fit(tiny)
    assert {parts for parts, _ in seen} == {n_jobs or 2}
    seen.clear()
    # Dense rows are torch's work.
    make(n_jobs=n_jobs, max_iter=1, n_nonzero=None).fit(tiny)
    assert set(seen) == {(n_jobs or 2, n_jobs or 2)}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("n_jobs", [None, 1, 2, 3])
def test_threads_of_the_calibration(make, tiny, two_cores, monkeypatch, n_jobs):
    seen, original = [], _training.calibrate

    def calibrate(*arguments):
        seen.append(torch.get_num_threads())
        return original(*arguments)

    monkeypatch.setattr(_training, "calibrate", calibrate)
    make(n_jobs=n_jobs, max_iter=1, calibration=True).fit(tiny)
    assert seen == [n_jobs or 2]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_threads_of_the_pruning(make, tiny, two_cores, monkeypatch, n_jobs):
    """Torch prunes, with all threads that a fit may have."""
    seen, original = [], elsa.prune

    def prune(*arguments, **options):
        seen.append(torch.get_num_threads())
        return original(*arguments, **options)

    monkeypatch.setattr(elsa, "prune", prune)
    make(n_jobs=n_jobs, max_iter=4, n_nonzero=2, n_nonzero_start=8).fit(tiny)
    assert seen
    assert set(seen) == {n_jobs or 2}


def test_small_problems_take_one_thread(make, tiny, two_cores, seen, monkeypatch):
    monkeypatch.setattr(_resources, "WORTH_THREADS", 10**8)
    make(max_iter=1).fit(tiny)
    assert set(seen) == {(1, 1)}
    assert torch.get_num_threads() == 2


def test_one_thread_among_the_workers_of_joblib(make, tiny, two_cores, seen):
    models = [make(max_iter=1, random_state=seed) for seed in range(3)]
    expected = [make(max_iter=1, random_state=seed).fit(tiny) for seed in range(3)]
    seen.clear()
    with parallel_config(backend="threading"):
        found = Parallel(n_jobs=2)(delayed(model.fit)(tiny) for model in models)
    assert {parts for parts, _ in seen} == {1}
    assert torch.get_num_threads() == 2
    for model, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            model.item_embeddings_.toarray(),
            wanted.item_embeddings_.toarray(),
            atol=1e-5,
        )
    # Who asks for threads gets them, and one worker is no crowd.
    seen.clear()
    Parallel(n_jobs=1)(delayed(model.fit)(tiny) for model in models)
    assert {parts for parts, _ in seen} == {2}


@pytest.mark.usefixtures("threads_everywhere")
@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_the_model_does_not_depend_on_the_threads(make, options):
    X = sp.csr_array(make_interactions(600, 300, 12_000, random_state=0))
    size = {"n_components": 128, "batch_size": 600, "max_iter": 3}
    first, second = (
        make(**size | options, n_jobs=n_jobs, precision="float64").fit(X)
        for n_jobs in (1, 2)
    )
    np.testing.assert_allclose(first.loss_curve_, second.loss_curve_, atol=1e-5)
    np.testing.assert_allclose(
        first.item_embeddings_.toarray(), second.item_embeddings_.toarray(), atol=1e-5
    )
    np.testing.assert_array_equal(first.anchors_, second.anchors_)
