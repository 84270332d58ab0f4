"""What is measured of a block of tokens: two softened distributions, and all that follows of them.

Shapes: N valid tokens, C of them in a block, V vocabulary.

An impossible token (log 0 = −∞) counts as one of probability e^LOG_ZERO; see `arkd.objectives`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

from arkd.divergence import fused
from arkd.divergence.chunked import Formed
from arkd.divergence.head import Head
from arkd.method import Signals
from arkd.objectives import LOG_ZERO


@dataclass(frozen=True)
class Softened:
    """Both distributions of a block at temperature T, and their log-ratio d = log q − log p."""

    log_q: Tensor
    log_p: Tensor
    q: Tensor
    p: Tensor
    d: Tensor

    @classmethod
    def of(cls, student_CV: Tensor, teacher_CV: Tensor, temperature: float) -> Softened:
        """Soften two blocks of logits [C, V]."""
        log_q, log_p = (
            torch.log_softmax(logits_CV / temperature, dim=-1).clamp_(min=LOG_ZERO)
            for logits_CV in (student_CV, teacher_CV.to(student_CV.dtype))
        )
        return cls(log_q, log_p, log_q.exp(), log_p.exp(), log_q - log_p)

    def fkl(self) -> Tensor:
        """KL(p‖q) of each row, in nats."""
        return -torch.linalg.vecdot(self.p, self.d)

    def rkl(self) -> Tensor:
        """KL(q‖p) of each row, in nats."""
        return torch.linalg.vecdot(self.q, self.d)

    def gradient(self, a_C: Tensor, b_C: Tensor, rkl_C: Tensor) -> Tensor:
        """∂(a·FKL + b·RKL)/∂u of each row [C, V]; d is overwritten."""
        a_C1, b_C1, rkl_C1 = a_C[:, None], b_C[:, None], rkl_C[:, None]
        weighted_CV = self.d.sub_(rkl_C1).mul_(b_C1).add_(a_C1).mul_(self.q)
        return weighted_CV.addcmul_(self.p, a_C1, value=-1)

    def gradients(self, temperature: float, rkl_C: Tensor) -> tuple[Tensor, Tensor]:
        """∂FKL/∂z_s and ∂RKL/∂z_s of each row [C, V]; d is overwritten."""
        of_fkl_CV = (self.q - self.p).div_(temperature)
        return of_fkl_CV, self.d.sub_(rkl_C[:, None]).mul_(self.q).div_(temperature)


class Measurements:
    """The measurements of N tokens, filled in block by block.

    Args:
        n_tokens: N.
        head: The student's; its device and type are those of the measurements.
        temperature: What both models' logits are divided by, except for `nll_N`.
        variance: Of what the variances are taken over the vocabulary.
        head_mass: The teacher's mass up to which the head goes, 0–1; None: no gaps are measured.
        labels_N: The response's own tokens.
    """

    def __init__(
        self,
        n_tokens: int,
        head: Head,
        temperature: float,
        variance: Literal["probabilities", "logits"],
        head_mass: float | None,
        labels_N: Tensor,
    ) -> None:
        self.temperature, self.variance, self.head_mass = temperature, variance, head_mass
        self.labels_N = labels_N
        self.names = [f.name for f in fields(Signals) if f.name != "sequence_N"]
        if head_mass is None:
            self.names = self.names[:-2]
        shape = len(self.names), n_tokens
        self.values = head.weight_VH.detach().new_zeros(shape, dtype=head.dtype)

    def add(
        self, student_CV: Tensor, teacher_CV: Tensor, rows: slice, gradients: bool = False
    ) -> Formed:
        """Measure some rows; return FKL and RKL [C], and their gradients on the student's logits.

        One kernel does it all where there is one. The head-tail gaps it has not: they take the
        order of a vocabulary.

        Args:
            student_CV: The student's logits; overwritten for gradients.
            teacher_CV: The teacher's logits; likewise.
            rows: Which they are of all tokens.
            gradients: Whether to form any.
        """
        labels_C = self.labels_N[rows]
        if self.head_mass is None and fused.serves(student_CV, teacher_CV):
            models = student_CV, teacher_CV
            found = fused.measured(*models, self.temperature, labels_C, self.variance, gradients)
            self.values[:, rows] = found
            return (found[0], found[1]), models if gradients else ()
        soft = Softened.of(student_CV, teacher_CV, self.temperature)
        if self.variance == "probabilities":
            spread = [_variance_of_probabilities(x_CV) for x_CV in (soft.p, soft.q)]
        else:
            spread = [x_CV.var(dim=-1, correction=0) for x_CV in (teacher_CV, student_CV)]
        fkl_C, rkl_C = soft.fkl(), soft.rkl()
        measured = [
            fkl_C,
            rkl_C,
            -torch.linalg.vecdot(soft.p, soft.log_p),
            -torch.linalg.vecdot(soft.q, soft.log_q),
            *spread,
            nll(student_CV, labels_C),
        ]
        if self.head_mass is not None:
            measured += head_tail_gaps(soft.p, soft.q, self.head_mass)
        for column_N, value_C in zip(self.values, measured, strict=True):
            column_N[rows] = value_C
        return (fkl_C, rkl_C), soft.gradients(self.temperature, rkl_C) if gradients else ()

    def signals(self, sequence_N: Tensor) -> Signals:
        """Return all that was measured."""
        return Signals(sequence_N=sequence_N, **dict(zip(self.names, self.values, strict=True)))


def _variance_of_probabilities(p_CV: Tensor) -> Tensor:
    """Variance over the vocabulary; the mean of probabilities is known to be 1/V."""
    vocabulary = p_CV.shape[-1]
    return (p_CV.square().sum(-1) / vocabulary - 1 / vocabulary**2).clamp_min(0)


def nll(logits_CV: Tensor, labels_C: Tensor) -> Tensor:
    """−log softmax of each label, in nats."""
    return logits_CV.logsumexp(-1) - logits_CV.gather(-1, labels_C[:, None]).squeeze(-1)


def head_tail_gaps(p_CV: Tensor, q_CV: Tensor, head_mass: float) -> tuple[Tensor, Tensor]:
    """Return Σ|p − q| over the teacher's head and over its tail, each [C].

    The head is the longest prefix of tokens, by descending teacher probability, whose cumulative
    mass is at most `head_mass`; the first token always belongs to it (AKL, arXiv 2404.02657,
    github.com/wutaiqiang/LLM_KD_AKL@ff278be).
    """
    p_sorted, order = p_CV.sort(dim=-1, descending=True, stable=True)
    in_tail = p_sorted.cumsum(-1) > head_mass
    in_tail[:, 0] = False
    gaps = (p_sorted - q_CV.gather(-1, order)).abs()
    return gaps.masked_fill(in_tail, 0).sum(-1), gaps.masked_fill(~in_tail, 0).sum(-1)
