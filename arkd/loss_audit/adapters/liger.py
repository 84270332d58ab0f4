"""Losses of Liger that are torch code (`chunked_loss`), uncompiled; its Triton kernels need a GPU.

Hidden states are the logits and the heads are the identity. The caller shifts.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from arkd.loss_audit.declared import JSD_OF_GKD

PACKAGE = "liger-kernel"
COMMON: dict[str, Any] = {
    **JSD_OF_GKD,
    "positions": "aligned",
    "reduction": "token mean",
    "logits": "product",
}


def jsd(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0, beta: float = 0.5
) -> Tensor:
    """Return LigerFusedLinearJSDLoss with the weights that TRL gives it: 0 hard, 1 soft.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
        beta: Of the divergence.
    """
    weights = {"weight_hard_loss": 0.0, "weight_soft_loss": 1.0}
    return _fused(student, teacher, labels, temperature=temperature, beta=beta, **weights)


def jsd_defaults(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0, beta: float = 0.5
) -> Tensor:
    """Return LigerFusedLinearJSDLoss as it is made without arguments.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
        beta: Of the divergence.
    """
    return _fused(student, teacher, labels, temperature=temperature, beta=beta)


def _fused(student: Tensor, teacher: Tensor, labels: Tensor, **options: float) -> Tensor:
    LigerFusedLinearJSDLoss = import_module("liger_kernel.chunked_loss").LigerFusedLinearJSDLoss
    loss = LigerFusedLinearJSDLoss(compiled=False, **options)
    student_VV, teacher_VV = (
        torch.eye(x.shape[-1], dtype=x.dtype).requires_grad_(x is student)
        for x in (student, teacher)
    )
    flat = student.flatten(0, 1), student_VV, teacher.flatten(0, 1), teacher_VV
    return loss(*flat, labels.flatten())


DECLARES = {
    "jsd": COMMON
    | {"note": "LigerFusedLinearJSDLoss(weight_hard_loss=0, weight_soft_loss=1, compiled=False)"},
    "jsd_defaults": COMMON | {"note": "LigerFusedLinearJSDLoss(compiled=False)"},
}
