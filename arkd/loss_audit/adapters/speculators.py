"""Losses of vLLM's speculators, which distil a draft model; a loss a token, meaned here."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor

PACKAGE = "speculators"
COMMON: dict[str, Any] = {
    "positions": "caller",
    "reduction": "token mean",
    "teacher_gradient": "caller",
}


def kl(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return kl_div_loss of logits [B, T, V] and labels [B, T]."""
    return _loss("kl_div_loss", student, teacher, labels)


def reverse_kl(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return reverse_kl_div_loss of logits [B, T, V] and labels [B, T]."""
    return _loss("reverse_kl_div_loss", student, teacher, labels)


def js(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return js_div_loss of logits [B, T, V] and labels [B, T]."""
    return _loss("js_div_loss", student, teacher, labels)


def tv(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return tv_loss of logits [B, T, V] and labels [B, T]."""
    return _loss("tv_loss", student, teacher, labels)


def _loss(name: str, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    eager = import_module("speculators.losses.eager")
    scored = labels != -100
    loss: Tensor = getattr(eager, name)(student[scored][None], teacher[scored][None])
    return loss.mean()


NOTE = "speculators.losses.eager."
DECLARES = {
    "kl": COMMON | {"divergence": "forward_kl", "note": NOTE + "kl_div_loss"},
    "reverse_kl": COMMON | {"divergence": "reverse_kl", "note": NOTE + "reverse_kl_div_loss"},
    "js": COMMON | {"divergence": "jsd", "parameter": 0.5, "note": NOTE + "js_div_loss"},
    "tv": COMMON | {"divergence": "tvd", "note": NOTE + "tv_loss"},
}
