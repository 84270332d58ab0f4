"""A control: the α of the paper's Figure 5, replayed."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import ClassVar

from arkd.method import Axis, Context, Reference, Tools, WeightedDivergences, Weights
from arkd.papers import ARKD
from arkd.paths import benchmarks_dir


@cache
def figure5() -> list[tuple[float, float]]:
    """Return (step, α) as read off the figure."""
    path = benchmarks_dir() / ReplayFigure5.reads[0]
    with path.open(encoding="utf-8", newline="") as lines:
        return [(float(row["step"]), float(row["alpha"])) for row in csv.DictReader(lines)]


@dataclass(frozen=True)
class ReplayFigure5(WeightedDivergences):
    """α follows Figure 5, its 4,800 steps stretched over the run: a policy without its agent."""

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "control: α follows the paper's Figure 5, stretched over the run"
    equation: ClassVar[str] = "L = α·KL(p‖q) + (1 − α)·KL(q‖p), α = Figure 5 at the run's share"
    reference: ClassVar[Reference] = ARKD
    reads: ClassVar[tuple[str, ...]] = ("published/figure5.csv",)
    deviations: ClassVar[tuple[str, ...]] = (
        "The paper has no such row.",
        "Values are read off the plot and joined by straight lines; its axis of 4,800 steps is "
        "scaled to the run's, since suites have other numbers of steps.",
    )

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Return the figure's α at this share of the run.

        Raises:
            AssertionError: the step lies beyond the figure's last point; none does.
        """
        points = figure5()
        step = context.share * points[-1][0]
        for (x0, y0), (x1, y1) in pairwise(points):
            if step <= x1:
                alpha = y0 + (y1 - y0) * (step - x0) / (x1 - x0)
                return Weights(alpha, 1 - alpha)
        raise AssertionError("a run ends where the figure ends")
