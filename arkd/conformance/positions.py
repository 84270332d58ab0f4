"""Checks of what a token's loss may look at: its own position, the teacher, declared labels."""

from __future__ import annotations

import torch
from torch import Tensor

from arkd.conformance import toy_models as setting
from arkd.conformance.method_under_test import SAMPLES, Failure, NotApplicable, Subject
from arkd.conformance.toy_models import VOCABULARY
from arkd.conformance.values import WITHOUT_LM
from arkd.conformance.watched_step import Trace, new_step, watched
from arkd.method import FullStep, Responses


def predicting_rows(responses: Responses, width: int) -> Tensor:
    """Return which of the flat positions [B·T] predict a response token, counted from lengths."""
    gold = setting.usual().sets["gold"].tokens
    mask_BT = torch.zeros(len(responses.samples), width, dtype=torch.bool)
    for row, (sample, answer) in enumerate(zip(responses.samples, responses.answers, strict=True)):
        first = len(gold.prompt(sample)) - 1
        mask_BT[row, first : first + len(answer)] = True
    return mask_BT.flatten()


def _rows(responses: Responses, states: Tensor) -> Tensor:
    return predicting_rows(responses, len(states) // len(responses.samples))


def causal_mask(subject: Subject) -> None:
    """What predicts a response token moves the loss; prompt and padding move nothing.

    Raises:
        Failure: prompt or padding moves the loss, or what predicts a response token does not.
    """
    trace = watched(new_step(setting.usual(), subject.method, WITHOUT_LM), 0, SAMPLES)
    trace.loss.backward()
    graded = [(r, s) for r, s in trace.states if s.grad is not None]
    if not graded:
        raise Failure("no position of the student's own has a gradient")
    for responses, states in graded:
        assert states.grad is not None
        moved, expected = states.grad.abs().sum(-1) > 0, _rows(responses, states)
        outside = int((moved & ~expected).sum())
        if outside:
            raise Failure(
                f"gradient on {outside} positions that predict no response token: expected 0 "
                f"(a label at t is predicted at t − 1)"
            )
        missing = int((expected & ~moved).sum())
        if missing and not isinstance(subject.method, FullStep):
            raise Failure(f"no gradient on {missing} of {int(expected.sum())} response positions")

    def disturbed(responses: Responses, states: Tensor) -> Tensor:
        noise = torch.randn(states.shape, generator=torch.Generator().manual_seed(3))
        return states + noise * ~_rows(responses, states)[:, None]

    step = new_step(setting.usual(), subject.method, WITHOUT_LM)
    other = watched(step, 0, SAMPLES, Trace(alter_states=disturbed))
    if other.distil != trace.distil:
        raise Failure(
            f"loss with other states at prompt and padding: expected {trace.distil:.9g}, "
            f"got {other.distil:.9g}"
        )


def one_position(subject: Subject) -> None:
    """A change of the student at one position moves that position's loss alone.

    Raises:
        Failure: the loss stays, or the gradient at another position changes.
        NotApplicable: the method's loss or weights look at the batch as a whole.
    """
    if isinstance(subject.method, FullStep):
        raise NotApplicable("a full step may relate the tokens of a response")
    before, after = (_at_one_position(subject, amount) for amount in (0.0, 0.5))
    if before.weights is not None and after.weights is not None:
        for mine, other in zip(before.weights, after.weights, strict=True):
            if not torch.allclose(mine[:-1], other[:-1], atol=1e-6):
                raise NotApplicable("its weights look at the whole batch")
    if before.distil == after.distil:
        raise Failure("loss with other states at one response position: expected a change")
    for (responses, x), (_, y) in zip(before.states, after.states, strict=True):
        assert x.grad is not None
        assert y.grad is not None
        rows = _rows(responses, x).nonzero().squeeze(1)
        others = rows[:-1]
        scale = float(x.grad[others].abs().max())
        worst = float((x.grad[others] - y.grad[others]).abs().max())
        if worst > 1e-5 * scale:
            raise Failure(
                f"gradient at other positions: expected no change, got {worst:.3g} of {scale:.3g}"
            )


def _at_one_position(subject: Subject, amount: float) -> Trace:
    """Return the first step with the states of each set's last response position moved."""

    def disturbed(responses: Responses, states: Tensor) -> Tensor:
        last = int(_rows(responses, states).nonzero().max())
        change = torch.zeros_like(states)
        change[last] = amount * torch.linspace(-1, 1, states.shape[1])
        return states + change

    step = new_step(setting.usual(), subject.method, WITHOUT_LM)
    trace = watched(step, 0, SAMPLES, Trace(alter_states=disturbed))
    trace.loss.backward()
    return trace


def undeclared_labels(subject: Subject) -> None:
    """The loss does not depend on the responses' own tokens, unless `needs` says so.

    Raises:
        Failure: the loss is another with other labels.
        NotApplicable: the method declares labels or samples.
    """
    declared = {"labels", "teacher_samples", "student_samples"} & set(subject.method.required)
    if declared:
        raise NotApplicable(f"it declares {' and '.join(sorted(declared))}")

    def others(labels_N: Tensor) -> Tensor:
        return 2 + (labels_N + 17) % (VOCABULARY - 2)

    losses = [
        watched(new_step(setting.usual(), subject.method, WITHOUT_LM), 0, SAMPLES, trace).distil
        for trace in (Trace(), Trace(alter_labels=others))
    ]
    if losses[0] != losses[1]:
        raise Failure(
            f"loss with other labels: expected {losses[0]:.9g}, got {losses[1]:.9g}; "
            "add 'labels' to `needs`"
        )


CHECKS = (causal_mask, one_position, undeclared_labels)
