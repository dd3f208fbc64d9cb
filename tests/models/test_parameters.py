"""Parameters: every bad value is refused by name, every good one works."""

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from sksparse_rec import CompressedELSA
from sksparse_rec.models._training import schedule_of

BAD = {
    "n_components": [0, -1, 1.5, None, "many"],
    "n_nonzero": [0, -1, 1.5, "all"],
    "init": ["random", None, 1],
    "loss": ["mse", None],
    "n_nonzero_start": [0, 1.5, "all"],
    "pruning": ["sudden", None],
    "pruning_share": [-0.1, 1.1, None, "half", np.nan],
    "rewind": ["maybe", None, 0.5],
    "max_iter": [0, -1, 1.5, None],
    "batch_size": [0, 1.5, None],
    "learning_rate": [0, -0.1, None, "fast", np.nan, np.inf],
    "learning_rate_decay": [None, "cosine", np.nan],
    "dropout": [-0.1, 1, 1.0, None, np.nan],
    "max_output": [0, 1.5, "all"],
    "user_weighting": [-1, None, "equal", np.nan],
    "item_weighting": [-0.1, 1.1, None, "auto", np.nan],
    "popularity_weighting": [-0.1, 1.1, None, "auto", np.nan],
    "early_stopping": [None, "loss", 0.5],
    "validation_fraction": [0, 1, 1.0, -0.1, None, np.nan],
    "n_iter_no_change": [0, -1, 1.5, None],
    "warm_start": [None, "state", 0.5],
    "checkpoint": [0, True, 1.5],
    "precision": ["float8", None, np.float32],
    "device": [None, 0],
    "n_jobs": [1.5, "all"],
    "random_state": ["seed", -1, 0.5],
    "verbose": [-1, "loud", None],
}


def test_every_parameter_has_a_constraint():
    assert set(CompressedELSA().get_params()) == set(
        CompressedELSA._parameter_constraints
    )
    assert set(BAD) <= set(CompressedELSA().get_params())


@pytest.mark.parametrize("name", sorted(CompressedELSA().get_params()))
def test_no_parameter_takes_anything(make, tiny, name):
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
        make().set_params(**{name: object()}).fit(tiny)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in BAD for value in BAD[name]]
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_values_are_refused_by_name(make, tiny, name, value, method):
    model = make().set_params(**{name: value})
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter"):
        getattr(model, method)(tiny)
    assert not hasattr(model, "item_embeddings_")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "cpu:nonsense", ""])
def test_an_unknown_device_is_refused_by_name(make, tiny, device):
    with pytest.raises(ValueError, match="device"):
        make(device=device).fit(tiny)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_components", np.int64(5)),
        ("n_nonzero", np.int32(3)),
        ("n_nonzero_start", 1),
        ("n_nonzero_start", 1000),
        ("pruning_share", 0),
        ("pruning_share", 1),
        ("rewind", np.bool_(True)),
        ("batch_size", 10**6),
        ("batch_size", 1),
        ("max_iter", 1),
        ("learning_rate", 1),
        ("dropout", 0),
        ("dropout", 0.99),
        ("max_output", 1),
        ("user_weighting", 0),
        ("user_weighting", 3),
        ("item_weighting", 1),
        ("popularity_weighting", 1.0),
        ("precision", "float64"),
        ("device", "cpu"),
        ("device", "cpu:0"),
        ("n_jobs", np.int64(1)),
        ("verbose", True),
        ("verbose", 2),
    ],
)
@pytest.mark.parametrize("init", ["anchors", "dense"])
def test_values_at_the_ends_of_the_ranges_work(make, tiny, name, value, init):
    model = make(init=init).set_params(**{name: value}).fit(tiny)
    assert np.isfinite(model.item_embeddings_.data).all()
    assert np.all(np.diff(model.item_embeddings_.indptr) > 0)
    assert model.partial_fit(tiny).recommend(tiny).nnz > 0


@pytest.mark.parametrize(
    ("n_components", "n_nonzero", "n_items", "start"),
    [
        (1024, 32, 32768, 96),
        (1024, 32, 32769, 64),
        # Half of the components, or one and a half times the target.
        (1024, 170, 1000, 510),
        (1024, 171, 1000, 512),
        (1024, 256, 1000, 512),
        (1024, 400, 1000, 600),
        (1024, 800, 1000, 1024),
        (512, 256, 40000, 384),
        # But no less than 256.
        (400, 100, 1000, 256),
        (128, 64, 1000, 128),
        (128, 20, 1000, 60),
    ],
)
def test_where_training_starts(n_components, n_nonzero, n_items, start):
    model = CompressedELSA(n_components, n_nonzero=n_nonzero)
    assert schedule_of(model, n_items).start == start
    asked_for = model.set_params(n_nonzero_start=min(900, n_components))
    assert schedule_of(asked_for, n_items).start == min(900, n_components)
    dense = model.set_params(n_nonzero_start=None, init="dense")
    assert schedule_of(dense, n_items).start == n_components


def test_verbose_logs_every_epoch_and_prints_nothing(make, tiny, caplog, capsys):
    with caplog.at_level("INFO", logger="sksparse_rec"):
        make(verbose=1).fit(tiny)
        assert len(caplog.records) == 3
        assert "epoch 3 of 3" in caplog.text
        make(verbose=0).fit(tiny)
        assert len(caplog.records) == 3
    assert capsys.readouterr() == ("", "")
