"""Forward KL: the student covers what the teacher finds likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arkd.method import Context, Reference, Tools, WeightedDivergences, Weights
from arkd.papers import HINTON


@dataclass(frozen=True)
class ForwardKL(WeightedDivergences):
    """Word-level distillation by KL(p‖q)."""

    summary: ClassVar[str] = "forward KL(p‖q) alone: word-level distillation"
    equation: ClassVar[str] = "L = KL(p‖q)"
    reference: ClassVar[Reference] = HINTON
    deviations: ClassVar[tuple[str, ...]] = (
        "No cross-entropy on the gold answers is mixed in, as in the ARKD paper's FKL row.",
        "The value keeps the teacher's entropy, so that it is a divergence.",
    )

    @property
    def allows_zeros(self) -> bool:
        """Tokens without probability have no term."""
        return True

    def weights(self, context: Context, tools: Tools) -> Weights:
        """All weight on forward KL."""
        return Weights(1.0, 0.0)
