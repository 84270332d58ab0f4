"""The making of a teacher cache, which a killed stage goes on with where it stood.

Whatever is whole stays in a folder beside the cache's own until the stage has ended: sampled
responses part by part, states shard by shard. As a training's checkpoint, it is of one stage with
its settings, inputs and code, and is not taken up by another.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from arkd.data.tokens import TokenSet
from arkd.errors import ArkdError
from arkd.models.generate import sample
from arkd.models.model import head
from arkd.progress import progress
from arkd.seeding import derive_seed
from arkd.storage.files import read_json, staged_file, write_json
from arkd.teacher.cache import BATCH_TOKENS, Passes, run_group, tokens_hash
from arkd.teacher.shards import CONVENTION, SHARD_BYTES, Index, standing, write_shard

MADE_FOR = "made_for.json"
PART_PROMPTS = 4096  # sampled with one seed: what a kill can cost
HEADER_BYTES = 1024  # of a safetensors file or an index, with some to spare


class Building:
    """The folder of one unfinished cache."""

    def __init__(self, cache: Path, made_for: dict[str, Any]) -> None:
        self.folder = cache.with_name(f"{cache.name}.building")
        self.files = self.folder / "files"  # those that the cache will have
        made_for = json.loads(json.dumps(made_for))
        stamp = self.folder / MADE_FOR
        if not stamp.is_file() or read_json(stamp) != made_for:
            self.remove()
            write_json(stamp, made_for)
        self.files.mkdir(exist_ok=True)

    def sampled(
        self,
        model: Any,
        token_set: TokenSet,
        name: str,
        *,
        axes: tuple[str | int, ...],
        **options: Any,
    ) -> TokenSet:
        """Return one sampled response to each prompt of a set, those that stand read and not drawn.

        Parts of PART_PROMPTS prompts have a seed each, so that they can be drawn one by one. They
        are cut from the prompts sorted by length: a part then splits one batch more, and not one
        for each length.

        Args:
            model: What draws.
            token_set: The prompts; its responses are not looked at.
            name: Of the set.
            axes: What the draws are for; see `derive_seed`.
            **options: Of `arkd.models.generate.sample`.
        """
        prompts = [token_set.prompt(row) for row in range(len(token_set))]
        order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
        answers: dict[int, list[int]] = {}
        for part, start in enumerate(range(0, len(order), PART_PROMPTS)):
            rows = order[start : start + PART_PROMPTS]
            path = self.folder / f"{name}-{part:05}.safetensors"
            if not path.is_file():
                mine = [prompts[row] for row in rows]
                drawn = sample(model, mine, seed=derive_seed(*axes, part), **options)
                with staged_file(path) as temporary:
                    TokenSet.of(zip(mine, drawn, strict=True)).save(temporary)
            kept = TokenSet.load(path)
            answers |= {row: kept.response(place) for place, row in enumerate(rows)}
        return TokenSet.of((prompt, answers[row]) for row, prompt in enumerate(prompts))

    def publish(self, folder: Path) -> None:
        """Give the finished files to a stage's folder; they stay here until that stands."""
        for path in sorted(self.files.glob("[!.]*")):  # not what a kill left half-written
            try:
                os.link(path, folder / path.name)
            except OSError:  # a file system without hard links
                shutil.copyfile(path, folder / path.name)

    def remove(self) -> None:
        """Remove the folder, once the cache stands or if it is of something else."""
        shutil.rmtree(self.folder, ignore_errors=True)


def build(
    folder: Path,
    name: str,
    model: Any,
    tokens: TokenSet,
    made_of: dict[str, str],
    *,
    label: str,
    dtype: torch.dtype = torch.float32,
    batch_tokens: int = BATCH_TOKENS,
    shard_bytes: int = SHARD_BYTES,
) -> dict[str, int]:
    """Run a teacher over a response set and write tokens, shards and index to a folder.

    Shards that a killed build of the same key left there are kept. In bfloat16 each state is
    rounded to 8 bits of mantissa, by a factor of at most 1 ± 2⁻⁸.

    Args:
        folder: Where the files go; it exists.
        name: Of the response set.
        model: The teacher.
        tokens: The response set.
        made_of: The hashes of the teacher and of the tokenizer.
        label: Of the set, for the eye.
        dtype: What states are stored in, float32 or bfloat16.
        batch_tokens: Of one forward pass.
        shard_bytes: At most, of the states of one shard, unless a single pass has more.

    Returns:
        The numbers of response tokens and of stored rows, and the bytes of the shards.

    Raises:
        ArkdError: the disk has no room for it.
    """
    passes = Passes.over(tokens, batch_tokens)
    hidden = head(model).hidden
    facts = {
        **made_of,
        "tokens": tokens_hash(tokens),
        "dtype": str(dtype).removeprefix("torch."),
        "hidden": hidden,
        "batch_tokens": batch_tokens,
        **CONVENTION,
    }
    index = Index(facts)
    shards = standing(folder, name, index)
    row_bytes = hidden * dtype.itemsize
    answered = int(tokens.response_starts[-1])

    done = sum(shard.rows for shard in shards)
    group = list(itertools.accumulate(passes.group_rows, initial=0)).index(done)
    cut = passes.shards(group, max(1, shard_bytes // row_bytes))
    _state_disk(
        folder,
        f"{label}: {answered:,} tokens, {passes.rows:,} of them distinct × {hidden} × "
        f"{dtype.itemsize} bytes",
        passes.rows * row_bytes,
        (passes.rows - done) * row_bytes + tokens_bytes(tokens) + (len(cut) + 2) * HEADER_BYTES,
        (len(shards), len(shards) + len(cut)),
    )
    with staged_file(folder / f"{name}.safetensors") as temporary:
        tokens.save(temporary)
    index = replace(index, shards=shards)
    index.save(folder, name)
    running = iter(progress(passes.groups[group:], label))
    for groups in cut:
        parts = [run_group(model, tokens, g) for g in itertools.islice(running, len(groups))]
        states = torch.cat(parts).to(dtype)
        shard = write_shard(folder, name, len(index.shards), states)
        index = replace(index, shards=(*index.shards, shard))
        index.save(folder, name)
    return {
        "response_tokens": answered,
        "stored_rows": passes.rows,
        "bytes": sum(shard.bytes for shard in index.shards),
    }


def tokens_bytes(tokens: TokenSet) -> int:
    """Return what a response set's tokens take."""
    return sum(part.nbytes for part in (tokens.ids, tokens.starts, tokens.prompt_lengths))


def _state_disk(folder: Path, what: str, total: int, needed: int, shards: tuple[int, int]) -> None:
    """Say on stderr what a cache takes, and refuse to begin one for which there is no room.

    Raises:
        ArkdError: less is free than is needed.
    """
    free = shutil.disk_usage(folder).free
    stand = f", {shards[0]} of which stand" if shards[0] else ""
    plural = "" if shards[1] == 1 else "s"
    print(
        f"arkd: cache {what} = {_size(total)} in {shards[1]} shard{plural}{stand}; "
        f"{_size(free)} free",
        file=sys.stderr,
    )
    if free < needed:
        raise ArkdError(
            f"{folder}: the cache needs {_size(needed)}, and {_size(free)} are free; free some "
            "space, or put the results on another disk with --results, and run again"
        )


def _size(bytes_: int) -> str:
    """Return a size for the eye."""
    if bytes_ >= 2**30:
        return f"{bytes_ / 2**30:,.1f} GiB"
    return f"{bytes_ / 2**20:,.1f} MiB" if bytes_ >= 2**20 else f"{bytes_ / 2**10:,.1f} KiB"
