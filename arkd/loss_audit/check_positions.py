"""Which positions are scored, and how their losses become one: mask, shift, padding, reduction."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from arkd.loss_audit.batches import LAYOUTS, VOCABULARY, Batch, alike
from arkd.loss_audit.facts import Fact, number, percent
from arkd.loss_audit.probe import Refused, measure
from arkd.loss_audit.subject import Subject, change, relative

SHIFTS = {False: "aligned", True: "shifted"}
SHIFT_TITLES = {"aligned": "logits[t] with labels[t]", "shifted": "logits[t] with labels[t + 1]"}
ONE = 1e-3  # relative deviation up to which weights count as equal


def mask(subject: Subject) -> Iterator[Fact]:
    """Which positions have a gradient, beside those whose label is not −100."""
    reached_BT, kind = subject.reached(subject.base), SHIFTS[subject.shifted]
    scored_BT = subject.batch.scored(subject.shifted)
    outside, missed = (
        int((a & ~b).sum()) for a, b in ((reached_BT, scored_BT), (scored_BT, reached_BT))
    )
    counts = {"outside": float(outside), "missed": float(missed), "scored": float(scored_BT.sum())}
    if subject.declared.positions == "caller":
        yield Fact("mask", "the caller's: it is handed scored tokens alone", "caller")
        return
    if outside:
        text = f"gradient at {outside} positions that are labelled −100"
    elif missed:
        text = f"no gradient at {missed} of {int(scored_BT.sum())} labelled positions"
    else:
        text = "labelled positions and no others"
    yield Fact("mask", text, finding=bool(outside or missed), numbers=counts)
    says = subject.declared.positions
    measured = "not seen: all positions are scored" if bool(reached_BT.all()) else kind
    wrong = says is not None and measured in SHIFT_TITLES and measured != says
    shown = SHIFT_TITLES.get(measured, measured)
    yield Fact("shift", shown, SHIFT_TITLES.get(says or "", ""), wrong)


def padding(subject: Subject) -> Iterator[Fact]:
    """Whether what stands at padding, and how much of it, changes the loss."""
    hidden_BT = ~subject.batch.scored(subject.shifted)
    loud_BT1 = torch.where(hidden_BT, 7.0, 1.0).unsqueeze(-1)
    loud = Batch(
        subject.batch.student_BTV * loud_BT1,
        subject.batch.teacher_BTV.flip(-1) * loud_BT1 * hidden_BT[..., None]
        + subject.batch.teacher_BTV * ~hidden_BT[..., None],
        subject.batch.labels_BT,
    )
    changes = []
    for batch in (loud, subject.batch.padded(7)):
        try:
            changes.append(change(measure(subject.target, batch).value, subject.base.value))
        except Refused as error:
            yield Fact("padding", f"raises {error}")
            return
    content, amount = (not share <= 1e-4 for share in changes)  # NaN is a change too
    words = []
    if content:
        words.append(f"logits at ignored positions change the value by {percent(changes[0])}")
    if amount:
        words.append(f"7 more padded positions change the value by {percent(changes[1])}")
    text = "; ".join(words) or "changes nothing"
    wrong = (content or amount) and subject.declared.reduction != "padded mean"
    yield Fact(
        "padding", text, finding=wrong, numbers={"content": changes[0], "amount": changes[1]}
    )


def reduction(subject: Subject) -> Iterator[Fact]:
    """How the weight of a position depends on the batch, by batches of one repeated position."""
    says = subject.declared.reduction or ""
    weights, layouts = [], []
    for layout in range(len(LAYOUTS)):
        batch = alike(layout)
        found = measure(subject.target, batch)
        if not found.finite:
            text = f"value or gradient is no number on {len(batch.labels_BT)} sequences"
            yield Fact("reduction", text, says, True)
            return
        norm_BT = found.grad_BTV.norm(dim=-1)
        scored_BT = batch.scored(subject.shifted)
        weights.append(norm_BT[scored_BT])
        layouts.append(scored_BT)
    spreads = {name: _spread(rule, weights, layouts) for name, rule in REDUCTIONS.items()}
    name = min(spreads, key=spreads.__getitem__)
    spread = spreads[name]
    scale = _scale(subject, name)
    numbers = {"deviation": spread, "scale": scale}
    if spread > ONE:
        text = f"none of the known; nearest {name}, weights off by {percent(spread)}"
        yield Fact("reduction", text, says, bool(says), numbers)
        return
    if abs(scale * VOCABULARY - 1) < 0.01 and name in ("token mean", "padded mean"):
        name, scale = "vocabulary mean", scale * VOCABULARY
    shape = subject.base.shape
    extra = f"; returns a loss a token {list(shape)}" if shape else ""
    yield Fact("reduction", name + extra, says, bool(says) and name != says, numbers)
    if subject.fit.is_exact and abs(scale - (subject.declared.scale or 1)) > 0.01 * scale:
        factor = "" if subject.declared.scale is None else number(subject.declared.scale)
        text = f"{number(scale)} times the {name} of {subject.fit.title}"
        claimed = subject.declared.reduction is not None
        yield Fact("scale", text, factor, claimed, {"scale": scale})


def micro_batches(subject: Subject) -> Iterator[Fact]:
    """Whether sequences one by one give the gradient of the batch, by their mean or their sum."""
    parts = []
    for number_ in range(len(subject.batch.labels_BT)):
        try:
            measured_alone = measure(subject.target, subject.batch.sequence(number_))
        except Refused as error:
            yield Fact("micro-batches", f"a single sequence: raises {error}", finding=True)
            return
        if not measured_alone.finite:
            text = "a single sequence: value or gradient is no number"
            yield Fact("micro-batches", text, finding=True)
            return
        parts.append(measured_alone.grad_BTV)
    sum_BTV = torch.cat(parts)
    by_mean = relative(sum_BTV / len(parts), subject.base.grad_BTV)
    by_sum = relative(sum_BTV, subject.base.grad_BTV)
    numbers = {"mean": by_mean, "sum": by_sum}
    if min(by_mean, by_sum) < ONE:
        text = f"their {'mean' if by_mean < by_sum else 'sum'} is the batch's gradient"
    else:
        text = f"their mean is off the batch's gradient by {percent(by_mean)}"
    yield Fact("micro-batches", text, numbers=numbers)


def _scale(subject: Subject, name: str) -> float:
    """Return the constant factor of a position's weight on the common batch."""
    weight_N = subject.fit.weight_N / REDUCTIONS[name](subject.counted_BT)
    return float(weight_N.median())


def _spread(
    rule: Callable[[Tensor], Tensor], weights: list[Tensor], layouts: list[Tensor]
) -> float:
    """Return how far weights are from a rule times one constant."""
    ratios_N = torch.cat([w_N / rule(m_BT) for w_N, m_BT in zip(weights, layouts, strict=True)])
    middle = float(ratios_N.median())
    if not middle:
        return float("inf")
    return float((ratios_N / middle - 1).abs().max())


def _each(scored_BT: Tensor, weight: float) -> Tensor:
    return torch.full((int(scored_BT.sum()),), weight, dtype=torch.float64)


def _by_sequence(scored_BT: Tensor) -> Tensor:
    count_B = scored_BT.sum(dim=1).double()
    weight_BT = 1 / (len(count_B) * count_B)[:, None].expand(scored_BT.shape)
    return weight_BT[scored_BT]


REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "token mean": lambda m_BT: _each(m_BT, 1 / int(m_BT.sum())),
    "sequence mean": _by_sequence,
    "batch mean": lambda m_BT: _each(m_BT, 1 / len(m_BT)),
    "sum": lambda m_BT: _each(m_BT, 1.0),
    "padded mean": lambda m_BT: _each(m_BT, 1 / m_BT.numel()),
    "padded mean, shifted": lambda m_BT: _each(m_BT, 1 / (m_BT.numel() - len(m_BT))),
}
