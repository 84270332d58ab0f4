"""What each method trains on at a step by its paper, and what its samples are drawn from.

A set is one of the responses that were there before the training, `sampled` one that the step
draws, `replayed` one that an earlier step drew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moment:
    """What the choice of a step's responses may depend on."""

    step: int
    steps: int
    params: Mapping[str, Any]  # of the method
    dev_nlls: list[float]  # the development losses that the step was told
    drawn: int  # responses that the steps before drew
    memory: dict[str, Any]  # of the run
    log: dict[str, float]  # what the method should log, to be filled in


def generalised(at: Moment) -> dict[str, float]:
    """One coin a step: the student's own responses with probability λ. GKD, 2306.13649."""
    share = at.params["on_policy_share"]
    return {"sampled": share, "gold": 1 - share}


def proximal(at: Moment) -> dict[str, float]:
    """Responses are drawn once and serve some steps. MiniLLM, 2306.08543."""
    return {"replayed" if at.step % at.params["epochs"] else "sampled": 1.0}


def scheduled(at: Moment) -> dict[str, float]:
    """With probability φ the student's, which rises with the development loss. DistiLLM.

    φ ← min(1, φ + 0.1) where the loss exceeds that of φ's last move by 0.1 nats. Of φ a share of
    1 − (n + 1)/N is drawn anew, the rest replayed, but nothing is until the buffer is full.
    """
    phi, reference = at.memory.get("phi", (at.params["threshold"], None))
    if at.step % max(1, at.steps // at.params["checks"]) == 0:
        (loss,) = at.dev_nlls
        if reference is None:
            reference = loss
        elif loss - reference >= at.params["loss_rise"]:
            phi, reference = min(1.0, phi + at.params["threshold_step"]), loss
    at.memory["phi"] = phi, reference
    at.log["threshold"] = phi
    fresh = phi * (1 - (at.step + 1) / at.steps)
    if at.drawn < at.params["capacity"]:
        fresh = phi
    return {"sampled": fresh, "replayed": phi - fresh, "gold": 1 - phi}


CHOICES: dict[str, Callable[[Moment], dict[str, float]]] = {
    "gkd": generalised,
    "minillm": proximal,
    "distillm": scheduled,
}
# Each step draws from the student, at temperature 1.
ON_POLICY = ("opd", "vopd", "iw_opd", "eopd", "veto", "fixed_advantage")
# The sets of methods whose steps all train on the same ones; of all others it is gold alone.
SETS: dict[str, set[str]] = {
    "seqkd": {"teacher"},
    "contrastive": {"teacher", "student"},
    "bridge_garden": {"teacher"},
    "skd": {"sampled"},
    **{name: {"sampled"} for name in ON_POLICY},
}


@dataclass(frozen=True)
class Law:
    """What samples come from: the student, softened, or what a teacher of some share makes of it.

    With a top-k the student's token stands if it is among the teacher's k most probable ones, and
    is the teacher's otherwise.
    """

    temperature: float = 1.0
    share: float = 0.0
    top_k: int = 0

    @property
    def of_both(self) -> bool:
        """Whether the teacher takes part."""
        return self.share > 0 or self.top_k > 0

    def __call__(self, p_NV: Tensor, q_NV: Tensor) -> Tensor:
        """Return the probability of each token [N, V], from the softened ones of both models."""
        if self.top_k == 0:
            return (1 - self.share) * q_NV + self.share * p_NV
        stands_NV = torch.zeros_like(p_NV)
        stands_NV.scatter_(1, p_NV.argsort(descending=True)[:, : self.top_k], 1.0)
        return stands_NV * q_NV + p_NV * (1 - (stands_NV * q_NV).sum(-1, keepdim=True))


SAMPLING: dict[str, Callable[[Mapping[str, Any]], Law]] = {
    "gkd": lambda params: Law(params["sample_temperature"]),
    "distillm": lambda params: Law(params["sample_temperature"]),
    "minillm": lambda params: Law(share=params["teacher_share"]),
    "skd": lambda params: Law(top_k=params["teacher_top_k"]),
    **dict.fromkeys(ON_POLICY, lambda params: Law()),
}
