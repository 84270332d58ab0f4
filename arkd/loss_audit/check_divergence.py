"""Which divergence a loss is: its gradient, its value, cross-entropy, its end points in β."""

from __future__ import annotations

from collections.abc import Iterator

from arkd.loss_audit import fit as fits
from arkd.loss_audit.catalogue import titled
from arkd.loss_audit.facts import Fact, number, percent
from arkd.loss_audit.fit import EXACT, Blend, Fit
from arkd.loss_audit.probe import Measured, Refused, measure
from arkd.loss_audit.subject import Subject

NEAR = (0.01, 0.99)  # β beside its ends
PROBED = 0.1  # where a β and 1 − β are far apart
FAMILIES = ("forward_kl", "reverse_kl", "jsd", "mixed_kl", "skew_kl", "skew_rkl")
VALUE = 1e-4  # relative error up to which a value counts as that of a formula


def divergence(subject: Subject) -> Iterator[Fact]:
    """The nearest divergence of the catalogue, and how near the declared one is."""
    found, wanted = subject.fit, subject.against_declared
    numbers: dict[str, float | str] = {"cosine": found.cosine, "error": found.error}
    text = f"nearest {_nearness(found)}"
    if found.is_exact:
        text = f"{found.title}, gradient error {percent(found.error)}"
    if wanted is None:
        yield Fact("divergence", text, numbers=numbers)
        return
    numbers |= {"declared cosine": wanted.cosine, "declared error": wanted.error}
    says, wrong = wanted.title, not wanted.is_exact
    if not wrong:
        text = f"{wanted.title}, gradient error {percent(wanted.error)}"
    elif wanted.cosine < EXACT - 1:
        text = f"{wanted.title} with the sign reversed"
    elif found.name != wanted.name:
        text += f"; to {wanted.title}: cosine {number(wanted.cosine)}"
    if subject.blend is not None and subject.declared.cross_entropy:
        text, wrong = subject.blend.title, subject.blend.name != wanted.name
    if subject.declared.support is not None:
        says += f" of {subject.declared.support} tokens"
        wrong = False  # the support has a fact of its own
    yield Fact("divergence", text, says, wrong, numbers)


def cross_entropy(subject: Subject) -> Iterator[Fact]:
    """Whether labels count, and which share of the gradient is that of their cross-entropy."""
    says = subject.declared.cross_entropy
    shown = "" if says is None else number(says)
    if subject.hard:
        return
    if not subject.reads_labels:
        yield Fact("cross-entropy", "none: labels change nothing", shown, bool(says))
        return
    if subject.blend is None:
        text = f"labels change the gradient; nearest {subject.fit.title}"
        yield Fact("cross-entropy", text, shown, not says)
        return
    share = subject.blend.share
    wrong = says is None or abs(share - says) > 1e-3
    numbers = {"share": share, "error": subject.blend.error}
    yield Fact("cross-entropy", subject.blend.title, shown, wrong, numbers)


def value(subject: Subject) -> Iterator[Fact]:
    """The value beside the formula's, with the weights that the gradient has."""
    found = subject.reference if subject.reference.is_exact else subject.fit
    if not found.is_exact:
        yield Fact("value", f"{number(subject.base.value)}; no formula to compare with")
        return
    expected = float((found.weight_N * found.value_N).sum())
    gap = subject.base.value - expected
    error = abs(gap) / max(abs(expected), 1e-12)
    numbers = {"value": subject.base.value, "exact": expected, "error": error}
    if error <= VALUE:
        yield Fact("value", f"exact to {percent(error)}", numbers=numbers)
        return
    text = f"{number(subject.base.value)} where {found.title} is {number(expected)}"
    if subject.entropy_share:
        text += f": {number(subject.entropy_share)} of the teacher's entropy is left in"
    elif abs(gap + 2 * expected) < VALUE * abs(expected):
        text += ": of the other sign"
    yield Fact("value", text, finding=True, numbers=numbers)


def agreement(subject: Subject) -> Iterator[Fact]:
    """Value and gradient where both models agree; whether a value is negative elsewhere."""
    batch = subject.batch
    others = {
        "the common batch": batch,
        "a flatter student": batch.with_student(0.5 * batch.student_BTV),
        "a sharper student": batch.with_student(2 * batch.student_BTV),
    }
    try:
        found = measure(subject.target, batch.with_student(batch.teacher_BTV))
        beside = {name: measure(subject.target, other) for name, other in others.items()}
    except Refused as error:
        yield Fact("agreement", f"raises {error}", finding=True)
        return
    share = found.norm / subject.base.norm
    text = f"value {number(found.value)}, gradient {percent(share)} of that of models apart"
    if abs(found.value) <= VALUE * abs(subject.base.value) and share < EXACT:
        text = "value 0, gradient 0"
    broken = [name for name, other in beside.items() if not other.finite]
    if broken:
        text += f"; value or gradient is no number with {' and '.join(broken)}"
    where, lowest = min(
        ((name, other.value) for name, other in beside.items()), key=lambda item: item[1]
    )
    if lowest < 0:
        text += f"; negative with {where}: {number(lowest)}"
    numbers = {"value": found.value, "gradient": share, "lowest": lowest}
    wrong = bool(broken) or (not subject.hard and (lowest < 0 or not found.finite))
    yield Fact("agreement", text, finding=wrong, numbers=numbers)


def beta(subject: Subject) -> Iterator[Fact]:
    """What β does: the family, whose β it is, its ends, and what is beside them."""
    if not subject.target.takes("beta"):
        return
    if not subject.followed:
        yield Fact("beta", "not told: no formula of the catalogue is followed at the defaults")
        return
    yield _convention(subject)
    for end, near in zip((0.0, 1.0), NEAR, strict=True):
        yield _end(subject, end, near)


def _convention(subject: Subject) -> Fact:
    says = subject.declared.beta or ""
    try:
        at = _at(subject, PROBED)
    except Refused as error:
        return Fact("beta", f"at {PROBED}: raises {error}", says, bool(says))
    if not (at.norm and at.finite):
        return Fact("beta", f"at {PROBED}: no gradient", says, bool(says))
    found = _nearest(subject, at, FAMILIES)
    numbers = {"error": found.error}
    for name, weight in (("gkd", PROBED), ("1 - gkd", 1 - PROBED)):
        is_it = found.name == "jsd" and abs(found.parameters[0] - weight) < EXACT
        if found.error <= EXACT and is_it:
            return Fact("beta", name, says, bool(says) and name != says, numbers)
    text = f"at {PROBED}: {'' if found.error <= EXACT else 'nearest '}{found.title}"
    return Fact("beta", text, says, bool(says), numbers)


def _end(subject: Subject, end: float, near: float) -> Fact:
    """Return what the loss is at an end of β and beside it."""
    name = f"beta → {end:g}"
    says = subject.declared.beta_0 if end == 0 else subject.declared.beta_1
    shown = titled(says) if says else ""
    try:
        beside, at = _at(subject, near), _at(subject, end)
    except Refused as error:
        return Fact(name, f"raises {error}", shown, bool(says))
    numbers: dict[str, float | str] = {"norm beside": beside.norm, "norm": at.norm}
    if not at.finite:
        return Fact(name, "no number", shown, True, numbers)
    if at.norm <= 1e-6 * subject.base.norm:
        text, wrong = "loss and gradient vanish at the end", bool(says)
    else:
        found = _nearest(subject, at, FAMILIES)
        near_it = "" if found.error <= EXACT else "nearest "
        text = f"{near_it}{found.title} at the end"
        wrong = bool(says) and not (not near_it and found.name == says)
    if subject.blend is None:
        to = says or ("forward_kl" if end == 0 else "reverse_kl")
        fitted = fits.against(subject.rows(subject.batch, beside), to)
        share = beside.norm / _weighted_norm(subject, to)
        numbers |= {"share": share, "cosine beside": fitted.cosine}
        text += f"; at {near:g} cosine {number(fitted.cosine)} to {titled(to)}"
        text += f", norm {percent(share)} of its"
    return Fact(name, text, shown, wrong, numbers)


def _nearest(subject: Subject, at: Measured, names: tuple[str, ...]) -> Fit | Blend:
    """Return what a gradient is nearest to, beside cross-entropy where the loss has it."""
    rows = subject.rows(subject.batch, at)
    if subject.blend is not None:
        return fits.blend(rows)
    return fits.nearest(rows, names)


def _weighted_norm(subject: Subject, name: str) -> float:
    """Return the norm of a divergence's gradient, tokens weighted as on the common batch."""
    grad_NV = subject.base_rows.exact(name).grad_NV
    if subject.fit.is_exact:
        return float((subject.fit.weight_N[:, None] * grad_NV).norm())
    return float(grad_NV.norm()) / len(grad_NV)


def _at(subject: Subject, value_: float) -> Measured:
    return measure(subject.target, subject.batch, beta=value_)


def _nearness(found: Fit) -> str:
    return f"{found.title}: cosine {number(found.cosine)}, error {percent(found.error)}"
