"""Text as tokens: encoded response sets, batches and their order.

Shapes: S samples, B of them in a batch, T positions, N response tokens of a batch, R rows to which
the samples of a batch are packed.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from arkd import ranks
from arkd.data.tokenizer import prompt_ids, text_ids
from arkd.errors import ArkdError
from arkd.seeding import derive_seed

POOLED_BATCHES = 32


@dataclass(frozen=True)
class Packed:
    """The samples of a batch, several to a row where they fit, so that less is padded.

    `places_RT` are the positions inside the samples, which start anew at 0 with each of them.
    `from_P` [B·T] leads back: for each flat position of the batch where it lies in [R·T]; where the
    batch is padded, anywhere.
    """

    ids_RT: Tensor
    places_RT: Tensor
    from_P: Tensor


@dataclass(frozen=True)
class Batch:
    """Samples of one response set, padded on the right, with the positions that count.

    `positions_N` are flat indices into [B·T] of the positions that predict a response token,
    `labels_N` those tokens; `hidden_rows_N` are the rows of the teacher cache for them,
    `sequence_N` the row of the batch. The `lm_` pair covers every token after the first, for plain
    language modelling.
    """

    ids_BT: Tensor
    lengths_B: Tensor
    positions_N: Tensor
    labels_N: Tensor
    hidden_rows_N: Tensor
    sequence_N: Tensor
    lm_positions_M: Tensor
    lm_labels_M: Tensor
    tokens: int  # without padding

    def without_tokens(self) -> Batch:
        """Return the same samples, of whose tokens none counts."""
        counted = (
            *("positions_N", "labels_N", "hidden_rows_N", "sequence_N"),
            *("lm_positions_M", "lm_labels_M"),
        )
        return replace(self, tokens=0, **{name: getattr(self, name)[:0] for name in counted})

    @cached_property
    @torch.inference_mode(False)  # whoever asks first: training may ask again
    def packed(self) -> Packed | None:
        """The same samples in fewer rows, each into the fullest that takes it, the longest first.

        None where no two fit into a row: batches of like length stay as they are.
        """
        batch, width = self.ids_BT.shape
        lengths = self.lengths_B.tolist()
        if sum(sorted(lengths)[:2]) > width or batch < 2:
            return None
        starts_B1 = torch.empty(batch, 1, dtype=torch.int64)
        open_rows: list[tuple[int, int]] = []  # free positions and row, fullest first
        rows = 0
        for sample in sorted(range(batch), key=lengths.__getitem__, reverse=True):
            fullest = bisect.bisect_left(open_rows, (lengths[sample], 0))
            if fullest < len(open_rows):
                free, row = open_rows.pop(fullest)
            else:
                free, row, rows = width, rows, rows + 1
            starts_B1[sample] = (row + 1) * width - free
            bisect.insort(open_rows, (free - lengths[sample], row))
        at_T = torch.arange(width)
        real_BT = at_T < self.lengths_B[:, None]
        from_BT = torch.where(real_BT, starts_B1 + at_T, 0)
        ids_P, places_P = torch.zeros(2, rows * width, dtype=torch.int64)
        ids_P[from_BT[real_BT]] = self.ids_BT[real_BT]
        places_P[from_BT[real_BT]] = at_T.expand_as(real_BT)[real_BT]
        return Packed(ids_P.view(rows, width), places_P.view(rows, width), from_BT.flatten())


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

    def head(self, samples: int) -> TokenSet:
        """Return the first so many samples, or all."""
        kept = min(samples, len(self))
        starts = self.starts[: kept + 1]
        return TokenSet(self.ids[: int(starts[-1])], starts, self.prompt_lengths[:kept])

    @cached_property
    def response_starts(self) -> Tensor:
        """Where each sample's response tokens start among all response tokens [S + 1]."""
        lengths = self.starts.diff() - self.prompt_lengths
        return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])

    @property
    def response_owners(self) -> Tensor:
        """The sample of each response token [N]."""
        return torch.repeat_interleave(torch.arange(len(self)), self.response_starts.diff())

    @property
    def response_labels(self) -> Tensor:
        """Each response token [N]."""
        at = torch.arange(len(self.ids)) - torch.repeat_interleave(
            self.starts[:-1] + self.prompt_lengths, self.starts.diff()
        )
        return self.ids[at >= 0].long()

    def prompt(self, sample: int) -> list[int]:
        """Return the prompt's ids of one sample."""
        start = int(self.starts[sample])
        prompt: list[int] = self.ids[start : start + int(self.prompt_lengths[sample])].tolist()
        return prompt

    def response(self, sample: int) -> list[int]:
        """Return the response's ids of one sample."""
        start = int(self.starts[sample]) + int(self.prompt_lengths[sample])
        response: list[int] = self.ids[start : int(self.starts[sample + 1])].tolist()
        return response

    def own_batch(self, samples: Sequence[int], pad_id: int) -> Batch:
        """Return the batch of this process's share of some samples; of one process, of all.

        A process without a sample of its own runs over the first, and none of its tokens count.
        """
        share = ranks.share(len(samples))
        if not share and samples:
            return self.batch(samples[:1], pad_id).without_tokens()
        return self.batch([samples[row] for row in share], pad_id)

    def batch(self, samples: Iterable[int], pad_id: int) -> Batch:
        """Pad some samples on the right and mark the positions that count.

        Right padding needs no attention mask: in a causal model no valid position sees it.
        """
        rows_B = torch.as_tensor(list(samples))
        starts_B1 = self.starts[rows_B][:, None]
        lengths_B1 = self.starts[rows_B + 1][:, None] - starts_B1
        prompts_B1 = self.prompt_lengths[rows_B][:, None]
        at_T = torch.arange(int(lengths_B1.max()))
        ids_BT = torch.full((len(rows_B), len(at_T)), pad_id, dtype=torch.int64)
        real_BT = at_T < lengths_B1
        ids_BT[real_BT] = self.ids[(starts_B1 + at_T)[real_BT]].long()
        predicts_BT = at_T < lengths_B1 - 1  # a position predicts the token after it
        answers_BT = predicts_BT & (at_T >= prompts_B1 - 1)
        cache_rows_BT = self.response_starts[rows_B][:, None] + at_T - (prompts_B1 - 1)
        positions_N, lm_positions_M = (
            mask_BT.flatten().nonzero().squeeze(1) for mask_BT in (answers_BT, predicts_BT)
        )
        return Batch(
            ids_BT,
            lengths_B1.squeeze(1),
            positions_N,
            ids_BT.flatten()[positions_N + 1],
            cache_rows_BT[answers_BT],
            positions_N // ids_BT.shape[1],
            lm_positions_M,
            ids_BT.flatten()[lm_positions_M + 1],
            int(lengths_B1.sum()),
        )


def encode(tokenizer: Any, rows: list[dict[str, Any]], max_tokens: int) -> tuple[TokenSet, int]:
    """Encode prompts and responses (ended by EOS); return the set and how many were too long.

    Prompt and response are encoded apart, so that a prompt has the same tokens in training, in
    generation and in every response set. A prompt to which nobody gave an answer, a row whose
    `references` are empty, has a response of no tokens.
    """
    prompts = prompt_ids(tokenizer, [row["prompt"] for row in rows])
    answers = text_ids(tokenizer, [row["response"] for row in rows])
    eos = tokenizer.eos_token_id
    answered = [row.get("references") != [] for row in rows]
    samples = [
        (p, [*r, eos] if known else [])
        for p, r, known in zip(prompts, answers, answered, strict=True)
    ]
    fitting = [(p, r) for p, r in samples if len(p) + len(r) <= max_tokens]
    return TokenSet.of(fitting), len(samples) - len(fitting)


def encode_corpus(tokenizer: Any, texts: list[str], max_tokens: int) -> TokenSet:
    """Encode plain texts, each ended by EOS and cut into pieces of at most so many tokens.

    A text is opened as a prompt is. A piece is a prompt of one token and its continuation: each
    token but the first is predicted.
    """
    eos = tokenizer.eos_token_id
    ids = [[*found, eos] for found in prompt_ids(tokenizer, texts)]
    pieces = [run[i : i + max_tokens] for run in ids for i in range(0, len(run), max_tokens)]
    return TokenSet.of((piece[:1], piece[1:]) for piece in pieces if len(piece) > 1)


def batch_order(
    samples: int,
    steps: int,
    batch_size: int,
    *axes: str | int,
    lengths: Tensor | None = None,
) -> Iterator[list[int]]:
    """Yield the samples of each step: shuffled epochs, one after another.

    The order depends on the named axes alone, never on the method.

    Args:
        samples: How many there are.
        steps: How many batches to yield.
        batch_size: Samples a batch.
        *axes: What the order is for: see `derive_seed`.
        lengths: If given, samples of like length share a batch, so that little is padded: each run
            of `POOLED_BATCHES` batches is sorted by length and its batches shuffled. Batches are
            then no random draw of the data, which a method that looks at batches would notice.

    Raises:
        ArkdError: there are no samples.
    """
    if samples < 1:
        raise ArkdError(
            f"{' '.join(map(str, axes))}: no rows to train on; give more, or split less"
        )
    pool: list[int] = []
    batches: list[list[int]] = []
    epoch = 0
    for step in range(steps):
        if not batches:
            wanted = batch_size * (1 if lengths is None else min(POOLED_BATCHES, steps - step))
            while len(pool) < wanted:
                generator = torch.Generator().manual_seed(derive_seed("order", *axes, epoch))
                pool += torch.randperm(samples, generator=generator).tolist()
                epoch += 1
            drawn, pool = pool[:wanted], pool[wanted:]
            if lengths is not None:
                drawn.sort(key=lengths.tolist().__getitem__)
            batches = [drawn[i : i + batch_size] for i in range(0, wanted, batch_size)]
            random.Random(derive_seed("batches", *axes, step)).shuffle(batches)
        yield batches.pop()
