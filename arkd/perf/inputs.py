"""What the contenders of the benchmark are given, and the two gradients that are asked of them.

Shapes: N tokens, V vocabulary, H student's hidden size, G teacher's hidden size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LOGIT_STD = 2.0  # of both models: distributions as peaked as those of small language models


@dataclass(frozen=True)
class Shape:
    """The sizes of one measurement."""

    tokens: int
    student: int
    teacher: int
    vocabulary: int

    def __str__(self) -> str:
        return f"({self.tokens}, {self.student}, {self.teacher}, {self.vocabulary})"

    @property
    def gflop(self) -> float:
        """What cannot be avoided, in 10⁹ operations: logits of both models, and two gradients."""
        return 2e-9 * self.tokens * self.vocabulary * (3 * self.student + self.teacher)

    @property
    def gradients_mib(self) -> float:
        """Size of the two gradients that every contender returns, in MiB of float32."""
        return 4 * self.student * (self.vocabulary + self.tokens) / 2**20


@dataclass(frozen=True)
class Inputs:
    """What every contender is given; gradients are asked of the first two."""

    hidden_NH: Tensor
    weight_VH: Tensor
    hidden_NG: Tensor
    weight_VG: Tensor
    labels_N: Tensor

    @classmethod
    def of(cls, shape: Shape, seed: int = 0) -> Inputs:
        """Draw float32 inputs whose logits have a standard deviation of LOGIT_STD."""
        generator = torch.Generator().manual_seed(seed)

        def normal(rows: int, columns: int, std: float = 1.0) -> Tensor:
            return torch.randn(rows, columns, generator=generator).mul_(std)

        hidden, other, vocabulary = shape.student, shape.teacher, shape.vocabulary
        return cls(
            normal(shape.tokens, hidden).requires_grad_(),
            normal(vocabulary, hidden, LOGIT_STD * hidden**-0.5).requires_grad_(),
            normal(shape.tokens, other),
            normal(vocabulary, other, LOGIT_STD * other**-0.5),
            torch.randint(vocabulary, (shape.tokens,), generator=generator),
        )

    def first(self, tokens: int) -> Inputs:
        """Return the inputs of the first tokens alone."""
        hidden_NH = self.hidden_NH.detach()[:tokens].clone().requires_grad_()
        rest = self.hidden_NG[:tokens], self.weight_VG, self.labels_N[:tokens]
        return Inputs(hidden_NH, self.weight_VH, *rest)

    def to(self, device: str) -> Inputs:
        """Return the same values on a device."""
        hidden_NH, weight_VH = (
            x.detach().to(device).requires_grad_() for x in (self.hidden_NH, self.weight_VH)
        )
        rest = (x.to(device) for x in (self.hidden_NG, self.weight_VG, self.labels_N))
        return Inputs(hidden_NH, weight_VH, *rest)

    def double(self) -> Inputs:
        """Return the same values in float64."""
        hidden_NH, weight_VH = (
            x.detach().double().requires_grad_() for x in (self.hidden_NH, self.weight_VH)
        )
        rest = self.hidden_NG.double(), self.weight_VG.double(), self.labels_N
        return Inputs(hidden_NH, weight_VH, *rest)

    @property
    def student_NV(self) -> Tensor:
        """The student's logits, with gradient."""
        return self.hidden_NH @ self.weight_VH.T

    @property
    def teacher_NV(self) -> Tensor:
        """The teacher's logits."""
        return self.hidden_NG @ self.weight_VG.T


Loss = Callable[[Inputs], Tensor]


def gradients(loss: Loss, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """Return a loss and its gradients on the student's hidden states [N, H] and head [V, H]."""
    value = loss(inputs)
    grad_NH, grad_VH = torch.autograd.grad(value, (inputs.hidden_NH, inputs.weight_VH))
    return value.detach(), grad_NH, grad_VH
