"""Token-level divergences as plain functions of log-probabilities [N, V] → losses [N].

p is the teacher, q the student. Every function takes (log_q, log_p) in this order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def label_cross_entropy(log_q_NV: Tensor, labels_N: Tensor) -> Tensor:
    """−log q of each label."""
    return -log_q_NV.gather(-1, labels_N.unsqueeze(-1)).squeeze(-1)


def skew_kl(log_q_NV: Tensor, log_p_NV: Tensor, skew: float) -> Tensor:
    """KL(p ‖ α·p + (1 − α)·q): DistiLLM's skew KL, arXiv 2402.03898, eq 3."""
    return _kl(log_p_NV, _log_mix(log_p_NV, log_q_NV, skew))


def skew_rkl(log_q_NV: Tensor, log_p_NV: Tensor, skew: float) -> Tensor:
    """KL(q ‖ (1 − α)·p + α·q): DistiLLM's skew reverse KL, arXiv 2402.03898, eq 3."""
    return _kl(log_q_NV, _log_mix(log_q_NV, log_p_NV, skew))


def _kl(log_x_NV: Tensor, log_y_NV: Tensor) -> Tensor:
    """KL(x ‖ y) of each row in nats."""
    return (log_x_NV.exp() * (log_x_NV - log_y_NV)).sum(-1)


def _log_mix(log_x_NV: Tensor, log_y_NV: Tensor, share: float) -> Tensor:
    """log(share·x + (1 − share)·y), stable in the logarithm."""
    if share <= 0:
        return log_y_NV
    if share >= 1:
        return log_x_NV
    return (log_x_NV + math.log(share)).logaddexp(log_y_NV + math.log1p(-share))
