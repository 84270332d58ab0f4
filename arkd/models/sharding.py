"""Models are cut into shards: PyTorch's FSDP2, block by block, gradients summed over processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from arkd import ranks
from arkd.errors import ArkdError
from arkd.models import model as models
from arkd.models import portable_ops, shards


@contextmanager
def sharder(device: torch.device) -> Iterator[Callable[[Any], None]]:
    """Yield what shards a model that lies in RAM; processes are in here one after another.

    So RAM holds one whole model at a time, and a device never more than shards and a block.

    Args:
        device: Where the shards lie.
    """
    if device.type == "cpu":
        portable_ops.leave_resizable()
    mesh = init_device_mesh(device.type, (ranks.count(),))
    found: list[Any] = []

    def shard(model: Any) -> None:
        _cut(model, mesh)
        found.append(model)

    with ranks.in_turn():
        yield shard
    for model in found:
        for part in (*shards.blocks(model), model):
            # What is gathered first in inference mode could not be trained with later.
            part.unshard()
            part.reshard()


def frozen(load: Callable[[], Any], device: torch.device) -> Any:
    """Return a model that is run and not trained, each process holding its share of the weights.

    Args:
        load: Loads it whole, into RAM.
        device: Where the shards lie.

    Raises:
        ArkdError: it cannot be sharded.
    """
    with sharder(device) as shard:
        model = load().requires_grad_(False)
        shard(model)
    return model


def _cut(model: Any, mesh: Any) -> None:
    """Keep of a model this process's rows of every weight.

    Raises:
        ArkdError: the model does not say which its blocks are, or shares a weight between two.
    """
    models.packs(model)  # is tried out by passes, which processes would come to at different times
    blocks = _blocks(model)
    trained = shards.trains(model)
    for block in blocks:
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    fully_shard(model, mesh=mesh, reshard_after_forward=not trained)
    for part in (*blocks, model):
        # A process's gradients are its part of a sum whose denominators are the whole batch's.
        part.set_gradient_divide_factor(1.0)
        part.set_force_sum_reduction_for_comms(True)  # gloo has no PREMUL_SUM
    model.body_states = partial(_body_states, model)
    register_fsdp_forward_method(model, "body_states")
    for block in blocks:
        block.register_forward_hook(
            lambda block, inputs, _: shards.reshard_between_passes(model, block, inputs)
        )
    shards.SHARDED.add(model)


def _body_states(model: Any, **inputs: Any) -> torch.Tensor:
    states: torch.Tensor = model.base_model(**inputs, use_cache=False).last_hidden_state
    return states


def _blocks(model: Any) -> list[Any]:
    """Return the blocks of a model, by the names that its own code has for what must not be split.

    Raises:
        ArkdError: it names none, or a weight lies in two of them.
    """
    names = set(model._no_split_modules or ())
    blocks = [part for part in model.modules() if type(part).__name__ in names]
    if not blocks:
        raise ArkdError(
            f"training.sharding: {type(model).__name__} does not name its blocks; set it to none"
        )
    seen: set[int] = set()
    for block in blocks:
        weights = {id(weight) for weight in block.parameters()}
        if weights & seen:
            raise ArkdError(
                f"training.sharding: blocks of {type(model).__name__} share weights; set it to none"
            )
        seen |= weights
    return blocks
