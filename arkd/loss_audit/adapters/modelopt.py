"""The distillation loss of NVIDIA's Model Optimizer, alone and as its trainer calls it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor

PACKAGE = "nvidia-modelopt"
COMMON: dict[str, Any] = {"divergence": "forward_kl", "temperature_power": 2}


def trainer(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the loss as the trainer for Hugging Face models makes it, shifted and masked.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the tokens [B, T].
        temperature: Of both models.
    """
    LogitsDistillationLoss = import_module("modelopt.torch.distill.losses").LogitsDistillationLoss
    loss = LogitsDistillationLoss(temperature=temperature, reduction="none")
    mask = labels[:, 1:] != -100
    loss_BT = loss(student[:, :-1].float(), teacher[:, :-1].float())
    return (loss_BT * mask).sum() / mask.sum().clamp(min=1)


def logits(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return LogitsDistillationLoss as it is made without arguments, of the scored tokens.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
    """
    LogitsDistillationLoss = import_module("modelopt.torch.distill.losses").LogitsDistillationLoss
    scored = labels != -100
    return LogitsDistillationLoss(temperature=temperature)(student[scored], teacher[scored])


DECLARES = {
    "trainer": COMMON
    | {
        "positions": "shifted",
        "reduction": "token mean",
        "note": "modelopt.torch.distill.plugins.huggingface, KDTrainer",
    },
    "logits": COMMON
    | {
        "positions": "caller",
        "note": "modelopt.torch.distill.losses.LogitsDistillationLoss()",
    },
}
