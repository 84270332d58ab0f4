"""Which tokens of the vocabulary a loss looks at.

Shapes: B sequences, T positions, N scored positions, V vocabulary, K tokens of a support.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from arkd.conformance.formulas import jsd, kl
from arkd.loss_audit import fit as fits
from arkd.loss_audit.batches import VOCABULARY
from arkd.loss_audit.facts import Fact, number, percent
from arkd.loss_audit.probe import measure
from arkd.loss_audit.subject import Subject, relative

NOTICED = 1e-4  # relative change of a gradient on the tokens that are looked at
ROUNDING = 1e-6  # and the least one relative to the whole gradient


def support(subject: Subject) -> Iterator[Fact]:
    """How many of the most probable tokens count, by the teacher's logits of the others.

    Those change places, which leaves every normaliser as it is.
    """
    says = subject.declared.support
    shown = "" if says is None else f"{says} tokens"
    size = _support(subject)
    numbers = {"tokens": float(size)}
    if size >= VOCABULARY:
        yield Fact("support", "the whole vocabulary", shown, says is not None, numbers)
        return
    if size == 0:
        wrong = subject.declared.divergence is not None and not subject.hard
        yield Fact("support", "the label alone", shown, wrong, numbers)
        return
    whose = [who for who in ("teacher", "student") if not _moves(subject, size, who)]
    who = whose[0] if len(whose) == 1 else "either model"
    kind, error = _truncated(subject, who, size)
    text = (
        f"the {who}'s {size} most probable tokens"
        if len(whose) == 1
        else (f"the {size} most probable tokens of either model")
    )
    text += f": {kind}" if error <= fits.EXACT else f": nearest {kind}, error {percent(error)}"
    for name in ("forward_kl", "reverse_kl"):
        fitted = fits.against(subject.base_rows, name)
        text += f"; cosine {number(fitted.cosine)} to {fitted.title}"
        numbers[f"cosine to {name}"] = fitted.cosine
    numbers["error"] = error
    yield Fact("support", text, shown, size != says or error > fits.EXACT, numbers)


def _support(subject: Subject) -> int:
    """Return how many of each model's most probable tokens count; 0 if the label alone does."""
    whole = VOCABULARY - VOCABULARY // 8
    if _moves(subject, whole):
        return VOCABULARY
    if not _moves(subject, 0):
        return 0
    low, high = 0, whole  # moved at low, not at high
    while high - low > 1:
        middle = (low + high) // 2
        if _moves(subject, middle):
            low = middle
        else:
            high = middle
    return high


def _moves(subject: Subject, first: int, who: str = "either") -> bool:
    """Say whether the gradient on tokens beyond a rank notices the teacher's logits there.

    Args:
        subject: The loss.
        first: The rank.
        who: Whose rank: `teacher`, `student`, or `either` for tokens beyond it in both.
    """
    batch = subject.batch
    beyond_BTV = torch.ones_like(batch.teacher_BTV, dtype=torch.bool)
    for model, logits_BTV in (("teacher", batch.teacher_BTV), ("student", batch.student_BTV)):
        if first and who in (model, "either"):
            beyond_BTV.scatter_(-1, logits_BTV.topk(first, dim=-1).indices, False)
    beyond_BTV.scatter_(-1, subject.labels(batch).clamp_min(0).unsqueeze(-1), False)
    beyond_BTV &= subject.counted_BT.unsqueeze(-1)
    moved_BTV = batch.teacher_BTV.clone()
    for place in map(tuple, subject.counted_BT.nonzero().tolist()):
        tokens = beyond_BTV[place].nonzero()[:, 0]
        moved_BTV[place][tokens] = batch.teacher_BTV[place][tokens.roll(1)]
    found = measure(subject.target, batch.with_teacher(moved_BTV))
    after, before = found.grad_BTV[beyond_BTV], subject.base.grad_BTV[beyond_BTV]
    above_rounding = float((after - before).norm()) > ROUNDING * subject.base.norm
    return above_rounding and relative(after, before) > NOTICED


def _truncated(subject: Subject, who: str, size: int) -> tuple[str, float]:
    """Return the truncation that explains a gradient best, and its relative error."""
    rows = subject.base_rows
    kept_NK = (rows.student_NV if who == "student" else rows.teacher_NV).topk(size).indices
    z_NV = rows.student_NV.double().requires_grad_()
    p_NK, q_NK = (x_NV.softmax(-1).gather(1, kept_NK) for x_NV in (rows.teacher_NV.double(), z_NV))
    ways = {
        "as they are": (p_NK, q_NK),
        "normalised anew": tuple(x_NK / x_NK.sum(-1, keepdim=True) for x_NK in (p_NK, q_NK)),
        "with the others as one token": tuple(
            torch.cat([x_NK, 1 - x_NK.sum(-1, keepdim=True)], dim=-1) for x_NK in (p_NK, q_NK)
        ),
    }
    best = ("", float("inf"))
    for title, formula in TRUNCATED.items():
        for way, (p_NJ, q_NJ) in ways.items():
            value_N = formula(p_NJ, q_NJ)
            (grad_NV,) = torch.autograd.grad(value_N.sum(), z_NV, retain_graph=True)
            fitted = fits.compared(rows.grad_NV, fits.Exact(value_N.detach(), grad_NV), title)
            if fitted.error < best[1]:
                best = (f"{title} of them, {way}", fitted.error)
    return best


TRUNCATED = {
    "forward KL": kl,
    "reverse KL": lambda p_NK, q_NK: kl(q_NK, p_NK),
    "JSD(0.5)": lambda p_NK, q_NK: jsd(p_NK, q_NK, 0.5),
}
