"""Low-rank adapters: trained in the place of a model's weights, merged into them at the end."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from transformers.pytorch_utils import Conv1D

from arkd.errors import ArkdError
from arkd.seeding import derive_seed
from arkd.suite.settings import Lora

ADAPTER = "default"


def add_adapters(model: Any, lora: Lora, *axes: str | int) -> Any:
    """Freeze a model and put trainable adapters into it, in place.

    The adapters are float32 whatever the model is in; their first draw depends on the named axes.

    Args:
        model: A causal language model.
        lora: Rank, scale and places.
        *axes: What the adapters are for; see `derive_seed`.

    Returns:
        What `merge_adapters` takes.

    Raises:
        ArkdError: no layer has one of the names.
    """
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),  # GPT-2
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(derive_seed("adapters", *axes))
    try:
        tuner = LoraModel(model, config, ADAPTER)
    except ValueError as error:
        raise ArkdError(f"lora.targets: {str(error).splitlines()[0]}") from None
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return tuner


def merge_adapters(tuner: Any) -> Any:
    """Return the model with its adapters merged into its weights, as if it had never had any."""
    return tuner.merge_and_unload()
