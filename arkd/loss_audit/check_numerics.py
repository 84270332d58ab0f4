"""The teacher's gradient, impossible tokens, bfloat16, and whether a call repeats itself."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from arkd.loss_audit.batches import Batch
from arkd.loss_audit.facts import Fact, percent
from arkd.loss_audit.probe import Refused, measure
from arkd.loss_audit.subject import Subject, change, relative

MASKED = 16  # tokens that are impossible
BFLOAT16 = 0.05  # relative error that is called a finding: a dozen roundings of one number


def repeat(subject: Subject) -> Iterator[Fact]:
    """Whether two calls give the same."""
    again = measure(subject.target, subject.batch)
    gap = relative(again.grad_BTV, subject.base.grad_BTV)
    same = gap < 1e-6
    text = "the same" if same else f"gradients of two calls differ by {percent(gap)}"
    yield Fact("repeat", text, finding=not same, numbers={"difference": gap})


def teacher_gradient(subject: Subject) -> Iterator[Fact]:
    """Whether a gradient reaches the teacher's logits, should they ask for one."""
    says = subject.declared.teacher_gradient or ""
    try:
        found = measure(subject.target, subject.batch, teacher_gradient=True)
    except Refused as error:
        yield Fact("teacher gradient", f"raises {error}", says)
        return
    if found.teacher_BTV is None or not found.teacher_BTV.norm():
        yield Fact("teacher gradient", "none", says)
        return
    share = float(found.teacher_BTV.norm()) / subject.base.norm
    text = f"reaches the teacher's logits: {percent(share)} of the student's"
    yield Fact("teacher gradient", text, says, says != "caller", {"share": share})


def impossible(subject: Subject) -> Iterator[Fact]:
    """Tokens of logit −∞: in both models, in the teacher's alone, in the student's alone."""
    low = -math.inf
    if subject.declared.logits == "product":
        low = float(torch.finfo(torch.float32).min) / 4
    words, wrong, numbers = [], False, {}
    for who, models in (
        ("both", (True, True)),
        ("teacher", (False, True)),
        ("student", (True, False)),
    ):
        student_BTV, teacher_BTV = (
            _without(x_BTV, low) if masked else x_BTV
            for x_BTV, masked in zip(
                (subject.batch.student_BTV, subject.batch.teacher_BTV), models, strict=True
            )
        )
        batch = Batch(student_BTV, teacher_BTV, subject.batch.labels_BT)
        outcome = _outcome(subject, batch)
        words.append(f"{who}: {outcome}")
        numbers[who] = outcome
        wrong |= "NaN" in outcome and who == "both"
        wrong |= "NaN" in outcome and who in _finite_for(subject)
    label = "−∞" if low == -math.inf else "−8.5e37 for −∞"
    yield Fact(
        "impossible tokens", f"{label} in {'; '.join(words)}", finding=wrong, numbers=numbers
    )


def bfloat16(subject: Subject) -> Iterator[Fact]:
    """What logits of bfloat16 change, beside the same loss of the same rounded logits."""
    student_BTV, teacher_BTV = (
        x_BTV.bfloat16().float() for x_BTV in (subject.batch.student_BTV, subject.batch.teacher_BTV)
    )
    rounded = Batch(student_BTV, teacher_BTV, subject.batch.labels_BT)
    full = measure(subject.target, rounded)
    try:
        half = measure(subject.target, rounded, dtype=torch.bfloat16)
    except Refused as error:
        yield Fact("bfloat16", f"raises {error}")
        return
    value = change(half.value, full.value)
    gradient = relative(half.grad_BTV, full.grad_BTV)
    text = f"value off by {percent(value)}, gradient by {percent(gradient)}"
    wrong = not (value <= BFLOAT16 and gradient <= BFLOAT16)
    yield Fact("bfloat16", text, finding=wrong, numbers={"value": value, "gradient": gradient})


def _without(logits_BTV: torch.Tensor, low: float) -> torch.Tensor:
    """Return logits whose first tokens are impossible."""
    masked_BTV = logits_BTV.clone()
    masked_BTV[..., :MASKED] = low
    return masked_BTV


def _finite_for(subject: Subject) -> tuple[str, ...]:
    """Return whose impossible tokens leave the divergence finite."""
    return {
        "forward_kl": ("teacher",),
        "reverse_kl": ("student",),
        "jsd": ("teacher", "student"),
        "skew_kl": ("teacher", "student"),
        "skew_rkl": ("teacher", "student"),
        "tvd": ("teacher", "student"),
    }.get(subject.reference.name if subject.reference.is_exact else "", ())


def _outcome(subject: Subject, batch: Batch) -> str:
    """Return what a batch with impossible tokens gives, in a word or two."""
    try:
        found = measure(subject.target, batch)
    except Refused as error:
        return f"raises {error}"
    scored_BT = batch.scored(subject.shifted)
    kinds = []
    for name, bad in (
        ("value", math.isnan(found.value)),
        ("gradient", bool(found.grad_BTV[scored_BT].isnan().any())),
    ):
        if bad:
            kinds.append(f"{name} NaN")
    if kinds:
        return ", ".join(kinds)
    return "finite" if found.finite else "infinite"
