"""Text as tokens: the tokenizer trained in a run, encoded response sets, batches and their order.

Shapes: S samples, B of them in a batch, T positions, N response tokens of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from arkd.seeding import derive_seed

PAD, EOS = "<pad>", "<eos>"


def train_tokenizer(texts: Iterable[str], vocabulary: int, out_dir: Path) -> None:
    """Train a byte-level BPE on texts and save it as a Hugging Face tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, padding_side="left"
    ).save_pretrained(out_dir)


def load_tokenizer(folder: Path) -> Any:
    """Return a saved tokenizer; it pads on the left, as generation needs."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, padding_side="left")


@dataclass(frozen=True)
class Batch:
    """Samples of one response set, padded on the right, with the positions that count.

    `positions_N` are flat indices into [B·T] of the positions that predict a response token,
    `labels_N` those tokens; `hidden_rows_N` are the rows of the teacher cache for them. The `lm_`
    pair covers every token after the first, for plain language modelling.
    """

    ids_BT: Tensor
    positions_N: Tensor
    labels_N: Tensor
    hidden_rows_N: Tensor
    lm_positions_M: Tensor
    lm_labels_M: Tensor
    tokens: int  # without padding


@dataclass(frozen=True)
class TokenSet:
    """S prompts with one response each, as one flat run of token ids."""

    ids: Tensor  # int32, all samples one after another
    starts: Tensor  # int64 [S + 1]
    prompt_lengths: Tensor  # int64 [S]

    @classmethod
    def of(cls, samples: Iterable[tuple[list[int], list[int]]]) -> TokenSet:
        """Join (prompt ids, response ids) pairs."""
        pairs = list(samples)
        lengths = torch.tensor([0] + [len(p) + len(r) for p, r in pairs], dtype=torch.int64)
        flat = [token for prompt, response in pairs for token in (*prompt, *response)]
        return cls(
            torch.tensor(flat, dtype=torch.int32),
            lengths.cumsum(0),
            torch.tensor([len(prompt) for prompt, _ in pairs], dtype=torch.int64),
        )

    @classmethod
    def load(cls, path: Path) -> TokenSet:
        """Read a set that `save` wrote."""
        return cls(**load_file(path))

    def save(self, path: Path) -> None:
        """Write the set as safetensors."""
        save_file(
            {"ids": self.ids, "starts": self.starts, "prompt_lengths": self.prompt_lengths}, path
        )

    def __len__(self) -> int:
        return len(self.prompt_lengths)

    @property
    def response_starts(self) -> Tensor:
        """Where each sample's response tokens start among all response tokens [S + 1]."""
        lengths = self.starts.diff() - self.prompt_lengths
        return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])

    def prompt(self, sample: int) -> list[int]:
        """Return the prompt's ids of one sample."""
        start = int(self.starts[sample])
        prompt: list[int] = self.ids[start : start + int(self.prompt_lengths[sample])].tolist()
        return prompt

    def batch(self, samples: Iterable[int], pad_id: int) -> Batch:
        """Pad some samples on the right and mark the positions that count.

        Right padding needs no attention mask: in a causal model no valid position sees it.
        """
        rows = list(samples)
        bounds = [(int(self.starts[s]), int(self.starts[s + 1])) for s in rows]
        width = max(end - start for start, end in bounds)
        ids_BT = torch.full((len(rows), width), pad_id, dtype=torch.int64)
        response_starts = self.response_starts
        positions, labels, cache_rows, lm_positions, lm_labels = [], [], [], [], []
        for b, (sample, (start, end)) in enumerate(zip(rows, bounds, strict=True)):
            ids = self.ids[start:end].long()
            ids_BT[b, : end - start] = ids
            prompt = int(self.prompt_lengths[sample])
            at = b * width
            positions.append(torch.arange(at + prompt - 1, at + end - start - 1))
            labels.append(ids[prompt:])
            cache_rows.append(
                torch.arange(int(response_starts[sample]), int(response_starts[sample + 1]))
            )
            lm_positions.append(torch.arange(at, at + end - start - 1))
            lm_labels.append(ids[1:])
        return Batch(
            ids_BT,
            torch.cat(positions),
            torch.cat(labels),
            torch.cat(cache_rows),
            torch.cat(lm_positions),
            torch.cat(lm_labels),
            sum(end - start for start, end in bounds),
        )


def encode(tokenizer: Any, rows: list[dict[str, Any]], max_tokens: int) -> tuple[TokenSet, int]:
    """Encode prompts and responses (ended by EOS); return the set and how many were too long.

    Prompt and response are encoded apart, so that a prompt has the same tokens in training, in
    generation and in every response set.
    """
    prompts = tokenizer([row["prompt"] for row in rows], add_special_tokens=False)["input_ids"]
    answers = tokenizer([row["response"] for row in rows], add_special_tokens=False)["input_ids"]
    eos = tokenizer.eos_token_id
    samples = [(p, [*r, eos]) for p, r in zip(prompts, answers, strict=True)]
    fitting = [(p, r) for p, r in samples if len(p) + len(r) <= max_tokens]
    return TokenSet.of(fitting), len(samples) - len(fitting)


def batch_order(samples: int, steps: int, batch_size: int, *axes: str | int) -> Iterator[list[int]]:
    """Yield the samples of each step: shuffled epochs, one after another.

    The order depends on the named axes alone, never on the method.
    """
    pool: list[int] = []
    epoch = 0
    for _ in range(steps):
        while len(pool) < batch_size:
            generator = torch.Generator().manual_seed(derive_seed("order", *axes, epoch))
            pool += torch.randperm(samples, generator=generator).tolist()
            epoch += 1
        yield pool[:batch_size]
        pool = pool[batch_size:]
