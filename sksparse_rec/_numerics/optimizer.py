"""NAdam on one tensor, in place."""

from dataclasses import dataclass
from typing import NamedTuple

import torch

BETA1, BETA2, EPSILON, MOMENTUM_DECAY = 0.9, 0.999, 1e-8, 4e-3


class StepFactors(NamedTuple):
    """Numbers of one step, in the names of its equations; see ``NAdam``."""

    correction: float
    now: float
    ahead: float


@dataclass
class NAdam:
    """Adam with Nesterov momentum (Dozat, 2016), with torch's default constants.

    With the gradient ``g`` and the moments ``m`` and ``v``, which have the shape of the
    parameter ``p``,

        m ← β₁ m + (1 − β₁) g,    v ← β₂ v + (1 − β₂) g²,
        p ← p − (now g + ahead m) / (√(correction v) + ε).

    For a row-sparse parameter that is O(n_items × n_nonzero) memory.
    """

    first: torch.Tensor
    second: torch.Tensor
    n_steps: int = 0
    momentum_product: float = 1.0

    @classmethod
    def start(cls, values):
        """Return the state before the first step."""
        return cls(torch.zeros_like(values), torch.zeros_like(values))

    def advance(self, learning_rate):
        """Count one more step and return its ``StepFactors``."""
        self.n_steps += 1
        momentum, upcoming = (
            BETA1 * (1 - 0.5 * 0.96 ** (step * MOMENTUM_DECAY))
            for step in (self.n_steps, self.n_steps + 1)
        )
        self.momentum_product *= momentum
        return StepFactors(
            correction=1 / (1 - BETA2**self.n_steps),
            now=learning_rate * (1 - momentum) / (1 - self.momentum_product),
            ahead=learning_rate * upcoming / (1 - self.momentum_product * upcoming),
        )

    def step_(self, values, gradient, learning_rate):
        """Update ``values`` and the moments in place; ``gradient`` is used up."""
        correction, now, ahead = self.advance(learning_rate)
        self.first.lerp_(gradient, 1 - BETA1)
        self.second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        root = (self.second * correction).sqrt_().add_(EPSILON)
        gradient.mul_(now).add_(self.first, alpha=ahead)
        values.addcdiv_(gradient, root, value=-1)
