"""What a formula may look at, and what it keeps and says from step to step of a run.

Shapes: N response tokens, V shared vocabulary, U units that an action covers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Notes:
    """Of one run: the formula's memory, and what it says beside the loss.

    `uniforms` are numbers that are even on (0, 1) if what the method drew has the distribution that
    it should: the distribution function at each draw, spread evenly over the jump of a draw from
    few values. They are listed by what was drawn.
    """

    start: Mapping[str, Any]  # the method's state before the first step
    memory: dict[str, Any] = field(default_factory=dict)
    log: dict[str, float] = field(default_factory=dict)  # what the method should log of the step
    uniforms: dict[str, list[float]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)  # the method's own values that it was told
    faults: list[str] = field(default_factory=list)  # responses that no step should train on
    spread: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(13))

    def even(self, what: str, below: Tensor | float, mass: Tensor | float) -> None:
        """Note draws by the mass below each of them, and each one's own.

        Args:
            what: Was drawn.
            below: Mass of all values before the one that was drawn, one or many.
            mass: Of that value; 0 for draws from a density.
        """
        first, width = (torch.as_tensor(x, dtype=torch.float64).flatten() for x in (below, mass))
        share = torch.rand(len(first), generator=self.spread, dtype=torch.float64)
        self.uniforms.setdefault(what, []).extend((first + share * width).tolist())

    def chosen(self, what: str, value: Any, chances: Mapping[Any, float]) -> None:
        """Note a draw from few values, by the chance of each."""
        values = list(chances)
        place = values.index(value)
        self.even(what, sum(chances[x] for x in values[:place]), chances[value])


@dataclass(frozen=True)
class Case:
    """One response set or draw of one step, as a formula sees it."""

    p_NV: Tensor
    q_NV: Tensor  # differentiable in the student's logits
    labels_N: Tensor
    sequence_N: Tensor
    source: str  # a response set, "sampled" or "replayed"
    step: int
    steps: int
    temperature: float
    loss_scale: Tensor | float  # of each token's loss in the mean that is descended: T², for one
    params: Mapping[str, Any]  # of the method
    given_log: Mapping[str, float]
    given_weights: tuple[Tensor, Tensor] | None
    measured: Mapping[str, Sequence[float]]  # what the tools measured for the method at this step
    losses: Sequence[float]  # the method's own, at the steps before
    q_at: Callable[[int], Tensor]  # q_NV as it was at an earlier step, on the same responses
    notes: Notes

    @property
    def share(self) -> float:
        """How far the run is, from 0 to 1."""
        return self.step / max(1, self.steps - 1)

    @property
    def log(self) -> Mapping[str, float]:
        """What the method says it did: α, for instance."""
        self.notes.read.add("log")
        return self.given_log

    @property
    def weights(self) -> tuple[Tensor, Tensor] | None:
        """Weights of forward and reverse KL, as the method gave them."""
        self.notes.read.add("weights")
        return self.given_weights

    def __getattr__(self, name: str) -> Any:
        """Return a parameter of the method."""
        return self.params[name]


Oracle = Callable[[Case], Tensor]  # → the loss of each token [N]


@dataclass(frozen=True)
class Weighted:
    """A formula a·KL(p‖q) + b·KL(q‖p), by its weights: numbers, or one a token [N]."""

    weights: Callable[[Case], tuple[Any, Any]]

    def __call__(self, case: Case) -> Tensor:
        """Return the loss of each token."""
        from arkd.conformance.formulas import mixed

        return mixed(case.p_NV, case.q_NV, *self.weights(case))
