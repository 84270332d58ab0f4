"""How many rows an accelerator has the memory for, where a suite leaves that to the machine.

On a CPU it is a fixed number: there rounding, and with it the bytes of results, may depend on how
many rows a product has. T tokens of a row, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch

from arkd.models.model import head, text_config
from arkd.sizes import fitting as sizes
from arkd.sizes.memory import SAMPLING
from arkd.suite.settings import Rows


def decoded_row(model: Any, length: int) -> int:
    """Return the bytes that a row takes which is sampled up to a length.

    Those are keys and values, of one block once more as they grow, and the logits of one token.
    """
    config = text_config(model)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    block = 2 * length * heads * size * model.dtype.itemsize
    return (config.num_hidden_layers + 1) * block + len(head(model)) * SAMPLING


def scored_row(model: Any, length: int) -> int:
    """Return the bytes that a row takes whose likelihood is asked: logits, their logarithms."""
    return length * len(head(model)) * (model.dtype.itemsize + 4)


def free(device: torch.device) -> int:
    """Return the free bytes of an accelerator, what PyTorch holds and does not use included."""
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(device)[0]


def whole(device: torch.device) -> int:
    """Return the bytes that a process may have of an accelerator: what is free, and what it has."""
    return int(0.92 * (free(device) + torch.cuda.memory_allocated(device)))


def fitting(wanted: Rows, row_bytes: int, device: torch.device) -> int:
    """Return how many rows run at once: as many as are wanted, or a power of two that fits.

    Args:
        wanted: A number, or `auto`.
        row_bytes: That one row takes.
        device: Where they run.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cpu":
        return sizes.ON_CPU
    return sizes.fitting(free(device), row_bytes)
