"""The reduction of a batch's token losses: mean over tokens, over sequences, or sums."""

from __future__ import annotations

import torch
from torch import Tensor

from arkd.method import Responses


def token_scale(reduction: str, responses: Responses) -> Tensor | None:
    """Return what turns a mean over a batch's N tokens into a reduction of them.

    `sequences`: N / (B · the tokens of each token's own sequence) [N], so that sequences count
    alike. `sums`: N / B, one number, so that each sequence counts by its sum. `tokens`: nothing.
    """
    if reduction == "tokens":
        return None
    tokens, sequences = len(responses.labels_N), len(responses.samples)
    each = torch.as_tensor(tokens / sequences, device=responses.labels_N.device)
    if reduction == "sums":
        return each
    lengths_B = responses.sequence_N.bincount(minlength=sequences)
    return each / lengths_B[responses.sequence_N]
