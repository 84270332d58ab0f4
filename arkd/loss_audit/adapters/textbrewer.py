"""Losses of TextBrewer on the logits of the scored tokens."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor

PACKAGE = "textbrewer"
COMMON: dict[str, Any] = {"positions": "caller", "teacher_gradient": "caller"}


def kd_ce(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return kd_ce_loss.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
    """
    kd_ce_loss = import_module("textbrewer.losses").kd_ce_loss
    scored = labels != -100
    return kd_ce_loss(student[scored], teacher[scored], temperature)


def kd_mse(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return kd_mse_loss.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
    """
    kd_mse_loss = import_module("textbrewer.losses").kd_mse_loss
    scored = labels != -100
    return kd_mse_loss(student[scored], teacher[scored], temperature)


DECLARES = {
    "kd_ce": COMMON
    | {
        "divergence": "soft_cross_entropy",
        "reduction": "token mean",
        "note": "textbrewer.losses.kd_ce_loss",
    },
    "kd_mse": COMMON
    | {
        "divergence": "logits_mse",
        "reduction": "vocabulary mean",
        "note": "textbrewer.losses.kd_mse_loss",
    },
}
