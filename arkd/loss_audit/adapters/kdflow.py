"""Losses of KDFlow on the logits of the scored tokens, run uncompiled."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

PACKAGE = "kdflow"
INSTALL = "pip install git+https://github.com/songmzhang/KDFlow@3a7a21a"  # not on PyPI
COMMON: dict[str, Any] = {
    "positions": "caller",
    "reduction": "token mean",
    "temperature_power": 0,
    "teacher_gradient": "caller",
}


def jsd(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0, beta: float = 0.5
) -> Tensor:
    """Return compute_js_div.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
        beta: Its `jsd_beta`.
    """
    options = {"temperature": temperature, "jsd_beta": beta}
    return _loss("js_div.compute_js_div", student, teacher, labels, **options)


def kl(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return compute_kl_div.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the logits [B, T].
        temperature: Of both models.
    """
    return _loss("kl_div.compute_kl_div", student, teacher, labels, temperature=temperature)


def _loss(name: str, student: Tensor, teacher: Tensor, labels: Tensor, **options: float) -> Tensor:
    module, _, function = name.partition(".")
    compiled = getattr(import_module(f"kdflow.loss.{module}"), function)
    scored = labels != -100
    with torch.compiler.set_stance("force_eager"):
        loss_N: Tensor = compiled(student[scored], teacher[scored], **options)
    return loss_N.mean()


DECLARES = {
    "jsd": COMMON
    | {
        "divergence": "jsd",
        "parameter": 0.5,
        "beta": "gkd",
        "note": "kdflow.loss.js_div.compute_js_div, whose docstring names GKD",
    },
    "kl": COMMON | {"divergence": "forward_kl", "note": "kdflow.loss.kl_div.compute_kl_div"},
}
