import pytest
import torch
from torch.testing import assert_close

from sksparse_rec._numerics.optimizer import NAdam


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_torch(dtype):
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(5, 3, generator=generator, dtype=dtype)
    theirs = ours.clone().requires_grad_()
    reference = torch.optim.NAdam([theirs], lr=0.1)
    state = NAdam.start(ours)
    for step in range(60):
        gradient = torch.randn(5, 3, generator=generator, dtype=dtype)
        gradient[step % 5] = 0  # entries rest now and then
        theirs.grad = gradient.clone()
        reference.step()
        state.step_(ours, gradient, 0.1)
    # torch keeps the product of momenta in float32.
    assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)
    moments = reference.state[theirs]
    assert_close(state.first, moments["exp_avg"])
    assert_close(state.second, moments["exp_avg_sq"])
    assert state.n_steps == 60


def test_entries_without_gradient_stay():
    """So padding and masked entries remain zero."""
    values = torch.tensor([[1.0, 0.0]])
    state = NAdam.start(values)
    for _ in range(20):
        state.step_(values, torch.tensor([[0.3, 0.0]]), 0.1)
    assert values[0, 1] == 0
    assert values[0, 0] < 0


def test_state_resumes_where_it_was():
    gradients = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    whole = torch.ones(4)
    state = NAdam.start(whole)
    for gradient in gradients:
        state.step_(whole, gradient.clone(), 0.1)
    parts = torch.ones(4)
    state = NAdam.start(parts)
    for gradient in gradients[:5]:
        state.step_(parts, gradient.clone(), 0.1)
    resumed = NAdam(
        state.first.clone(), state.second.clone(), state.n_steps, state.momentum_product
    )
    for gradient in gradients[5:]:
        resumed.step_(parts, gradient.clone(), 0.1)
    assert_close(parts, whole, rtol=0, atol=0)
