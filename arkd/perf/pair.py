"""The pair that steps are timed on: its stages, made where they are missing, and what they hold."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.storage.manifest import NAME
from arkd.storage.provenance import core_hash
from arkd.suite.folders import INIT, TEACHER, TEACHER_SEED, UNTRAINED, Tree, tree

SUITE, QUICK_SUITE = "smollm2-quick", "smoke"
CACHED = "train_hidden*.safetensors"


@dataclass(frozen=True)
class Ready:
    """Models, data and settings of a pair, loaded; `batches` are the first of a distillation."""

    student: Any
    teacher: Any
    evidence: Any  # cache.Evidence: the gold responses with the teacher's cached states
    settings: Any  # settings.Distillation
    seed: int
    batches: list[list[int]]
    cache_bytes: int  # of the cached states on the disk


def made_stages(
    results: Path, scratch: Path, suite: str, tell: Callable[[str], None]
) -> tuple[Tree, dict[str, float]]:
    """Return a results folder in which the pair's stages stand, and the seconds of those run now.

    Stages of a finished run are used if the code that stands now made them; they are never touched:
    else the stages are run in `scratch`.

    Args:
        results: Where a finished run may lie.
        scratch: Where stages are run if it does not serve.
        suite: A shipped suite's name, or a file.
        tell: Called with a line before each stage.
    """
    there = tree(suite, results)
    if all(_stands(folder) for _, folders in _stages(there) for folder in folders):
        return there, {}
    there = tree(suite, scratch)
    spent: dict[str, float] = {}
    for command, folders in _stages(there):
        if not spent and all(map(_stands, folders)):
            continue
        tell(f"{suite}: running `arkd {command[0]}`, once")
        started = time.monotonic()
        _run([*command, "--suite", suite, "--results", str(scratch)])
        spent[command[0]] = time.monotonic() - started
    return there, spent


def _stages(there: Tree) -> list[tuple[list[str], list[Path]]]:
    """The commands that make what a step needs, each with the folders it writes."""
    pair, seed = there.suite.pairs[0].name, there.suite.seeds[0]
    starts = [there.training(pair, name, seed) for name in (UNTRAINED, INIT)]
    of_pair = ["--pair", pair]
    return [
        (["data"], [there.data]),
        (["tokens", *of_pair], [there.tokens(pair)]),
        (["teacher", *of_pair], [there.training(pair, TEACHER, TEACHER_SEED)]),
        (["init", *of_pair, "--seed", str(seed)], starts),
        (["cache", *of_pair, "--source", "gold"], [there.cache(pair, "gold")]),
    ]


def _stands(folder: Path) -> bool:
    from arkd.storage.files import read_json

    made = folder / NAME
    return made.is_file() and read_json(made)["core"] == core_hash("distill")


def _run(command: list[str]) -> None:
    full = [sys.executable, "-m", "arkd", *command]
    done = subprocess.run(full, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ArkdError(f"perf: `arkd {' '.join(command)}` failed: {last}")


def load(there: Tree, batches: int) -> Ready:
    """Load the pair of a suite, its start and its cache.

    λ·L_pt, which is the same for every method, is left out.
    """
    import torch

    from arkd.data.tokens import batch_order
    from arkd.models import model as models
    from arkd.teacher import cache

    suite = there.suite
    pair, seed, cpu = suite.pairs[0].name, suite.seeds[0], torch.device("cpu")
    evidence = cache.load(there.cache(pair, "gold"), "train")
    settings = suite.distillation.model_copy(update={"lm_weight": 0.0})
    order = batch_order(len(evidence.tokens), batches, settings.batch_size, "distill", seed)
    return Ready(
        models.load(there.model(pair, INIT, seed), cpu).train(),
        models.load(there.model(pair, TEACHER, TEACHER_SEED), cpu).eval(),
        evidence,
        settings,
        seed,
        list(order),
        sum(path.stat().st_size for path in there.cache(pair, "gold").glob(CACHED)),
    )
