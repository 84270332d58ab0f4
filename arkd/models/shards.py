"""A model whose weights several processes share out: which is one, how it is run, when it is whole.

Each process holds its rows of every weight, of its gradient and of its moments (FSDP2). A block's
weights are gathered for as long as the block runs. Those of the root (embeddings, head, final norm)
stay from a step's first pass until its backward pass is done, since losses read the head outside of
the model. `arkd.models.sharding` makes such models; here no other model meets anything new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

SHARDED: WeakSet[Any] = WeakSet()
_running: WeakSet[Any] = WeakSet()  # whose body is in a pass of its own, not in one of a block


def is_sharded(model: Any) -> bool:
    """Tell whether several processes share out a model's weights."""
    return model in SHARDED


def blocks(model: Any) -> list[Any]:
    """Return the blocks of a sharded model, each of which is gathered by itself."""
    from torch.distributed.fsdp import FSDPModule

    return [part for part in model.modules() if isinstance(part, FSDPModule) and part is not model]


def body_states(model: Any, **inputs: Any) -> Tensor:
    """Return a sharded model's states before the head, after the final norm [B, T, H]."""
    _running.add(model)
    try:
        states: Tensor = model.body_states(**inputs)
        return states
    finally:
        _running.discard(model)


def reshard_between_passes(model: Any, block: Any, inputs: tuple[Any, ...]) -> None:
    """Let go of a block's weights after it has run in a pass of the whole body.

    FSDP itself keeps what runs during a backward pass, for a block that is about to go backward. A
    micro-batch is run once more there as a whole, and would have all blocks gathered at once. A
    block none of whose inputs has a gradient is left: FSDP knows its backward pass begun, once, and
    would not gather it again.
    """
    if model in _running and any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        block.reshard()


def trains(model: Any) -> bool:
    """Tell whether any weight of a model is trained."""
    return any(weight.requires_grad for weight in model.parameters())


def gather_root(model: Any) -> None:
    """Gather embeddings and head of a sharded student, which keeps them until it goes backward."""
    if is_sharded(model) and trains(model):
        model.unshard()


def release(model: Any) -> None:
    """Let go of all gathered weights: each process's own rows are read and written from now on."""
    if is_sharded(model):
        model.reshard()


@contextmanager
def whole(*models: Any) -> Iterator[None]:
    """Hold all weights of some models at once: each process runs them as often as it has to.

    Sampling takes as many passes as its longest answer has tokens, another number in each process;
    no pass in here waits for others. A student's root stays gathered: a loss may read it yet.
    """
    shared = [model for model in models if model is not None and is_sharded(model)]
    parts = [
        part for model in shared for part in (*blocks(model), *(() if trains(model) else (model,)))
    ]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    for model in shared:
        model.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()


def local(value: Tensor) -> Tensor:
    """Return this process's rows of a tensor, or all of one that every process has."""
    return value.to_local() if hasattr(value, "to_local") else value


def mesh_of(model: Any) -> Any:
    """Return the processes that share out a model's weights; None if each has all of them."""
    return next(model.parameters()).device_mesh if is_sharded(model) else None


def clip_gradients(parameters: Iterable[Any], most: float) -> Tensor:
    """Scale gradients down to a norm of all of them together, and return what it was."""
    norm = torch.nn.utils.clip_grad_norm_(parameters, most)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


@torch.no_grad()
def gather(model: Any, target: Any) -> None:
    """Copy the trained weights of a sharded model into a whole one, weight by weight.

    Args:
        model: Of all processes, which all call.
        target: The same model, whole, on the CPU; None in a process that needs none.
    """
    release(model)
    wanted = {} if target is None else dict(target.named_parameters())
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            values = weight.full_tensor()
            if target is not None:
                wanted[name].copy_(values)
