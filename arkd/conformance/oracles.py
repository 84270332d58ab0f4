"""Each method's loss by its paper: what `arkd check` holds it to.

A formula sees one response set or draw of one step, with p and q softened by the step's
temperature. The means of a full step's several response sets are added up, those of a token
divergence averaged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arkd.conformance import policies, recent
from arkd.conformance.case import Case, Oracle, Weighted
from arkd.conformance.formulas import (
    alpha_beta,
    at_one,
    concrete_scores,
    cross_entropy,
    decoupled_reverse,
    entrywise,
    head_share,
    jsd,
    kl,
    mixed,
    of_labels,
    skew_kl,
    smaller_is_forward,
    to_go_within,
    total_variation,
)
from arkd.paths import benchmarks_dir


def adaptive(case: Case) -> Tensor:
    """w·KL(p‖q) + (1 − w)·KL(q‖p), w the head's share; TAID's version has −Σp·log q for KL(p‖q)."""
    version = case.params.get("version", "authors")
    w_N = head_share(case.p_NV, case.q_NV, case.threshold, version)
    loss_N = mixed(case.p_NV, case.q_NV, w_N)
    if version == "taid":
        loss_N = loss_N - w_N * (case.p_NV * case.p_NV.log()).sum(-1)
    return loss_N


def balanced(case: Case) -> tuple[Tensor, Tensor]:
    """3·KL(p‖q) + KL(q‖p) where p has more entropy than q, the other way where less. BD-KD."""
    h_p, h_q = (-(x_NV * x_NV.log()).sum(-1).detach() for x_NV in (case.p_NV, case.q_NV))
    a_N, b_N = (
        torch.where(more_N, case.stressed, case.plain).double() for more_N in (h_p > h_q, h_q > h_p)
    )
    return a_N, b_N


def interpolated(case: Case) -> Tensor:
    """KL(p_t‖q), p_t ∝ sg(q)^(1 − t)·p^t; t moves with the relative change of the loss. TAID.

    After step n: m ← β·m + (1 − β)·(L' − L)/L', then t is the larger of the linear schedule and
    t + α·σ(m)·(1 − t).
    """
    t, m = case.t_start, 0.0
    for n, (before, now) in enumerate(pairwise(case.losses), start=1):
        m = case.beta * m + (1 - case.beta) * (before - now) / before
        linear = case.t_start + (case.t_end - case.t_start) * n / case.steps
        t = min(case.t_end, max(linear, t + case.alpha * (1 - t) / (1 + math.exp(-m))))
    target_NV = case.q_NV.detach() ** (1 - t) * case.p_NV**t
    return kl(target_NV / target_NV.sum(-1, keepdim=True), case.q_NV)


def policy_gradient(case: Case) -> Tensor:
    """KL(q‖p) − min(ρA, clip(ρ)·A) of each sampled token. MiniLLM, arXiv 2306.08543.

    ρ = w·q/q_old and w = q_old/((1 − s)·q_old + s·p), of the labels; A_t is the discounted sum of
    log p − log q_old from t on, over the tokens left, whitened over all tokens.
    """
    q_old_N, p_N, q_N = (
        of_labels(x_NV, case.labels_N)
        for x_NV in (case.q_at(case.step - case.step % case.epochs), case.p_NV, case.q_NV)
    )
    reward_N = (p_N / q_old_N).log().clamp(-case.reward_clip, case.reward_clip)
    left_N = to_go_within(torch.ones_like(reward_N), case.sequence_N, 1.0)
    a_N = to_go_within(reward_N, case.sequence_N, case.gamma) / left_N
    if case.whiten:
        a_N = (a_N - a_N.mean()) / (a_N.var(correction=0) + 1e-8).sqrt()
    s = case.teacher_share
    ratio_N = q_N / ((1 - s) * q_old_N + s * p_N)
    gain_N = torch.minimum(ratio_N * a_N, ratio_N.clamp(1 - case.clip, 1 + case.clip) * a_N)
    return kl(case.q_NV, case.p_NV) - gain_N


def generalised(case: Case) -> Tensor:
    """JSD(β), at its ends forward and reverse KL. GKD, 2306.13649."""
    if case.beta in (0, 1):
        return mixed(case.p_NV, case.q_NV, 1.0 - case.beta)
    return jsd(case.p_NV, case.q_NV, case.beta)


def on_policy(case: Case) -> Tensor:
    """KL(q‖p), or (Σ γ^(u − t)·r_u − b)·q/sg(q) of the sampled token, r = log q − log p detached.

    b is 0, the mean over the batch, or KL(q‖p) at the token's own place.
    """
    whole_N = kl(case.q_NV, case.p_NV)
    if case.estimator == "vocabulary":
        return whole_N
    p_N, q_N = (of_labels(x_NV, case.labels_N) for x_NV in (case.p_NV, case.q_NV))
    advantage_N = to_go_within((q_N.detach() / p_N).log(), case.sequence_N, case.discount)
    if case.baseline == "batch":
        advantage_N = advantage_N - advantage_N.mean()
    elif case.baseline == "closed_form":
        advantage_N = advantage_N - whole_N.detach()
    return advantage_N * q_N / q_N.detach()


def contrastive(case: Case) -> Tensor:
    """½·(2 − β)·SKL on the teacher's responses, ½·β·SRKL on the student's. DistiLLM-2, 2503.07067.

    The skew of a response is α₀ in the first steps, then clip(1 − (1 − α₀)·D̄/D, α_min, α₀): D is
    by how much its own model's mean probability of a token, exp(mean log p), the geometric one,
    exceeds the other's; D̄ is the mean D of those steps.
    """
    by_teacher = case.source == "teacher"
    means = []
    for x_NV in (case.p_NV, case.q_NV.detach()):
        log_N = of_labels(at_one(x_NV, case.temperature), case.labels_N).log()
        rows = case.sequence_N.unique_consecutive().tolist()
        means.append(torch.stack([log_N[case.sequence_N == row].mean().exp() for row in rows]))
    gap_B = means[0] - means[1] if by_teacher else means[1] - means[0]
    first = case.notes.memory.setdefault(case.source, [])
    skew_B = torch.full_like(gap_B, case.skew)
    if case.step < max(1, round(case.anchor_share * case.steps)):
        first.append(gap_B.mean())
    elif case.adaptive:
        skew_B = 1 - (1 - case.skew) * torch.stack(first).mean() / (gap_B + 1e-5)
        skew_B = skew_B.clamp(case.skew_min, case.skew)
    skew_N1 = skew_B[case.sequence_N, None]
    if by_teacher:
        return 0.5 * (2 - case.beta) * skew_kl(case.p_NV, case.q_NV, skew_N1)
    return 0.5 * case.beta * skew_kl(case.q_NV, case.p_NV, skew_N1)


def skewed(case: Case) -> Tensor:
    """SKL or SRKL, as the parameter `divergence` says. DistiLLM."""
    if case.divergence == "skew_kl":
        return skew_kl(case.p_NV, case.q_NV, case.skew)
    return skew_kl(case.q_NV, case.p_NV, case.skew)


def figure5(share: float) -> float:
    """The α of the ARKD paper's Figure 5 at a share of its run, between the points read off it."""
    path = benchmarks_dir() / "published" / "figure5.csv"
    points = np.loadtxt(path, delimiter=",", skiprows=1)
    return float(np.interp(share * points[-1, 0], points[:, 0], points[:, 1]))


def alpha(weight: Callable[[Case], Any]) -> Weighted:
    """Return the formula α·KL(p‖q) + (1 − α)·KL(q‖p) of one α a step."""

    def weights(case: Case) -> tuple[Any, Any]:
        found = weight(case)
        return found, 1 - found

    return Weighted(weights)


ORACLES: dict[str, Oracle] = {
    "sft": lambda c: cross_entropy(c.q_NV, c.labels_N),
    "seqkd": lambda c: cross_entropy(c.q_NV, c.labels_N),
    "forward_kl": alpha(lambda c: 1.0),
    "reverse_kl": alpha(lambda c: 0.0),
    "fixed_mix": alpha(lambda c: c.params["alpha"]),
    "static_018": alpha(lambda c: 0.18),
    "linear_dec": alpha(lambda c: 1 - c.share),
    "linear_inc": alpha(lambda c: c.share),
    "replay_figure5": alpha(lambda c: figure5(c.share)),
    "replay_alpha": alpha(lambda c: 0.5 + 0.4 * math.sin(c.step)),
    "greedy_min": alpha(lambda c: float(smaller_is_forward(c.p_NV, c.q_NV))),
    "jsd": lambda c: jsd(c.p_NV, c.q_NV, c.beta),
    "skew_kl": lambda c: skew_kl(c.p_NV, c.q_NV, c.skew),
    "skew_rkl": lambda c: skew_kl(c.q_NV, c.p_NV, c.skew),
    "tvd": lambda c: total_variation(c.p_NV, c.q_NV),
    "alpha_beta": lambda c: alpha_beta(c.p_NV, c.q_NV, c.alpha, c.beta),
    "todi": lambda c: entrywise(c.p_NV, c.q_NV),
    "drkl": lambda c: decoupled_reverse(c.p_NV, c.q_NV, c.labels_N, c.gamma),
    "akl": adaptive,
    "bdkd": Weighted(balanced),
    "taid": interpolated,
    "contrastive": contrastive,
    "gkd": generalised,
    "distillm": skewed,
    "minillm": policy_gradient,
    "opd": on_policy,
    "arkd": Weighted(policies.stated),
    "arkd_sampled": Weighted(policies.sampled),
    "frozen_policy": Weighted(policies.frozen),
    "random_alpha": Weighted(policies.uniform),
    "arkd_code": Weighted(policies.coin),
    "ce_kd": recent.gold_and_soft,
    "eopd": recent.entropy_aware,
    "amid": recent.mixture,
    "csd": lambda c: concrete_scores(c.p_NV, c.q_NV, c.first, c.second),
    "vopd": recent.control_variate,
    "iw_opd": recent.importance_weighted,
    "veto": recent.held_back,
    "skd": lambda c: kl(c.p_NV, c.q_NV),
    "fixed_advantage": recent.suppressed,
    "bridge_garden": recent.bridges_and_gardens,
    "adakd": recent.token_adaptive,
}

# Settings beside the defaults in which a method is checked too: other branches of its formula.
VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "fixed_mix": ({"alpha": 0.25},),
    "jsd": ({"beta": 0.1}, {"beta": 0.9}),
    "skew_kl": ({"skew": 0.5},),
    "skew_rkl": ({"skew": 0.5},),
    "alpha_beta": ({"alpha": 1.0, "beta": 0.0}, {"alpha": 0.0, "beta": 1.0}, {"beta": 0.2}),
    "drkl": ({"gamma": 0.5},),
    "akl": ({"version": "dskd"}, {"version": "taid"}),
    "bdkd": ({"stressed": 2.0, "plain": 0.5},),
    "taid": ({"alpha": 0.5, "t_start": 0.2},),
    "contrastive": ({"beta": 0.5, "skew": 0.05, "adaptive": False},),
    "gkd": ({"on_policy_share": 1.0, "beta": 0.1}, {"beta": 0.0}, {"beta": 1.0}),
    "distillm": ({"threshold": 1.0, "capacity": 10}, {"divergence": "skew_rkl"}),
    "minillm": ({"whiten": False, "teacher_share": 0.0, "epochs": 2},),
    "opd": (
        {"estimator": "sampled", "discount": 0.9},
        {"estimator": "sampled", "baseline": "batch"},
        {"estimator": "sampled", "baseline": "closed_form"},
    ),
    "arkd": (
        {"granularity": "token"},
        {"reward": "rouge_l", "reward_every": 2, "baseline": "teacher"},
    ),
    "arkd_sampled": ({"estimator": "pathwise", "granularity": "sequence"},),
    "arkd_code": (
        {"reward_every": 1, "rewards_an_update": 3, "weighting": "head_and_tail"},
        {"reward_every": 2, "rewards_an_update": 2, "credit": "first_actions"},
    ),
    "ce_kd": ({"gold_weight": 0.1},),
    "eopd": (
        {"threshold_nats": 3.6, "top_k": 3},
        {"estimator": "vocabulary", "forward_weight": 0.5, "top_k": 100},
    ),
    "amid": (
        {"alpha": 1.0, "teacher_share": 0.1, "order": "rq"},
        {"alpha": -1.0, "divergence": "kl", "order": "qr"},
        {"alpha": -3.0, "order": "rp"},
    ),
    "csd": ({"first": "uniform"}, {"first": "teacher"}, {"second": "uniform"}),
    "adakd": (
        {"smoothing": 0.5, "tolerance": 0.01, "share_step": 0.3, "warmup": 0.0},
        {"smoothing": 0.0, "tolerance": 0.02, "share_step": 0.1, "temperature_scale": 1.5},
    ),
    "vopd": ({"baseline_top_k": 4},),
    "iw_opd": ({"gamma": 3.0},),
    "veto": ({"beta": 1.2, "direction": "reverse"}, {"beta": 0.8, "beta_end": 0.5}),
    "skd": ({"teacher_top_k": 2},),
    "fixed_advantage": (
        {"entropy_weight": 1.0},
        {"advantage": 0.2, "share": 1.0},
        {"share": 0.01, "entropy_weight": 0.5},
    ),
    "bridge_garden": (
        {"scheme": "entropy", "exponent": 0.5},
        {"scheme": "curriculum", "warmup": 0.8, "soft_weight": 0.9},
    ),
}
