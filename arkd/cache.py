"""The exact teacher cache: its last hidden state at each response position, stored once.

Logits are one matrix product with the head away, so that every divergence stays exact, at
2–4 bytes × hidden size a token instead of 2–4 bytes × vocabulary. A cache belongs to one response
set: the token ids lie beside the hidden states, row for row, so that the two cannot part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from arkd.data.tokens import TokenSet
from arkd.errors import ArkdError
from arkd.heads import Head
from arkd.models import head, hidden_states
from arkd.training import progress

HEAD = "head.safetensors"
BATCH_TOKENS = 4096  # of one forward pass


@dataclass(frozen=True)
class Evidence:
    """One response set, and the teacher's hidden state at each of its response positions.

    `hidden` is [number of response tokens, teacher's hidden size], or none for a method that looks
    at no teacher.
    """

    tokens: TokenSet
    hidden: Tensor | None = None


def hidden_responses(model: Any, tokens: TokenSet, label: str) -> Tensor:
    """Run a model once over a response set; return its last hidden states [response tokens, H].

    Samples of one length share a batch, so that nothing is padded; the values do not depend on the
    order of the samples, and on the batch only within rounding.
    """
    starts = tokens.response_starts
    device = next(model.parameters()).device
    out = torch.empty(int(starts[-1]), head(model).hidden, dtype=torch.float32)
    lengths = tokens.starts.diff()
    groups: list[list[int]] = []
    for length in lengths.unique().tolist():
        rows = torch.nonzero(lengths == length).squeeze(1).tolist()
        size = max(1, BATCH_TOKENS // length)
        groups += [rows[i : i + size] for i in range(0, len(rows), size)]
    with torch.inference_mode():
        for rows in progress(groups, label):
            batch = tokens.batch(rows, model.config.pad_token_id)
            states = hidden_states(model, batch.ids_BT.to(device))
            out[batch.hidden_rows_N] = states[batch.positions_N.to(device)].float().cpu()
    return out


def save(folder: Path, name: str, tokens: TokenSet, hidden: Tensor) -> None:
    """Write a response set and its teacher states."""
    tokens.save(folder / f"{name}.safetensors")
    facts = {"rows": "one a response token, in the order of the samples", "shift": "predicting"}
    save_file(
        {"hidden": hidden}, folder / f"{name}_hidden.safetensors", {"arkd": json.dumps(facts)}
    )


def save_head(folder: Path, model: Any) -> None:
    """Write the teacher's head, which turns cached states into logits."""
    save_file({"head": head(model).detach().weight_VH.float().cpu().contiguous()}, folder / HEAD)


def load(folder: Path, name: str) -> Evidence:
    """Read a response set with its teacher states.

    Raises:
        ArkdError: the states do not belong to the tokens.
    """
    tokens = TokenSet.load(folder / f"{name}.safetensors")
    path = folder / f"{name}_hidden.safetensors"
    with safe_open(path, framework="pt") as stored:
        hidden = stored.get_tensor("hidden")
    if len(hidden) != int(tokens.response_starts[-1]):
        raise ArkdError(
            f"{path}: {len(hidden)} states for {int(tokens.response_starts[-1])} response tokens; "
            "delete the folder and run again"
        )
    return Evidence(tokens, hidden)


def load_head(folder: Path) -> Head:
    """Read the teacher's head [V, G]."""
    return Head(load_file(folder / HEAD)["head"])
