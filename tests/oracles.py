"""Dense float64 formulas, written from the papers and not from the code under test."""

from __future__ import annotations

import torch
from torch import Tensor


def probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Softmax in float64."""
    z = logits.double() / temperature
    e = (z - z.max(-1, keepdim=True).values).exp()
    return e / e.sum(-1, keepdim=True)


def kl(x: Tensor, y: Tensor) -> Tensor:
    """Σ x·log(x/y) with 0·log 0 = 0, per row."""
    terms = torch.where(x > 0, x * (x.clamp_min(1e-300).log() - y.clamp_min(1e-300).log()), 0.0)
    return terms.sum(-1)


def fkl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(p‖q), ARKD eq 1, per row."""
    return kl(probabilities(teacher, temperature), probabilities(student, temperature))


def rkl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(q‖p), ARKD eq 2, per row."""
    return kl(probabilities(student, temperature), probabilities(teacher, temperature))


def entropy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """−Σ p·log p per row."""
    p = probabilities(logits, temperature)
    return -(p * p.log()).sum(-1)
