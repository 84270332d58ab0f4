"""Several processes that train one student: who runs which responses, and what all get to know.

Each process (rank) knows the whole batch, runs the models over its own share of the responses, and
sweeps over its own tokens. What is measured of a token is made known to all. So denominators,
signals, states of methods, policies and logs are those of the whole batch, and the same everywhere;
the gradients alone are partial, and are summed before a step is taken. In one process nothing here
changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

from arkd import processes


def start() -> None:
    """Join the processes that were started together, if this is one of several.

    What is small or no tensor goes by way of the CPU, gradients and values of tokens by way of the
    device that they lie on.
    """
    if processes.together() and not distributed.is_initialized():
        cuda = torch.cuda.is_available()
        distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")


def stop() -> None:
    """Part from the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def count() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def number() -> int:
    """Return which of them this one is, from 0; the first one writes for all."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def share(n: int) -> range:
    """Return this process's part of n rows: neighbours, as many as others have, or one fewer."""
    rank, ranks = number(), count()
    return range(rank * n // ranks, (rank + 1) * n // ranks)


@dataclass(frozen=True)
class Place:
    """Where this process's tokens stand among those of all processes."""

    first: int
    total: int

    @classmethod
    def of(cls, tokens: int) -> Place:
        """Tell all processes how many tokens this one has."""
        if count() == 1:
            return cls(0, tokens)
        lengths = joined([tokens])
        return cls(sum(lengths[: number()]), sum(lengths))

    def own(self, rows: slice) -> slice:
        """Return where rows among the tokens of all stand among this process's own."""
        return slice(rows.start - self.first, rows.stop - self.first)


def complete(*values: Tensor) -> None:
    """Fill in what other processes found of their tokens; what is not one's own must be zero."""
    if count() > 1:
        for value in values:
            distributed.all_reduce(value)


def total(*numbers: float) -> list[float]:
    """Return sums over all processes."""
    if count() == 1:
        return list(numbers)
    sums = torch.tensor(numbers, dtype=torch.float64)
    distributed.all_reduce(sums)
    return sums.tolist()


def most(number: int) -> int:
    """Return the largest of all processes' numbers."""
    if count() == 1:
        return number
    found = torch.tensor(number)
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)


def joined(items: list[Any]) -> list[Any]:
    """Return the lists of all processes, one after another."""
    if count() == 1:
        return items
    parts: list[list[Any]] = [[] for _ in range(count())]
    distributed.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def sum_gradients(parameters: Iterable[Any]) -> None:
    """Sum each parameter's gradient over all processes."""
    if count() > 1:
        grads = [p.grad for p in parameters if p.grad is not None]
        for work in [distributed.all_reduce(grad, async_op=True) for grad in grads]:
            work.wait()


def wait() -> None:
    """Wait until all processes are here."""
    if count() > 1:
        distributed.barrier()


@contextmanager
def in_turn() -> Iterator[None]:
    """Let one process after another do what all of them do."""
    for rank in range(count()):
        if rank == number():
            yield
        wait()
