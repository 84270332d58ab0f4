"""A control: the α of another row's run of the same seed, replayed without its policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from arkd.method import Axis, Context, Memory, Reference, Run, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD


@dataclass(frozen=True)
class ReplayAlpha(WeightedDivergences):
    """α as another run found it, step by step: fitted on its data, used on this row's.

    Trained on one half of the data with the α that a policy found on the other half, it tells
    what the policy's fit to its own batches is worth: a policy that over-adapts does better on the
    half that it was fitted on than its α does when replayed.
    """

    row: str = "arkd"
    fitted_on: Literal["all", "first", "second"] = "all"

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "control: α of another run, fitted on other data, step by step"
    equation: ClassVar[str] = "L = α·KL(p‖q) + (1 − α)·KL(q‖p), α_t = that of the other run"
    reference: ClassVar[Reference] = ARKD
    deviations: ClassVar[tuple[str, ...]] = (
        "The paper has no such row; it tests whether the policy adapts to its training data.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "row": "the paper's own method is the one in question",
        "fitted_on": "the row's run on all of the data; with `split` the other half is meant",
    }

    @property
    def replays(self) -> str:
        """The row that is replayed, trained on the split that its α was fitted on."""
        return self.row if self.fitted_on == "all" else f"{self.row}@split={self.fitted_on}"

    def start(self, run: Run) -> Memory:
        """Keep the other run's α.

        Raises:
            ValueError: the other run has fewer steps than this one, or no α.
        """
        if len(run.replayed) < run.steps:
            raise ValueError(
                f"{self.replays}: {len(run.replayed)} values of α for {run.steps} steps; replay a "
                "row that has an α, of a run as long as this one"
            )
        return Memory(alpha=list(run.replayed))

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Return the α that the other run had at this step."""
        alpha = context.state.alpha[context.step]
        return Weights(alpha, 1 - alpha)
