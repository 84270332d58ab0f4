"""Losses of TRL, called as its trainers call them: logits at t scored by labels[t + 1].

`distillation` is the stable trainer's loss, which computes logits tile by tile from hidden states
and heads. Here the hidden states are the logits and the heads are the identity.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from arkd.loss_audit.declared import JSD_OF_GKD

PACKAGE = "trl"
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
COMMON: dict[str, Any] = {
    **JSD_OF_GKD,
    "positions": "shifted",
    "reduction": "token mean",
    "teacher_gradient": "caller",
}


def gkd(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0, beta: float = 0.5
) -> Tensor:
    """Return the loss of the experimental GKDTrainer.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the tokens [B, T].
        temperature: Of both models.
        beta: Of the divergence, the trainer's default.
    """
    options = {"temperature": temperature, "beta": beta}
    return _jsd("gkd", "GKDTrainer", student, teacher, labels, **options)


def gold(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0, beta: float = 0.5
) -> Tensor:
    """Return the loss of the experimental GOLDTrainer within one vocabulary.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the tokens [B, T].
        temperature: Of both models.
        beta: Of the divergence, the trainer's default.
    """
    options = {"temperature": temperature, "beta": beta}
    return _jsd("gold", "GOLDTrainer", student, teacher, labels, **options)


def distillation(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0, beta: float = 1.0
) -> Tensor:
    """Return the loss of the stable DistillationTrainer, with its torch tiles in Triton's place.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the tokens [B, T].
        temperature: Of both models.
        beta: Of the divergence, the trainer's default.
    """
    trainer = import_module("trl.trainer.distillation_trainer")
    loss, _, _ = trainer._chunked_divergence_loss(
        student[:, :-1],
        teacher[:, :-1],
        torch.eye(student.shape[-1], dtype=student.dtype),
        torch.eye(teacher.shape[-1], dtype=teacher.dtype),
        labels[:, 1:] != -100,
        beta,
        temperature=temperature,
    )
    return loss


def iw_opd(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float = 1.0, beta: float = 1.0
) -> Tensor:
    """Return the divergence of the experimental IWOPDTrainer, the whole vocabulary as its support.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the tokens [B, T].
        temperature: Of both models.
        beta: Of the divergence, the trainer's default.
    """
    options = {"temperature": temperature, "beta": beta}
    return _jsd("iw_opd", "IWOPDTrainer", student, teacher, labels, **options)


def iw_opd_top_k(student: Tensor, teacher: Tensor, labels: Tensor, beta: float = 1.0) -> Tensor:
    """Return the same over the 64 most probable tokens and a bucket of the others.

    Args:
        student: Logits [B, T, V].
        teacher: Logits [B, T, V].
        labels: Of the tokens [B, T].
        beta: Of the divergence, the trainer's default.
    """
    return _jsd("iw_opd", "IWOPDTrainer", student, teacher, labels, beta=beta, top_k=64)


def _jsd(
    name: str, trainer: str, student: Tensor, teacher: Tensor, labels: Tensor, **options: float
) -> Tensor:
    """Return the loss of an experimental trainer, shifted as it shifts."""
    module = import_module(f"trl.experimental.{name}.{name}_trainer")
    shifted = student[:, :-1], teacher[:, :-1], labels[:, 1:]
    loss: Tensor = getattr(module, trainer).generalized_jsd_loss(*shifted, **options)
    return loss


DECLARES = {
    "gkd": COMMON | {"note": "trl.experimental.gkd, GKDTrainer.generalized_jsd_loss"},
    "gold": COMMON | {"note": "trl.experimental.gold, GOLDTrainer.generalized_jsd_loss"},
    "distillation": COMMON
    | {
        "divergence": "reverse_kl",
        "parameter": None,
        "logits": "product",
        "note": "trl.trainer.distillation_trainer, kernels/chunked_divergence.py, torch tiles",
    },
    "iw_opd": COMMON
    | {
        "divergence": "reverse_kl",
        "parameter": None,
        "note": "trl.experimental.iw_opd, IWOPDTrainer.generalized_jsd_loss, top_k=0",
    },
    "iw_opd_top_k": COMMON
    | {
        "divergence": "reverse_kl",
        "parameter": None,
        "support": 64,
        "note": "trl.experimental.iw_opd, IWOPDTrainer.generalized_jsd_loss, top_k=64",
    },
}
