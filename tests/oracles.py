"""Dense float64 formulas, written from the papers and not from the code under test."""

from __future__ import annotations

import torch
from torch import Tensor


def probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Softmax in float64."""
    z = logits.double() / temperature
    e = (z - z.max(-1, keepdim=True).values).exp()
    return e / e.sum(-1, keepdim=True)


def kl(x: Tensor, y: Tensor) -> Tensor:
    """Σ x·log(x/y) with 0·log 0 = 0, per row."""
    terms = torch.where(x > 0, x * (x.clamp_min(1e-300).log() - y.clamp_min(1e-300).log()), 0.0)
    return terms.sum(-1)


def fkl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(p‖q), ARKD eq 1, per row."""
    return kl(probabilities(teacher, temperature), probabilities(student, temperature))


def rkl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(q‖p), ARKD eq 2, per row."""
    return kl(probabilities(student, temperature), probabilities(teacher, temperature))


def entropy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """−Σ p·log p per row."""
    p = probabilities(logits, temperature)
    return -(p * p.log()).sum(-1)


def jsd(student: Tensor, teacher: Tensor, beta: float) -> Tensor:
    """β·KL(p‖m) + (1 − β)·KL(q‖m), m = β·p + (1 − β)·q, GKD, per row."""
    p, q = probabilities(teacher), probabilities(student)
    m = beta * p + (1 - beta) * q
    return beta * kl(p, m) + (1 - beta) * kl(q, m)


def skew(student: Tensor, teacher: Tensor, share: float) -> Tensor:
    """KL(p‖α·p + (1 − α)·q), DistiLLM eq 3, per row; swap the models for the reverse one."""
    p, q = probabilities(teacher), probabilities(student)
    return kl(p, share * p + (1 - share) * q)


def total_variation(student: Tensor, teacher: Tensor) -> Tensor:
    """½·Σ|p − q| per row."""
    return (probabilities(teacher) - probabilities(student)).abs().sum(-1) / 2


def alpha_beta(student: Tensor, teacher: Tensor, alpha: float, beta: float) -> Tensor:
    """ABKD's divergence for α, β, α + β all other than 0, per row."""
    p, q = probabilities(teacher), probabilities(student)
    both = alpha + beta
    terms = p**alpha * q**beta - alpha / both * p**both - beta / both * q**both
    return -terms.sum(-1) / (alpha * beta)


def todi(student: Tensor, teacher: Tensor, frozen: Tensor) -> Tensor:
    """ToDi per row; the weights come from the student's frozen logits."""
    p, q, q0 = (probabilities(z) for z in (teacher, student, frozen))
    w = p / (p + q0)
    return (w * p * (p / q).log() + (1 - w) * q * (q / p).log()).sum(-1)


def drkl(student: Tensor, teacher: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """KL of (q_m, 1 − q_m) and (p_m, 1 − p_m) plus γ·KL of the rest, normalised, row by row."""
    rows = []
    for p, q, m in zip(probabilities(teacher), probabilities(student), labels, strict=True):
        target = kl(torch.stack([q[m], 1 - q[m]]), torch.stack([p[m], 1 - p[m]]))
        rest_p, rest_q = (torch.cat([x[:m], x[m + 1 :]]) / (1 - x[m]) for x in (p, q))
        rows.append(target + gamma * kl(rest_q, rest_p))
    return torch.stack(rows)


def taid(student: Tensor, teacher: Tensor, frozen: Tensor, t: float) -> Tensor:
    """KL(p_t‖q), p_t = softmax of (1 − t)·frozen student + t·teacher, per row."""
    return kl(
        probabilities((1 - t) * frozen.double() + t * teacher.double()), probabilities(student)
    )


def akl_share(student: Tensor, teacher: Tensor, threshold: float, version: str) -> Tensor:
    """g_head/(g_head + g_tail), token by token as each of three repositories picks the head."""
    shares = []
    for p, q in zip(probabilities(teacher), probabilities(student), strict=True):
        gap = (p - q).abs()
        order = sorted(range(len(p)), key=lambda v: float(p[v]), reverse=version == "authors")
        mass, head = 0.0, []
        for place, v in enumerate(order):
            mass += float(p[v])
            if version == "authors" and (place == 0 or mass <= threshold):
                head.append(v)
            if version == "dskd" and mass > threshold:
                head.append(v)
            if version == "taid" and mass >= threshold:
                head.append(place)  # the place among sorted tokens, taken for a token
        shares.append(gap[head].sum() / gap.sum())
    return torch.stack(shares)


def akl(student: Tensor, teacher: Tensor, frozen: Tensor, threshold: float, version: str) -> Tensor:
    """AKL per row; only TAID's code differentiates the share and drops the teacher's entropy."""
    weighing = student if version == "taid" else frozen
    share = akl_share(weighing, teacher, threshold, version)
    forward = fkl(student, teacher) + (entropy(teacher) if version == "taid" else 0)
    return share * forward + (1 - share) * rkl(student, teacher)
