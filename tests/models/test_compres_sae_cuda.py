"""CompresSAE on a GPU: the model of the CPU, and a model that the CPU can load."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec import top_items

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

VARIANTS = {
    "data": {},
    "random": {"init": "random"},
    "tied": {"encoder": "tied"},
    "positive": {"positive": True},
    "centred": {"center": True},
    "nested": {"nested": True, "n_nonzero_start": 12},
    "published loss": {"neighbor_weight": 0},
}


@pytest.fixture(name="pair", params=VARIANTS.values(), ids=VARIANTS)
def fits_on_both(request, make_sae, vectors):
    """The same training on the CPU and on the GPU.

    Short, as the largest activations of a row may be chosen otherwise once two of them
    are as close as rounding.
    """
    options = {"precision": "float32", "max_iter": 2} | request.param
    return [
        make_sae(device=device, **options).fit(vectors.train)
        for device in ("cpu", "cuda")
    ]


def test_training(pair):
    cpu, cuda = pair
    assert_allclose(cuda.loss_curve_, cpu.loss_curve_, atol=1e-3)
    for name in ("components_", "encoder_components_", "encoder_intercept_"):
        assert_allclose(getattr(cuda, name), getattr(cpu, name), atol=1e-3)
    assert cuda.reconstruction_cosine_ == pytest.approx(
        cpu.reconstruction_cosine_, abs=1e-3
    )


@pytest.mark.parametrize("n_nonzero", [None, 2, 16])
def test_codes_of_one_model(pair, vectors, n_nonzero):
    model = pair[0]
    expected = model.transform(vectors.test, n_nonzero=n_nonzero)
    score = model.score(vectors.test)
    moved = pickle.loads(pickle.dumps(model)).set_params(device="cuda")
    codes = moved.transform(vectors.test, n_nonzero=n_nonzero)
    assert_allclose(codes.toarray(), expected.toarray(), atol=1e-4)
    assert moved.score(vectors.test) == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("space", ["sparse", "reconstructed", "asymmetric"])
def test_lists_of_one_model(pair, vectors, space):
    model = pair[0]
    moved = pickle.loads(pickle.dumps(model)).set_params(device="cuda")
    found, expected = (m.recommend(vectors.test, space=space) for m in (moved, model))
    assert_allclose(found.data, expected.data, atol=1e-4)
    same = top_items(found)[0] == top_items(expected)[0]
    assert same.mean() > 0.98


def test_the_cpu_goes_on_with_a_model_of_the_gpu(pair, vectors):
    model = pickle.loads(pickle.dumps(pair[1])).set_params(device="cpu")
    assert_array_equal(model.components_, pair[1].components_)
    assert model.partial_fit(vectors.train).n_iter_ == 3
    assert np.isfinite(model.loss_curve_).all()
    again = model.set_params(device="cuda").partial_fit(vectors.train)
    assert again.n_iter_ == 4
    assert np.isfinite(again.loss_curve_).all()


def test_half_precision(make_sae, vectors):
    model = make_sae(device="cuda", precision="bfloat16").fit(vectors.train)
    expected = make_sae(device="cpu", precision="float32").fit(vectors.train)
    assert model.score(vectors.test) == pytest.approx(
        expected.score(vectors.test), abs=0.02
    )
