"""The first step at the sizes and extremes of real models, with dropout in both of them.

The student's states are those that the method itself trained on, dropout and all; what follows from
them is the formula's, in float64.

Shapes: N response tokens, H hidden size, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arkd.conformance.both_values import Formula
from arkd.conformance.dense import dense_logits
from arkd.conformance.method_under_test import (
    Failure,
    Subject,
    expect_close,
    expect_same_direction,
)
from arkd.conformance.toy_models import Setting, large
from arkd.conformance.values import WITHOUT_LM
from arkd.conformance.watched_step import Part, Trace, new_step, watched
from arkd.models.model import head

SAMPLES = [0, 1, 2, 3]
REL = 1e-5  # the methods are in float32; they are seen to be within 4e-7


def at_scale(subject: Subject) -> str:
    """The loss is the formula's with 2,048 tokens, long responses, dropout and tiny probabilities.

    Raises:
        Failure: value or gradient are others, the student's dropout was off, or the
            teacher's on.
    """
    _ = subject.formula
    setting = large()
    step = new_step(setting, subject.method, WITHOUT_LM)
    step.model.train()
    formula = _FromStates.of(subject, setting, WITHOUT_LM, step)
    trace = watched(step, 0, SAMPLES, Trace(dev_nll=2.0))
    trace.loss.backward()
    _expect_modes(setting, trace)
    formula.use(trace)
    distil, _ = formula.losses_of(0, trace, SAMPLES)
    distil.backward()
    if formula.notes.faults:
        raise Failure(formula.notes.faults[0])
    expect_close("loss", trace.distil, distil.item(), rel=REL)
    for (_, found), expected in zip(trace.states, formula.leaves, strict=True):
        slopes = [
            torch.zeros_like(expected) if x.grad is None else x.grad for x in (found, expected)
        ]
        what = "gradient on the student's states"
        expect_same_direction(what, slopes[0].double(), slopes[1], rel=100 * REL)
    slope = head(step.model).weight_VH.grad
    if slope is not None and formula.weight_VH.grad is not None:
        what = "gradient on the student's head"
        expect_same_direction(what, slope.double(), formula.weight_VH.grad, rel=100 * REL)
    lengths = [len(answer) for part in trace.parts for answer in part.responses.answers]
    return f"{setting.vocabulary} tokens, responses of {min(lengths)}–{max(lengths)}"


class _FromStates(Formula):
    """The formula on the states that the method's own student had."""

    def use(self, trace: Trace) -> None:
        """Take up a step's states as leaves of the gradient."""
        self.leaves = [x.detach().double().requires_grad_() for _, x in trace.states]
        self.responses = [responses for responses, _ in trace.states]
        self.weight_VH = head(self.student).weight_VH.detach().clone().requires_grad_()

    def _student(self, part: Part) -> Tensor:
        responses = part.responses
        for known, leaf in zip(self.responses, self.leaves, strict=True):
            if known is responses:
                return leaf[responses.batch.positions_N] @ self.weight_VH.T
        raise Failure("loss on responses over which the student has not been run by the tools")


def _expect_modes(setting: Setting, trace: Trace) -> None:
    """Refuse a student without its dropout, or a teacher with its own.

    Raises:
        Failure: the student's states are those of evaluation, or the teacher's are not.
    """
    for responses, states in trace.states:
        at = responses.batch.positions_N
        with torch.no_grad():
            evaluated = setting.student.base_model(responses.batch.ids_BT).last_hidden_state
        if torch.allclose(states[at], evaluated.flatten(0, 1)[at], atol=1e-5):
            raise Failure("the student's states: expected dropout, as in training, got none")
    for part in trace.parts:
        responses = part.responses
        if responses.hidden_NG is None:
            continue
        with torch.no_grad():
            p_logits_NV = dense_logits(
                setting.teacher, setting, responses.samples, responses.answers
            )
        found_NV = responses.hidden_NG @ head(setting.teacher).weight_VH[: setting.vocabulary].T
        if not torch.allclose(found_NV, p_logits_NV, rtol=1e-4, atol=1e-3):
            raise Failure("the teacher's values: expected those of evaluation, without dropout")


CHECKS = (at_scale,)
