"""Reverse KL: the student keeps to what the teacher finds likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arkd.method import Context, Reference, Tools, WeightedDivergences, Weights
from arkd.papers import MINILLM


@dataclass(frozen=True)
class ReverseKL(WeightedDivergences):
    """Word-level distillation by KL(q‖p) on the gold responses."""

    summary: ClassVar[str] = "reverse KL(q‖p) alone, on the gold responses"
    equation: ClassVar[str] = "L = KL(q‖p)"
    reference: ClassVar[Reference] = MINILLM
    deviations: ClassVar[tuple[str, ...]] = (
        "Teacher-forced on the gold responses, as in the ARKD paper's RKL row; MiniLLM minimises "
        "reverse KL over the student's own samples.",
    )

    def weights(self, context: Context, tools: Tools) -> Weights:
        """All weight on reverse KL."""
        return Weights(0.0, 1.0)
