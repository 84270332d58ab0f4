"""The exact teacher cache: its last hidden state at each response position, stored once.

Logits are one matrix product with the head away, so that every divergence stays exact, at 2–4
bytes × hidden size a token instead of 2–4 bytes × vocabulary. A cache belongs to one response set:
the tokens lie beside the states, and the index of the states names the tokens, the teacher and the
tokenizer that they are of by their hashes; see `arkd.teacher.shards`.

The teacher runs over the distinct samples of a set, sorted by length, tokens and prompt length, and
their rows are stored in that order. So the values, to the bit, do not depend on the order of the
set, and identical samples have identical ones. Samples of one length share a batch, and nothing is
padded. Another batch size may round a sum otherwise, and change a log-probability by at most
BATCH_TOLERANCE: what float32 itself is off by, which is measured as 7e-5 nats on SmolLM2-135M. (On
one thread of a CPU the measured change is none.)
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from arkd.data.tokens import TokenSet
from arkd.divergence.head import Head
from arkd.models.model import head, response_states
from arkd.progress import progress
from arkd.storage.files import parse_json
from arkd.teacher.shards import HiddenStates, Index, broken, check, index_path

HEAD = "head.safetensors"
BATCH_TOKENS = 4096  # of one forward pass
BATCH_TOLERANCE = 1e-4  # nats, float32
HASHED_BYTES = 256 * 2**20  # states up to this are hashed whenever they are opened: 0.15 s


@dataclass(frozen=True)
class Evidence:
    """One response set, and the teacher's hidden state at each of its response positions.

    `hidden` is [number of response tokens, teacher's hidden size], or none for a method that looks
    at no teacher.
    """

    tokens: TokenSet
    hidden: Tensor | HiddenStates | None = None


def tokens_hash(tokens: TokenSet) -> str:
    """Return the SHA-256 of a response set's tokens, its samples and its prompts."""
    total = hashlib.sha256()
    for part in (tokens.ids, tokens.starts, tokens.prompt_lengths):
        total.update(f"{part.dtype}{tuple(part.shape)}".encode())
        total.update(part.contiguous().numpy().tobytes())
    return total.hexdigest()


@dataclass(frozen=True)
class Passes:
    """The forward passes over a set: one sample of each kind, sorted, so many at a time."""

    groups: list[list[int]]
    group_rows: list[int]  # response tokens of each group
    first_rows_S: Tensor  # of each sample, where its rows start among all that are computed

    @classmethod
    def over(cls, tokens: TokenSet, batch_tokens: int = BATCH_TOKENS) -> Passes:
        """Plan the passes over a response set."""
        ids = tokens.ids.numpy().astype(">i4")  # bytes that sort as the numbers do
        spans = itertools.pairwise(tokens.starts.tolist())
        prompts = tokens.prompt_lengths.tolist()
        keys = [
            (end - start, ids[start:end].tobytes(), prompt)
            for (start, end), prompt in zip(spans, prompts, strict=True)
        ]
        first_rows = [0] * len(keys)
        groups: list[list[int]] = []
        group_rows: list[int] = []
        rows, last = 0, None
        for sample in sorted(range(len(keys)), key=keys.__getitem__):
            key = length, _, prompt = keys[sample]
            if key != last:
                answered = length - prompt
                size = max(1, batch_tokens // length)
                if last is None or last[0] != length or len(groups[-1]) == size:
                    groups.append([])
                    group_rows.append(0)
                groups[-1].append(sample)
                group_rows[-1] += answered
                start, rows, last = rows, rows + answered, key
            first_rows[sample] = start
        return cls(groups, group_rows, torch.tensor(first_rows, dtype=torch.int64))

    @property
    def rows(self) -> int:
        """How many states are computed."""
        return sum(self.group_rows)

    def shards(self, start: int, most_rows: int) -> list[list[int]]:
        """Return the groups from one on, by number, as many to a shard as its rows allow."""
        cut: list[list[int]] = []
        rows = 0
        for group in range(start, len(self.groups)):
            rows += self.group_rows[group]
            if not cut or rows > most_rows:
                cut.append([])
                rows = self.group_rows[group]
            cut[-1].append(group)
        return cut


@torch.inference_mode()
def run_group(model: Any, tokens: TokenSet, samples: list[int]) -> Tensor:
    """Run a model over samples of one length; return float32 [their response tokens, H]."""
    batch = tokens.batch(samples, model.config.pad_token_id)
    return response_states(model, batch).float().cpu()


def hidden_responses(
    model: Any, tokens: TokenSet, label: str, batch_tokens: int = BATCH_TOKENS
) -> Tensor:
    """Run a model once over a response set; return its last hidden states [response tokens, H].

    Args:
        model: The teacher.
        tokens: Prompts and responses.
        label: Of the progress bar.
        batch_tokens: Of one pass at most, prompts included; a longer sample is read alone.
    """
    passes = Passes.over(tokens, batch_tokens)
    stored = torch.empty(passes.rows, head(model).hidden)
    row = 0
    for group in progress(passes.groups, label):
        states = run_group(model, tokens, group)
        stored[row : row + len(states)] = states
        row += len(states)
    starts_S, lengths_S = tokens.response_starts[:-1], tokens.response_starts.diff()
    shifts_N = torch.repeat_interleave(passes.first_rows_S - starts_S, lengths_S)
    return stored[torch.arange(len(shifts_N)) + shifts_N]


def load(folder: Path, name: str, teacher: str | None = None) -> Evidence:
    """Open a response set with its teacher's states, which are mapped and not read.

    Key, tokens, and each shard's size, shape and type are compared always, the SHA-256 of shards
    that together have at most HASHED_BYTES (hashing takes about 0.5 s a gigabyte, and reads it).

    Args:
        folder: Where the cache lies.
        name: Its response set.
        teacher: What `manifest.weights` says of the teacher that the states have to be of.

    Raises:
        ArkdError: a file is missing or changed, or states, tokens and teacher do not belong
            together; one line names the file.
    """
    index = Index.load(folder, name)
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise broken(path, "no such file")
    try:
        tokens = TokenSet.load(path)
    except (SafetensorError, TypeError) as error:
        raise broken(path, f"not readable as tokens ({error})") from error
    if tokens_hash(tokens) != index.made_of["tokens"]:
        raise broken(path, "not the tokens that the states beside it are of")
    if teacher is not None and teacher != index.made_of["teacher"]:
        raise broken(index_path(folder, name), "made by another teacher")
    passes = Passes.over(tokens, index.made_of["batch_tokens"])
    small = sum(shard.bytes for shard in index.shards) <= HASHED_BYTES
    check(folder, name, index, passes.rows, hashes=small)
    starts = tokens.response_starts
    return Evidence(
        tokens, HiddenStates(folder, index, starts[:-1], passes.first_rows_S, int(starts[-1]))
    )


def save_head(folder: Path, model: Any) -> None:
    """Write the teacher's head, which turns cached states into logits."""
    teacher_head = head(model)
    tensors = {"weight": teacher_head.weight_VH} | (
        {} if teacher_head.bias_V is None else {"bias": teacher_head.bias_V}
    )
    kept = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
    facts = {"scale": teacher_head.scale, "soft_cap": teacher_head.soft_cap}
    save_file(kept, folder / HEAD, {"arkd": json.dumps(facts)})


def load_head(folder: Path) -> Head:
    """Read the teacher's head [V, G].

    Raises:
        ArkdError: it is missing or not readable.
    """
    path = folder / HEAD
    try:
        with safe_open(path, framework="pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
            facts = parse_json(stored.metadata()["arkd"])
        return Head(tensors["weight"], tensors.get("bias"), facts["scale"], facts["soft_cap"])
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise broken(path, f"not readable as a head ({error})") from error
