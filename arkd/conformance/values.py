"""Checks of a loss against its paper's formula: value, gradient, direction, temperature."""

from __future__ import annotations

import math

from torch import Tensor

from arkd.conformance import toy_models as setting
from arkd.conformance.both_values import Comparison, compare
from arkd.conformance.method_under_test import (
    GIVEN,
    SAMPLES,
    Failure,
    NotApplicable,
    Subject,
    expect_close,
    expect_same_direction,
)
from arkd.conformance.toy_models import SETTINGS
from arkd.conformance.watched_step import new_step, watched

WITHOUT_LM = SETTINGS.model_copy(update={"lm_weight": 0.0})


WITH_GRADIENT = (0, 1, 2, 3, 4, 12, 31)


def late_run(subject: Subject) -> list[Comparison]:
    """Return the steps of a long run on changing batches beside the formula."""
    settings = SETTINGS.model_copy(update={"steps": subject.steps})
    gradients = (*WITH_GRADIENT, subject.steps - 1)
    return compare(subject, setting.usual(), settings, steps=subject.steps, gradients=gradients)


def value(subject: Subject) -> str:
    """The loss is the formula's in float64 at each of sixty steps, λ·L_pt included."""
    seen = set()
    for both in late_run(subject):
        seen |= {part.source for part in both.trace.parts}
        expect_close(f"loss at step {both.step}", both.distil, both.dense_distil)
        expect_close(f"loss with λ·L_pt at step {both.step}", both.total, both.dense_total)
    given = f", {GIVEN}" if both.notes.read else ""
    return f"on {', '.join(sorted(seen))} responses{given}"


def gradient(subject: Subject) -> None:
    """The gradient on every parameter of the student is the formula's, by float64 autograd."""
    for both in late_run(subject):
        if both.gradient is not None and both.dense_gradient is not None:
            what = f"gradient at step {both.step}"
            expect_same_direction(what, both.gradient, both.dense_gradient)


def state(subject: Subject) -> str:
    """What a method learns on its way is its paper's over sixty steps: α, or what it logs of it.

    Raises:
        Failure: a weight of a divergence, or a logged value, is another.
        NotApplicable: no formula says anything of it.
    """
    seen = set()
    for both in late_run(subject):
        if both.weights is not None and both.trace.weights is not None:
            seen.add("weights")
            for name, found, expected in zip(
                ("forward", "reverse"), both.trace.weights, both.weights, strict=True
            ):
                worst = float((found.double() - expected).abs().max())
                what = f"weights of {name} KL at step {both.step}, largest error"
                expect_close(what, worst, 0.0, absolute=1e-5)
        for name, expected_value in both.log.items():
            seen.add(name)
            logged = both.trace.log.get(name, math.nan)
            what = f"logged {name} at step {both.step}"
            expect_close(what, logged, expected_value, rel=1e-4, absolute=1e-5)
    if not seen:
        raise NotApplicable("its formula has no weights of its own, and no state")
    return ", ".join(sorted(seen))


def zero_at_agreement(subject: Subject) -> None:
    """A divergence is 0 where student and teacher agree, a minimum, and is never negative.

    At a kink, as total variation has one there, every slope between those of its sides is right,
    and rounding picks one. The formula tells a kink: its gradient does not fade towards agreement.
    The method's is then held to it a little beside.

    Raises:
        Failure: loss or gradient is not 0 there, or a loss elsewhere is negative.
        NotApplicable: the method's formula is no divergence.
    """
    (both,) = compare(subject, setting.agreeing(), WITHOUT_LM)
    if abs(both.dense_distil) > 1e-9:
        raise NotApplicable("its formula is no divergence: it is not 0 where q = p")
    expect_close("loss where q = p", both.distil, 0.0, absolute=1e-5)
    (beside,) = compare(subject, setting.beside_agreement(), WITHOUT_LM)
    (far,) = compare(subject, setting.handmade(), WITHOUT_LM)
    (apart,) = compare(subject, setting.usual(), WITHOUT_LM)
    found, scale = (_slope(place.gradient) for place in (both, apart))
    if _slope(beside.dense_gradient) < 0.05 * _slope(far.dense_gradient):
        expect_close("norm of the gradient where q = p", found, 0.0, absolute=1e-3 * scale)
    elif not math.isfinite(found):
        raise Failure(f"norm of the gradient where q = p: expected a number, got {found}")
    else:
        what = "gradient a little beside q = p"
        assert beside.gradient is not None
        assert beside.dense_gradient is not None
        expect_same_direction(what, beside.gradient, beside.dense_gradient, rel=1e-3)
    if apart.distil < 0:
        raise Failure(f"loss where q ≠ p: expected ≥ 0, got {apart.distil:.7g}")


def _slope(gradient: Tensor | None) -> float:
    assert gradient is not None
    return float(gradient.norm())


def direction(subject: Subject) -> None:
    """Where q covers one of two modes of p, the loss is the formula's and not its reverse.

    Raises:
        Failure: the loss is that of the formula with p and q exchanged, or another.
        NotApplicable: the method reads no teacher, or its formula is symmetric.
    """
    if not subject.reads_teacher:
        raise NotApplicable("it looks at no teacher")
    (both,) = compare(subject, setting.handmade(), WITHOUT_LM)
    (reverse,) = compare(subject, setting.handmade(), WITHOUT_LM, reverse=True)
    if abs(both.dense_distil - reverse.dense_distil) < 1e-3 * abs(both.dense_distil):
        raise NotApplicable("its formula is symmetric in p and q")
    if abs(both.distil - reverse.dense_distil) < 1e-4 * abs(reverse.dense_distil):
        raise Failure(
            f"the loss is the reversed one: expected {both.dense_distil:.7g}, got {both.distil:.7g}"
        )
    expect_close("loss", both.distil, both.dense_distil, rel=1e-4)


def temperature(subject: Subject) -> None:
    """The loss at another T is the formula's there; without `softened` T changes nothing."""
    if not (subject.reads_teacher and subject.method.softened):
        losses = [_loss(subject, temperature=t, lm_weight=0.0) for t in (1.0, 3.0)]
        expect_close("loss at T = 3, which softens nothing here", losses[1], losses[0])
        return
    for t in (1.0, 3.0):
        changed = SETTINGS.model_copy(update={"temperature": t})
        (both,) = compare(subject, setting.usual(), changed)
        for part in both.trace.parts:
            expect_close("temperature that softens its loss", part.temperature, t)
        expect_close(f"loss at T = {t:g}", both.distil, both.dense_distil)


def squared_temperature(subject: Subject) -> None:
    """`square_temperature` multiplies the method's own loss by T² exactly, and not λ·L_pt."""
    squared = SETTINGS.model_copy(update={"square_temperature": True})
    plain = watched(new_step(setting.usual(), subject.method), 0, SAMPLES)
    factor = subject.t_squared(squared)
    expected = plain.loss.item() + (factor - 1) * plain.distil
    what = f"loss with square_temperature at T = {SETTINGS.temperature:g}"
    expect_close(what, _loss(subject, square_temperature=True), expected)


def _loss(subject: Subject, **changes: object) -> float:
    settings = SETTINGS.model_copy(update=changes)
    loss: float = watched(
        new_step(setting.usual(), subject.method, settings), 0, SAMPLES
    ).loss.item()
    return loss


CHECKS = (
    value,
    gradient,
    state,
    zero_at_agreement,
    direction,
    temperature,
    squared_temperature,
)
