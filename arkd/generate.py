"""Sampling of responses, in batches, with a key–value cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from arkd.training import progress


def sample(
    model: Any,
    prompts: list[list[int]],
    *,
    seed: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    batch_size: int = 256,
    label: str = "sampling",
) -> list[list[int]]:
    """Return one sampled response a prompt, up to and with EOS.

    Batches hold prompts of one length, so that nothing is padded and every row has the positions it
    had in training.

    Args:
        model: A causal language model whose config names its EOS.
        prompts: Token ids.
        seed: Of all draws; the result depends on it, the prompts and the batch size.
        max_new_tokens: A response without EOS is cut here.
        temperature: Of the sampling.
        top_p: Nucleus; 1 for all.
        top_k: 0 for all.
        batch_size: Prompts a batch.
        label: Of the progress bar.
    """
    eos = model.config.eos_token_id
    responses: list[list[int]] = [[] for _ in prompts]
    torch.manual_seed(seed)
    model.eval()
    for rows in progress(list(_equal_lengths(prompts, batch_size)), label):
        ids_BT = torch.tensor([prompts[row] for row in rows], device=model.device)
        with torch.inference_mode():
            output = model.generate(
                input_ids=ids_BT,
                attention_mask=torch.ones_like(ids_BT),
                do_sample=True,
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                max_new_tokens=max_new_tokens,
                eos_token_id=eos,
                pad_token_id=model.config.pad_token_id,
            )
        for row, tokens in zip(rows, output[:, ids_BT.shape[1] :].tolist(), strict=True):
            end = tokens.index(eos) + 1 if eos in tokens else len(tokens)
            responses[row] = tokens[:end]
    return responses


def _equal_lengths(prompts: list[list[int]], batch_size: int) -> Iterator[list[int]]:
    """Yield indices of prompts of one length, at most `batch_size` at a time."""
    order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
    batch: list[int] = []
    for row in order:
        full = len(batch) == batch_size
        if batch and (full or len(prompts[row]) != len(prompts[batch[0]])):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
