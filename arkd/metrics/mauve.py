"""MAUVE of sampled answers against gold ones, by `mauve-text` over MiniLM's sentence embeddings.

The divergence frontier is taken over clusters of texts, which a few hundred texts do not fill:
below 1,000 texts on either side the authors advise against it, and there is no value here. The
paper's features are GPT-2 large's; these come out of the pinned wheel of
`arkd.metrics.bertscore`, so the metric is named `mauve_minilm` and cannot be set beside published
values.

Source: Pillutla et al., 2021 (arXiv 2102.01454); github.com/krishnap25/mauve 0.4.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from arkd.errors import ArkdError
from arkd.metrics.bertscore import minilm_folder

ENOUGH = 1000  # texts on either side
METRIC = "mauve_minilm"
BATCH = 64


def mauve(texts: Sequence[str], gold: Sequence[str]) -> float | None:
    """Return MAUVE (0–1, 1 where both look alike), or none where either side has too few texts.

    Raises:
        ArkdError: `mauve-text` is not installed, or the encoder cannot be fetched.
    """
    if min(len(texts), len(gold)) < ENOUGH:
        return None
    try:
        from mauve import compute_mauve
    except ImportError as error:
        raise ArkdError("mauve: mauve-text is not installed; pip install 'arkd[mauve]'") from error
    found = compute_mauve(
        p_features=embeddings(gold).numpy(), q_features=embeddings(texts).numpy(), verbose=False
    )
    return float(found.mauve)


@torch.inference_mode()
def embeddings(texts: Sequence[str]) -> Tensor:
    """Return the unit-length mean of each text's last states [N, 384], each text encoded once."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm_folder(), trust_remote_code=False)
    model: Any = AutoModel.from_pretrained(
        minilm_folder(), dtype=torch.float32, trust_remote_code=False
    ).eval()
    known = sorted(set(texts), key=len)
    parts = []
    for start in range(0, len(known), BATCH):
        batch = tokenizer(
            known[start : start + BATCH], padding=True, truncation=True, return_tensors="pt"
        )
        states_BTH = model(**batch).last_hidden_state
        mask_BT1 = batch["attention_mask"].unsqueeze(-1)
        parts.append((states_BTH * mask_BT1).sum(1) / mask_BT1.sum(1))
    places = {text: place for place, text in enumerate(known)}
    rows = torch.nn.functional.normalize(torch.cat(parts), dim=-1)
    return rows[[places[text] for text in texts]]
