"""Forward and reverse KL from hidden states, chunk by chunk, with their gradient in closed form.

Shapes: N valid tokens, V shared vocabulary, H student's hidden size, G teacher's hidden size.

With u = z_s/T and v = z_t/T, q and p their softmaxes and d = log q − log p,

    FKL = −Σ p·d        RKL = Σ q·d
    ∂(a·FKL + b·RKL)/∂z_s = [a·(q − p) + b·q⊙(d − RKL)] / T

(ARKD, arXiv 2606.29869, eqs 1, 2, 5 and 6, for any temperature and any weights a, b). No
[N, V]-sized tensor outlives its chunk: the loss keeps the gradients of the hidden states and of the
head, which it forms in the forward sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from arkd.method import ChunkLoss, Signals

CHUNK_BYTES = 32 * 2**20  # of one [rows, V] float32 tensor; a handful of them are alive at a time

# What is known of a chunk's rows → (loss of each row [C], its gradient on the logits [C, V]).
Kernel = Callable[[Tensor, slice], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Teacher:
    """A teacher's values over N tokens: hidden states and the head that turns them into logits."""

    hidden_NG: Tensor
    head_VG: Tensor

    def logits(self, rows: slice, vocabulary: int) -> Tensor:
        """Return float32 logits [C, V] of some rows, cut to the shared vocabulary."""
        return self.hidden_NG[rows].float() @ self.head_VG[:vocabulary].float().T


def chunks(n_tokens: int, vocabulary: int) -> Iterator[slice]:
    """Yield slices of rows whose float32 logits take at most CHUNK_BYTES (at least one row)."""
    rows = max(1, CHUNK_BYTES // (4 * vocabulary))
    for start in range(0, n_tokens, rows):
        yield slice(start, min(start + rows, n_tokens))


class _ChunkedLoss(torch.autograd.Function):
    """Σ over rows of a kernel of the logits; the gradient is formed in the forward sweep."""

    @staticmethod
    def forward(ctx: Any, hidden_NH: Tensor, head_VH: Tensor, kernel: Kernel) -> tuple[Any, Any]:
        losses_N = hidden_NH.new_empty(len(hidden_NH), dtype=torch.float32)
        grad_hidden = torch.empty_like(hidden_NH)
        grad_head = torch.zeros(head_VH.shape, dtype=torch.float32, device=head_VH.device)
        head = head_VH.float()
        for rows in chunks(len(hidden_NH), len(head_VH)):
            hidden_CH = hidden_NH[rows].float()
            losses_N[rows], grad_CV = kernel(hidden_CH @ head.T, rows)
            grad_hidden[rows] = (grad_CV @ head).to(grad_hidden.dtype)
            grad_head.addmm_(grad_CV.T, hidden_CH)
        ctx.save_for_backward(grad_hidden, grad_head.to(head_VH.dtype))
        ctx.mark_non_differentiable(losses_N)
        return losses_N.sum(), losses_N

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, None]:
        grad_hidden, grad_head = ctx.saved_tensors
        return grads[0] * grad_hidden, grads[0] * grad_head, None


def chunked_loss(hidden_NH: Tensor, head_VH: Tensor, kernel: Kernel) -> tuple[Tensor, Tensor]:
    """Return the sum of a kernel's losses (differentiable) and the losses themselves [N]."""
    total, losses_N = _ChunkedLoss.apply(hidden_NH, head_VH, kernel)
    return total, losses_N


@dataclass(frozen=True)
class Softened:
    """Both distributions of a chunk at temperature T, and their log-ratio d = log q − log p."""

    log_q: Tensor
    log_p: Tensor
    q: Tensor
    p: Tensor
    d: Tensor

    @classmethod
    def of(cls, student_CV: Tensor, teacher_CV: Tensor, temperature: float) -> Softened:
        """Soften two chunks of logits [C, V]."""
        log_q = torch.log_softmax(student_CV / temperature, dim=-1)
        log_p = torch.log_softmax(teacher_CV / temperature, dim=-1)
        return cls(log_q, log_p, log_q.exp(), log_p.exp(), log_q - log_p)

    def fkl(self) -> Tensor:
        """KL(p‖q) of each row, in nats."""
        return -_dot(self.p, self.d)

    def rkl(self) -> Tensor:
        """KL(q‖p) of each row, in nats."""
        return _dot(self.q, self.d)


def _dot(x_CV: Tensor, y_CV: Tensor) -> Tensor:
    """Σ x·y over the vocabulary, where 0·±inf counts as 0 (a token that is impossible)."""
    return torch.nan_to_num(x_CV * y_CV, nan=0.0, posinf=torch.inf, neginf=-torch.inf).sum(-1)


@torch.no_grad()
def measure(
    hidden_NH: Tensor,
    head_VH: Tensor,
    teacher: Teacher,
    labels_N: Tensor,
    sequence_N: Tensor,
    *,
    temperature: float,
    variance: Literal["probabilities", "logits"],
    head_mass: float | None = None,
) -> Signals:
    """Sweep over the tokens once and return what methods may look at.

    Args:
        hidden_NH: The student's hidden states before its head.
        head_VH: The student's head.
        teacher: The teacher's values over the same tokens.
        labels_N: The response's tokens.
        sequence_N: Which of the batch's sequences each token belongs to.
        temperature: Softens both.
        variance: What σ² runs over: the softened probabilities or the logits.
        head_mass: μ of the head–tail gaps; none: they are not measured.
    """
    columns: list[list[Tensor]] = []
    vocabulary = min(len(head_VH), len(teacher.head_VG))
    for rows in chunks(len(hidden_NH), vocabulary):
        student_CV = hidden_NH[rows].float() @ head_VH[:vocabulary].float().T
        teacher_CV = teacher.logits(rows, vocabulary)
        soft = Softened.of(student_CV, teacher_CV, temperature)
        if variance == "probabilities":
            spread = [_variance_of_probabilities(x_CV) for x_CV in (soft.p, soft.q)]
        else:
            spread = [x_CV.var(dim=-1, correction=0) for x_CV in (teacher_CV, student_CV)]
        row = [
            soft.fkl(),
            soft.rkl(),
            -_dot(soft.p, soft.log_p),
            -_dot(soft.q, soft.log_q),
            *spread,
            _nll(student_CV, labels_N[rows]),
        ]
        if head_mass is not None:
            row += head_tail_gaps(soft.p, soft.q, head_mass)
        columns.append(row)
    if not columns:
        columns = [[hidden_NH.new_zeros(0, dtype=torch.float32)] * (7 if head_mass is None else 9)]
    joined = [torch.cat(parts) for parts in zip(*columns, strict=True)]
    names = [field.name for field in fields(Signals) if field.name != "sequence_N"]
    return Signals(sequence_N=sequence_N, **dict(zip(names, joined, strict=False)))


def _variance_of_probabilities(p_CV: Tensor) -> Tensor:
    """Variance over the vocabulary; the mean of probabilities is known to be 1/V."""
    vocabulary = p_CV.shape[-1]
    return (p_CV.square().sum(-1) / vocabulary - 1 / vocabulary**2).clamp_min(0)


def _nll(logits_CV: Tensor, labels_C: Tensor) -> Tensor:
    """−log softmax of each label, in nats."""
    return logits_CV.logsumexp(-1) - logits_CV.gather(-1, labels_C[:, None]).squeeze(-1)


def head_tail_gaps(p_CV: Tensor, q_CV: Tensor, head_mass: float) -> tuple[Tensor, Tensor]:
    """Return Σ|p − q| over the teacher's head and over its tail, each [C].

    The head is the longest prefix of tokens, by descending teacher probability, whose cumulative
    mass is at most `head_mass`; the first token always belongs to it (AKL, arXiv 2404.02657,
    github.com/wutaiqiang/LLM_KD_AKL@ff278be).
    """
    p_sorted, order = p_CV.sort(dim=-1, descending=True, stable=True)
    in_tail = p_sorted.cumsum(-1) > head_mass
    in_tail[:, 0] = False
    gaps = (p_sorted - q_CV.gather(-1, order)).abs()
    return gaps.masked_fill(in_tail, 0).sum(-1), gaps.masked_fill(~in_tail, 0).sum(-1)


def weighted_divergences(
    hidden_NH: Tensor,
    head_VH: Tensor,
    teacher: Teacher,
    fkl_weight: float | Tensor,
    rkl_weight: float | Tensor,
    *,
    temperature: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean over tokens of a·FKL + b·RKL (differentiable), and FKL and RKL, each [N].

    Args:
        hidden_NH: The student's hidden states before its head.
        head_VH: The student's head.
        teacher: The teacher's values over the same tokens.
        fkl_weight: a, one number or one a token [N]; detached.
        rkl_weight: b, likewise.
        temperature: Softens both models.
    """
    vocabulary = min(len(head_VH), len(teacher.head_VG))
    fkl_N = hidden_NH.new_empty(len(hidden_NH), dtype=torch.float32)
    rkl_N = torch.empty_like(fkl_N)
    a_N, b_N = (
        torch.as_tensor(weight, dtype=torch.float32, device=fkl_N.device).detach().expand_as(fkl_N)
        for weight in (fkl_weight, rkl_weight)
    )

    def kernel(student_CV: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        soft = Softened.of(student_CV, teacher.logits(rows, vocabulary), temperature)
        fkl_N[rows], rkl_N[rows] = soft.fkl(), soft.rkl()
        a, b = a_N[rows, None], b_N[rows, None]
        rkl_gradient = torch.nan_to_num(soft.q * (soft.d - rkl_N[rows, None]), nan=0.0)
        gradient_CV = (a * (soft.q - soft.p) + b * rkl_gradient) / temperature
        return a_N[rows] * fkl_N[rows] + b_N[rows] * rkl_N[rows], gradient_CV

    total, _ = chunked_loss(hidden_NH, head_VH[:vocabulary], kernel)
    return total / max(1, len(hidden_NH)), fkl_N, rkl_N


def token_divergence(
    hidden_NH: Tensor,
    head_VH: Tensor,
    teacher: Teacher | None,
    loss: ChunkLoss,
    *,
    temperature: float,
) -> Tensor:
    """Return the mean over tokens of a method's own loss, its gradient formed chunk by chunk.

    Args:
        hidden_NH: The student's hidden states before its head.
        head_VH: The student's head.
        teacher: The teacher's values over the same tokens; none if the method needs none.
        loss: From a chunk's log-probabilities and rows to the loss of each token.
        temperature: Softens both models.
    """
    vocabulary = len(head_VH) if teacher is None else min(len(head_VH), len(teacher.head_VG))

    def kernel(student_CV: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        log_p: Any = None
        if teacher is not None:
            log_p = torch.log_softmax(teacher.logits(rows, vocabulary) / temperature, dim=-1)
        with torch.enable_grad():
            logits = student_CV.detach().requires_grad_()
            log_q = torch.log_softmax(logits / temperature, dim=-1)
            losses_C = loss(log_q, log_p, rows)
            (gradient,) = torch.autograd.grad(losses_C.sum(), logits)
        return losses_C.detach(), gradient

    total, _ = chunked_loss(hidden_NH, head_VH[:vocabulary], kernel)
    return total / max(1, len(hidden_NH))


@torch.no_grad()
def label_log_probs(
    hidden_NH: Tensor, head_VH: Tensor, labels_N: Tensor, *, temperature: float
) -> Tensor:
    """Return a model's log-probability of each label [N], without gradient."""
    found = [
        -_nll(hidden_NH[rows].float() @ head_VH.float().T / temperature, labels_N[rows])
        for rows in chunks(len(hidden_NH), len(head_VH))
    ]
    return torch.cat(found) if found else hidden_NH.new_zeros(0, dtype=torch.float32)


def cross_entropy(hidden_NH: Tensor, head_VH: Tensor, labels_N: Tensor) -> Tensor:
    """Return the mean cross-entropy of the labels in nats, without keeping [N, V] logits."""

    def kernel(student_CV: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        log_q = torch.log_softmax(student_CV, dim=-1)
        gradient = log_q.exp()
        gradient.scatter_add_(1, labels_N[rows, None], -torch.ones_like(gradient[:, :1]))
        return -log_q.gather(1, labels_N[rows, None]).squeeze(1), gradient

    total, _ = chunked_loss(hidden_NH, head_VH, kernel)
    return total / max(1, len(hidden_NH))
