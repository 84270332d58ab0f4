"""Divergences of the papers, dense and in float64, written apart from the code that they judge.

p is the teacher, q the student. Every formula gives a number for each token [N]; its gradient is
float64 autograd through q, and what a paper detaches is detached here by name.

Shapes: N tokens of the responses, V shared vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def kl(x_NV: Tensor, y_NV: Tensor) -> Tensor:
    """Σ x·log(x/y), with 0·log 0 = 0."""
    tiny = torch.finfo(torch.float64).tiny
    terms_NV = x_NV * (x_NV.clamp_min(tiny).log() - y_NV.clamp_min(tiny).log())
    return terms_NV.sum(-1)


def of_labels(x_NV: Tensor, labels_N: Tensor) -> Tensor:
    """x of each position's label [N]."""
    return x_NV.gather(1, labels_N[:, None]).squeeze(1)


def at_one(x_NV: Tensor, temperature: float) -> Tensor:
    """x^T, normalised: softened probabilities as they are at temperature 1."""
    x_NV = x_NV**temperature
    return x_NV / x_NV.sum(-1, keepdim=True)


def to_go(values: Sequence[float], discount: float) -> list[float]:
    """Σ_u γ^u·x_(t + u) from each place t on."""
    return [sum(discount**u * x for u, x in enumerate(values[t:])) for t in range(len(values))]


def to_go_within(values_N: Tensor, sequence_N: Tensor, discount: float) -> Tensor:
    """The same within each response [N]."""
    sums = [
        to_go(values_N[sequence_N == row].tolist(), discount)
        for row in sequence_N.unique_consecutive()
    ]
    return torch.tensor([x for row in sums for x in row], dtype=torch.float64)


def mixed(p_NV: Tensor, q_NV: Tensor, a: Any, b: Any = None) -> Tensor:
    """a·KL(p‖q) + b·KL(q‖p); b = 1 − a unless given. ARKD, arXiv 2606.29869, eqs 1, 2 and 9.

    Args:
        p_NV: The teacher's probabilities.
        q_NV: The student's.
        a: Weight of forward KL, a number or one a token [N].
        b: Weight of reverse KL, likewise.
    """
    b = 1 - a if b is None else b
    return a * kl(p_NV, q_NV) + b * kl(q_NV, p_NV)


def cross_entropy(q_NV: Tensor, labels_N: Tensor) -> Tensor:
    """−log q of the label."""
    return -of_labels(q_NV, labels_N).log()


def jsd(p_NV: Tensor, q_NV: Tensor, beta: float) -> Tensor:
    """β·KL(p‖m) + (1 − β)·KL(q‖m), m = β·p + (1 − β)·q. GKD, arXiv 2306.13649, eq 1."""
    m_NV = beta * p_NV + (1 - beta) * q_NV
    return beta * kl(p_NV, m_NV) + (1 - beta) * kl(q_NV, m_NV)


def skew_kl(p_NV: Tensor, q_NV: Tensor, skew: float | Tensor) -> Tensor:
    """KL(p ‖ α·p + (1 − α)·q). DistiLLM, arXiv 2402.03898, eq 3."""
    return kl(p_NV, skew * p_NV + (1 - skew) * q_NV)


def total_variation(p_NV: Tensor, q_NV: Tensor) -> Tensor:
    """½·Σ|p − q|."""
    return 0.5 * (p_NV - q_NV).abs().sum(-1)


def alpha_beta(p_NV: Tensor, q_NV: Tensor, a: float, b: float) -> Tensor:
    """−1/(ab)·Σ[p^a·q^b − a/(a+b)·p^(a+b) − b/(a+b)·q^(a+b)], at 0 its limit. ABKD, 2505.04560.

    Args:
        p_NV: The teacher's probabilities.
        q_NV: The student's.
        a: Exponent of p, ≥ 0.
        b: Exponent of q, ≥ 0; not 0 together with `a`.
    """
    if b == 0:
        return (kl(p_NV**a, q_NV**a) - (p_NV**a - q_NV**a).sum(-1)) / a**2
    if a == 0:
        return alpha_beta(q_NV, p_NV, b, a)
    s = a + b
    terms_NV = p_NV**a * q_NV**b - a / s * p_NV**s - b / s * q_NV**s
    return -terms_NV.sum(-1) / (a * b)


def entrywise(p_NV: Tensor, q_NV: Tensor) -> Tensor:
    """Σ w·p·log(p/q) + (1 − w)·q·log(q/p), w = sg σ(log(p/q)) entry by entry. ToDi."""
    ratio_NV = p_NV.log() - q_NV.log()
    w_NV = torch.sigmoid(ratio_NV).detach()
    return (w_NV * p_NV * ratio_NV - (1 - w_NV) * q_NV * ratio_NV).sum(-1)


def decoupled_reverse(p_NV: Tensor, q_NV: Tensor, labels_N: Tensor, gamma: float) -> Tensor:
    """KL(bin q_m‖bin p_m) + γ·KL(q̂‖p̂), hats without the target m, renormalised. DRKL.

    Args:
        p_NV: The teacher's probabilities.
        q_NV: The student's.
        labels_N: The target m of each position.
        gamma: Weight of the part without the target.
    """
    target_NV = torch.zeros_like(p_NV).scatter_(1, labels_N[:, None], 1.0)
    q_m, p_m = ((x_NV * target_NV).sum(-1) for x_NV in (q_NV, p_NV))
    q_no, p_no = ((x_NV * (1 - target_NV)).sum(-1) for x_NV in (q_NV, p_NV))
    binary = q_m * (q_m / p_m).log() + q_no * (q_no / p_no).log()
    q_hat, p_hat = (
        x_NV * (1 - target_NV) / x_no[:, None] for x_NV, x_no in ((q_NV, q_no), (p_NV, p_no))
    )
    return binary + gamma * kl(q_hat, p_hat)


def head_share(p_NV: Tensor, q_NV: Tensor, mass: float, version: str = "authors") -> Tensor:
    """g_head/(g_head + g_tail) of each token, g = Σ|p − q|; ½ where both are 0. AKL, 2404.02657.

    The tokens of a position are walked one by one. Authors: from the most probable on, the head
    lasts while the mass up to and with a token is at most `mass`, and has the first in any case.
    DSKD's version walks from the least probable on, and the tail lasts so. TAID's walks as DSKD's,
    the tail while the mass is below `mass`, and takes the gap of the token whose *number* is the
    place in the walk; it alone lets the gradient through.

    Args:
        p_NV: The teacher's probabilities.
        q_NV: The student's.
        mass: Probability at which head and tail part, 0–1.
        version: `authors`, `dskd` or `taid`.
    """
    if version != "taid":
        p_NV, q_NV = p_NV.detach(), q_NV.detach()
    shares = []
    for p_V, q_V in zip(p_NV, q_NV, strict=True):
        gap_V, masses = (p_V - q_V).abs(), p_V.tolist()
        walk = p_V.argsort(descending=version == "authors", stable=True).tolist()
        cumulative, in_head = 0.0, [0.0] * len(masses)
        for place, v in enumerate(walk):
            cumulative += masses[v]
            if version == "authors":
                in_head[v] = float(place == 0 or cumulative <= mass)
            elif version == "dskd":
                in_head[v] = float(cumulative > mass)
            else:
                in_head[place] = float(cumulative >= mass)
        total = gap_V.sum()
        share = gap_V @ gap_V.new_tensor(in_head)
        shares.append(share / total if total > 0 else gap_V.new_tensor(0.5))
    return torch.stack(shares)


def smaller_is_forward(p_NV: Tensor, q_NV: Tensor) -> bool:
    """Whether KL(p‖q) is the smaller one in the mean over the batch; a tie goes to KL(q‖p)."""
    return bool(kl(p_NV, q_NV).mean() < kl(q_NV, p_NV).mean())


def concrete_scores(p_NV: Tensor, q_NV: Tensor, first: str, second: str) -> Tensor:
    """¼·Σ_x Σ_y w₁(x)·w₂(y)·(log q_x/q_y − log p_x/p_y)². CSD, arXiv 2509.25837.

    With d = log q − log p and E_i the mean under w_i, the sum over all V² pairs is multiplied out
    to E₁d² + E₂d² − 2·E₁d·E₂d, which takes V numbers a token.

    Args:
        p_NV: The teacher's probabilities.
        q_NV: The student's.
        first: Whose probabilities weigh x: `student`, `teacher` or `uniform`; without gradient.
        second: Whose weigh y.
    """
    uniform_NV = torch.full_like(p_NV, 1 / p_NV.shape[-1])
    by = {"student": q_NV.detach(), "teacher": p_NV, "uniform": uniform_NV}
    x_NV, y_NV = by[first], by[second]
    d_NV = q_NV.log() - p_NV.log()
    squares_N = (x_NV * d_NV**2).sum(-1) + (y_NV * d_NV**2).sum(-1)
    return 0.25 * (squares_N - 2 * (x_NV * d_NV).sum(-1) * (y_NV * d_NV).sum(-1))


def alpha_mixture(p_NV: Tensor, q_NV: Tensor, alpha: float, share: float) -> Tensor:
    """(λ·p^((1−α)/2) + (1−λ)·q^((1−α)/2))^(2/(1−α)), normalised; p^λ·q^(1−λ) at 1. 2510.15982.

    Args:
        p_NV: The teacher's probabilities.
        q_NV: The student's.
        alpha: α, at most 1; −1 is the arithmetic mean.
        share: λ, the teacher's.
    """
    if alpha == 1:
        r_NV = p_NV**share * q_NV ** (1 - share)
    else:
        power = (1 - alpha) / 2
        r_NV = (share * p_NV**power + (1 - share) * q_NV**power) ** (1 / power)
    return r_NV / r_NV.sum(-1, keepdim=True)
