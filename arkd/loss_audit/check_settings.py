"""Temperature, clamps and vocabularies: where a loss leaves its formula."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from arkd.loss_audit import fit as fits
from arkd.loss_audit.batches import apart
from arkd.loss_audit.facts import Fact, number, percent
from arkd.loss_audit.fit import Rows
from arkd.loss_audit.probe import Refused, measure
from arkd.loss_audit.subject import Subject, change, entropy

SPREADS = (1.0, 3.0, 10.0, 30.0)  # deviation of the student's logits from the teacher's
NEARLY = 0.05  # error of a gradient on ordinary logits beyond which no formula is followed
PAD = 1.5  # logit of padded columns, within the range of the others
SOFTENED = {
    (2.0, 2.0): "softens both models",
    (2.0, 1.0): "softens the student alone",
    (1.0, 2.0): "softens the teacher alone",
    (1.0, 1.0): "softens nothing",
}


def temperature(subject: Subject) -> Iterator[Fact]:
    """Which models T softens, and by which power of T the loss is multiplied."""
    if not subject.target.takes("temperature"):
        return
    says = subject.declared.temperature_power
    shown = "" if says is None else f"T^{says}"
    try:
        found = measure(subject.target, subject.batch, temperature=2.0)
    except Refused as error:
        yield Fact("temperature", f"at 2: raises {error}", shown, True)
        return
    if not found.finite:
        yield Fact("temperature", "at 2: value or gradient is no number", shown, True)
        return
    reference, rows = subject.reference, subject.rows(subject.batch, found)
    if not reference.is_exact:
        beside = "beside cross-entropy" if subject.blend is not None else "without a formula at 1"
        yield Fact("temperature", f"not told {beside}", shown)
        return
    tried = {
        pair: fits.against(rows, reference.name, reference.parameters, temperatures=pair)
        for pair in SOFTENED
    }
    pair = min(tried, key=lambda key: tried[key].error)
    best = tried[pair]
    seen_N = reference.weight_N > 0  # a loss may leave out scored positions
    factor = float(best.weight_N[seen_N].median() / reference.weight_N[seen_N].median())
    if not factor:
        yield Fact("temperature", "at 2: no gradient at most positions", shown, True)
        return
    power = math.log2(factor)
    numbers = {"power": power, "cosine": best.cosine, "error": best.error}
    text = SOFTENED[pair]
    if best.error > 1.5 * max(reference.error, fits.EXACT):
        text = f"at 2 it is no longer {reference.title}: cosine {number(best.cosine)}"
        yield Fact("temperature", text, shown, True, numbers)
        return
    whole = round(power) if abs(power - round(power)) < 0.05 else None
    factors = {0: "no factor", 1: "times T", 2: "times T²"}
    text += ", " + factors.get(whole, f"times T^{number(power)}")  # type: ignore[arg-type]
    wrong = pair != (2.0, 2.0) or (says is not None and whole != says)
    yield Fact("temperature", text, shown, wrong, numbers)


def clamp(subject: Subject) -> Iterator[Fact]:
    """Where the loss falls short of its divergence as the student moves away from the teacher."""
    reference = subject.reference
    if reference.error > NEARLY:
        yield from _silent_positions(subject)
        return
    says = subject.declared.clamp
    shown = "" if says is None else number(says)
    common = _ratio(subject, subject.base.value, subject.base_rows, reference.value_N)
    in_value = abs(common - 1) <= 0.01  # else it is no clamp that the value differs elsewhere
    for spread in SPREADS:
        batch = apart(spread)
        try:
            found = measure(subject.target, batch)
        except Refused as error:
            yield Fact("clamp", f"at divergences of {number(spread**2 / 2)} nats: raises {error}")
            return
        rows = subject.rows(batch, found)
        fitted = fits.against(rows, reference.name, reference.parameters)
        mean = float(fitted.value_N.mean())
        ratio = _ratio(subject, found.value, rows, fitted.value_N)
        falls_short = in_value and not abs(ratio - 1) <= 0.01
        if fitted.error <= 0.01 and not falls_short and found.finite:
            continue
        if not found.finite:
            text = f"value or gradient is no number where they are {spread:g} apart"
            yield Fact("finite logits", text, finding=True, numbers={"nats": mean})
            return
        still = float((rows.grad_NV.norm(dim=-1) == 0).double().mean())
        text = f"logits {spread:g} apart, {number(mean)} nats a token: "
        text += f"{number(ratio)} times its formula, gradient error {percent(fitted.error)}"
        if still:
            text += f", no gradient at {percent(still)} of the positions"
        numbers = {"nats": mean, "ratio": ratio, "error": fitted.error, "still": still}
        yield Fact("clamp", text, shown, says is None, numbers)
        return
    yield Fact("clamp", f"none up to {number(mean)} nats a token", shown, says is not None)


def vocabulary(subject: Subject) -> Iterator[Fact]:
    """What 64 padded columns more of one model do to the loss."""
    words, numbers = [], {}
    for who in ("teacher", "student"):
        logits_BTV = getattr(subject.batch, f"{who}_BTV")
        wide_BTV = torch.cat(
            [logits_BTV, logits_BTV.new_full((*logits_BTV.shape[:2], 64), PAD)], -1
        )
        widen = subject.batch.with_teacher if who == "teacher" else subject.batch.with_student
        try:
            found = measure(subject.target, widen(wide_BTV))
        except Refused as error:
            words.append(f"{who}: raises {str(error).partition(':')[0]}")
            continue
        gap = change(found.value, subject.base.value)
        numbers[who] = gap
        words.append(f"{who}: {'cut off' if gap < 1e-5 else f'the value by {percent(gap)}'}")
    yield Fact("vocabulary", f"64 columns more of {'; '.join(words)}", numbers=numbers)


def _silent_positions(subject: Subject) -> Iterator[Fact]:
    """Scored positions that have no gradient, where there is no formula to fall short of."""
    still = float((subject.base_rows.grad_NV.norm(dim=-1) == 0).double().mean())
    if still:
        text = f"no gradient at {percent(still)} of the scored positions"
        yield Fact("clamp", text, finding=subject.declared.clamp is None, numbers={"still": still})


def _ratio(subject: Subject, found: float, rows: Rows, value_N: Tensor) -> float:
    """Return a value over that of the formula, weighted as on the common batch.

    The teacher's entropy is left out as far as the common batch's value has it.
    """
    weight_N = subject.reference.weight_N  # every batch has the common layout
    if subject.entropy_share:
        found -= subject.entropy_share * float((weight_N * entropy(rows)).sum())
    return found / float((weight_N * value_N).sum())
