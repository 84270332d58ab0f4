"""Forward and reverse KL from hidden states, with their gradient in closed form.

Shapes: N valid tokens, C of them in a chunk, V shared vocabulary, H student's hidden size, G
teacher's hidden size. Where several processes train together, N are the tokens of all of them, and
hidden states are those of a process's own.

With u = z_s/T and v = z_t/T, q and p their softmaxes and d = log q − log p,

    FKL = −Σ p·d        RKL = Σ q·d
    ∂(a·FKL + b·RKL)/∂z_s = [a·(q − p) + b·q⊙(d − RKL)] / T

(ARKD, arXiv 2606.29869, eqs 1, 2, 5 and 6, for any temperature and any weights a, b). Weights that
are known beforehand go to `weighted_divergences`, which forms the gradient in its one sweep. Those
that follow from the divergences themselves go to what `divergences` returns. Everything runs in
`arkd.divergence.chunked`, chunk by chunk: nothing of [N, V] is made. On a GPU the element-wise work
of a block is one kernel, where `arkd.divergence.fused` has it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from arkd import ranks
from arkd.divergence import fused
from arkd.divergence.chunked import Formed, Kernel, Projection, recomputed, sweep, swept
from arkd.divergence.head import Head
from arkd.divergence.signals import Measurements, Softened, nll
from arkd.method import ChunkLoss, Signals
from arkd.ranks import Place


@dataclass(frozen=True)
class Teacher:
    """A teacher's values over N tokens: hidden states and the head that turns them into logits."""

    hidden_NG: Tensor
    head: Head


def _pair(hidden_NH: Tensor, head: Head, teacher: Teacher) -> tuple[Head, Projection]:
    """Return the student's head and the teacher's logits, cut to the shared vocabulary.

    Raises:
        ValueError: the teacher's states are not those of as many tokens.
    """
    if len(teacher.hidden_NG) != len(hidden_NH):
        raise ValueError(
            f"states of {len(hidden_NH)} tokens, and of {len(teacher.hidden_NG)} of the teacher's: "
            "both models have to read the same"
        )
    shared = min(len(head), len(teacher.head))
    return head.cut(shared), Projection(teacher.hidden_NG, teacher.head.cut(shared))


def _weighted(temperature: float, a_N: Tensor, b_N: Tensor, into: list[Tensor] | None) -> Kernel:
    """Return the kernel of a·FKL + b·RKL, which notes both divergences on its way."""

    def kernel(student_CV: Tensor, teacher_CV: Any, rows: slice) -> Formed:
        a_C, b_C = a_N[rows], b_N[rows]
        if fused.serves(student_CV, teacher_CV):
            fkl_C, rkl_C = fused.weighted(student_CV, teacher_CV, temperature, a_C, b_C)
            gradient_CV = student_CV
        else:
            soft = Softened.of(student_CV, teacher_CV, temperature)
            fkl_C, rkl_C = soft.fkl(), soft.rkl()
            gradient_CV = soft.gradient(a_C / temperature, b_C / temperature, rkl_C)
        if into is not None:
            into[0][rows], into[1][rows] = fkl_C, rkl_C
        return (a_C * fkl_C + b_C * rkl_C,), (gradient_CV,)

    return kernel


def by_token(like_N: Tensor, *weights: float | Tensor) -> list[Tensor]:
    """Return detached weights, each one number or one a token, as one a token [N].

    Raises:
        ValueError: a weight is neither.
    """
    return [_weight(weight, like_N).expand_as(like_N) for weight in weights]


def _weight(weight: float | Tensor, like_N: Tensor) -> Tensor:
    """Return a detached weight: one number [], or one a token [N]."""
    weight = torch.as_tensor(weight, dtype=like_N.dtype, device=like_N.device).detach()
    if weight.numel() == 1:
        return weight.reshape(())
    if weight.shape != like_N.shape:
        raise ValueError(
            f"a weight is one number, or one a token, [{len(like_N)}], not {list(weight.shape)}"
        )
    return weight


def weighted_divergences(
    hidden_NH: Tensor,
    head: Head,
    teacher: Teacher,
    fkl_weight: float | Tensor,
    rkl_weight: float | Tensor,
    *,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean over tokens of a·FKL + b·RKL (differentiable), and FKL and RKL, each [N].

    Args:
        hidden_NH: The student's hidden states before its head.
        head: The student's head.
        teacher: The teacher's values over the same tokens.
        fkl_weight: a, one number or one a token [N]; detached.
        rkl_weight: b, likewise.
        temperature: Softens both models.

    Raises:
        ValueError: weights of another shape, a teacher of other tokens, or a temperature that is
            not positive.
    """
    _check_temperature(temperature)
    (head, other), place = _pair(hidden_NH, head, teacher), Place.of(len(hidden_NH))
    fkl_N = hidden_NH.new_zeros(place.total, dtype=head.dtype)
    rkl_N = torch.zeros_like(fkl_N)
    a_N, b_N = by_token(fkl_N, fkl_weight, rkl_weight)
    kernel = _weighted(temperature, a_N, b_N, [fkl_N, rkl_N])
    total, _ = swept(place, hidden_NH, head, other, kernel)
    ranks.complete(fkl_N, rkl_N)
    return total / max(1, place.total), fkl_N, rkl_N


def _check_temperature(temperature: float) -> None:
    if not 0 < temperature < math.inf:
        raise ValueError(f"the temperature is a positive number, not {temperature}")


@dataclass(frozen=True)
class Divergences:
    """Forward and reverse KL of N tokens, differentiable, before their weights are known."""

    signals: Signals
    fkl: Tensor  # of each token [N], or their sum
    rkl: Tensor

    def loss(self, fkl_weight: float | Tensor, rkl_weight: float | Tensor) -> Tensor:
        """Return the mean over tokens of a·FKL + b·RKL; a and b are detached.

        Raises:
            ValueError: a weight for each token, where one for all was announced, or of another
                shape.
        """
        like_N = self.signals.fkl_N
        a, b = (_weight(weight, like_N) for weight in (fkl_weight, rkl_weight))
        if self.fkl.ndim == 0 and a.ndim + b.ndim:
            raise ValueError("weights of single tokens, where `batch_weights` promises one for all")
        weighted = a * self.fkl + b * self.rkl
        return weighted.sum() / max(1, len(like_N))


def divergences(
    hidden_NH: Tensor,
    head: Head,
    teacher: Teacher,
    labels_N: Tensor,
    sequence_N: Tensor,
    *,
    temperature: float,
    variance: Literal["probabilities", "logits"],
    head_mass: float | None = None,
    batch_weights: bool = False,
) -> Divergences:
    """Measure both divergences, so that their weights may follow from what is measured.

    There are two ways to a gradient with weights that come late. Sweeping again in the backward
    pass costs N·V·(4H + 2G) products in all: logits of both models twice, and two products for the
    gradient. Forming the gradients of both divergences at once costs N·V·(5H + G), and a second
    gradient of the head to hold: it is cheaper where H < G, but serves only weights that are the
    same for all tokens. The cheaper one is taken.

    Args:
        hidden_NH: The student's hidden states before its head.
        head: The student's head.
        teacher: The teacher's values over the same tokens.
        labels_N: The response's tokens.
        sequence_N: Which of the batch's sequences each token belongs to.
        temperature: Softens both.
        variance: What σ² runs over: the softened probabilities or the logits.
        head_mass: μ of the head–tail gaps; none: they are not measured.
        batch_weights: The weights will be one number each for all tokens.

    Raises:
        ValueError: a teacher of other tokens, or a temperature that is not positive.
    """
    _check_temperature(temperature)
    (head, other), place = _pair(hidden_NH, head, teacher), Place.of(len(hidden_NH))
    columns = Measurements(place.total, head, temperature, variance, head_mass, labels_N)
    if batch_weights and head.hidden < teacher.head.hidden:

        def both(student_CV: Tensor, teacher_CV: Any, rows: slice) -> Formed:
            return columns.add(student_CV, teacher_CV, rows, gradients=True)

        fkl, rkl, _, _ = swept(place, hidden_NH, head, other, both, count=2)
        ranks.complete(columns.values)
        return Divergences(columns.signals(sequence_N), fkl, rkl)
    student = Projection(hidden_NH, head)
    for rows, (student_CV, teacher_CV) in sweep(place, student, other):
        columns.add(student_CV, teacher_CV, rows)
    ranks.complete(columns.values)
    signals = columns.signals(sequence_N)

    def weighted(a_N: Tensor, b_N: Tensor) -> Kernel:
        return _weighted(temperature, a_N, b_N, None)

    measured = signals.fkl_N, signals.rkl_N
    losses = recomputed(place, hidden_NH, head, other, weighted, *measured)
    return Divergences(signals, *losses)


def token_divergence(
    hidden_NH: Tensor,
    head: Head,
    teacher: Teacher | None,
    loss: ChunkLoss,
    *,
    temperature: float,
) -> Tensor:
    """Return the mean over tokens of a method's own loss, its gradient formed block by block.

    Args:
        hidden_NH: The student's hidden states before its head.
        head: The student's head.
        teacher: The teacher's values over the same tokens; none if the method needs none.
        loss: From log-probabilities of some rows to the loss of each.
        temperature: Softens both models.

    Raises:
        ValueError: the loss returns anything but one number a token, a teacher of other tokens, or
            a temperature that is not positive.
    """
    _check_temperature(temperature)
    other, place = None, Place.of(len(hidden_NH))
    if teacher is not None:
        head, other = _pair(hidden_NH, head, teacher)

    def kernel(student_CV: Tensor, teacher_CV: Tensor | None, rows: slice) -> Formed:
        log_p: Any = None
        if teacher_CV is not None:
            log_p = torch.log_softmax(teacher_CV.to(student_CV.dtype) / temperature, dim=-1)
        with torch.enable_grad():
            logits_CV = student_CV.requires_grad_()
            losses_C = loss(torch.log_softmax(logits_CV / temperature, dim=-1), log_p, rows)
            _one_each(losses_C, student_CV)
            gradient = torch.autograd.grad(losses_C.sum(), logits_CV)
        return (losses_C.detach(),), gradient

    total, _ = swept(place, hidden_NH, head, other, kernel)
    return total / max(1, place.total)


@torch.no_grad()
def token_values(
    hidden_NH: Tensor,
    head: Head,
    teacher: Teacher | None,
    value: ChunkLoss,
    *,
    temperature: float,
) -> Tensor:
    """Return a value of each token [N] without gradient, in a sweep as `token_divergence` has it.

    Args:
        hidden_NH: The student's hidden states before its head.
        head: The student's head.
        teacher: The teacher's values over the same tokens; none if the method needs none.
        value: From log-probabilities of some rows to the value of each.
        temperature: Softens both models.

    Raises:
        ValueError: `value` returns anything but one number a token, a teacher of other tokens, or a
            temperature that is not positive.
    """
    _check_temperature(temperature)
    others, place = [], Place.of(len(hidden_NH))
    if teacher is not None:
        head, other = _pair(hidden_NH, head, teacher)
        others = [other]
    found_N = hidden_NH.new_zeros(place.total, dtype=head.dtype)
    for rows, logits in sweep(place, Projection(hidden_NH, head), *others):
        logs = [torch.log_softmax(x.to(head.dtype) / temperature, dim=-1) for x in logits]
        log_p: Any = logs[1] if others else None
        values_C = value(logs[0], log_p, rows)
        _one_each(values_C, logs[0])
        found_N[rows] = values_C
    ranks.complete(found_N)
    return found_N


def _one_each(values_C: Tensor, logits_CV: Tensor) -> None:
    """Refuse what is not one number a token: assigned to rows, it would be spread over them."""
    if values_C.shape != logits_CV.shape[:1]:
        raise ValueError(
            f"one number a token is wanted, [{len(logits_CV)}], not {list(values_C.shape)}: sum "
            "over the vocabulary alone"
        )


def label_log_probs(
    hidden_NH: Tensor, head: Head, labels_N: Tensor, *, temperature: float
) -> Tensor:
    """Return a model's log-probability of each label [N], without gradient.

    Args:
        hidden_NH: States that predict the labels.
        head: Of the same model.
        labels_N: Token ids, of the same tokens.
        temperature: What the logits are divided by.

    Raises:
        ValueError: the temperature is not positive.
    """
    _check_temperature(temperature)
    place = Place.of(len(hidden_NH))
    found_N = hidden_NH.new_zeros(place.total, dtype=head.dtype)
    for rows, (logits_CV,) in sweep(place, Projection(hidden_NH, head)):
        found_N[rows] = -nll(logits_CV.div_(temperature), labels_N[place.own(rows)])
    ranks.complete(found_N)
    return found_N


def cross_entropy(hidden_NH: Tensor, head: Head, labels_N: Tensor) -> Tensor:
    """Return the mean cross-entropy of the labels in nats, without keeping [N, V] logits."""
    place = Place.of(len(hidden_NH))

    def kernel(student_CV: Tensor, teacher_CV: Tensor | None, rows: slice) -> Formed:
        log_q = torch.log_softmax(student_CV, dim=-1)
        labels_C1 = labels_N[place.own(rows), None]
        nll_C = -log_q.gather(1, labels_C1).squeeze(1)
        gradient_CV = log_q.exp_()
        gradient_CV.scatter_add_(1, labels_C1, -torch.ones_like(gradient_CV[:, :1]))
        return (nll_C,), (gradient_CV,)

    total, _ = swept(place, hidden_NH, head, None, kernel)
    return total / max(1, place.total)
