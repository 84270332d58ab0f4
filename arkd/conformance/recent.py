"""Formulas of methods of 2025 and 2026, dense and in float64; see `arkd.conformance.oracles`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arkd.conformance.case import Case
from arkd.conformance.formulas import (
    alpha_beta,
    alpha_mixture,
    at_one,
    cross_entropy,
    kl,
    of_labels,
)


def gold_and_soft(case: Case) -> Tensor:
    """w·(−log q(y)) + (1 − w)·KL(p_T‖q_T): the cross-entropy is of q itself. 1503.02531."""
    gold_N = cross_entropy(at_one(case.q_NV, case.temperature), case.labels_N)
    return case.gold_weight * gold_N + (1 - case.gold_weight) * kl(case.p_NV, case.q_NV)


def entropy_aware(case: Case) -> Tensor:
    """Reverse KL, and α·Σ_{top-k of p} p·log(p/q) where H(p) ≥ τ. EOPD, arXiv 2603.07079.

    By the sampled token reverse KL is its log-ratio, with the gradient of that times log q.
    """
    p_NV, q_NV = case.p_NV, case.q_NV
    if case.estimator == "vocabulary":
        reverse_N = kl(q_NV, p_NV)
    else:
        reverse_N = by_sampled_token(case, 1.0, 0.0)
    terms_NV = p_NV * (p_NV / q_NV).log()
    top_NK = p_NV.argsort(descending=True)[:, : case.top_k]
    unsure_N = -(p_NV * p_NV.log()).sum(-1) >= case.threshold_nats
    return reverse_N + case.forward_weight * unsure_N * terms_NV.gather(1, top_NK).sum(-1)


def mixture(case: Case) -> Tensor:
    """D(p, r) or another order of p or q and their α-mixture r. AMiD, arXiv 2510.15982."""
    r_NV = alpha_mixture(case.p_NV, case.q_NV, case.alpha, case.teacher_share)
    models = {"p": case.p_NV, "q": case.q_NV, "r": r_NV}
    x_NV, y_NV = (models[name] for name in case.order)
    return kl(x_NV, y_NV) if case.divergence == "kl" else alpha_beta(x_NV, y_NV, 0.2, 0.7)


def by_sampled_token(case: Case, weight: Tensor | float, baseline: Tensor | float) -> Tensor:
    """w·(r − b), r = log q(y) − log p(y), with the gradient of w·(r − b)·log q(y).

    Args:
        case: The draw.
        weight: w, a number or one a token [N].
        baseline: b, likewise.
    """
    p_N, q_N = (of_labels(x_NV, case.labels_N) for x_NV in (case.p_NV, case.q_NV))
    cost_N = (weight * ((q_N / p_N).log() - baseline)).detach()
    return cost_N * (1 + q_N.log() - q_N.log().detach())


def control_variate(case: Case) -> Tensor:
    """The baseline is KL(q‖p), of both over the student's top-k, normalised. vOPD, 2605.07865."""
    top_NK = case.q_NV.detach().argsort(descending=True)[:, : case.baseline_top_k]
    q_NK, p_NK = (x_NV.detach().gather(1, top_NK) for x_NV in (case.q_NV, case.p_NV))
    b_N = kl(q_NK / q_NK.sum(-1, keepdim=True), p_NK / p_NK.sum(-1, keepdim=True))
    return by_sampled_token(case, 1.0, b_N) + b_N


def importance_weighted(case: Case) -> Tensor:
    """w_t = 1 + γ·(1 − Σ_{u < t} |r_u| / Σ_u |r_u|) within a response. IW-OPD, 2606.22600."""
    p_N, q_N = (of_labels(x_NV, case.labels_N) for x_NV in (case.p_NV, case.q_NV))
    weights = []
    for row in case.sequence_N.unique_consecutive():
        gaps = (q_N / p_N).log().abs()[case.sequence_N == row].tolist()
        whole = sum(gaps) or 1.0
        weights += [1 + case.gamma * (1 - sum(gaps[:t]) / whole) for t in range(len(gaps))]
    return by_sampled_token(case, torch.tensor(weights, dtype=torch.float64), 0.0)


def held_back(case: Case) -> Tensor:
    """KL(r‖q) or KL(q‖r), r ∝ p·sg(q)^β, β from β₀ to β₁ in N steps. Veto, arXiv 2601.07155."""
    left = 1 - case.step / case.steps
    power = left * case.beta + (1 - left) * case.beta_end
    case.notes.log["beta"] = power
    r_NV = case.p_NV * case.q_NV.detach() ** power
    r_NV = r_NV / r_NV.sum(-1, keepdim=True)
    return kl(r_NV, case.q_NV) if case.direction == "forward" else kl(case.q_NV, r_NV)


def suppressed(case: Case) -> Tensor:
    """−A of the f·N tokens of lowest q(y), N over their number, with that times ∇log q(y).

    With w, A grows by w times how far a token's entropy is from the least of them to the most.
    OPSA, arXiv 2608.31046.
    """
    q_N = of_labels(case.q_NV, case.labels_N)
    least = sorted(range(len(q_N)), key=q_N.tolist().__getitem__)
    least = least[: max(1, int(case.params["share"] * len(q_N)))]
    h_N = -(case.q_NV * case.q_NV.log()).sum(-1).detach()
    low, high = h_N[least].min(), h_N[least].max()
    loss_N = torch.zeros_like(q_N)
    for n in least:
        place = (h_N[n] - low) / (high - low) if high > low else 1.0
        cost = -case.advantage * (1 + case.entropy_weight * place) * len(q_N) / len(least)
        loss_N[n] = cost * q_N[n] / q_N[n].detach()
    return loss_N


def bridges_and_gardens(case: Case) -> Tensor:
    """λ·KL(p_T‖q_T) + (1 − λ)·(−log q(y)), λ by the scheme. Bridge-Garden, 2605.26246."""
    p_NV, q_NV = (at_one(x_NV, case.temperature) for x_NV in (case.p_NV, case.q_NV))
    if case.scheme == "confidence":
        soft: Any = 1 - of_labels(p_NV, case.labels_N)
    elif case.scheme == "entropy":
        g = case.exponent
        soft = ((p_NV**g).sum(-1) - 1) / (p_NV.shape[1] ** (1 - g) - 1)
    else:
        soft = case.soft_weight * min(1.0, case.step / max(1, int(case.warmup * case.steps)))
    return soft * kl(case.p_NV, case.q_NV) + (1 - soft) * cross_entropy(q_NV, case.labels_N)


def token_adaptive(case: Case) -> Tensor:
    """τ²·KL(q_τ‖p_τ) of the r·N tokens of largest Hellinger distance. AdaKD, arXiv 2510.11615.

    τ = exp(−c·tanh(log x)), x the distance over the median of those tokens, the lower one of two;
    tanh(log x) is (x² − 1)/(x² + 1). r follows the moving average of the losses so far.
    """
    r, average, compared = 1.0, None, None
    for steps, loss in enumerate(case.losses, start=1):
        s = case.smoothing if average is not None else 0.0
        average = s * (average or 0.0) + (1 - s) * loss
        if compared is None:
            compared = average if steps > case.warmup * case.steps else None
        elif abs(average / compared - 1) > case.tolerance:
            r *= 1 + case.share_step * (1 if average > compared else -1)
            r, compared = sorted((0.1, r, 1.0))[1], average
    case.notes.log["share"] = r
    p_NV, q_NV = case.p_NV, case.q_NV
    distance_N = ((p_NV.sqrt() - q_NV.sqrt()) ** 2).sum(-1).div(2).sqrt().detach()
    count = max(1, int(len(distance_N) * r))
    hardest = distance_N.argsort(descending=True)[:count]
    x_K1 = (distance_N[hardest] / distance_N[hardest[count // 2]])[:, None]
    tau_K1 = (-case.temperature_scale * (x_K1**2 - 1) / (x_K1**2 + 1)).exp()
    p_KV, q_KV = (y_NV[hardest] ** (1 / tau_K1) for y_NV in (p_NV, q_NV))
    p_KV, q_KV = (y_KV / y_KV.sum(-1, keepdim=True) for y_KV in (p_KV, q_KV))
    loss_K = tau_K1.squeeze(1) ** 2 * kl(q_KV, p_KV) * len(distance_N) / count
    return torch.zeros_like(distance_N).index_add(0, hardest, loss_K)
