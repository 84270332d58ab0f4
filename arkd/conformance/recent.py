"""Formulas of methods of 2025 and 2026, dense and in float64; see `arkd.conformance.oracles`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arkd.conformance.case import Case
from arkd.conformance.formulas import alpha_beta, alpha_mixture, cross_entropy, kl
from arkd.seeding import derive_seed


def gold_and_soft(case: Case) -> Tensor:
    """w·(−log q(y)) + (1 − w)·KL(p_T‖q_T): the cross-entropy is of q itself. 1503.02531."""
    q_NV = case.q_NV**case.temperature
    gold_N = cross_entropy(q_NV / q_NV.sum(-1, keepdim=True), case.labels_N)
    return case.gold_weight * gold_N + (1 - case.gold_weight) * kl(case.p_NV, case.q_NV)


def entropy_aware(case: Case) -> Tensor:
    """Reverse KL, and α·Σ_{top-k of p} p·log(p/q) where H(p) ≥ τ. EOPD, arXiv 2603.07079.

    By the sampled token reverse KL is its log-ratio, with the gradient of that times log q.
    """
    losses = []
    for p_V, q_V, label in zip(case.p_NV, case.q_NV, case.labels_N.tolist(), strict=True):
        if case.estimator == "vocabulary":
            loss = kl(q_V, p_V)
        else:
            ratio = (q_V[label] / p_V[label]).log().detach()
            loss = ratio * (1 + q_V[label].log() - q_V[label].log().detach())
        if float(-(p_V * p_V.log()).sum().detach()) >= case.threshold_nats:
            for v in p_V.argsort(descending=True)[: case.top_k].tolist():
                loss = loss + case.forward_weight * p_V[v] * (p_V[v] / q_V[v]).log()
        losses.append(loss)
    return torch.stack(losses)


def sampled_target(case: Case) -> Tensor:
    """KL(t‖q), t how often each token was drawn from p: token by token, draw by draw. 2503.16870.

    The draws are those that a training sample has of its seed, walked down p's cumulative mass.
    """
    losses = []
    for row, sample in enumerate(case.samples):
        rows = (case.sequence_N == row).nonzero().squeeze(1).tolist()
        seeded = torch.Generator().manual_seed(derive_seed("rs_kd", case.seed, sample))
        places = torch.rand(len(rows), case.rounds, generator=seeded, dtype=torch.float64)
        for at, draws in zip(rows, places.tolist(), strict=True):
            mass, count = case.p_NV[at].cumsum(0).tolist(), [0] * case.p_NV.shape[1]
            for draw in draws:
                count[next((v for v, m in enumerate(mass) if draw < m), len(mass) - 1)] += 1
            t_V = case.p_NV.new_tensor(count) / case.rounds
            losses.append(kl(t_V, case.q_NV[at]))
    return torch.stack(losses)


def mixture(case: Case) -> Tensor:
    """D(p, r) or another order of p or q and their α-mixture r. AMiD, arXiv 2510.15982."""
    r_NV = alpha_mixture(case.p_NV, case.q_NV, case.alpha, case.teacher_share)
    models = {"p": case.p_NV, "q": case.q_NV, "r": r_NV}
    x_NV, y_NV = (models[name] for name in case.order)
    return kl(x_NV, y_NV) if case.divergence == "kl" else alpha_beta(x_NV, y_NV, 0.2, 0.7)


def by_sampled_token(case: Case, weight_N: Tensor, baseline_N: Tensor) -> Tensor:
    """w·(r − b), r = log q(y) − log p(y), with the gradient of w·(r − b)·log q(y).

    Args:
        case: The draw.
        weight_N: w.
        baseline_N: b.
    """
    label = case.labels_N[:, None]
    p_N, q_N = (x_NV.gather(1, label).squeeze(1) for x_NV in (case.p_NV, case.q_NV))
    cost_N = (weight_N * ((q_N / p_N).log() - baseline_N)).detach()
    return cost_N * (1 + q_N.log() - q_N.log().detach())


def control_variate(case: Case) -> Tensor:
    """The baseline is KL(q‖p), of both over the student's top-k, normalised. vOPD, 2605.07865."""
    baselines = []
    for p_V, q_V in zip(case.p_NV, case.q_NV, strict=True):
        top = q_V.argsort(descending=True)[: case.baseline_top_k]
        baselines.append(kl(q_V[top] / q_V[top].sum(), p_V[top] / p_V[top].sum()))
    b_N = torch.stack(baselines).detach()
    return by_sampled_token(case, torch.ones_like(b_N), b_N) + b_N


def importance_weighted(case: Case) -> Tensor:
    """w_t = 1 + γ·(1 − Σ_{u < t} |r_u| / Σ_u |r_u|) within a response. IW-OPD, 2606.22600."""
    label = case.labels_N[:, None]
    p_N, q_N = (x_NV.gather(1, label).squeeze(1) for x_NV in (case.p_NV, case.q_NV))
    weights = []
    for row in case.sequence_N.unique_consecutive():
        gaps = (q_N / p_N).log().abs()[case.sequence_N == row].tolist()
        whole = sum(gaps) or 1.0
        weights += [1 + case.gamma * (1 - sum(gaps[:t]) / whole) for t in range(len(gaps))]
    weight_N = torch.tensor(weights, dtype=torch.float64)
    return by_sampled_token(case, weight_N, torch.zeros_like(weight_N))


def bridges_and_gardens(case: Case) -> Tensor:
    """λ·KL(p_T‖q_T) + (1 − λ)·(−log q(y)), λ by the scheme. Bridge-Garden, 2605.26246."""
    p_NV, q_NV = (x_NV**case.temperature for x_NV in (case.p_NV, case.q_NV))
    p_NV, q_NV = (x_NV / x_NV.sum(-1, keepdim=True) for x_NV in (p_NV, q_NV))
    if case.scheme == "confidence":
        soft: Any = 1 - p_NV.gather(1, case.labels_N[:, None]).squeeze(1)
    elif case.scheme == "entropy":
        g = case.exponent
        soft = ((p_NV**g).sum(-1) - 1) / (p_NV.shape[1] ** (1 - g) - 1)
    else:
        soft = case.soft_weight * min(1.0, case.step / max(1, int(case.warmup * case.steps)))
    return soft * kl(case.p_NV, case.q_NV) + (1 - soft) * cross_entropy(q_NV, case.labels_N)
