"""Scores on the development rows: what rewards look at, and what selects a state of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from arkd.data.tokens import TokenSet
from arkd.divergence.losses import label_log_probs
from arkd.models.generate import sample
from arkd.models.model import evaluating, head, response_states
from arkd.rouge import Rouge, rouge_l
from arkd.seeding import derive_seed
from arkd.suite.protocol import Selection

BATCH = 64


@torch.no_grad()
def nll(model: Any, rows: TokenSet) -> float:
    """Return a model's −log q of the gold responses, mean over tokens, in nats."""
    total = 0.0
    with evaluating(model):
        for start in range(0, len(rows), BATCH):
            span = range(start, min(start + BATCH, len(rows)))
            batch = rows.own_batch(span, model.config.pad_token_id)
            hidden_NH = response_states(model, batch)
            labels_N = batch.labels_N.to(hidden_NH.device)
            total -= float(label_log_probs(hidden_NH, head(model), labels_N, temperature=1.0).sum())
    return total / max(1, int(rows.response_starts[-1]))


def mean_rouge_l(
    drawn: list[list[int]], rows: TokenSet, tokenizer: Any, metric: Rouge = "rouge_l"
) -> float:
    """Return the mean ROUGE-L (0–1) of sampled answers to the first so many rows.

    Args:
        drawn: Token ids of the answers, of as many rows.
        rows: The prompts with their gold responses.
        tokenizer: Of both.
        metric: Which ROUGE-L.
    """
    texts = tokenizer.batch_decode(drawn, skip_special_tokens=True)
    gold = [rows.response(row) for row in range(len(drawn))]
    references = tokenizer.batch_decode(gold, skip_special_tokens=True)
    scores = [rouge_l(text, [ref], metric) for text, ref in zip(texts, references, strict=True)]
    return sum(scores) / (100 * max(1, len(scores)))


def judge(
    model: Any,
    selection: Selection | None,
    rows: TokenSet,
    tokenizer: Any,
    decoding: dict[str, Any],
    *axes: str | int,
    rouge: Rouge = "rouge_l",
) -> Callable[[], float] | None:
    """Return what scores a model's state of now, higher is better; none where nothing is selected.

    Every state is asked the same rows with the same draws.

    Args:
        model: What is trained.
        selection: By what, and on how many rows.
        rows: The development rows.
        tokenizer: To decode with.
        decoding: Options of `arkd.models.generate.sample`.
        *axes: What the draws are for; see `derive_seed`.
        rouge: Of which kind the ROUGE-L is.
    """
    if selection is None:
        return None
    subset = rows.head(selection.items)
    prompts = [subset.prompt(row) for row in range(len(subset))]

    def score() -> float:
        if selection.metric == "nll":
            return -nll(model, subset)
        seed = derive_seed("selection", *axes)
        drawn = sample(model, prompts, seed=seed, **decoding)
        return mean_rouge_l(drawn, subset, tokenizer, rouge)

    return score
