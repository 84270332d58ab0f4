"""Both values of each step of a run: a method's own loss and gradient, and its formula's."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from arkd.conformance.case import Case, Notes, Weighted
from arkd.conformance.dense import dense_logits, descend, flat_gradient, language_modelling
from arkd.conformance.formulas import mixed
from arkd.conformance.method_under_test import NOT_COMPARED, SAMPLES, NotApplicable, Subject
from arkd.conformance.toy_models import BATCH, PROMPTS, SETTINGS, Setting
from arkd.conformance.trained_on import note_draws, note_responses
from arkd.conformance.watched_step import Part, Trace, new_step, watched
from arkd.divergence.reduction import token_scale
from arkd.method import FullStep
from arkd.suite.protocol import Distillation
from arkd.training.distill import Step

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Comparison:
    """A step's own values beside the formula's; gradients on all parameters, flat, if asked for."""

    step: int
    trace: Trace
    distil: float
    dense_distil: float
    total: float
    dense_total: float
    weights: Pair | None  # of forward and reverse KL as the formula has them, each [N]
    log: dict[str, float]  # what the formula says of the step beside its loss
    gradient: Tensor | None
    dense_gradient: Tensor | None
    notes: Notes  # of the whole run


def compare(
    subject: Subject,
    setting: Setting,
    settings: Distillation = SETTINGS,
    *,
    steps: int = 1,
    gradients: Collection[int] = (0,),
    reverse: bool = False,
) -> list[Comparison]:
    """Return the first steps of a run, each beside the formula.

    The first step is on `SAMPLES`, and each one after it on the batch that follows. Development
    losses are not measured but made up, so that a method which waits for their rise sees one.

    Args:
        subject: The method.
        setting: Models and response sets.
        settings: The protocol.
        steps: How many.
        gradients: The steps whose gradients are compared too.
        reverse: Ask the formula with p and q exchanged.

    Raises:
        NotApplicable: there is no formula.
    """
    _ = subject.formula
    key = id(setting), settings, steps, tuple(gradients), reverse
    if key not in subject.known:
        subject.known[key] = _run(subject, setting, settings, steps, gradients, reverse)
    found: list[Comparison] = subject.known[key]
    return found


def _run(
    subject: Subject,
    setting: Setting,
    settings: Distillation,
    steps: int,
    gradients: Collection[int],
    reverse: bool,
) -> list[Comparison]:
    step = new_step(setting, subject.method, settings)
    run = Formula.of(subject, setting, settings, step, reverse=reverse)
    made: list[Comparison] = []
    for index in range(steps):
        run.see(step.model)
        samples = [(row + BATCH * index) % PROMPTS for row in SAMPLES]
        trace = watched(step, index, samples, Trace(dev_nll=2 + 0.05 * index + math.sin(index)))
        trace.loss.backward()
        with_gradient = index in gradients
        with torch.set_grad_enabled(with_gradient):
            distil, total = run.losses_of(index, trace, samples)
        if with_gradient and total.requires_grad:  # with p and q exchanged it may have none
            total.backward()
        made.append(
            Comparison(
                *(index, trace, trace.distil, distil.item(), trace.loss.item(), total.item()),
                *(run.weights, dict(run.notes.log)),
                flat_gradient(step.model) if with_gradient else None,
                flat_gradient(run.student) if with_gradient else None,
                run.notes,
            )
        )
        run.losses.append(trace.distil)
        descend(step.model)
    return made


class Formula:
    """The formula along a run: what it remembers, and the students that it may look back at.

    Args:
        subject: The method.
        setting: Models and response sets.
        settings: The protocol.
        notes: Of the run, which are filled in.
        reverse: Ask the formula with p and q exchanged.
    """

    def __init__(
        self,
        subject: Subject,
        setting: Setting,
        settings: Distillation,
        notes: Notes,
        reverse: bool,
    ) -> None:
        self.subject, self.setting, self.settings = subject, setting, settings
        self.notes, self.reverse = notes, reverse
        self.teacher = copy.deepcopy(setting.teacher).double()
        self.student = copy.deepcopy(setting.student).double()
        self._earlier = copy.deepcopy(self.student)
        self._seen: list[dict[str, Tensor]] = []  # the student's weights at each step so far
        self.losses: list[float] = []
        self.weights: Pair | None = None
        self._teachers: dict[str, Tensor] = {}

    @classmethod
    def of(
        cls,
        subject: Subject,
        setting: Setting,
        settings: Distillation,
        step: Step,
        *,
        reverse: bool = False,
    ) -> Self:
        """Return the formula of a run that has not begun, from the state that its step has now.

        Args:
            subject: The method.
            setting: Models and response sets.
            settings: The protocol.
            step: Of the run.
            reverse: Ask the formula with p and q exchanged.
        """
        start = {} if step.state is None else copy.deepcopy(step.state.state_dict())
        return cls(subject, setting, settings, Notes(start), reverse)

    def see(self, model: Any) -> None:
        """Take up the student as it is before a step."""
        self._seen.append({name: x.detach().double() for name, x in model.state_dict().items()})
        self.student.load_state_dict(self._seen[-1])
        self.student.zero_grad(set_to_none=True)

    def losses_of(self, index: int, trace: Trace, samples: list[int]) -> tuple[Tensor, Tensor]:
        """Return the formula's loss, and with T² and λ·L_pt, differentiable in the last student.

        Raises:
            NotApplicable: the oracle is of one mean over tokens, and the step of several.
        """
        subject, settings = self.subject, self.settings
        whole = isinstance(subject.method, FullStep)
        if whole and not (len(trace.parts) == 1 or (trace.parts and not subject.own_oracle)):
            raise NotApplicable(
                f"{NOT_COMPARED}: the oracle is of one mean over tokens, "
                f"the step of {len(trace.parts)}"
            )
        note_responses(subject, self.setting, settings, index, trace, samples, self.notes)
        distil = torch.zeros((), dtype=torch.float64)
        for part in trace.parts:
            distil = distil + part.weight * self._part(index, part, trace).mean()
        total = distil * subject.t_squared(settings)
        if subject.reads_teacher and settings.lm_weight:
            lm = language_modelling(self.student, self.setting, samples)
            total = total + settings.lm_weight * lm
        return distil, total

    def _part(self, index: int, part: Part, trace: Trace) -> Tensor:
        subject, settings = self.subject, self.settings
        responses, oracle = part.responses, subject.formula
        p_logits_NV, q_logits_NV = self._teacher(part), self._student(part)
        if part.source == "sampled":
            note_draws(subject, p_logits_NV, q_logits_NV.detach(), responses.labels_N, self.notes)

        def q_at(earlier: int) -> Tensor:
            with torch.no_grad():
                if earlier == index:
                    return q_NV.detach()
                self._earlier.load_state_dict(self._seen[earlier])
                return (self._logits(self._earlier, part) / part.temperature).softmax(-1)

        p_NV, q_NV = ((x / part.temperature).softmax(-1) for x in (p_logits_NV, q_logits_NV))
        scale = token_scale(settings.reduction, responses)
        reduced: Tensor | float = 1.0 if scale is None else scale.double()
        case = Case(
            *((q_NV, p_NV) if self.reverse else (p_NV, q_NV)),
            labels_N=responses.labels_N,
            sequence_N=responses.sequence_N,
            source=part.source,
            step=index,
            steps=settings.steps,
            temperature=part.temperature,
            loss_scale=subject.t_squared(settings) * reduced,
            params=subject.method.params,
            given_log=trace.log,
            given_weights=trace.weights,
            measured=trace.measured,
            losses=self.losses,
            q_at=q_at,
            notes=self.notes,
        )
        if not isinstance(oracle, Weighted):
            return oracle(case) * reduced
        with torch.enable_grad():  # a policy learns by gradients of its own
            a, b = oracle.weights(case)
        self.weights = tuple(  # type: ignore[assignment]
            torch.as_tensor(x).detach().expand(len(responses.labels_N)) for x in (a, b)
        )
        assert self.weights is not None
        return mixed(case.p_NV, case.q_NV, *self.weights) * reduced

    def _student(self, part: Part) -> Tensor:
        """Return the logits of the student of this step at a part's response tokens [N, V]."""
        return self._logits(self.student, part)

    def _logits(self, model: Any, part: Part) -> Tensor:
        return dense_logits(model, self.setting, part.responses.samples, part.responses.answers)

    @torch.no_grad()
    def _teacher(self, part: Part) -> Tensor:
        key = repr(part.responses.answers)
        if key not in self._teachers:
            self._teachers[key] = self._logits(self.teacher, part)
        return self._teachers[key]
