"""Losses of silverspoon-kd on the logits of the scored tokens."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor

PACKAGE = "silverspoon-kd"
COMMON: dict[str, Any] = {
    "positions": "caller",
    "reduction": "token mean",
    "temperature_power": 2,
    "teacher_gradient": "caller",
}


def kl(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return kl_divergence_loss.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
    """
    kl_divergence_loss = import_module("silverspoon_kd.losses.kl").kl_divergence_loss
    scored = labels != -100
    return kl_divergence_loss(temperature=temperature)(student[scored], teacher[scored])


def jsd(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0, beta: float = 0.5
) -> Tensor:
    """Return jsd_loss.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
        beta: Of the divergence.
    """
    jsd_loss = import_module("silverspoon_kd.losses.kl").jsd_loss
    scored = labels != -100
    return jsd_loss(temperature=temperature, beta=beta)(student[scored], teacher[scored])


DECLARES = {
    "kl": COMMON
    | {
        "divergence": "forward_kl",
        "note": "silverspoon_kd.losses.kl.kl_divergence_loss",
    },
    "jsd": COMMON
    | {
        "divergence": "jsd",
        "parameter": 0.5,
        "beta": "gkd",
        "note": "silverspoon_kd.losses.kl.jsd_loss",
    },
}
