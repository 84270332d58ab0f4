"""Both values of a training step: a method's own loss and gradient, and its formula's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arkd.conformance.formulas import cross_entropy
from arkd.conformance.method_under_test import SAMPLES, NotApplicable, Subject
from arkd.conformance.oracles import Case
from arkd.conformance.toy_models import SETTINGS, VOCABULARY, Setting
from arkd.conformance.watched_step import Part, Trace, new_step, watched
from arkd.method import FullStep
from arkd.suite.settings import Distillation


@dataclass(frozen=True)
class Comparison:
    """A step's own loss beside the formula's: values, and gradients on all parameters, flat."""

    step: int
    trace: Trace
    distil: float
    dense_distil: float
    total: float
    dense_total: float
    gradient: Tensor
    dense_gradient: Tensor


def compare(
    subject: Subject,
    setting: Setting,
    settings: Distillation = SETTINGS,
    *,
    at: Sequence[int] = (0,),
    reverse: bool = False,
) -> list[Comparison]:
    """Return the loss of some steps of a run beside the formula's.

    Args:
        subject: The method.
        setting: Models and response sets.
        settings: The protocol.
        at: The steps, in ascending order.
        reverse: Ask the formula with p and q exchanged.

    Raises:
        NotApplicable: there is no formula.
    """
    if subject.oracle is None:
        raise NotApplicable("no oracle: value and gradient are not compared")
    key = id(setting), settings, tuple(at), reverse
    if key not in subject.known:
        step = new_step(setting, subject.method, settings)
        students: list[Any] = []
        losses: list[float] = []
        made = []
        for index in range(at[-1] + 1):
            students.append(copy.deepcopy(step.model).double())
            trace = watched(step, index, SAMPLES)
            trace.loss.backward()
            if index in at:
                distil, total = _dense(
                    subject, setting, settings, index, students, losses, trace, reverse
                )
                total.backward()
                made.append(
                    Comparison(
                        *(index, trace, trace.distil, distil.item()),
                        *(trace.loss.item(), total.item()),
                        *(flat_gradient(step.model), flat_gradient(students[-1])),
                    )
                )
            losses.append(trace.distil)
            descend(step.model)
        subject.known[key] = made
    found: list[Comparison] = subject.known[key]
    return found


def _dense(
    subject: Subject,
    setting: Setting,
    settings: Distillation,
    index: int,
    students: list[Any],
    losses: list[float],
    trace: Trace,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    """Return the formula's loss, and with T² and λ·L_pt, differentiable in the last student."""
    assert subject.oracle is not None
    whole = isinstance(subject.method, FullStep)
    if whole and not (len(trace.parts) == 1 or (trace.parts and not subject.own_oracle)):
        raise NotApplicable(
            f"the oracle is of one mean over tokens, the step of {len(trace.parts)}"
        )
    teacher = copy.deepcopy(setting.teacher).double()
    distil = torch.zeros((), dtype=torch.float64)
    for part in trace.parts:
        samples, answers = part.responses.samples, part.responses.answers

        def softened(model: Any, part: Part = part) -> Tensor:
            sequences = part.responses.samples, part.responses.answers
            return (dense_logits(model, setting, *sequences) / part.temperature).softmax(-1)

        def q_at(index: int, softened: Callable[[Any], Tensor] = softened) -> Tensor:
            return softened(students[index]).detach()

        p_NV, q_NV = softened(teacher).detach(), softened(students[-1])
        case = Case(
            *((q_NV, p_NV) if reverse else (p_NV, q_NV)),
            labels_N=torch.tensor([token for answer in answers for token in answer]),
            sequence_N=torch.tensor([row for row, _ in enumerate(samples) for _ in answers[row]]),
            source=part.source,
            step=index,
            steps=settings.steps,
            temperature=part.temperature,
            params=subject.method.params,
            log=trace.log,
            weights=trace.weights,
            losses=losses,
            q_at=q_at,
        )
        distil = distil + part.weight * subject.oracle(case).mean()
    total = distil * subject.t_squared(settings)
    if subject.reads_teacher and settings.lm_weight:
        total = total + settings.lm_weight * _language_modelling(students[-1], setting)
    return distil, total


def dense_logits(
    model: Any, setting: Setting, samples: list[int], answers: list[list[int]]
) -> Tensor:
    """Return a model's logits at the response tokens [N, V], sequence by sequence, unpadded.

    Args:
        model: Student or teacher.
        setting: Whose gold set holds the prompts.
        samples: Rows of the gold set, one for each answer.
        answers: Token ids of each response.
    """
    found = []
    gold = setting.sets["gold"].tokens
    for sample, answer in zip(samples, answers, strict=True):
        prompt = gold.prompt(sample)
        logits_TV = model(torch.tensor([prompt + answer])).logits[0]
        found.append(logits_TV[len(prompt) - 1 : -1, :VOCABULARY])
    return torch.cat(found)


def _language_modelling(student: Any, setting: Setting) -> Tensor:
    """L_pt: the mean cross-entropy of every token after the first of the gold sequences."""
    gold = setting.sets["gold"].tokens
    losses = []
    for sample in SAMPLES:
        ids = torch.tensor(gold.prompt(sample) + gold.response(sample))
        q_TV = student(ids[None]).logits[0, :-1].softmax(-1)
        losses.append(cross_entropy(q_TV, ids[1:]))
    return torch.cat(losses).mean()


def descend(model: Any, rate: float = 0.1) -> None:
    """Take one plain step along the gradients, and forget them."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= rate * parameter.grad
    model.zero_grad(set_to_none=True)


def flat_gradient(model: Any) -> Tensor:
    """Return the gradients of all parameters as one float64 vector."""
    return torch.cat(
        [
            (torch.zeros_like(p) if p.grad is None else p.grad).flatten().double()
            for p in model.parameters()
        ]
    )
