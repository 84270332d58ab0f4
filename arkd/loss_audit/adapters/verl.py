"""Top-k forward KL of verl with the settings of its DistillationLossConfig.

The aggregation over a batch is the token mean of `agg_loss`; the caller picks the responses.
"""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

PACKAGE = "verl"
COMMON: dict[str, Any] = {
    "divergence": "forward_kl",
    "positions": "caller",
    "reduction": "token mean",
    "teacher_gradient": "caller",
}
LIMITS = {"log_prob_min_clamp": -10.0, "loss_max_clamp": 10.0}  # verl's defaults


def forward_kl_topk(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return the loss at its defaults, 128 tokens, of logits [B, T, V] and labels [B, T]."""
    return _loss(student, teacher, labels, 128)


def forward_kl_top32(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of 32 tokens, of logits [B, T, V] and labels [B, T]."""
    return _loss(student, teacher, labels, 32)


def _loss(student: Tensor, teacher: Tensor, labels: Tensor, top_k: int) -> Tensor:
    losses = import_module("verl.trainer.distillation.fsdp.losses")
    scored = labels != -100
    values, ids = (x[None] for x in teacher[scored].log_softmax(-1).topk(top_k, dim=-1))
    config = SimpleNamespace(distillation_loss=SimpleNamespace(**LIMITS))
    found = losses.compute_forward_kl_topk(
        student[scored][None],
        *(torch.nested.as_nested_tensor(list(x), layout=torch.jagged) for x in (values, ids)),
        config,
        "thd",
    )
    # As verl.trainer.distillation.losses has it, before and in `distillation_loss`.
    loss_N = found["distillation_losses"].clamp_min(0.0)
    return loss_N.clamp(max=LIMITS["loss_max_clamp"]).mean()


NOTE = "verl.trainer.distillation.fsdp.losses.compute_forward_kl_topk, clamps at their defaults"
DECLARES = {
    "forward_kl_topk": COMMON | {"support": 128, "clamp": 10.0, "note": NOTE},
    "forward_kl_top32": COMMON | {"support": 32, "clamp": 10.0, "note": NOTE + ", topk=32"},
}
