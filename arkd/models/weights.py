"""Whether what was read of a model's folder is the whole model and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from arkd.errors import ArkdError


def check_weights(folder: Path, model: Any, report: Mapping[str, Any]) -> None:
    """Refuse a model some of whose weights are random, left over or not finite.

    Args:
        folder: Where it was read.
        model: The model.
        report: What transformers tells of the loading: keys that were missing, unexpected or of
            another shape.

    Raises:
        ArkdError: there are such keys, or a weight is NaN or infinite (a bias may be −∞: a token
            that is never to come).
    """
    for kind, remedy in (
        (
            "missing_keys",
            "they would be random; the checkpoint is not whole, or its keys have a prefix",
        ),
        ("unexpected_keys", "they would be left out; config.json describes another model"),
        ("mismatched_keys", "their shapes are not those of config.json"),
    ):
        # Of another shape the report has key and shapes, of the others keys alone.
        found = (key[0] if isinstance(key, tuple) else key for key in report.get(kind) or ())
        if keys := sorted(map(str, found)):
            raise ArkdError(
                f"{folder}: {len(keys)} {kind.replace('_', ' ')}, the first {keys[0]}: {remedy}"
            )
    for name, weight in model.named_parameters():
        kept = weight if weight.ndim > 1 else weight[weight != -torch.inf]
        if not bool(torch.isfinite(kept).all()):
            raise ArkdError(
                f"{folder}: {name} holds NaN or infinite values; the checkpoint is broken"
            )
