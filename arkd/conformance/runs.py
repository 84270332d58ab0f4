"""Checks of whole short runs: what they leave alone, whether they repeat, resume and learn."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arkd.conformance import formulas
from arkd.conformance import toy_models as setting
from arkd.conformance.dense import dense_logits, descend
from arkd.conformance.method_under_test import SAMPLES, Failure, NotApplicable, Subject
from arkd.conformance.toy_models import BATCH, PROMPTS
from arkd.conformance.values import WITHOUT_LM
from arkd.conformance.watched_step import new_step
from arkd.data.tokens import batch_order
from arkd.training.checkpoint import Checkpoint
from arkd.training.distill import Step
from arkd.training.loop import Trained, optimise

PROGRESS_STEPS = 20


class _Killed(Exception):
    """Stands for the end of a process."""


def run(
    step: Step,
    *,
    batches: list[list[int]] | None = None,
    checkpoint: Checkpoint | None = None,
    kill_at: int | None = None,
    before: Callable[[int], None] | None = None,
) -> Trained:
    """Train by a step's settings, on the order of its seed unless batches are given.

    Args:
        step: The loss of a step, with its model and settings.
        batches: Rows of the training set at each step; none: the order of the step's seed.
        checkpoint: Where to go on from, and to save to.
        kill_at: The step, from 0, in which the run dies.
        before: Called with each step's number before its loss.

    Raises:
        _Killed: the run has come to `kill_at`.
    """
    order = batches or list(batch_order(PROMPTS, step.settings.steps, BATCH, "distill", step.seed))

    def loss(index: int) -> tuple[Tensor, dict[str, float]]:
        if index == kill_at:
            raise _Killed
        if before is not None:
            before(index)
        return step(index, order[index])

    return optimise(step.model, step.settings, loss, "", checkpoint, step.state)


def _straight(subject: Subject) -> tuple[Trained, Step]:
    """Return the uninterrupted run of ten steps, made once."""
    if "straight" not in subject.known:
        step = new_step(setting.usual(), subject.method, shared_seed=1)
        subject.known["straight"] = run(step), step
    found: tuple[Trained, Step] = subject.known["straight"]
    return found


def _expect_equal(what: str, found: Trained, step: Step, expected: Trained, other: Step) -> None:
    """Refuse a run that is not the other, bit by bit."""
    for mine, theirs in zip(found.rows, expected.rows, strict=True):
        if json.dumps(mine) != json.dumps(theirs):
            key = next(k for k in theirs if json.dumps(mine.get(k)) != json.dumps(theirs[k]))
            raise Failure(
                f"{what}: expected {key} {theirs[key]!r} at step {theirs['step']:g}, "
                f"got {mine.get(key)!r}"
            )
    pairs = zip(step.model.parameters(), other.model.parameters(), strict=True)
    if not all(torch.equal(mine, theirs) for mine, theirs in pairs):
        raise Failure(f"{what}: expected the same weights, bit by bit")


def leaves_alone(subject: Subject) -> None:
    """A loss changes no weight of the student, and training changes nothing of the teacher's.

    Raises:
        Failure: a weight, a cached state or the teacher's head has changed, or the student's mode.
    """
    step = new_step(setting.usual(), subject.method)
    before = copy.deepcopy(step.model.state_dict())
    teacher = {f"its states of {name} responses": e.hidden for name, e in step.sources.sets.items()}
    of_teacher = step.sources.teacher_head
    teacher["its head"] = None if of_teacher is None else of_teacher.weight_VH
    was = copy.deepcopy(teacher)
    step.model.train()
    for index in range(3):
        loss, _ = step(index, SAMPLES)
        changed = [
            name for name, x in step.model.state_dict().items() if not torch.equal(x, before[name])
        ]
        if changed:
            raise Failure(f"weights after `loss`: expected no change, got one of {changed[0]}")
        if not step.model.training:
            raise Failure("the student after `loss`: expected training mode, got evaluation mode")
        if any(p.grad is not None for p in step.model.parameters()):
            raise Failure("gradients after `loss`: expected none before `backward`")
        loss.backward()
        descend(step.model)
        before = copy.deepcopy(step.model.state_dict())
    for what, values in teacher.items():
        then = was[what]
        if values is not None and then is not None and not torch.equal(values[:], then[:]):
            raise Failure(f"the teacher after 3 steps: expected no change, got one of {what}")
    live_teacher = vars(step.sources).get("teacher")
    if live_teacher is not None:
        pairs = zip(live_teacher.parameters(), setting.usual().teacher.parameters(), strict=True)
        if not all(torch.equal(mine, theirs) for mine, theirs in pairs):
            raise Failure("the teacher after 3 steps: expected the same weights")


def repeats(subject: Subject) -> None:
    """Two runs of one seed are the same, bit by bit, whatever the shared generators hold."""
    expected, other = _straight(subject)
    step = new_step(setting.usual(), subject.method, shared_seed=2)
    _expect_equal("a second run of seed 1", run(step), step, expected, other)


def resumes(subject: Subject) -> None:
    """A run that is killed after 5 steps and goes on from its checkpoint ends in the same bits.

    Raises:
        Failure: the state cannot be saved, or the resumed run ends in other bits.
    """
    expected, other = _straight(subject)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "checkpoint", {}, every_s=0.0)
        step = new_step(setting.usual(), subject.method, shared_seed=3)
        try:
            run(step, checkpoint=checkpoint, kill_at=5)
        except _Killed:
            pass
        except TypeError as error:
            raise Failure(f"saving its state: {error}") from error
        step = new_step(setting.usual(), subject.method, shared_seed=4)
        resumed = run(step, checkpoint=checkpoint)
    _expect_equal("a run resumed after 5 steps", resumed, step, expected, other)


def progress(subject: Subject) -> str:
    """Twenty steps on one batch bring the student nearer to the teacher, in float64 JSD.

    Raises:
        Failure: the JSD has not fallen.
        NotApplicable: the method learns from nothing but the student's own samples.
    """
    if not subject.has_aim:
        raise NotApplicable(
            "it learns from the student's own samples alone: nothing leads it there"
        )
    settings = WITHOUT_LM.model_copy(update={"steps": PROGRESS_STEPS})
    step = new_step(setting.usual(), subject.method, settings)
    first = distance(step.model)
    run(step, batches=[SAMPLES] * PROGRESS_STEPS)
    last = distance(step.model)
    if not last < first:
        raise Failure(f"JSD to the teacher after 20 steps: expected < {first:.4f}, got {last:.4f}")
    return f"JSD {first:.4f} → {last:.4f}"


@torch.no_grad()
def distance(model: Any) -> float:
    """Return the mean Jensen–Shannon divergence to the teacher over the batch's gold prefixes."""
    values = setting.usual()
    answers = [values.sets["gold"].tokens.response(sample) for sample in SAMPLES]
    q_NV, p_NV = (
        dense_logits(copy.deepcopy(m).double(), values, SAMPLES, answers).softmax(-1)
        for m in (model, values.teacher)
    )
    return float(formulas.jsd(p_NV, q_NV, 0.5).mean())


CHECKS = (leaves_alone, repeats, resumes, progress)
