"""One of two processes that train a student together; run by test_parallel.py.

usage: parallel_worker.py RANK FOLDER
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from arkd.conformance.toy_models import usual
from arkd.conformance.watched_step import new_step as new
from arkd.method import Context, Method, Tools, WeightedDivergences, Weights
from arkd.suite.protocol import MethodEntry
from arkd.suite.registry import build
from arkd.training.distill import Step

WORLD = 2
KINDS = ("ddp", "fsdp2")
# Both halves of a batch have as many response tokens, and tokens, so that the mean of their means
# is the mean of the whole.
STEPS = [[0, 1, 3, 18], [6, 15, 10, 11]]


@dataclass(frozen=True)
class Late(WeightedDivergences):
    """Weights that could be known beforehand, named after the signals."""

    batch_weights = True

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Measure, then weigh as ever."""
        tools.signals()
        return Weights(0.3, 0.7)


METHODS: dict[str, Method] = {
    "early": build(MethodEntry(name="fixed_mix")),
    "late, two gradients": Late(),
    "late, recomputed": build(MethodEntry(name="bdkd")),  # weights of single tokens
    "loss of tokens": build(MethodEntry(name="jsd")),
}


def new_step(name: str) -> Step:
    """The step of a fresh run: the same in every process."""
    return new(usual(), METHODS[name])


def train(step: Step, module: nn.Module, rank: int, world: int) -> dict[str, torch.Tensor]:
    """Two steps of SGD, each process on its part of the batch; return gradients and weights."""
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    found: dict[str, torch.Tensor] = {}
    for index, samples in enumerate(STEPS):
        size = len(samples) // world
        loss, _ = module(index, samples[rank * size : (rank + 1) * size])
        optimiser.zero_grad()
        loss.backward()
        for name, parameter in step.model.named_parameters():
            found[f"grad {index} {name}"] = whole(parameter.grad)
        optimiser.step()
    for name, parameter in step.model.named_parameters():
        found[f"weight {name}"] = whole(parameter.data)
    return found


def whole(value: torch.Tensor | None) -> torch.Tensor:
    """A tensor, put together if it is sharded."""
    assert value is not None
    return (value.full_tensor() if isinstance(value, DTensor) else value).clone()


def wrapped(step: Step, kind: str) -> nn.Module:
    """The step as its kind of parallel training wraps it."""
    if kind == "ddp":
        return DistributedDataParallel(step)
    for layer in step.model.base_model.layers:
        fully_shard(layer)
    fully_shard(step)
    sharded = [isinstance(x, DTensor) for x in step.model.parameters()]
    assert all(sharded), "nothing is sharded"
    return step


def main(rank: int, folder: Path) -> None:
    """Train by each kind and method and write what came of it, from the first process."""
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'store'}",
        rank=rank,
        world_size=WORLD,
        timeout=timedelta(seconds=600),
    )
    for kind in KINDS:
        for name in METHODS:
            step = new_step(name)
            found = train(step, wrapped(step, kind), rank, WORLD)
            if rank == 0:
                (folder / kind).mkdir(exist_ok=True)
                save_file(found, folder / kind / f"{name}.safetensors")
    distributed.barrier()  # who ends first must not leave the other waiting for it
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
