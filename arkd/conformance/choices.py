"""What each method trains on at a step by its paper, and what its samples are drawn from.

A set is one of the responses that were there before the training, `sampled` one that the step
draws, `replayed` one that an earlier step drew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


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
ON_POLICY = ("opd", "vopd", "iw_opd", "eopd")  # each step draws from the student, at 1
# The sets of methods whose steps all train on the same ones; of all others it is gold alone.
SETS: dict[str, set[str]] = {
    "seqkd": {"teacher"},
    "contrastive": {"teacher", "student"},
    "bridge_garden": {"teacher"},
    **{name: {"sampled"} for name in ON_POLICY},
}
# Temperature of a method's samples, and the teacher's share of the mixture that they come from.
SAMPLING: dict[str, Callable[[Mapping[str, Any]], tuple[float, float]]] = {
    "gkd": lambda params: (params["sample_temperature"], 0.0),
    "distillm": lambda params: (params["sample_temperature"], 0.0),
    "minillm": lambda params: (1.0, params["teacher_share"]),
    **dict.fromkeys(ON_POLICY, lambda params: (1.0, 0.0)),
}
