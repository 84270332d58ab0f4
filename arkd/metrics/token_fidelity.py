"""Fidelity to the teacher, token by token: divergences, head and tail, ranks, calibration.

Every measure is a ratio of two sums over response tokens, so that any group of tokens has it: a
mean has 1 in its denominator, a micro-average what it averages over. All in float32 at temperature
1. p is the teacher, q the student; shapes: C tokens of a chunk, V vocabulary.

Partial divergences are the generalised ones, p·log(p/q) − p + q and q·log(q/p) − q + p: each is at
least 0, and over the whole vocabulary they add up to forward and reverse KL. The head is the
smallest set of the teacher's most probable tokens that holds the mass μ; the rest is the tail.

**Tail-probability recall and precision** are this project's definitions. A tail token counts if the
teacher gives it p ≥ ε = scale/V. Recall is the share of counted tail tokens that the student gives
q ≥ c·p; precision is the share of the student's tail mass that lies on counted tokens. Both are
micro-averaged, and recall never stands alone: a flat student has all of it.

An impossible token (log 0 = −∞, as of a masked row of a head) counts as in training: as one of
probability e^LOG_ZERO, so that 0·log 0 is 0; see `arkd.objectives`.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from arkd.divergence.chunked import chunks, outside_autocast
from arkd.divergence.head import Head
from arkd.objectives import LOG_ZERO
from arkd.suite.settings import TailSettings
from arkd.teacher.shards import HiddenStates

BIN_STARTS = (1, 2, 11, 101, 1001)
Measures = dict[
    tuple[str, str], tuple[Tensor, Tensor]
]  # (metric, group) → (sums, weights), each [C]


def rank_bins(vocabulary: int) -> dict[str, slice]:
    """Return the bins of teacher ranks by name: 1, 2–10, 11–100, 101–1,000 and beyond.

    A last bin that would hold fewer ranks than lie before it joins its neighbour.
    """
    starts = [s for s in BIN_STARTS if s <= 2 or 2 * s <= vocabulary]
    bins = {"rank_1": slice(0, 1)}
    for low, after in itertools.pairwise(starts[1:]):
        bins[f"rank_{low}_{after - 1}"] = slice(low - 1, after - 1)
    if len(starts) > 1:
        bins[f"rank_{starts[-1]}_up"] = slice(starts[-1] - 1, None)
    return bins


def measure(
    student_CV: Tensor, teacher_CV: Tensor, labels_C: Tensor, settings: TailSettings
) -> Measures:
    """Return every measure of a chunk of tokens from both models' logits.

    Args:
        student_CV: The student's logits.
        teacher_CV: The teacher's.
        labels_C: The tokens that follow.
        settings: What counts as tail, and k of the agreement.
    """
    log_q, log_p = (x.float().log_softmax(-1).clamp_min(LOG_ZERO) for x in (student_CV, teacher_CV))
    nll = -log_q.gather(-1, labels_C[:, None]).squeeze(-1)
    p_sorted, order = log_p.exp().sort(dim=-1, descending=True, stable=True)
    # All that follows is in the order of the teacher's ranks.
    log_p, log_q = log_p.gather(-1, order), log_q.gather(-1, order)
    p, q = p_sorted, log_q.exp()
    ones_C = torch.ones_like(p[:, 0])
    forward = (p * (log_p - log_q) - p + q).clamp_min(0)
    reverse = (q * (log_q - log_p) - q + p).clamp_min(0)
    log_m = torch.logaddexp(log_p, log_q) - torch.log(torch.tensor(2.0))
    jsd = 0.5 * (p * (log_p - log_m) + q * (log_q - log_m)).sum(-1)
    gap = (p - q).abs()
    tvd = 0.5 * gap.sum(-1)
    tail = p.cumsum(-1) - p >= settings.tail_mass
    counted = tail & (p >= settings.epsilon_scale / p.shape[-1])
    recalled = counted & (q >= settings.recall_ratio * p)
    k = settings.top_k
    entropy_gap = -(q * log_q).sum(-1) + (p * log_p).sum(-1)
    top_k_student = q.topk(k, dim=-1).indices
    values: dict[str, tuple[Tensor, Tensor]] = {
        "fkl": (forward.sum(-1), ones_C),
        "rkl": (reverse.sum(-1), ones_C),
        "jsd": (jsd.clamp_min(0), ones_C),
        "tvd": (tvd, ones_C),
        "fkl_head": (forward.masked_fill(tail, 0).sum(-1), ones_C),
        "fkl_tail": (forward.masked_fill(~tail, 0).sum(-1), ones_C),
        "rkl_head": (reverse.masked_fill(tail, 0).sum(-1), ones_C),
        "rkl_tail": (reverse.masked_fill(~tail, 0).sum(-1), ones_C),
        "tail_mass_ratio": (q.masked_fill(~tail, 0).sum(-1), p.masked_fill(~tail, 0).sum(-1)),
        "tail_recall": (recalled.sum(-1).float(), counted.sum(-1).float()),
        "tail_precision": (q.masked_fill(~counted, 0).sum(-1), q.masked_fill(~tail, 0).sum(-1)),
        "agreement_top1": ((q.argmax(-1) == 0).float(), ones_C),
        f"agreement_top{k}": ((top_k_student < k).float().mean(-1), ones_C),
        "entropy_gap": (entropy_gap, ones_C),
        "acceptance": (1 - tvd, ones_C),
        "nll": (nll, ones_C),
    }
    if settings.overlap:  # over one tail, the teacher's: 2·Σ min(p, q) / Σ (p + q)
        shared, either = torch.minimum(p, q), p + q
        mass = q.masked_fill(~tail, 0).sum(-1)
        parts = (2 * shared.masked_fill(~tail, 0).sum(-1), either.masked_fill(~tail, 0).sum(-1))
        values |= {"tail_overlap": parts, "tail_mass": (mass, ones_C)}
    measures: Measures = {(name, ""): value for name, value in values.items()}
    for group, ranks in rank_bins(p.shape[-1]).items():
        for name, part in (("abs_gap", gap), ("fkl", forward), ("rkl", reverse)):
            measures[name, group] = (part[:, ranks].sum(-1), ones_C)
    return measures


class Calibration:
    """Expected calibration error of the top token, and full ECE over every token's probability.

    Bins are equal in width. ECE is Σ_bins |hits − confidence| / N. Full ECE (arXiv 2406.11345) does
    the same over all N·V predicted probabilities, the label counting as the one hit of its row.
    """

    def __init__(self, bins: int, device: torch.device | str = "cpu") -> None:
        self.bins = bins
        self.top = torch.zeros(bins, 2, dtype=torch.float64, device=device)
        self.full = torch.zeros_like(self.top)
        self.tokens = 0

    def add(self, student_CV: Tensor, labels_C: Tensor) -> None:
        """Count a chunk of tokens, where its logits lie: only the bins' sums ever travel."""
        q = student_CV.float().softmax(-1)
        confidence, best = q.max(-1)
        self._count(self.top, confidence, confidence[best == labels_C])
        self._count(self.full, q.flatten(), q.gather(1, labels_C[:, None]).squeeze(1))
        self.tokens += len(q)

    def _count(self, sums: Tensor, probabilities: Tensor, hits: Tensor) -> None:
        """Add the number of hits in each bin, and the sum of all probabilities in it."""
        sums[:, 0] += torch.bincount(self._bin(hits), minlength=self.bins)
        sums[:, 1] += torch.bincount(
            self._bin(probabilities), probabilities.double(), minlength=self.bins
        )

    def _bin(self, probabilities: Tensor) -> Tensor:
        return (probabilities * self.bins).long().clamp_max(self.bins - 1)

    def errors(self) -> dict[str, float]:
        """Return `ece` and `full_ece`."""
        return {
            name: math.fsum((sums[:, 0] - sums[:, 1]).abs().tolist()) / max(1, self.tokens)
            for name, sums in (("ece", self.top), ("full_ece", self.full))
        }


@torch.no_grad()
def measure_tokens(
    student_NH: Tensor,
    student_head: Head,
    teacher_NG: Tensor | HiddenStates,
    teacher_head: Head,
    labels_N: Tensor,
    settings: TailSettings,
) -> tuple[Measures, Calibration]:
    """Measure N tokens chunk by chunk from both models' hidden states; values as float64 [N].

    The teacher's states are read a chunk at a time, and moved to where the student's are. Nothing
    carries a gradient.

    Args:
        student_NH: The student's hidden states.
        student_head: Makes logits of them.
        teacher_NG: The teacher's hidden states, in memory or in shards on disk.
        teacher_head: Makes logits of those.
        labels_N: The tokens that follow.
        settings: What counts as tail, k of the agreement and the bins of calibration.

    Raises:
        ValueError: the teacher's states or the labels are not of as many tokens.
    """
    if not len(student_NH) == len(teacher_NG) == len(labels_N):
        raise ValueError(
            f"states of {len(student_NH)} tokens, {len(teacher_NG)} of the teacher's and "
            f"{len(labels_N)} labels: both models have to read the same"
        )
    vocabulary = min(len(student_head), len(teacher_head))
    student_head, teacher_head = student_head.cut(vocabulary), teacher_head.cut(vocabulary)
    parts: list[Measures] = []
    calibration = Calibration(settings.ece_bins, student_NH.device)
    with outside_autocast(student_NH):
        for rows in chunks(len(student_NH), vocabulary, student_NH.is_cpu):
            student_CV = student_head.logits(student_NH[rows])
            teacher_CV = teacher_head.logits(teacher_NG[rows].to(student_NH.device))
            parts.append(measure(student_CV, teacher_CV, labels_N[rows], settings))
            calibration.add(student_CV, labels_N[rows])
    joined = {
        key: (
            torch.cat([part[key][0].double().cpu() for part in parts]),
            torch.cat([part[key][1].double().cpu() for part in parts]),
        )
        for key in parts[0]
    }
    return joined, calibration
