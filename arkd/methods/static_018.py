"""A control: the constant at which the paper's policy is said to settle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from arkd.method import Context, Reference, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD


@dataclass(frozen=True)
class Static018(WeightedDivergences):
    """α = 0.18 throughout: what ARKD would be if only its end mattered."""

    summary: ClassVar[str] = "control: the constant α = 0.18 that Figure 5 settles at"
    equation: ClassVar[str] = "L = 0.18·KL(p‖q) + 0.82·KL(q‖p)"
    reference: ClassVar[Reference] = ARKD
    deviations: ClassVar[tuple[str, ...]] = ("The paper has no such row; the value is Figure 5's.",)

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Return the constant weights."""
        return Weights(0.18, 0.82)
