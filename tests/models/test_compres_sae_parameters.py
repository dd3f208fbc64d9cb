"""Parameters of CompresSAE: bad values are refused by name, good ones work."""

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from sksparse_rec import CompresSAE

BAD = {
    "n_components": [0, -1, 1.5, None, "many"],
    "n_nonzero": [0, -1, 1.5, None, "all"],
    "init": ["anchors", None, 1],
    "encoder": ["own", None, True],
    "positive": [None, "yes", 0.5],
    "center": [None, "mean", 0.5],
    "nested": [None, "half", 0.5],
    "n_nonzero_start": [0, 1.5, "all"],
    "auxiliary_weight": [-0.1, None, np.nan],
    "auxiliary_factor": [0, 1.5, None],
    "neighbor_weight": [-0.1, None, np.nan],
    "neighbor_temperature": [0, -1, None, np.nan],
    "revive": [None, "dead", 0.5],
    "max_iter": [0, -1, 1.5, None],
    "batch_size": [0, 1.5, None],
    "learning_rate": [0, -0.1, None, "fast", np.nan, np.inf],
    "learning_rate_decay": [None, "cosine", np.nan],
    "precision": ["float8", "float64", None, np.float32],
    "device": [None, 0],
    "n_jobs": [1.5, "all"],
    "random_state": ["seed", -1, 0.5],
    "verbose": [-1, "loud", None],
}
GOOD = [
    ("n_components", np.int64(5)),
    ("n_nonzero", np.int32(3)),
    ("n_nonzero", 1),
    ("positive", np.bool_(True)),
    ("n_nonzero_start", 1),
    ("n_nonzero_start", 1000),
    ("auxiliary_weight", 0),
    ("auxiliary_factor", 1),
    ("auxiliary_factor", 1000),
    ("neighbor_weight", 0),
    ("neighbor_temperature", 10),
    ("revive", False),
    ("max_iter", 1),
    ("batch_size", 1),
    ("batch_size", 10**6),
    ("learning_rate", 1),
    ("learning_rate_decay", False),
    ("precision", "float32"),
    ("precision", "bfloat16"),
    ("device", "cpu"),
    ("device", "cpu:0"),
    ("n_jobs", np.int64(1)),
    ("verbose", 2),
]


def test_every_parameter_is_covered():
    names = set(CompresSAE().get_params())
    assert names == set(CompresSAE._parameter_constraints) == set(BAD)
    CompresSAE()._validate_params()


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in BAD for value in [*BAD[name], object()]],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_values_are_refused_by_name(make_sae, vectors, name, value, method):
    model = make_sae().set_params(**{name: value})
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
        getattr(model, method)(vectors.train)
    assert not hasattr(model, "item_embeddings_")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "cpu:nonsense", ""])
def test_an_unknown_device_is_refused_by_name(make_sae, vectors, device):
    with pytest.raises(ValueError, match="device"):
        make_sae(device=device).fit(vectors.train)


@pytest.mark.parametrize(("name", "value"), GOOD)
@pytest.mark.parametrize("options", [{}, {"init": "random", "encoder": "tied"}])
def test_values_at_the_ends_of_the_ranges_work(make_sae, vectors, name, value, options):
    X = vectors.train[:60]
    model = make_sae(**options).set_params(**{name: value}).fit(X)
    assert np.isfinite(model.components_).all()
    assert np.all(np.diff(model.item_embeddings_.indptr) > 0)
    assert model.partial_fit(X).recommend(X).nnz == 600


def test_verbose_logs_every_epoch_and_prints_nothing(make_sae, vectors, caplog, capsys):
    with caplog.at_level("INFO", logger="sksparse_rec"):
        make_sae(verbose=1).fit(vectors.train)
        assert len(caplog.records) == 6
        assert "epoch 6 of 6" in caplog.text
        make_sae(verbose=0).fit(vectors.train)
        assert len(caplog.records) == 6
    assert capsys.readouterr() == ("", "")
