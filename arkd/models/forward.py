"""How a model's body is run: in what precision, how many rows at once, with what kept of them.

Shapes: B rows, T positions, H hidden size.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from arkd import ranks
from arkd.models import shards
from arkd.suite.settings import Training

_settings: WeakKeyDictionary[Any, Training] = WeakKeyDictionary()


def set_training(model: Any, training: Training) -> None:
    """Settle how a model's body runs from now on; unsettled, it runs whole and as it is loaded."""
    _settings[model] = training
    if training.checkpoint_layers:  # Transformers has renamed it
        name = "activation_checkpointing_enable"
        enable = getattr(model, name, model.gradient_checkpointing_enable)
        enable({"use_reentrant": False})


def run_body(model: Any, ids_BT: Tensor, places_BT: Tensor | None = None) -> Tensor:
    """Return the states before the head, after the final norm [B, T, H].

    In micro-batches, nothing but each one's states is kept for the backward pass, which runs it
    once more, dropout and all. So the memory is that of one, and the gradient that of the batch:
    the loss sees all of its tokens, and there is no denominator to get wrong. Processes that share
    out a model's weights run as many micro-batches as the one that has most.
    """
    training = _settings.get(model, Training())
    wanted = training.micro_batch
    rows = wanted if isinstance(wanted, int) else len(ids_BT)
    if isinstance(wanted, int) and shards.is_sharded(model):
        return _run_together(model, training, ids_BT, places_BT, -(-len(ids_BT) // wanted))
    if rows >= len(ids_BT):
        return _run(model, training, ids_BT, places_BT)
    parts = [
        checkpoint(
            _run,
            model,
            training,
            ids_BT[start : start + rows],
            None if places_BT is None else places_BT[start : start + rows],
            use_reentrant=False,
        )
        for start in range(0, len(ids_BT), rows)
    ]
    return torch.cat(parts)


def _run_together(
    model: Any, training: Training, ids_BT: Tensor, places_BT: Tensor | None, parts: int
) -> Tensor:
    """Return what `run_body` does of a sharded model: each pass is one of all processes.

    A process that has fewer rows than others have micro-batches runs its first row again, and
    leaves out what comes of it.
    """
    parts = ranks.most(parts)
    if parts <= 1:
        return _run(model, training, ids_BT, places_BT)
    missing = max(0, parts - len(ids_BT))

    def split(rows_BT: Tensor) -> tuple[Tensor, ...]:
        return torch.cat([rows_BT, rows_BT[:1].expand(missing, -1)]).tensor_split(parts)

    places = (None,) * parts if places_BT is None else split(places_BT)
    states = [
        checkpoint(_run, model, training, ids, at, use_reentrant=False)
        for ids, at in zip(split(ids_BT), places, strict=True)
    ]
    return torch.cat(states)[: len(ids_BT)]


def _run(model: Any, training: Training, ids_BT: Tensor, places_BT: Tensor | None) -> Tensor:
    places = {} if places_BT is None else {"position_ids": places_BT}
    if shards.is_sharded(model):
        # Copies that autocast keeps in its cache would be of all blocks at once.
        with _precision(training, ids_BT.device, cache=False):
            return shards.body_states(model, input_ids=ids_BT, **places)
    with _precision(training, ids_BT.device):
        output = model.base_model(input_ids=ids_BT, use_cache=False, **places)
    states: Tensor = output.last_hidden_state
    return states


def _precision(
    training: Training, device: torch.device, cache: bool = True
) -> AbstractContextManager[Any]:
    if training.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=cache)
