"""The smaller of the two divergences at each step: ARKD's myopic rival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arkd.method import Axis, Context, Reference, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD


@dataclass(frozen=True)
class GreedyMin(WeightedDivergences):
    """α = 1 where the batch's forward KL is the smaller one, else 0."""

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "at each step, the smaller of the two divergences"
    equation: ClassVar[str] = "L = α·KL(p‖q) + (1 − α)·KL(q‖p), α = 1[FKL < RKL]"
    reference: ClassVar[Reference] = ARKD
    deviations: ClassVar[tuple[str, ...]] = (
        "One choice a batch, from its mean divergences; a tie goes to reverse KL.",
    )

    @property
    def batch_weights(self) -> bool:
        """One α for all tokens."""
        return True

    def weights(self, context: Context, tools: Tools) -> Weights:
        """All weight on the smaller divergence of this batch."""
        signals = tools.signals()
        alpha = float(signals.fkl_N.mean() < signals.rkl_N.mean())
        return Weights(alpha, 1 - alpha)
