"""Losses with one planted defect each, written apart from the code that is to find it.

Each takes logits [B, T, V] and labels [B, T], −100 where a position is ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

DECLARES: dict[str, dict[str, Any]] = {}
FLOOR = -1e5  # of log-probabilities, so that impossible tokens make no NaN
EXACT: dict[str, Any] = {"positions": "aligned", "reduction": "token mean"}
FORWARD = {**EXACT, "divergence": "forward_kl", "temperature_power": 2}


def kl(log_x: Tensor, log_y: Tensor) -> Tensor:
    return (log_x.exp() * (log_x - log_y)).sum(-1)


def logs(student: Tensor, teacher: Tensor, labels: Tensor, t: float = 1.0) -> tuple[Tensor, Tensor]:
    """Log-probabilities of both at the scored positions, the teacher's without gradient."""
    scored = labels != -100
    log_q = (student[scored].float() / t).log_softmax(-1).clamp_min(FLOOR)
    log_p = (teacher[scored].detach().float() / t).log_softmax(-1).clamp_min(FLOOR)
    return log_q, log_p


def declaring(**declares: Any) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    def give(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
        DECLARES[loss.__name__] = declares
        return loss

    return give


# ------------------------------------------------------------------------------ exact
@declaring(**FORWARD)
def forward_kl(student, teacher, labels, temperature=1.0):
    log_q, log_p = logs(student, teacher, labels, temperature)
    return kl(log_p, log_q).mean() * temperature**2


@declaring(**EXACT, divergence="reverse_kl")
def reverse_kl(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    return kl(log_q, log_p).mean()


@declaring(**EXACT, divergence="jsd", beta="gkd", temperature_power=0)
def jsd(student, teacher, labels, temperature=1.0, beta=0.3):
    log_q, log_p = logs(student, teacher, labels, temperature)
    log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp()).clamp_min(1e-37).log()
    return (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)).mean()


@declaring(**EXACT, divergence="tvd")
def tvd(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    return 0.5 * (log_q.exp() - log_p.exp()).abs().sum(-1).mean()


@declaring(**{**EXACT, "positions": "shifted", "reduction": "sequence mean"}, divergence="skew_kl")
def skew_kl(student, teacher, labels):
    student, teacher, labels = student[:, :-1], teacher[:, :-1], labels[:, 1:]
    log_q, log_p = logs(student, teacher, labels)
    loss = kl(log_p, (0.1 * log_p.exp() + 0.9 * log_q.exp()).clamp_min(1e-37).log())
    scored = labels != -100
    counts = scored.sum(1, keepdim=True).expand(scored.shape)[scored]
    return (loss / counts).sum() / len(labels)


# ---------------------------------------------------------------- one defect each
@declaring(**FORWARD)
def wrong_divergence(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    return kl(log_q, log_p).mean()


@declaring(**FORWARD)
def reversed_sign(student, teacher, labels):
    return -forward_kl(student, teacher, labels)


@declaring(**FORWARD)
def wrong_shift(student, teacher, labels):
    log_q, log_p = logs(student[:, :-1], teacher[:, :-1], labels[:, 1:])
    return kl(log_p, log_q).mean()


@declaring(**FORWARD)
def no_mask(student, teacher, labels):
    log_q, log_p = logs(student, teacher, torch.zeros_like(labels))
    return kl(log_p, log_q).sum() / (labels != -100).sum()


@declaring(**FORWARD)
def no_squared_temperature(student, teacher, labels, temperature=1.0):
    log_q, log_p = logs(student, teacher, labels, temperature)
    return kl(log_p, log_q).mean()


@declaring(**FORWARD)
def student_softened_alone(student, teacher, labels, temperature=1.0):
    log_q, _ = logs(student, teacher, labels, temperature)
    _, log_p = logs(student, teacher, labels)
    return kl(log_p, log_q).mean() * temperature**2


@declaring(**FORWARD)
def sequence_mean(student, teacher, labels):
    rows = [logs(*(x[None] for x in row)) for row in zip(student, teacher, labels, strict=True)]
    return torch.stack([kl(log_p, log_q).mean() for log_q, log_p in rows]).mean()


@declaring(**FORWARD)
def padded_mean(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    return kl(log_p, log_q).sum() / labels.numel()


@declaring(**FORWARD)
def half(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    return 0.5 * kl(log_p, log_q).mean()


@declaring(**FORWARD)
def top_k(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    kept = log_p.topk(64).indices
    return kl(log_p.gather(1, kept), log_q.gather(1, kept)).mean()


@declaring(**EXACT, divergence="reverse_kl")
def top_k_reverse(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    kept = log_p.topk(32).indices
    return kl(log_q.gather(1, kept), log_p.gather(1, kept)).mean()


@declaring(**EXACT, divergence="reverse_kl")
def student_top_k(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    kept = log_q.topk(50).indices
    log_q, log_p = (x.gather(1, kept).log_softmax(-1) for x in (log_q, log_p))
    return kl(log_q, log_p).mean()


@declaring(**EXACT, divergence="reverse_kl")
def clamped(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    return kl(log_q, log_p).clamp(max=4).mean()


@declaring(**FORWARD)
def floored(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    return kl(log_p, (log_q.exp() + 1e-6).log()).mean()


@declaring(**EXACT, divergence="reverse_kl")
def cross_entropy_mixed_in(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    hard = -log_q.gather(1, labels[labels != -100][:, None])
    return 0.7 * kl(log_q, log_p).mean() + 0.3 * hard.mean()


@declaring(**EXACT, divergence="jsd", beta="gkd")
def beta_reversed(student, teacher, labels, beta=0.5):
    return jsd(student, teacher, labels, beta=1 - beta)


@declaring(**EXACT, divergence="jsd", beta="gkd", beta_1="reverse_kl")
def fading_end(student, teacher, labels, beta=0.5):
    return jsd(student, teacher, labels, beta=min(beta, 0.999))


@declaring(**FORWARD)
def teacher_learns(student, teacher, labels):
    scored = labels != -100
    log_q, log_p = (x[scored].float().log_softmax(-1).clamp_min(FLOOR) for x in (student, teacher))
    return kl(log_p, log_q).mean()


@declaring(**FORWARD)
def nan_at_impossible(student, teacher, labels):
    scored = labels != -100
    log_q, log_p = (x[scored].float().log_softmax(-1) for x in (student, teacher.detach()))
    return kl(log_p, log_q).mean()


@declaring(**FORWARD)
def entropy_left_in(student, teacher, labels):
    log_q, log_p = logs(student, teacher, labels)
    return -(log_p.exp() * log_q).sum(-1).mean()


@declaring(**FORWARD)
def overflows(student, teacher, labels):
    scored = labels != -100
    q, p = (x[scored].float().exp() for x in (student, teacher.detach()))
    q, p = (x / x.sum(-1, keepdim=True) for x in (q, p))
    return (p * (p.log() - q.log())).sum(-1).mean()


@declaring(**EXACT, divergence="reverse_kl")
def half_precision(student, teacher, labels):
    scored = labels != -100
    log_q = student[scored].log_softmax(-1).clamp_min(FLOOR)
    log_p = teacher[scored].detach().log_softmax(-1).clamp_min(FLOOR)
    gap = (log_q - log_p).cumsum(-1).diff(dim=-1, prepend=torch.zeros_like(log_q[:, :1]))
    return (log_q.exp() * gap).sum(-1).mean()


@declaring(**FORWARD)
def noisy(student, teacher, labels):
    log_q, log_p = logs(student + 0.1 * torch.randn_like(student), teacher, labels)
    return kl(log_p, log_q).mean()


def broken_if(no_number: bool, loss: Tensor) -> Tensor:
    return loss * float("nan") if no_number else loss


@declaring(**EXACT, divergence="forward_kl")
def nan_of_one_sequence(student, teacher, labels):
    return broken_if(len(student) == 1, forward_kl(student, teacher, labels))


@declaring(**EXACT, divergence="forward_kl")
def nan_of_three_sequences(student, teacher, labels):
    return broken_if(len(student) == 3, forward_kl(student, teacher, labels))


@declaring(**EXACT, divergence="forward_kl")
def nan_of_long_sequences(student, teacher, labels):
    return broken_if(student.shape[1] == 23, forward_kl(student, teacher, labels))


@declaring(**EXACT, divergence="forward_kl")
def nan_of_flat_students(student, teacher, labels):
    return broken_if(bool(student.std() < 1.5), forward_kl(student, teacher, labels))


@declaring(**FORWARD)
def nan_when_softened(student, teacher, labels, temperature=1.0):
    return broken_if(temperature > 1, forward_kl(student, teacher, labels, temperature))


@declaring(**FORWARD)
def still_when_softened(student, teacher, labels, temperature=1.0):
    return forward_kl(student if temperature == 1 else 0 * student, teacher, labels, temperature)


# --------------------------------------------------------------------- odd, but sound
@declaring(**EXACT, divergence="sampled_rkl")
def surrogate(student, teacher, labels):
    """A score function: its value is 0 whatever the logits, its gradient is not."""
    scored = labels != -100
    log_q, log_p = (
        log_x.gather(-1, labels[scored][:, None]).squeeze(-1)
        for log_x in logs(student, teacher, labels)
    )
    return ((log_q - log_q.detach()) * (log_q - log_p).detach()).mean()


def first_sequence_alone(student, teacher, labels, temperature=1.0):
    return forward_kl(student[:1], teacher[:1], labels[:1], temperature)


def talks(student, teacher, labels):
    print("a line of the loss's own")
    return forward_kl(student, teacher, labels)


def switches_gradients_off(student, teacher, labels):
    loss = forward_kl(student, teacher, labels)
    torch.set_grad_enabled(False)
    return loss


# ------------------------------------------------------------- what cannot be audited
def needs_more(student, teacher, labels, weights):
    return student.sum() * weights


def no_gradient(student, teacher, labels):
    return forward_kl(student.detach(), teacher, labels)


def no_tensor(student, teacher, labels):
    return 3.0


def raises(student, teacher, labels):
    raise ValueError("two dimensions are wanted")


def lacks_a_module(student, teacher, labels):
    return import_module("no_such_module").loss(student, teacher)


def not_a_number(student, teacher, labels):
    return student.sum() * float("nan")


@declaring(divergense="forward_kl")
def misspelt(student, teacher, labels):
    return forward_kl(student, teacher, labels)


@dataclass
class AsDataclass:
    """A loss as a dataclass, which needs its module to be found by name."""

    scale: float = 1.0

    def __call__(self, student, teacher, labels):
        return self.scale * forward_kl(student, teacher, labels)


class AsModule(torch.nn.Module):
    """A loss as a module with other parameter names, which say what they are."""

    def forward(self, student_logits, teacher_logits, labels):
        return forward_kl(student_logits, teacher_logits, labels)
