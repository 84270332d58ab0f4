"""Losses of ms-swift as its GKDTrainer calls them: labels rolled by one, the sum divided."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from arkd.loss_audit.declared import JSD_OF_GKD

PACKAGE = "ms-swift"
COMMON: dict[str, Any] = {
    **JSD_OF_GKD,
    "positions": "shifted",
    "reduction": "token mean",
    "teacher_gradient": "caller",
}


def gkd(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0, beta: float = 0.5
) -> Tensor:
    """Return gkd_loss over the whole vocabulary.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the tokens [B, T].
        temperature: Of both models.
        beta: Of the divergence.
    """
    return _loss(student, teacher, labels, temperature, beta, None)


def gkd_top_k(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0, beta: float = 0.5
) -> Tensor:
    """Return gkd_loss over the teacher's 64 most probable tokens (`gkd_logits_topk`).

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the tokens [B, T].
        temperature: Of both models.
        beta: Of the divergence.
    """
    return _loss(student, teacher, labels, temperature, beta, 64)


def _loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    temperature: float,
    beta: float,
    top_k: int | None,
) -> Tensor:
    TeacherOutput = import_module("swift.rlhf_trainers.gkd_loss").TeacherOutput
    gkd_loss = import_module("swift.rlhf_trainers.gkd_loss").gkd_loss
    rolled = torch.roll(labels, shifts=-1, dims=1)
    output = TeacherOutput(full_logits=teacher, labels=rolled)
    if top_k is not None:
        output = output.to_topk(top_k)
    total, count = gkd_loss(student, output, rolled, beta, temperature)
    return total / count


DECLARES = {
    "gkd": COMMON | {"note": "swift.rlhf_trainers.gkd_loss.gkd_loss"},
    "gkd_top_k": COMMON
    | {
        "support": 64,
        "note": "swift.rlhf_trainers.gkd_loss.gkd_loss, TeacherOutput.to_topk(64)",
    },
}
