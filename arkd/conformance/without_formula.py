"""What can be asked of a method that brings no formula: what every sound loss of its kind does.

A method that means otherwise says so by its formula, an `oracle`, and is held to that instead.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from arkd.conformance import toy_models as setting
from arkd.conformance.method_under_test import SAMPLES, Failure, NotApplicable, Subject
from arkd.conformance.positions import predicting_rows
from arkd.conformance.toy_models import Setting
from arkd.conformance.values import WITHOUT_LM
from arkd.conformance.watched_step import Trace, new_step, watched

MEANT = "; if that is meant, give the method its formula as `oracle`"
SOME = 5  # a token


def _step(subject: Subject, values: Setting, trace: Trace | None = None) -> Trace:
    done = watched(new_step(values, subject.method, WITHOUT_LM), 0, SAMPLES, trace)
    done.loss.backward()
    return done


def _all_some() -> Trace:
    """Let every label be one token."""
    return Trace(alter_labels=lambda labels_N: torch.full_like(labels_N, SOME))


def _slope(trace: Trace) -> float:
    return max((float(x.grad.norm()) for _, x in trace.states if x.grad is not None), default=0.0)


def _refuse_formula(subject: Subject) -> None:
    if subject.oracle is not None:
        raise NotApplicable("its formula says more")


def rest_at_agreement(subject: Subject) -> None:
    """Where student and teacher agree the loss is 0, or at least its gradient is.

    Raises:
        Failure: neither is: one of the two is softened or changed, and the other is not.
        NotApplicable: it has a formula, or learns from other things than the teacher's values.
    """
    _refuse_formula(subject)
    if not subject.reads_teacher or {"labels", "student_samples"} & {*subject.method.required}:
        raise NotApplicable("it learns from other things than the teacher's values")
    same, other = (_step(subject, values) for values in (setting.agreeing(), setting.usual()))
    if abs(same.distil) > 1e-4 * abs(other.distil) and _slope(same) > 1e-2 * _slope(other):
        raise Failure(
            f"where q = p: expected a loss of 0 or no gradient, got {same.distil:.4g} and "
            f"{_slope(same):.3g} (elsewhere {_slope(other):.3g}){MEANT}"
        )


@cache
def certain() -> Setting:
    """Return a setting whose models are both certain of one token at every position."""
    logits_V = torch.zeros(setting.VOCABULARY)
    logits_V[SOME] = 100.0
    return setting.everywhere(logits_V, logits_V)


def rest_at_certainty(subject: Subject) -> None:
    """Where both models are certain of the response there is nothing to learn: the loss is 0.

    Raises:
        Failure: it is not: a label, or the teacher, is not taken as it is.
        NotApplicable: it has a formula, or draws responses.
    """
    _refuse_formula(subject)
    trace = _step(subject, certain(), _all_some())
    if trace.sampled:
        raise NotApplicable("it draws responses")
    if abs(trace.distil) > 1e-4:
        raise Failure(
            f"loss where q = p and both are certain of the label: expected 0, "
            f"got {trace.distil:.4g}{MEANT}"
        )


def equal_tokens(subject: Subject) -> None:
    """Tokens with the same p and q move the loss alike, in a long response as in a short one.

    Raises:
        Failure: some move it more than others.
        NotApplicable: it has a formula, or relates tokens to drawn responses.
    """
    _refuse_formula(subject)
    trace = _step(subject, setting.handmade(), _all_some())
    if trace.sampled:
        raise NotApplicable("it draws responses")
    for responses, states in trace.states:
        if states.grad is None:
            continue
        rows = predicting_rows(responses, len(states) // len(responses.samples))
        size_N: Tensor = states.grad[rows].norm(dim=-1)
        least, most = float(size_N.min()), float(size_N.max())
        if most - least > 1e-3 * most:
            raise Failure(
                "gradients of tokens with the same p and q: expected one size, "
                f"got {least:.4g} to {most:.4g}{MEANT}"
            )


CHECKS = (rest_at_agreement, rest_at_certainty, equal_tokens)
