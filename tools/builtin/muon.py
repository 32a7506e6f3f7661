"""Muon (Jordan et al., 2024): momentum whose direction is made orthogonal, for matrices and stacks of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from builtin.together import Together

DECAY = 0.05
"""Of the weights, for each unit of the rate; the other optimiser has the same."""


class Muon:
    """Momenta of some weights. Of several processes each makes a part of the steps orthogonal, which costs most."""

    def __init__(self, weights: Sequence[Tensor], together: Together):
        self.weights, self.together = weights, together
        self.momenta = [torch.zeros_like(weight) for weight in weights]

    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """Change the weights by a step of this rate."""
        changes: list[Tensor] = []
        for number, (momentum, gradient) in enumerate(zip(self.momenta, gradients, strict=True)):
            momentum.mul_(0.95).add_(gradient)
            mine = number % self.together.size == self.together.rank
            changes.append(orthogonal(gradient + 0.95 * momentum) if mine else torch.zeros_like(gradient))
        self.together.add(changes)
        for weight, change in zip(self.weights, changes, strict=True):
            rows, columns = weight.shape[-2:]
            weight.mul_(1 - rate * DECAY).add_(change, alpha=-rate * max(1.0, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest orthogonal matrix, or a stack of them, by five Newton-Schulz steps."""
    wide = matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mT
    wide = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = wide @ wide.mT
        wide = 3.4445 * wide + (-4.7750 * square + 2.0315 * square @ square) @ wide
    return wide if matrix.shape[-2] <= matrix.shape[-1] else wide.mT
