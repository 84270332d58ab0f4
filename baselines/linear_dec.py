"""A linear schedule from forward to reverse KL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arkd.method import Axis, Context, Reference, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD


@dataclass(frozen=True)
class LinearDec(WeightedDivergences):
    """α = 1 − s at the share s of the run."""

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "α falls linearly from 1 to 0: forward, then reverse KL"
    equation: ClassVar[str] = "L = α·KL(p‖q) + (1 − α)·KL(q‖p), α = 1 − s"
    reference: ClassVar[Reference] = ARKD
    deviations: ClassVar[tuple[str, ...]] = (
        "The paper gives the ends (1 → 0) and not the ramp's shape or unit: here α changes by the "
        "same amount at each step, from the first step to the last.",
    )

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Return the weights of this step of the ramp."""
        alpha = 1 - context.share
        return Weights(alpha, 1 - alpha)
