"""The losses against autograd of the dense formula."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sksparse_rec._numerics.batching import sample_outputs
from sksparse_rec._numerics.device import make_generator
from sksparse_rec._numerics.losses import (
    LOSSES,
    cheaper_linear_loss,
    direct_loss,
    gram_loss,
    relu_loss,
)
from sksparse_rec._numerics.products_torch import tangent_, unit_rows
from sksparse_rec._numerics.rows import DenseRows


def plain_loss(X, A, kind):
    """Mean of ``‖x/‖x‖ − y/‖y‖‖²``, user by user; 2 where x or y is zero."""
    total = (A * 0).sum()
    for x in torch.as_tensor(X):
        y = x @ A @ A.T - x
        if kind == "relu":
            y = y.relu()
        if x.norm() == 0 or y.norm() < 1e-12:
            total = total + 2
        else:
            total = total + (x / x.norm() - y / y.norm()).square().sum()
    return total / len(X)


def normalised(P):
    """Rows of unit length; zero rows stay, and have the identity as derivative."""
    squares = P.square().sum(dim=1, keepdim=True)
    return P / torch.where(squares > 0, squares, 1).sqrt()


def autograd(X, rows, kind, densify, *, normalise):
    values = rows.values.clone().requires_grad_()
    A = densify(rows, values)
    loss = plain_loss(X, normalised(A) if normalise else A, kind)
    (gradient,) = torch.autograd.grad(loss, values)
    return loss.detach(), gradient if rows.live is None else gradient * rows.live


def by_hand(batch, rows, kind, *, normalise):
    values, norms = unit_rows(rows.values) if normalise else (rows.values, None)
    loss, gradient = LOSSES[kind](batch, rows.with_values(values))
    if normalise:
        gradient = tangent_(gradient, values, norms)
    return loss, gradient if rows.live is None else gradient * rows.live


@pytest.mark.usefixtures("any_blocks", "any_gram")
@pytest.mark.parametrize("normalise", [False, True], ids=["raw", "normalised"])
@pytest.mark.parametrize("kind", LOSSES)
def test_equals_autograd(kind, normalise, rows, batch, histories, densify):
    loss, gradient = by_hand(batch, rows, kind, normalise=normalise)
    expected, expected_gradient = autograd(
        histories, rows, kind, densify, normalise=normalise
    )
    assert_allclose(loss, expected, rtol=1e-12)
    assert_allclose(gradient, expected_gradient, atol=1e-11)
    assert expected_gradient.abs().max() > 1e-2


@pytest.mark.parametrize("n_users", [3, 7])
@pytest.mark.parametrize("kind", LOSSES)
def test_numbers_of_users_that_are_no_power_of_two(
    kind, n_users, rows, histories, make_batch, densify
):
    """A division by which is rounded, to the precision of the data."""
    X = histories[-n_users:]
    gradient = by_hand(make_batch(X), rows, kind, normalise=True)[1]
    expected = autograd(X, rows, kind, densify, normalise=True)[1]
    assert_allclose(gradient, expected, atol=1e-13, rtol=1e-11)


@pytest.mark.parametrize("user", range(8))
@pytest.mark.parametrize("kind", LOSSES)
def test_every_kind_of_user_alone(kind, user, rows, histories, make_batch, densify):
    X = histories[[user]]
    loss, gradient = by_hand(make_batch(X), rows, kind, normalise=True)
    expected, expected_gradient = autograd(X, rows, kind, densify, normalise=True)
    assert_allclose(loss, expected, rtol=1e-12)
    assert_allclose(gradient, expected_gradient, atol=1e-11)


@pytest.mark.parametrize("user", [1, 4], ids=["no history", "no prediction"])
@pytest.mark.parametrize("kind", LOSSES)
def test_undefined_users_have_loss_2_and_no_gradient(
    kind, user, rows, histories, make_batch
):
    loss, gradient = by_hand(make_batch(histories[[user]]), rows, kind, normalise=True)
    assert loss == 2
    assert not gradient.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", LOSSES)
def test_rounding_is_no_prediction(kind, dtype, histories, make_batch, rng):
    """Orthogonal rows predict zero, up to rounding, whose direction means nothing."""
    A, _ = np.linalg.qr(rng.normal(size=(9, 9)))
    alone, _ = unit_rows(torch.from_numpy(A).to(dtype))
    loss, gradient = LOSSES[kind](make_batch(histories, dtype), DenseRows(alone))
    assert loss == 2
    assert not gradient.any()


@pytest.mark.parametrize("kind", LOSSES)
def test_nan_reaches_the_loss(kind, rows, batch):
    """Training that diverges is noticed by its loss, so it must not pass for 2."""
    broken = rows.with_values(torch.full_like(rows.values, torch.nan))
    assert LOSSES[kind](batch, broken)[0].isnan()


def test_losses_agree_where_no_score_is_negative(histories, make_batch, rng):
    """The relu changes nothing if every ``xAAᵀ − x`` is positive anyway."""
    A = torch.from_numpy(rng.uniform(1, 2, size=(9, 4)))
    X = histories[[0, 2, 5, 6, 7]]
    batch, rows = make_batch(X), DenseRows(A)
    assert ((torch.from_numpy(X) @ A @ A.T).numpy() > X).all()
    for linear, clipped in zip(
        gram_loss(batch, rows), relu_loss(batch, rows), strict=True
    ):
        assert_allclose(linear, clipped, atol=1e-12)


@pytest.mark.parametrize("kind", LOSSES)
def test_users_weigh_the_same_whatever_their_scale(kind, rows, histories, make_batch):
    values, _ = unit_rows(rows.values)
    scale = np.geomspace(0.01, 100, len(histories))[:, None]
    loss, gradient = LOSSES[kind](make_batch(histories), rows.with_values(values))
    scaled, scaled_gradient = LOSSES[kind](
        make_batch(histories * scale), rows.with_values(values)
    )
    assert_allclose(scaled, loss, rtol=1e-9)
    if kind != "relu":  # relu has a kink at the own score of a user with one item
        assert_allclose(scaled_gradient, gradient, atol=1e-9)


@pytest.mark.parametrize("kind", LOSSES)
def test_a_step_against_the_gradient_lowers_the_loss(kind, rows, batch):
    loss, gradient = by_hand(batch, rows, kind, normalise=True)
    moved = rows.with_values(rows.values - 1e-3 * gradient)
    assert by_hand(batch, moved, kind, normalise=True)[0] < loss


@pytest.mark.parametrize("kind", LOSSES)
def test_all_outputs_sampled_is_the_full_loss(kind, rows, batch):
    restricted, outputs = sample_outputs(batch, 9, make_generator(0))
    assert outputs.tolist() == list(range(9))
    full = LOSSES[kind](batch, rows)
    sampled = LOSSES[kind](restricted, rows.take(outputs))
    for a, b in zip(full, sampled, strict=True):
        assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("kind", LOSSES)
def test_sampled_outputs_are_a_smaller_catalogue(
    kind, rows, histories, make_batch, densify
):
    X = histories[[2, 4]]  # three or more items remain unsampled
    batch, outputs = sample_outputs(make_batch(X), 5, make_generator(1))
    assert len(outputs) == batch.n_items == 5
    some = rows.take(outputs)
    loss, gradient = LOSSES[kind](batch, some)
    expected, expected_gradient = autograd(
        X[:, outputs], some, kind, densify, normalise=False
    )
    assert_allclose(loss, expected, rtol=1e-12)
    assert_allclose(gradient, expected_gradient, atol=1e-11)


def test_two_ways_to_the_linear_loss(rows, batch):
    for one, other in zip(
        gram_loss(batch, rows), direct_loss(batch, rows), strict=True
    ):
        # At padding a gradient may be anything.
        if one.ndim and rows.live is not None:
            one, other = one * rows.live, other * rows.live
        assert_allclose(one, other, atol=1e-11)


def test_scores_are_for_small_catalogues_with_many_components():
    assert cheaper_linear_loss(512, 500, 1024, 96) == "direct"
    assert cheaper_linear_loss(512, 500, 64, 32) == "gram"
    assert cheaper_linear_loss(512, 40_000, 1024, 96) == "gram"
    # Rows that are nearly full cost no more than full ones.
    assert cheaper_linear_loss(512, 3500, 1024, 768) == "gram"
    assert cheaper_linear_loss(512, 100, 1024, 1024) == "direct"
    assert cheaper_linear_loss(2048, 40_000, 1024, 1024) == "gram"
