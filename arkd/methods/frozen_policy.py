"""A control: ARKD's policy network as it starts, never updated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Axis, Context, Reference, Run, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD

if TYPE_CHECKING:
    from arkd.methods._policy import PolicyAgent


@dataclass(frozen=True)
class FrozenPolicy(WeightedDivergences):
    """α = π(s) with the weights that ARKD of the same seed starts from."""

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "control: ARKD's policy at its start, never updated"
    equation: ClassVar[str] = "L = α·KL(p‖q) + (1 − α)·KL(q‖p), α = π₀(s)"
    reference: ClassVar[Reference] = ARKD
    deviations: ClassVar[tuple[str, ...]] = ("The paper has no such row.",)

    def start(self, run: Run) -> PolicyAgent:
        """Return the agent that `arkd` starts with at this seed."""
        from arkd.methods._policy import PolicyAgent

        return PolicyAgent(seed=run.seed)

    @property
    def batch_weights(self) -> bool:
        """One α for all tokens."""
        return True

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Act, and learn nothing."""
        from arkd.methods._policy import Units

        signals = tools.signals()
        state_16 = Units.of(signals, "batch").state(signals)
        alpha = float(context.state.act(state_16).detach().sigmoid())
        return Weights(alpha, 1 - alpha)
