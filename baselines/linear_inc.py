"""A linear schedule from reverse to forward KL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arkd.method import Axis, Context, Reference, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD


@dataclass(frozen=True)
class LinearInc(WeightedDivergences):
    """α = s at the share s of the run."""

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "α rises linearly from 0 to 1: reverse, then forward KL"
    equation: ClassVar[str] = "L = α·KL(p‖q) + (1 − α)·KL(q‖p), α = s"
    reference: ClassVar[Reference] = ARKD
    deviations: ClassVar[tuple[str, ...]] = (
        "The paper gives the ends (0 → 1) and not the ramp's shape or unit: here α changes by the "
        "same amount at each step, from the first step to the last.",
    )

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Return the weights of this step of the ramp."""
        alpha = context.share
        return Weights(alpha, 1 - alpha)
