"""Models as Hugging Face folders: built, loaded, saved, and taken apart at the head."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from arkd.errors import ArkdError
from arkd.files import write_text
from arkd.seeding import derive_seed
from arkd.settings import Scratch

disable_progress_bar()  # of loading and saving shards; stages have their own
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def build(spec: Scratch, tokenizer: Any, *seed_axes: str | int) -> Any:
    """Return a Llama with random weights drawn from the named axes."""
    torch.manual_seed(derive_seed("weights", *seed_axes))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        intermediate_size=spec.intermediate,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.heads,
        max_position_embeddings=spec.context,
        initializer_range=spec.init_std or spec.hidden**-0.5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def load(folder: Path, device: torch.device) -> Any:
    """Load a model in float32 for a device.

    Raises:
        ArkdError: the folder is not a model that can be read.
    """
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise ArkdError(f"{folder}: not a readable Hugging Face model: {reason}") from error
    return model.to(device)


def save(model: Any, tokenizer_dir: Path, folder: Path, card: str) -> None:
    """Save a model with its tokenizer and a model card."""
    model.generation_config.do_sample = False
    model.generation_config.eos_token_id = model.config.eos_token_id
    model.generation_config.pad_token_id = model.config.pad_token_id
    model.save_pretrained(folder)
    copy_tokenizer(tokenizer_dir, folder)
    write_text(folder / "README.md", card)


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy a tokenizer's files; the same bytes stand beside teacher and student."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def hidden_states(model: Any, ids_BT: Tensor) -> Tensor:
    """Return the states before the head, after the final norm, flattened to [B·T, H].

    The rows are padded on the right; see `Batch`.
    """
    states: Tensor = model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state
    return states.flatten(0, 1)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Turn dropout off for a while."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def head(model: Any) -> nn.Parameter:
    """Return the output head [V, H].

    Raises:
        ArkdError: the head has a bias, which the exact cache does not hold.
    """
    layer = model.get_output_embeddings()
    if getattr(layer, "bias", None) is not None:
        raise ArkdError(f"{type(model).__name__}: an output head with a bias is not supported")
    weight: nn.Parameter = layer.weight
    return weight


def parameters(model: Any) -> int:
    """Return the number of parameters, tied ones counted once."""
    return sum(p.numel() for p in model.parameters())


def card(title: str, facts: dict[str, Any]) -> str:
    """Return a model card: how the folder came about, for whoever finds it alone."""
    lines = "\n".join(f"- {key}: {value}" for key, value in facts.items())
    return (
        f"---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [arkd]\n---\n"
        f"# {title}\n\n"
        "Made by the arkd benchmark; a subject of measurement, not a model to use.\n\n"
        f"{lines}\n"
    )
