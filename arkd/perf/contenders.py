"""Ways to one and the same gradient: ours, and those that others publish.

Each runs forward and backward from hidden states and heads to the gradients of the student's hidden
states and head, of 0.5·FKL + 0.5·RKL at temperature 1, mean over tokens. No other package has this
mix: each is timed at its default, which is reverse KL in TRL's tiles and the generalised
Jensen–Shannon divergence at β = 0.5 in TRL's GKD loss and in Liger's chunks.

Shapes: N tokens, V vocabulary, H student's hidden size, G teacher's hidden size, C tokens of a
chunk.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from arkd.divergence.chunked import chunks
from arkd.divergence.head import Head
from arkd.divergence.losses import Teacher, divergences, weighted_divergences
from arkd.perf.inputs import Inputs, Loss, gradients


@torch.no_grad()
def bare(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Do the matrix products that no contender can avoid, in buffers that are used again.

    What they return is the gradient of a loss whose gradient on the logits are the logits.
    """
    weight_VH, vocabulary = inputs.weight_VH, len(inputs.weight_VH)
    grad_NH, grad_VH = torch.empty_like(inputs.hidden_NH), torch.zeros_like(weight_VH)
    buffers: list[Tensor] = []
    for rows in chunks(len(inputs.hidden_NH), vocabulary):
        hidden_CH = inputs.hidden_NH[rows]
        buffers = buffers or [hidden_CH.new_empty(len(hidden_CH), vocabulary) for _ in range(2)]
        student_CV, teacher_CV = (buffer[: len(hidden_CH)] for buffer in buffers)
        torch.mm(hidden_CH, weight_VH.T, out=student_CV)
        torch.mm(inputs.hidden_NG[rows], inputs.weight_VG.T, out=teacher_CV)
        torch.mm(student_CV, weight_VH, out=grad_NH[rows])
        grad_VH.addmm_(student_CV.T, hidden_CH)
    return grad_NH, grad_VH


def early(inputs: Inputs) -> Tensor:
    """Our loss, its weights known beforehand: one sweep."""
    loss, _, _ = weighted_divergences(*_ours(inputs), 0.5, 0.5, temperature=1.0)
    return loss


def late_batch(inputs: Inputs) -> Tensor:
    """Our loss, one weight for all tokens that is known after the signals."""
    return _late(inputs, True).loss(0.5, 0.5)


def late_token(inputs: Inputs) -> Tensor:
    """Our loss, a weight for each token that is known after the signals."""
    half_N = torch.full_like(inputs.labels_N, 0.5, dtype=inputs.hidden_NH.dtype)
    return _late(inputs, False).loss(half_N, half_N)


def _ours(inputs: Inputs) -> tuple[Tensor, Head, Teacher]:
    teacher = Teacher(inputs.hidden_NG, Head(inputs.weight_VG))
    return inputs.hidden_NH, Head(inputs.weight_VH), teacher


def _late(inputs: Inputs, batch_weights: bool) -> Any:
    return divergences(
        *_ours(inputs),
        inputs.labels_N,
        torch.zeros_like(inputs.labels_N),
        temperature=1.0,
        variance="probabilities",
        batch_weights=batch_weights,
    )


def _mixed(student_NV: Tensor, teacher_NV: Tensor) -> Tensor:
    """0.5·FKL + 0.5·RKL of each row [N], as one writes it."""
    log_q, log_p = student_NV.log_softmax(-1), teacher_NV.log_softmax(-1)
    gap = log_q - log_p
    return (0.5 * log_q.exp() * gap - 0.5 * log_p.exp() * gap).sum(-1)


def dense(inputs: Inputs) -> Tensor:
    """Autograd over logits of all tokens at once."""
    return _mixed(inputs.student_NV, inputs.teacher_NV).mean()


def checkpointed(inputs: Inputs) -> Tensor:
    """Autograd over our chunks, each computed again in the backward pass."""
    from torch.utils.checkpoint import checkpoint

    def part(hidden_CH: Tensor, weight_VH: Tensor, hidden_CG: Tensor, weight_VG: Tensor) -> Tensor:
        return _mixed(hidden_CH @ weight_VH.T, hidden_CG @ weight_VG.T).sum()

    total = inputs.hidden_NH.new_zeros(())
    for rows in chunks(len(inputs.hidden_NH), len(inputs.weight_VH)):
        given = inputs.hidden_NH[rows], inputs.weight_VH, inputs.hidden_NG[rows], inputs.weight_VG
        total = total + checkpoint(part, *given, use_reentrant=False)
    return total / len(inputs.hidden_NH)


def trl_gkd(inputs: Inputs) -> Tensor:
    """TRL's generalised JSD, called as its trainer calls it: logits of all tokens, labels, β."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    trainer = import_module("trl.experimental.gkd.gkd_trainer").GKDTrainer
    loss: Tensor = trainer.generalized_jsd_loss(
        student_logits=inputs.student_NV[None],
        teacher_logits=inputs.teacher_NV[None],
        labels=inputs.labels_N[None],
        beta=0.5,
    )
    return loss


def trl_tiled(inputs: Inputs) -> Tensor:
    """TRL's stable loss at its default, reverse KL: tiles, and their gradients in closed form.

    Called as its trainer calls it. Without Triton its tiles are torch's, as on every CPU.
    """
    trainer = import_module("trl.trainer.distillation_trainer")
    states = inputs.hidden_NH[None], inputs.hidden_NG[None]
    every_BT = torch.ones_like(inputs.labels_N[None], dtype=torch.bool)
    loss: Tensor
    loss, _, _ = trainer._chunked_divergence_loss(
        *states, inputs.weight_VH, inputs.weight_VG, every_BT, beta=1.0
    )
    return loss


def liger(inputs: Inputs) -> Tensor:
    """Liger's fused linear JSD in chunks, its part of cross-entropy left out; it needs no Triton.

    Not compiled, which would ask for a C++ compiler.
    """
    chunked = import_module("liger_kernel.chunked_loss")
    fused = chunked.LigerFusedLinearJSDLoss(
        weight_hard_loss=0.0, weight_soft_loss=1.0, beta=0.5, compiled=False
    )
    models = inputs.hidden_NH, inputs.weight_VH, inputs.hidden_NG, inputs.weight_VG
    loss: Tensor = fused(*models, inputs.labels_N)
    return loss


def authors(inputs: Inputs) -> Tensor:
    """The two divergences of ARKD's authors, github.com/agi-content-generation/ARKD@28d5c38.

    `get_kl_loss` of loss/kl_loss.py without the ratio that it is called with: each distribution
    anew where it is used, in float32, and a mask of infinite logits over each product.
    """
    return _authors(inputs.student_NV, inputs.teacher_NV, inputs.labels_N)


def authors_whole(inputs: Inputs) -> Tensor:
    """The same as their main.py calls it: both divergences weighted by the head ratio of a token.

    `get_ratio` of loss/kl_loss.py sorts the teacher's vocabulary for each token.
    """
    given = inputs.student_NV, inputs.teacher_NV
    with torch.no_grad():
        student_NV, teacher_NV = (x_NV.masked_fill(torch.isinf(x_NV), 0) for x_NV in given)
        p_NV, order_NV = teacher_NV.softmax(-1).sort(dim=-1, descending=True)
        gaps_NV = (p_NV - student_NV.softmax(-1).gather(-1, order_NV)).abs()
        tail_NV = p_NV.cumsum(-1) > 0.5
        tail_NV[:, 0] = False
        head_N, rest_N = (
            gaps_NV.masked_fill(mask_NV, 0.0).sum(-1) for mask_NV in (tail_NV, ~tail_NV)
        )
        ratio_N = head_N / (head_N + rest_N).clamp_min(1e-10)
    return _authors(*given, inputs.labels_N, ratio_N)


def _authors(
    student_NV: Tensor, teacher_NV: Tensor, labels_N: Tensor, ratio_N: float | Tensor = 1.0
) -> Tensor:
    infinite_NV = torch.isinf(student_NV)
    mask_N = (labels_N != -100).int()

    def log(logits_NV: Tensor) -> Tensor:
        return logits_NV.log_softmax(-1, dtype=torch.float32)

    def summed(products_NV: Tensor) -> Tensor:
        return products_NV.masked_fill(infinite_NV, 0).sum(-1)

    def mean(loss_N: Tensor) -> Tensor:
        return (loss_N * ratio_N * mask_N).sum() / (mask_N.sum() + 1e-10)

    p_NV = teacher_NV.softmax(-1, dtype=torch.float32)
    fkl = mean(summed(p_NV * log(teacher_NV)) - summed(p_NV * log(student_NV)))
    q_NV = student_NV.softmax(-1, dtype=torch.float32)
    rkl = mean(summed(q_NV * log(student_NV)) - summed(q_NV * log(teacher_NV)))
    return 0.5 * fkl + 0.5 * rkl


def headed(inputs: Inputs) -> Tensor:
    """The authors' whole loss by its definition, the head found token by token; an oracle."""
    q_NV, p_NV = inputs.student_NV.softmax(-1), inputs.teacher_NV.softmax(-1)
    ratios = []
    for p_V, gap_V in zip(p_NV.detach(), (p_NV - q_NV).abs().detach(), strict=True):
        order = p_V.argsort(descending=True)
        size = max(1, int((p_V[order].cumsum(0) <= 0.5).sum()))
        ratios.append(gap_V[order[:size]].sum() / gap_V.sum())
    loss_N = ((q_NV - p_NV) * (q_NV.log() - p_NV.log())).sum(-1)
    return (loss_N * torch.stack(ratios)).mean() / 2


def jensen_shannon(inputs: Inputs) -> Tensor:
    """The divergence of GKD at β = 0.5, as its paper writes it; an oracle, in float64."""
    log_q, log_p = inputs.student_NV.log_softmax(-1), inputs.teacher_NV.log_softmax(-1)
    log_m = ((log_q.exp() + log_p.exp()) / 2).log()
    terms = log_q.exp() * (log_q - log_m) + log_p.exp() * (log_p - log_m)
    return terms.sum(-1).mean() / 2


def reverse(inputs: Inputs) -> Tensor:
    """KL(q‖p) by its definition; an oracle, in float64."""
    log_q, log_p = inputs.student_NV.log_softmax(-1), inputs.teacher_NV.log_softmax(-1)
    return (log_q.exp() * (log_q - log_p)).sum(-1).mean()


def mixed(inputs: Inputs) -> Tensor:
    """0.5·FKL + 0.5·RKL by its definition; an oracle, in float64."""
    q, p = inputs.student_NV.softmax(-1), inputs.teacher_NV.softmax(-1)
    return ((q - p) * (q.log() - p.log())).sum(-1).mean() / 2


@dataclass(frozen=True)
class Contender:
    """One way to the gradient, by the name that tables show."""

    name: str
    label: str
    loss: Loss
    oracle: Loss = mixed


CONTENDERS = (
    Contender("early", "ours, early weights", early),
    Contender("late_batch", "ours, late weights of the batch", late_batch),
    Contender("late_token", "ours, late weights of tokens", late_token),
    Contender("dense", "dense autograd", dense),
    Contender("checkpointed", "checkpointed chunks", checkpointed),
    Contender("trl", "TRL 1.16, GKD loss", trl_gkd, jensen_shannon),
    Contender("trl_tiled", "TRL 1.16, tiled reverse KL", trl_tiled, reverse),
    Contender("liger", "Liger 0.8.5, chunked JSD", liger, jensen_shannon),
    Contender("authors", "ARKD's authors, two KLs", authors),
    Contender("authors_whole", "ARKD's authors, two KLs and head ratio", authors_whole, headed),
)


def largest_error(contender: Contender, inputs: Inputs) -> float:
    """Return the largest error of loss and both gradients, relative to the largest exact value."""
    found = gradients(contender.loss, inputs)
    exact = gradients(contender.oracle, inputs.double())
    errors = [
        float((x.double() - y).abs().max() / y.abs().max())
        for x, y in zip(found, exact, strict=True)
    ]
    return max(errors)
