"""A control: α drawn anew at each step, from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from arkd.method import Axis, Context, Memory, Reference, Run, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD
from arkd.seeding import derive_seed


@dataclass(frozen=True)
class RandomAlpha(WeightedDivergences):
    """α ~ U(0, 1) at each step: a policy that learns must do better than one that knows nothing."""

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "control: α uniform in (0, 1), drawn at each step"
    equation: ClassVar[str] = "L = α·KL(p‖q) + (1 − α)·KL(q‖p), α ~ U(0, 1)"
    reference: ClassVar[Reference] = ARKD
    deviations: ClassVar[tuple[str, ...]] = ("The paper has no such row.",)

    def start(self, run: Run) -> Memory:
        """Keep the seed, from which each step's draw derives."""
        return Memory(seed=run.seed)

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Draw the weights of this step."""
        alpha = Random(derive_seed("random_alpha", context.state.seed, context.step)).random()
        return Weights(alpha, 1 - alpha)
