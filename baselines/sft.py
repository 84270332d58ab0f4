"""Supervised fine-tuning on the gold responses: no distillation at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, Need, Reference, TokenDivergence
from arkd.objectives import label_cross_entropy
from arkd.papers import MINILLM

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Sft(TokenDivergence):
    """Cross-entropy of the gold response."""

    needs: ClassVar[tuple[Need, ...]] = ("labels",)
    softened: ClassVar[bool] = False
    summary: ClassVar[str] = "cross-entropy on the gold responses, without a teacher"
    equation: ClassVar[str] = "L = −log q(y)"
    reference: ClassVar[Reference] = replace(MINILLM, code="github.com/microsoft/LMOps@4f2a9de")

    deviations: ClassVar[tuple[str, ...]] = (
        "Goes on from the shared start, like every method, for the same number of steps; theirs "
        "trains for 20 epochs from the pre-trained model.",
    )

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return −log q of each label."""
        return label_cross_entropy(log_q_NV, labels_N)
