"""The loop, with steps that only count."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sksparse_rec._numerics.training import learning_rate_at, run_epoch, run_epochs


def test_losses_are_means_over_the_batches_of_an_epoch():
    losses, n_steps = run_epochs(lambda: iter([1.0, 2.0, 6.0]), torch.tensor, 2)
    assert losses == [3.0, 3.0]
    assert all(type(loss) is float for loss in losses)
    assert n_steps == 6


def test_batches_are_made_anew_every_epoch():
    sizes = iter([2, 3, 1])
    _, n_steps = run_epochs(lambda: range(next(sizes)), torch.tensor, 3)
    assert n_steps == 6


@pytest.mark.parametrize("n_epochs", [0, 3])
def test_no_batches(n_epochs):
    assert run_epochs(lambda: [], torch.tensor, n_epochs) == ([0.0] * n_epochs, 0)


def test_order_of_the_callbacks():
    calls = []

    def step(batch):
        calls.append(("step", batch))
        return torch.tensor(float(batch))

    run_epochs(
        lambda: [5],
        step,
        2,
        on_epoch_begin=lambda epoch: calls.append(("begin", epoch)),
        on_epoch_end=lambda epoch, loss: calls.append(("end", epoch, loss)),
        after_epoch=lambda stop: calls.append(("after", stop)),
    )
    assert calls == [
        ("begin", 0),
        ("step", 5),
        ("end", 0, 5.0),
        ("after", False),
        ("begin", 1),
        ("step", 5),
        ("end", 1, 5.0),
        ("after", False),
    ]
    assert all(type(call[1]) is bool for call in calls if call[0] == "after")


def test_stops_when_asked():
    stops = []
    losses, n_steps = run_epochs(
        lambda: [1.0, 1.0],
        torch.tensor,
        10,
        after_epoch=stops.append,
        on_epoch_end=lambda epoch, loss: epoch == 2,
    )
    assert (len(losses), n_steps, stops) == (3, 6, [False, False, True])


@pytest.mark.parametrize("n_done", [0, 3])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_loss_that_is_not_finite_stops_with_advice(bad, n_done):
    epochs, stops = iter([[1.0], [1.0, bad, 1.0]]), []
    options = {"n_done": n_done, "after_epoch": stops.append}
    advice = rf"became {bad} in epoch {n_done + 2}: lower learning_rate"
    with pytest.raises(FloatingPointError, match=advice):
        run_epochs(lambda: next(epochs), torch.tensor, 5, **options)
    assert stops == [False]


def test_loss_is_read_once_an_epoch():
    """Every read waits for the device."""
    reads = []

    class Loss:
        def __radd__(self, total):
            return self

        def __add__(self, other):
            return self

        def __float__(self):
            reads.append(1)
            return 4.0

    assert run_epoch(range(4), lambda batch: Loss()) == (1.0, 4)
    assert len(reads) == 1


@pytest.mark.parametrize("n_decay_epochs", [1, 2, 5])
def test_learning_rate_falls_linearly_to_that_of_the_last_epoch(n_decay_epochs):
    progress = np.linspace(0, n_decay_epochs + 3, 1 + 4 * (n_decay_epochs + 3))
    rates = [learning_rate_at(p, 0.1, n_decay_epochs) for p in progress]
    assert rates[0] == 0.1
    last = progress >= n_decay_epochs - 1
    assert_allclose(np.array(rates)[last], 0.1 / n_decay_epochs)
    assert_allclose(np.diff(np.array(rates)[~last], n=2), 0, atol=1e-12)
    assert (np.diff(rates) <= 1e-12).all()


def test_learning_rate_may_stay():
    assert learning_rate_at(7.5, 0.1, None) == 0.1
