"""What tells a model by its answers, so that what is measured is known to be what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from arkd.errors import ArkdError
from arkd.models.model import evaluating, head, rounding, save
from arkd.objectives import LOG_ZERO

SIGNED = 8  # log-probabilities that are noted


@torch.no_grad()
def sign(model: Any) -> list[float]:
    """Return what tells a model by its answers: log-probabilities of a few tokens, in nats."""
    with evaluating(model):
        ids_BT = torch.tensor([[0, 1, 2, 3]], device=model.device)
        logits_V = model(input_ids=ids_BT, use_cache=False).logits[0, -1]
    log_q_V = logits_V.float().log_softmax(-1).clamp_min(LOG_ZERO)
    return [round(value, 6) for value in log_q_V[:SIGNED].tolist()]


def save_signed(model: Any, tokenizer_dir: Path, folder: Path, card: str) -> list[float]:
    """Save a model with its tokenizer and a model card, and return its `sign`.

    Args:
        model: With its weights, in the type that they are saved in.
        tokenizer_dir: The tokenizer, whose files are copied.
        folder: Of the saved model.
        card: Text of its README.md.
    """
    save(model, tokenizer_dir, folder, card)
    return sign(model)


def check_sign(model: Any, signed: list[float], folder: Path) -> None:
    """Make sure that a model that was read is the one that was saved.

    Args:
        model: As it was read.
        signed: What `sign` said of it when it was saved.
        folder: Where it lies.

    Raises:
        ArkdError: its logits are others, by more than two devices differ.
    """
    found = sign(model)
    size = max(abs(value) for value in signed if value > LOG_ZERO)
    off = rounding(head(model).weight_VH) * (1 + size)
    gap = max(abs(a - b) for a, b in zip(found, signed, strict=True))
    if not gap <= off:
        raise ArkdError(
            f"{folder}: the model that was read gives other logits than the one that was saved "
            f"(log-probabilities {gap:.3g} nats apart); the library reads its files otherwise, or "
            "they have changed: train it again"
        )
