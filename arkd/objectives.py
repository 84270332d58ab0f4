"""Token-level objectives as plain functions of log-probabilities [N, V] → losses [N].

p is the teacher, q the student, KL(x ‖ y) = Σ x·log(x/y) in nats. Every function takes
(log_q, log_p) in this order and is differentiable in both, but where it says otherwise; that the
teacher gets no gradient is seen to where its logits are made. All work in the logarithm, in float32
at least; a share outside of [0, 1] is a ValueError. An impossible token (log 0 = −∞) counts as one
of probability e^LOG_ZERO: its own terms are 0, a finite price is paid where only the other model
allows it, and nothing becomes NaN.

Shapes: N response tokens, V vocabulary.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

LOG_ZERO = -1e5  # exp of it is 0 in every format, 0 times it is 0, its square is finite

AklVersion = Literal["authors", "dskd", "taid"]


def label_cross_entropy(log_q_NV: Tensor, labels_N: Tensor) -> Tensor:
    """−log q of each label."""
    return -log_q_NV.gather(-1, labels_N.unsqueeze(-1)).squeeze(-1)


def sampled_cost(cost_N: Tensor, log_q_N: Tensor) -> Tensor:
    """c, with the gradient c·∇log q(y): the score-function estimator of one token's cost.

    Args:
        cost_N: c of each sampled token, without gradient.
        log_q_N: The student's log-probability of that token.
    """
    return cost_N * (log_q_N - log_q_N.detach()).exp()


def forward_kl(log_q_NV: Tensor, log_p_NV: Tensor) -> Tensor:
    """KL(p ‖ q)."""
    return _kl(_finite(log_p_NV), _finite(log_q_NV))


def reverse_kl(log_q_NV: Tensor, log_p_NV: Tensor) -> Tensor:
    """KL(q ‖ p)."""
    return _kl(_finite(log_q_NV), _finite(log_p_NV))


def skew_kl(log_q_NV: Tensor, log_p_NV: Tensor, skew: float) -> Tensor:
    """KL(p ‖ α·p + (1 − α)·q): DistiLLM's skew KL, arXiv 2402.03898, eq 3."""
    _check_share("skew", skew)
    log_q_NV, log_p_NV = _finite(log_q_NV), _finite(log_p_NV)
    return _kl(log_p_NV, _log_mix(log_p_NV, log_q_NV, skew))


def skew_rkl(log_q_NV: Tensor, log_p_NV: Tensor, skew: float) -> Tensor:
    """KL(q ‖ (1 − α)·p + α·q): DistiLLM's skew reverse KL, arXiv 2402.03898, eq 3."""
    _check_share("skew", skew)
    log_q_NV, log_p_NV = _finite(log_q_NV), _finite(log_p_NV)
    return _kl(log_q_NV, _log_mix(log_q_NV, log_p_NV, skew))


def jsd(log_q_NV: Tensor, log_p_NV: Tensor, beta: float) -> Tensor:
    """β·KL(p ‖ m) + (1 − β)·KL(q ‖ m), m = β·p + (1 − β)·q: GKD, arXiv 2306.13649.

    Near β = 0 it is β·KL(p ‖ q), near β = 1 it is (1 − β)·KL(q ‖ p).
    """
    _check_share("beta", beta)
    log_q_NV, log_p_NV = _finite(log_q_NV), _finite(log_p_NV)
    log_m_NV = _log_mix(log_p_NV, log_q_NV, beta)
    return beta * _kl(log_p_NV, log_m_NV) + (1 - beta) * _kl(log_q_NV, log_m_NV)


def tvd(log_q_NV: Tensor, log_p_NV: Tensor) -> Tensor:
    """½·Σ|p − q|: f-distillation's total variation, arXiv 2307.15190; its slope at 0 is 0."""
    return 0.5 * (_finite(log_p_NV).exp() - _finite(log_q_NV).exp()).abs().sum(-1)


def alpha_beta(log_q_NV: Tensor, log_p_NV: Tensor, alpha: float, beta: float) -> Tensor:
    """−1/(αβ)·Σ[p^α·q^β − α/(α+β)·p^(α+β) − β/(α+β)·q^(α+β)]: ABKD, arXiv 2505.04560.

    For α, β ≥ 0. Where one or both are 0 it is the limit of the formula; (1, 0) is KL(p ‖ q) and
    (0, 1) is KL(q ‖ p).

    Args:
        log_q_NV: The student's log-probabilities.
        log_p_NV: The teacher's.
        alpha: Exponent of p.
        beta: Exponent of q.

    Raises:
        ValueError: an exponent is negative.
    """
    if alpha < 0 or beta < 0:
        raise ValueError(f"alpha and beta are at least 0, not {alpha} and {beta}")
    log_q_NV, log_p_NV = _finite(log_q_NV), _finite(log_p_NV)
    if alpha == 0 and beta == 0:
        return 0.5 * (log_q_NV - log_p_NV).square().sum(-1)
    if beta == 0:
        return _power_kl(log_p_NV, log_q_NV, alpha)
    if alpha == 0:
        return _power_kl(log_q_NV, log_p_NV, beta)
    total = alpha + beta
    p_NV, q_NV = (total * log_p_NV).exp(), (total * log_q_NV).exp()
    joint_NV = (alpha * log_p_NV + beta * log_q_NV).exp()
    terms_NV = alpha / total * p_NV + beta / total * q_NV - joint_NV
    return terms_NV.sum(-1) / (alpha * beta)


def todi(log_q_NV: Tensor, log_p_NV: Tensor) -> Tensor:
    """Σ w·p·log(p/q) + (1 − w)·q·log(q/p), w = p/(p + q) without gradient: ToDi, arXiv 2505.16297.

    Its value is KL(p ‖ q) + KL(q ‖ p); only its gradient is its own.
    """
    log_q_NV, log_p_NV = _finite(log_q_NV), _finite(log_p_NV)
    share_NV = (log_p_NV - log_q_NV).detach().sigmoid()
    terms_NV = share_NV * _terms(log_p_NV, log_q_NV)
    return (terms_NV + (1 - share_NV) * _terms(log_q_NV, log_p_NV)).sum(-1)


def drkl(log_q_NV: Tensor, log_p_NV: Tensor, labels_N: Tensor, gamma: float | Tensor) -> Tensor:
    """KL(bin q_m ‖ bin p_m) + γ·KL(q̂ ‖ p̂), m the label: DRKL, arXiv 2604.00223.

    bin is (x_m, 1 − x_m), and x̂ is x over the other tokens, normalised. γ is a number or one a
    token [N], which may carry a gradient: γ = 1 − q_m makes it KL(q ‖ p).

    Args:
        log_q_NV: The student's log-probabilities.
        log_p_NV: The teacher's.
        labels_N: The label m of each token.
        gamma: γ, the weight of the part without the label.
    """
    log_q_N, log_no_q_N, log_rest_q_NV = _split(_finite(log_q_NV), labels_N)
    log_p_N, log_no_p_N, log_rest_p_NV = _split(_finite(log_p_NV), labels_N)
    target_N = _terms(log_q_N, log_p_N) + _terms(log_no_q_N, log_no_p_N)
    return target_N + gamma * _kl(log_rest_q_NV, log_rest_p_NV)


def interpolated(log_q_NV: Tensor, log_p_NV: Tensor, share: float) -> Tensor:
    """log p_t, p_t = softmax((1 − t)·z_q + t·z_p) [N, V], no gradient: TAID, arXiv 2501.16937."""
    mix_NV = (1 - share) * _finite(log_q_NV.detach()) + share * _finite(log_p_NV)
    return mix_NV.log_softmax(-1)


def adaptive_kl(
    log_q_NV: Tensor, log_p_NV: Tensor, threshold: float, version: AklVersion = "authors"
) -> Tensor:
    """w·KL(p ‖ q) + (1 − w)·KL(q ‖ p), w the head's share of the gap: AKL, arXiv 2404.02657.

    In the version "taid" the first term is −Σ p·log q and w carries a gradient, as in that code.

    Args:
        log_q_NV: The student's log-probabilities.
        log_p_NV: The teacher's.
        threshold: The teacher's mass at which head and tail part, 0–1.
        version: Whose code decides on the token at the boundary; see `head_share`.
    """
    share_N = head_share(log_q_NV, log_p_NV, threshold, version)
    fkl_N = forward_kl(log_q_NV, log_p_NV)
    if version == "taid":
        fkl_N = -(_finite(log_p_NV).exp() * _finite(log_q_NV)).sum(-1)
    return share_N * fkl_N + (1 - share_N) * reverse_kl(log_q_NV, log_p_NV)


def head_share(
    log_q_NV: Tensor, log_p_NV: Tensor, threshold: float, version: AklVersion = "authors"
) -> Tensor:
    """g_head/(g_head + g_tail), g = Σ|p − q| over the teacher's head or tail; ½ where both are 0.

    - authors (wutaiqiang/LLM_KD_AKL@ff278be): the head is the longest run of most probable tokens
      whose mass is at most the threshold, but at least one token;
    - dskd (songmzhang/DSKD@077337a): the tail is the longest run of least probable tokens whose
      mass is at most the threshold, so that the token on the boundary is in the head;
    - taid (SakanaAI/TAID@a062892): as dskd, the tail's mass less than the threshold, but the mask
      over sorted tokens is laid on unsorted gaps; the share carries a gradient.

    Args:
        log_q_NV: The student's log-probabilities.
        log_p_NV: The teacher's.
        threshold: The teacher's mass at which head and tail part, 0–1.
        version: Which of the three codes above.

    Raises:
        ValueError: the threshold is outside of [0, 1].
    """
    _check_share("threshold", threshold)
    p_NV, q_NV = _finite(log_p_NV).exp(), _finite(log_q_NV).exp()
    gap_NV = (p_NV - (q_NV if version == "taid" else q_NV.detach())).abs()
    sorted_NV, order_NV = p_NV.sort(dim=-1, descending=version == "authors", stable=True)
    mass_NV = sorted_NV.cumsum(-1)
    if version == "authors":
        in_head_NV = mass_NV <= threshold
        in_head_NV[..., 0] = True
    elif version == "dskd":
        in_head_NV = mass_NV > threshold
    else:
        in_head_NV = mass_NV >= threshold
    if version != "taid":
        gap_NV = gap_NV.gather(-1, order_NV)
    total_N = gap_NV.sum(-1)
    head_N = gap_NV.masked_fill(~in_head_NV, 0).sum(-1)
    return (head_N / total_N.where(total_N > 0, 1)).where(total_N > 0, 0.5)


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} lies in [0, 1], and is {share}")


def _finite(log_x_NV: Tensor) -> Tensor:
    """Return log-probabilities without −∞, in a format that holds LOG_ZERO; float16 does not."""
    return (log_x_NV.float() if log_x_NV.element_size() < 4 else log_x_NV).clamp_min(LOG_ZERO)


def _terms(log_x: Tensor, log_y: Tensor) -> Tensor:
    """x·log(x/y) of each entry."""
    return log_x.exp() * (log_x - log_y)


def _kl(log_x_NV: Tensor, log_y_NV: Tensor) -> Tensor:
    """KL(x ‖ y) of each row in nats."""
    return _terms(log_x_NV, log_y_NV).sum(-1)


def _power_kl(log_x_NV: Tensor, log_y_NV: Tensor, power: float) -> Tensor:
    """Σ[x^k·log(x^k/y^k) − x^k + y^k]/k²: KL of powers that sum to anything."""
    log_x_NV, log_y_NV = power * log_x_NV, power * log_y_NV
    terms_NV = _terms(log_x_NV, log_y_NV) - log_x_NV.exp() + log_y_NV.exp()
    return terms_NV.sum(-1) / power**2


def _log_mix(log_x_NV: Tensor, log_y_NV: Tensor, share: float) -> Tensor:
    """log(share·x + (1 − share)·y), stable in the logarithm."""
    if share <= 0:
        return log_y_NV
    if share >= 1:
        return log_x_NV
    return (log_x_NV + math.log(share)).logaddexp(log_y_NV + math.log1p(-share))


def _split(log_x_NV: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return log x_m and log(1 − x_m) of each label, [N], and log x̂ of the others, [N, V]."""
    index_N1 = labels_N.unsqueeze(-1)
    others_NV = log_x_NV.scatter(-1, index_N1, LOG_ZERO)
    log_no_N1 = others_NV.logsumexp(-1, keepdim=True)
    return log_x_NV.gather(-1, index_N1).squeeze(-1), log_no_N1.squeeze(-1), others_NV - log_no_N1
