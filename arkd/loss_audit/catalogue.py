"""The divergences that a loss may be, in float64, with the gradient on the student's logits.

Shapes: N scored positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from arkd.conformance import formulas

Formula = Callable[[Tensor, Tensor, Tensor, tuple[float, ...]], Tensor]
TINY = torch.finfo(torch.float64).tiny
SHARES = (0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.99)
POWERS = tuple((a, b) for a in (0.2, 0.5, 0.7, 1.0) for b in (0.2, 0.5, 0.7, 1.0))


@dataclass(frozen=True)
class Divergence:
    """A divergence of each position [N] as a function of p, q [N, V], labels [N], parameters.

    Attributes:
        name: In declarations.
        title: In tables.
        formula: p, q, labels, parameters → [N].
        grid: The parameters that are tried; one empty tuple where there are none.
        from_logits: Whether the formula takes logits for p and q.
    """

    name: str
    title: str
    formula: Formula
    grid: tuple[tuple[float, ...], ...] = ((),)
    from_logits: bool = False

    def __str__(self) -> str:
        return self.title


@dataclass(frozen=True)
class Exact:
    """A divergence's own values [N] and gradients on the student's logits [N, V]."""

    value_N: Tensor
    grad_NV: Tensor


def _sampled(p_NV: Tensor, q_NV: Tensor, labels_N: Tensor) -> Tensor:
    """log q(y)·sg(log q(y) − log p(y)): its mean over y ~ q has the gradient of KL(q‖p)."""
    log_q_N, log_p_N = (formulas.of_labels(x_NV, labels_N).log() for x_NV in (q_NV, p_NV))
    return log_q_N * (log_q_N - log_p_N).detach()


def _one(values: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    return tuple((value,) for value in values)


# The simpler first: of two that fit alike, the earlier is named.
CATALOGUE = {
    found.name: found
    for found in (
        Divergence("forward_kl", "forward KL", lambda p, q, y, a: formulas.kl(p, q)),
        Divergence("reverse_kl", "reverse KL", lambda p, q, y, a: formulas.kl(q, p)),
        Divergence(
            "soft_cross_entropy",
            "cross-entropy of the teacher's distribution",
            lambda p, q, y, a: -(p * q.clamp_min(TINY).log()).sum(-1),
        ),
        Divergence("tvd", "total variation", lambda p, q, y, a: formulas.total_variation(p, q)),
        Divergence(
            "cross_entropy", "cross-entropy", lambda p, q, y, a: formulas.cross_entropy(q, y)
        ),
        Divergence(
            "logits_mse",
            "squared error of logits",
            lambda p, q, y, a: (q - p).square().sum(-1),
            from_logits=True,
        ),
        Divergence(
            "probabilities_mse",
            "squared error of probabilities",
            lambda p, q, y, a: (q - p).square().sum(-1),
        ),
        Divergence("jsd", "JSD", lambda p, q, y, a: formulas.jsd(p, q, a[0]), _one(SHARES)),
        Divergence(
            "mixed_kl",
            "mixed KL",
            lambda p, q, y, a: formulas.mixed(p, q, a[0]),
            _one(SHARES),
        ),
        Divergence(
            "skew_kl", "skew KL", lambda p, q, y, a: formulas.skew_kl(p, q, a[0]), _one(SHARES)
        ),
        Divergence(
            "skew_rkl",
            "skew reverse KL",
            lambda p, q, y, a: formulas.skew_kl(q, p, a[0]),
            _one(SHARES),
        ),
        Divergence(
            "alpha_beta",
            "α-β divergence",
            lambda p, q, y, a: formulas.alpha_beta(p, q, a[0], a[1]),
            POWERS,
        ),
        Divergence("todi", "ToDi", lambda p, q, y, a: formulas.entrywise(p, q)),
        Divergence("sampled_rkl", "sampled-token reverse KL", lambda p, q, y, a: _sampled(p, q, y)),
    )
}


def titled(name: str, parameters: tuple[float, ...] = ()) -> str:
    """Return a divergence as tables show it, such as JSD(0.5)."""
    title = CATALOGUE[name].title
    shown = ", ".join(f"{value:.3g}" for value in parameters)
    return f"{title}({shown})" if shown else title


def exact(
    divergence: Divergence,
    student_NV: Tensor,
    teacher_NV: Tensor,
    labels_N: Tensor,
    parameters: tuple[float, ...] = (),
    temperatures: tuple[float, float] = (1.0, 1.0),
) -> Exact:
    """Return a divergence's values and gradients.

    Args:
        divergence: Of the catalogue.
        student_NV: Logits.
        teacher_NV: Logits.
        labels_N: For those that look at labels.
        parameters: Of the divergence.
        temperatures: That soften student and teacher.
    """
    z_NV = student_NV.double().detach().requires_grad_()
    q_NV, p_NV = z_NV / temperatures[0], teacher_NV.double() / temperatures[1]
    if not divergence.from_logits:
        q_NV, p_NV = q_NV.softmax(-1), p_NV.softmax(-1)
    value_N = divergence.formula(p_NV, q_NV, labels_N, parameters)
    (grad_NV,) = torch.autograd.grad(value_N.sum(), z_NV)
    return Exact(value_N.detach(), grad_NV)
