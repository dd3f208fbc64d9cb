"""TorchRecommender: a module with an encoder and a decoder."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch._subclasses.fake_tensor import FakeTensorMode

from sksparse_rec import CompresSAE, SteerableRecommender
from sksparse_rec._numerics.module import run_rows
from sksparse_rec.steering import TorchRecommender


class Module(torch.nn.Module):
    """As MultVAE: encodes to means and variances, with dropout in training."""

    def __init__(self, returns=tuple):
        super().__init__()
        self.inner = torch.nn.Linear(90, 6)
        self.dropout = torch.nn.Dropout(0.9)
        self.outer = torch.nn.Linear(6, 90)
        self.returns = returns

    def encode(self, x):
        mean = torch.tanh(self.inner(self.dropout(x)))
        return self.returns((mean, mean**2)) if self.returns else mean

    def decode(self, z):
        return self.outer(z)


@pytest.fixture
def module():
    torch.manual_seed(0)
    return Module()


@pytest.mark.parametrize("returns", [tuple, list, None])
def test_profiles_and_scores_are_the_module_s(planted, module, returns):
    module.returns = returns
    recommender = TorchRecommender(module).fit(planted.train)
    X = torch.tensor(planted.test.toarray(), dtype=torch.float32)
    with torch.no_grad():
        Z = torch.tanh(module.inner(X))
        scores = module.outer(Z)
    profiles = recommender.transform(planted.test)
    assert profiles.dtype == np.float32
    np.testing.assert_allclose(profiles, Z.numpy(), rtol=1e-5, atol=1e-6)
    found = recommender.inverse_transform(profiles.astype(np.float64))
    np.testing.assert_allclose(found, scores.numpy(), rtol=1e-5, atol=1e-5)
    again = recommender.inverse_transform(profiles.tolist())
    np.testing.assert_allclose(again, found, rtol=1e-6)


def test_batches_make_no_difference(planted, module, monkeypatch):
    # Sums of ones times these are exact, in whatever order a batch adds them up.
    for parameter in module.parameters():
        parameter.data = (parameter.data * 256).round() / 256
    recommender = TorchRecommender(module).fit(planted.train)
    whole = recommender.transform(planted.train)
    monkeypatch.setattr("sksparse_rec._numerics.module.BATCH", 7)
    np.testing.assert_allclose(recommender.transform(planted.train), whole, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_the_module_is_left_as_it_was(planted, module, training):
    module.train(training)
    module.dropout.eval()
    before = [part.training for part in module.modules()]
    TorchRecommender(module).fit(planted.train).transform(planted.test)
    assert [part.training for part in module.modules()] == before
    assert all(p.grad is None and p.requires_grad for p in module.parameters())


def test_it_can_be_steered(planted, module):
    sae = CompresSAE(12, n_nonzero=3, max_iter=2, random_state=0)
    tags = np.eye(5)[planted.item_clusters]
    model = SteerableRecommender(TorchRecommender(module), sae=sae)
    model.fit(planted.train, item_concepts=tags)
    assert model.recommend(planted.test, steer={0: 0.5}).nnz == 800


def test_sliders_of_some_users_are_those_of_all(planted, module):
    sae = CompresSAE(12, n_nonzero=3, max_iter=2, random_state=0)
    tags = np.eye(5)[planted.item_clusters]
    model = SteerableRecommender(TorchRecommender(module), sae=sae)
    model.fit(planted.train, item_concepts=tags)
    parts = [model.concept_levels(planted.test[i : i + 1], [0]) for i in range(80)]
    plain = model.recommend(planted.test)
    steer = {0: ("set", np.concatenate(parts).ravel())}
    np.testing.assert_array_equal(
        model.recommend(planted.test, steer=steer).data, plain.data
    )


def test_refusals(planted, module):
    with pytest.raises(NotFittedError):
        TorchRecommender(module).transform(planted.test)
    fitted = TorchRecommender(module).fit(planted.train)
    with pytest.raises(ValueError, match="90 features"):
        fitted.transform(planted.test[:, :5])
    with pytest.raises(ValueError, match="Negative values"):
        fitted.transform(-planted.test)
    with pytest.raises(ValueError, match="X contains NaN"):
        fitted.inverse_transform(np.full((2, 6), np.nan))
    with pytest.raises(ValueError, match="module"):
        TorchRecommender("net").fit(planted.train)


class Projection(torch.nn.Module):
    def __init__(self, V):
        super().__init__()
        self.V = torch.nn.Parameter(V)

    def encode(self, x):
        return x @ self.V

    def decode(self, z):
        return z @ self.V.T


def test_rows_go_where_the_module_is(monkeypatch):
    """On a device without data, which raises where devices are mixed."""
    fetched = []

    def to_numpy(tensor):
        fetched.append((tensor.device.type, tuple(tensor.shape)))
        return np.zeros(tuple(tensor.shape), dtype=np.float32)

    monkeypatch.setattr("sksparse_rec._numerics.module.to_numpy", to_numpy)
    with FakeTensorMode():
        module = Projection(torch.zeros(90, 6, device="cuda"))
        profiles = run_rows(module, "encode", np.ones((600, 90)))
        assert run_rows(module, "decode", profiles).shape == (600, 90)
    assert fetched == [
        *(("cuda", (n, 6)) for n in (512, 88)),
        *(("cuda", (n, 90)) for n in (512, 88)),
    ]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_module_on_a_gpu(planted, module):
    on_cpu = TorchRecommender(module).fit(planted.train).transform(planted.test)
    recommender = TorchRecommender(module.to("cuda")).fit(planted.train)
    profiles = recommender.transform(planted.test)
    np.testing.assert_allclose(profiles, on_cpu, atol=1e-4)
    assert recommender.inverse_transform(profiles).shape == (80, 90)
