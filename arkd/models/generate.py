"""Sampling of responses, in batches, with a key–value cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from arkd import ranks
from arkd.data.tokenizer import until_end
from arkd.errors import ArkdError
from arkd.models import room, shards
from arkd.models.draw import Draw, interleaved, uniforms
from arkd.models.model import end_tokens, evaluating, head
from arkd.progress import progress
from arkd.suite.settings import Engine, Rows


class Mixture(LogitsProcessor):
    """Turns a model's scores into log(share·p + (1 − share)·q), p another model's probabilities.

    Or into the logarithm of `interleaved` p and q. The other model reads along with a cache of its
    own. Both are softened by the temperature here. Of either, only the rows that stand for a token
    of the vocabulary count.

    Args:
        other: The model whose probabilities are p.
        share: Of p, 0–1.
        top_k: How many tokens of p keep a proposal of q; 0 for a mixture by the share.
        mask_BT: Which positions of the left-padded prompts are tokens.
        temperature: What both models' logits are divided by.
        vocabulary: How many tokens there are; none for the length of the other's head.
    """

    def __init__(
        self,
        other: Any,
        share: float,
        top_k: int,
        mask_BT: Tensor,
        temperature: float,
        vocabulary: int | None,
    ) -> None:
        self.other = other
        self.top_k = top_k
        self.vocabulary = len(head(other)) if vocabulary is None else vocabulary
        self.share = share
        self.mask_BT = mask_BT
        self.temperature = temperature
        self.cache: Any = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the mixture's log-probabilities [B, V]."""
        grown = input_ids.shape[1] - self.mask_BT.shape[1]
        mask_BT = torch.nn.functional.pad(self.mask_BT, (0, grown), value=1)
        positions_BT = (mask_BT.cumsum(-1) - 1).clamp_min(0)
        unread = slice(0 if self.cache is None else -1, None)
        output = self.other(
            input_ids=input_ids[:, unread],
            attention_mask=mask_BT,
            position_ids=positions_BT[:, unread],
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache = output.past_key_values
        vocabulary = min(scores.shape[-1], output.logits.shape[-1], self.vocabulary)
        q = (scores / self.temperature).softmax(-1)
        p = (output.logits[:, -1, :vocabulary] / self.temperature).softmax(-1)
        if self.top_k > 0:
            p = torch.nn.functional.pad(p, (0, q.shape[-1] - vocabulary))
            return interleaved(p, q, self.top_k).log()
        mixed = (1 - self.share) * q
        mixed[:, :vocabulary] += self.share * p
        return mixed.log()


def sample(
    model: Any,
    prompts: list[list[int]],
    *,
    seed: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    batch_size: Rows = 256,
    vocabulary: int | None = None,
    mixed_with: Any = None,
    share: float = 0.0,
    vetted_by: int = 0,
    padded: bool = False,
    engine: Engine = "batched",
    label: str = "sampling",
) -> list[list[int]]:
    """Return one sampled response a prompt, up to and with an end token.

    On a CPU batches hold prompts of one length, so that nothing is padded, unless `padded` allows
    any. On an accelerator, where a small batch takes as long as a large one, prompts of like length
    share one. Of several processes that train together each answers its share of the prompts.

    Args:
        model: A causal language model whose config names its end tokens.
        prompts: Token ids.
        seed: Of all draws: a prompt's are the same in any batch.
        max_new_tokens: A response without an end token is cut here.
        temperature: Of the sampling.
        top_p: Nucleus; 1 for all.
        top_k: 0 for all.
        batch_size: Prompts a batch, or `auto`.
        vocabulary: The tokenizer's size. A head may be padded beyond it: those rows are no tokens
            and never drawn. None for a model whose head is known to have no such rows.
        mixed_with: A second model, to sample from both.
        share: The second model's share of a mixture of the two.
        vetted_by: In the mixture's place: a token stands if it is among so many most probable ones
            of the second model, which otherwise draws its own; 0 for the mixture.
        padded: Pad shorter prompts on the left; faster for few prompts of many lengths.
        engine: `continuous`: in no batches, `batch_size` prompts at once.
        label: Of the progress bar; none without one.

    Raises:
        ArkdError: the continuous engine runs neither this model, nor two, nor in several processes.
    """
    ends, pad = end_tokens(model), model.config.pad_token_id
    responses: list[list[int]] = [[] for _ in prompts]
    part = ranks.share(len(prompts))
    alike = model.device.type == "cpu"
    beyond = tokens_beyond(model, vocabulary)
    draws = uniforms(len(prompts), max_new_tokens, torch.Generator().manual_seed(seed))
    if engine == "continuous":
        if mixed_with is not None or ranks.count() > 1:
            raise ArkdError("decoding.engine: continuous runs one model, in one process")
        from arkd.models import continuous  # which loads what the other engine has no need of

        with evaluating(model):
            return continuous.answers(
                model,
                prompts,
                draws,
                ends=ends,
                at_once=_batch_size(model, None, prompts, max_new_tokens, batch_size),
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                vocabulary=vocabulary,
                label=label,
            )
    with shards.whole(model, mixed_with), evaluating(model), torch.inference_mode():
        size = _batch_size(model, mixed_with, prompts, max_new_tokens, batch_size)
        groups = _slices(part, size) if padded else _by_length(part, prompts, size, alike)
        for rows in progress(list(groups), label):
            width = max(len(prompts[row]) for row in rows)
            ids_BT = torch.tensor(
                [[pad] * (width - len(prompts[row])) + prompts[row] for row in rows],
                device=model.device,
            )
            lengths_B1 = torch.tensor([[len(prompts[row])] for row in rows], device=model.device)
            mask_BT = (torch.arange(width, device=model.device) >= width - lengths_B1).long()
            last = LogitsProcessorList()
            if mixed_with is not None:
                given = share, vetted_by, mask_BT, temperature, vocabulary
                last.append(Mixture(mixed_with, *given))
            last.append(Draw(draws[rows], 1.0 if mixed_with else temperature, top_p, top_k))
            output = model.generate(
                input_ids=ids_BT,
                attention_mask=mask_BT,
                do_sample=False,
                max_new_tokens=max_new_tokens,
                eos_token_id=ends,
                pad_token_id=pad,
                logits_processor=last,
                suppress_tokens=beyond or None,
                synced_gpus=False,  # no pass of a process waits for another's
            )
            for row, tokens in zip(rows, output[:, width:].tolist(), strict=True):
                responses[row] = until_end(tokens, ends)
    return ranks.joined([responses[row] for row in part])


def tokens_beyond(model: Any, vocabulary: int | None) -> list[int]:
    """Return the rows of a model's head that stand for no token of a vocabulary."""
    return [] if vocabulary is None else list(range(vocabulary, len(head(model))))


def _slices(rows: range, size: int) -> Iterator[list[int]]:
    """Yield some rows, at most `size` at a time."""
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


def _batch_size(
    model: Any, other: Any, prompts: list[list[int]], new_tokens: int, wanted: Rows
) -> int:
    """Return how many prompts are answered at once, by one model or by two together."""
    if wanted != "auto":
        return wanted
    length = max(map(len, prompts), default=0) + new_tokens
    models = [model] if other is None else [model, other]
    return room.fitting(wanted, sum(room.decoded_row(m, length) for m in models), model.device)


def _by_length(
    part: range, prompts: list[list[int]], batch_size: int, alike: bool
) -> Iterator[list[int]]:
    """Yield indices of prompts, sorted by length, in batches.

    Args:
        part: The indices.
        prompts: Token ids of all prompts.
        batch_size: Of a batch, at most.
        alike: Whether all prompts of a batch are of one length.
    """
    order = sorted(part, key=lambda row: (len(prompts[row]), row))
    batch: list[int] = []
    for row in order:
        other = alike and batch and len(prompts[row]) != len(prompts[batch[0]])
        if other or len(batch) == batch_size:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
