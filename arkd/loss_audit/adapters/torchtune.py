"""Losses of torchtune. The recipe shifts the labels."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor

PACKAGE = "torchtune"
COMMON: dict[str, Any] = {
    "positions": "aligned",
    "reduction": "token mean",
    "teacher_gradient": "caller",
}


def forward_kl(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return ForwardKLLoss of logits [B, T, V] and labels [B, T]."""
    return _loss("ForwardKLLoss", student, teacher, labels)


def reverse_kl(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return ReverseKLLoss of logits [B, T, V] and labels [B, T]."""
    return _loss("ReverseKLLoss", student, teacher, labels)


def symmetric_kl(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return SymmetricKLLoss at its default, half of each, of [B, T, V] and labels [B, T]."""
    return _loss("SymmetricKLLoss", student, teacher, labels)


def _loss(name: str, student: Tensor, teacher: Tensor, labels: Tensor) -> Any:
    loss = import_module("torchtune.modules.loss")
    flat = (x.flatten(0, 1) for x in (student, teacher))
    return getattr(loss, name)()(*flat, labels.flatten())


NOTE = "torchtune.modules.loss."
DECLARES = {
    "forward_kl": COMMON | {"divergence": "forward_kl", "note": NOTE + "ForwardKLLoss"},
    "reverse_kl": COMMON | {"divergence": "reverse_kl", "note": NOTE + "ReverseKLLoss"},
    "symmetric_kl": COMMON
    | {
        "divergence": "mixed_kl",
        "parameter": 0.5,
        "note": NOTE + "SymmetricKLLoss",
    },
}
