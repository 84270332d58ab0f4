"""The distillation loss of torchdistill, of the scored tokens as its samples."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor

PACKAGE = "torchdistill"
COMMON: dict[str, Any] = {
    "divergence": "forward_kl",
    "positions": "caller",
    "teacher_gradient": "caller",
}


def kd(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return KDLoss with half cross-entropy, the α of its examples.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
    """
    return _loss(student, teacher, labels, temperature, 0.5)


def kd_soft(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return KDLoss without cross-entropy, α = 0.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
    """
    return _loss(student, teacher, labels, temperature, 0.0)


def _loss(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, alpha: float
) -> Tensor:
    KDLoss = import_module("torchdistill.losses.mid_level").KDLoss
    loss, scored = KDLoss("head", "output", "head", "output", temperature, alpha), labels != -100
    student_io, teacher_io = ({"head": {"output": x[scored]}} for x in (student, teacher))
    return loss(student_io, teacher_io, labels[scored])


DECLARES = {
    "kd": COMMON
    | {
        "cross_entropy": 0.5,
        "reduction": "token mean",
        "note": "torchdistill.losses.mid_level.KDLoss(alpha=0.5)",
    },
    "kd_soft": COMMON
    | {
        "reduction": "token mean",
        "temperature_power": 2,
        "note": "torchdistill.losses.mid_level.KDLoss(alpha=0); its formula has τ²",
    },
}
