"""A constant mix of forward and reverse KL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arkd.method import Context, Reference, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD


@dataclass(frozen=True)
class FixedMix(WeightedDivergences):
    """α·FKL + (1 − α)·RKL with a constant α, 0.5 by default."""

    alpha: float = 0.5

    summary: ClassVar[str] = "a constant mix of forward and reverse KL"
    equation: ClassVar[str] = "L = α·KL(p‖q) + (1 − α)·KL(q‖p)"
    reference: ClassVar[Reference] = ARKD

    deviations: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[dict[str, str]] = {
        "alpha": "Table 1's FKL+RKL row; Table 5 has 0.25, 0.75 too"
    }

    def __post_init__(self) -> None:
        """Refuse an α that is no mix."""
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], found {self.alpha}")

    @property
    def allows_zeros(self) -> bool:
        """Whether it is forward KL alone."""
        return self.alpha == 1

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Return the constant weights."""
        return Weights(self.alpha, 1 - self.alpha)
