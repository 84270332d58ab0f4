"""Models as Hugging Face folders: built, loaded, saved, and taken apart at the head."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.utils.logging import (
    disable_progress_bar,
    get_verbosity,
    set_verbosity,
    set_verbosity_error,
)

from arkd.data.tokenizer import end_ids
from arkd.data.tokens import Batch, Packed
from arkd.divergence.head import Head
from arkd.errors import ArkdError
from arkd.models import shards
from arkd.models.forward import run_body
from arkd.models.weights import check_weights
from arkd.seeding import derive_seed
from arkd.storage.files import write_text
from arkd.suite.settings import Scratch

disable_progress_bar()  # of loading and saving shards; stages have their own
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def build(spec: Scratch, tokenizer: Any, *seed_axes: str | int) -> Any:
    """Return a model with random weights drawn from the named axes."""
    torch.manual_seed(derive_seed("weights", *seed_axes))
    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "initializer_range": spec.init_std or spec.hidden**-0.5,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": one_or_all(end_ids(tokenizer)),
        "pad_token_id": tokenizer.pad_token_id,
    }
    if spec.family == "gpt2":
        return GPT2LMHeadModel(GPT2Config(**spec.gpt2, **shared))
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=spec.hidden,
            intermediate_size=spec.intermediate,
            num_hidden_layers=spec.layers,
            num_attention_heads=spec.heads,
            num_key_value_heads=spec.heads,
            max_position_embeddings=spec.context,
            **shared,
        )
    )


def load(folder: Path, device: torch.device, dtype: str = "float32") -> Any:
    """Load a model for a device, in float32 or bfloat16.

    How it samples is the suite's business alone: what its folder says of that is dropped.

    Raises:
        ArkdError: the folder is not a model that can be read, or not one of a kind that is known;
            its weights are not all of the model's and no others, or not all finite.
    """
    before = get_verbosity()
    set_verbosity_error()  # what the library reports in a table is told below in a line
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except Exception as error:  # of whatever kind: the libraries check little of what they read
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ArkdError(f"{folder}: not a readable Hugging Face model: {reason}") from error
    finally:
        set_verbosity(before)
    check_weights(folder, model, report)
    config = text_config(model)
    if config is not model.config:  # a composite keeps there what all read from its own
        tell_tokens(model, end_tokens(model), config.pad_token_id)
    if (
        config.tie_word_embeddings
        and head(model).weight_VH is not model.get_input_embeddings().weight
    ):
        # Two matrices lie in the folder. Whoever loads what is saved of them must not tie them.
        model.config.tie_word_embeddings = config.tie_word_embeddings = False
    model.generation_config = GenerationConfig()
    check_head(model.to(device).eval())
    return model


def text_config(model: Any) -> Any:
    """Return the configuration of the language model, which a model of several kinds has inside."""
    return model.config.get_text_config()


def tell_tokens(model: Any, ends: list[int], pad: int | None) -> None:
    """Write a model's end and padding tokens to its configuration, and to the one inside."""
    for config in (model.config, text_config(model)):
        config.eos_token_id, config.pad_token_id = one_or_all(ends), pad


def end_tokens(model: Any) -> list[int]:
    """Return the tokens that end a model's samples, as its configuration has them."""
    found = text_config(model).eos_token_id
    return found if isinstance(found, list) else [] if found is None else [found]


def one_or_all(ends: list[int]) -> int | list[int] | None:
    """Return end tokens as a configuration has them: one alone is no list."""
    return ends if len(ends) > 1 else next(iter(ends), None)


def save(model: Any, tokenizer_dir: Path, folder: Path, card: str) -> None:
    """Save a model with its tokenizer and a model card.

    Args:
        model: With its weights, in the type that they are saved in.
        tokenizer_dir: The tokenizer, whose files are copied.
        folder: Of the saved model.
        card: Text of its README.md.
    """
    model.generation_config = GenerationConfig(
        eos_token_id=one_or_all(end_tokens(model)), pad_token_id=model.config.pad_token_id
    )
    model.save_pretrained(folder)
    copy_tokenizer(tokenizer_dir, folder)
    write_text(folder / "README.md", card)


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy a tokenizer's files; the same bytes stand beside teacher and student."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def hidden_states(model: Any, ids_BT: Tensor, packed: Packed | None = None) -> Tensor:
    """Return the states before the head, after the final norm, flattened to [B·T, H].

    The rows are padded on the right; see `Batch`. Given the same samples packed, a model that keeps
    them apart runs over those instead: fewer positions, and within rounding the same states
    wherever there is no padding.
    """
    if packed is None or not packs(model):
        return run_body(model, ids_BT).flatten(0, 1)
    device = ids_BT.device
    states = run_body(model, packed.ids_RT.to(device), packed.places_RT.to(device))
    return states.flatten(0, 1).index_select(0, packed.from_P.to(device))


def response_states(model: Any, batch: Batch) -> Tensor:
    """Return the states that predict the response tokens [N, H], on the model's device."""
    states = hidden_states(model, batch.ids_BT.to(model.device), batch.packed)
    return states[batch.positions_N.to(model.device)]


_packing: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


@torch.no_grad()
def packs(model: Any) -> bool:
    """Tell whether a model keeps the samples of a row apart by their positions; tried out once.

    Transformers masks one from another wherever positions start anew, in most families; recurrent
    ones, and those that take no positions, know nothing of it.
    """
    if model not in _packing:
        places_1T = torch.tensor([[0, 1, 2, 0, 1, 2]], device=model.device)
        with evaluating(model):
            base = model.base_model
            alone = base(input_ids=places_1T[:, :3], use_cache=False).last_hidden_state[0]
            try:
                both = base(input_ids=places_1T, position_ids=places_1T, use_cache=False)
            except TypeError:  # it takes no positions
                _packing[model] = False
            else:
                gap, most = both.last_hidden_state[0, 3:] - alone, float(alone.abs().max())
                off = 1e-5 if gap.dtype == torch.float32 else 2e-2  # each type's rounding
                _packing[model] = float(gap.abs().max()) <= off * most
    return _packing[model]


def padding(model: Any, batch: Batch) -> int:
    """Return how many positions of a pass over a batch hold no token."""
    packed = batch.packed if packs(model) else None
    ids = batch.ids_BT if packed is None else packed.ids_RT
    return ids.numel() - batch.tokens


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Turn dropout off for a while."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def head(model: Any) -> Head:
    """Return the output head, with what its family does to its logits.

    A student's whose weights are shared out is gathered for it, in all processes.
    """
    shards.gather_root(model)
    layer, config = model.get_output_embeddings(), text_config(model)
    scale = getattr(config, "logit_scale", None) or 1.0  # Cohere
    scale /= getattr(config, "logits_scaling", None) or 1.0  # Granite
    soft_cap = getattr(config, "final_logit_softcapping", None)  # Gemma 2
    return Head(layer.weight, getattr(layer, "bias", None), float(scale), soft_cap)


@torch.no_grad()
def check_head(model: Any) -> None:
    """Make sure that states and head give a model's own logits.

    Raises:
        ArkdError: they do not: the model does something else to its logits.
    """
    ids_BT = torch.tensor([[0, 1, 2]], device=model.device)
    expected = model(input_ids=ids_BT, use_cache=False).logits[0]
    ours = head(model).logits(hidden_states(model, ids_BT)).float()
    off = rounding(expected)
    size = float(expected[expected.isfinite()].abs().max())  # −∞: never to come
    if not torch.allclose(ours, expected.float(), rtol=off, atol=off * size):
        raise ArkdError(
            f"{type(model).__name__}: its logits are not those of its last hidden states and its "
            "head (scale, cap and bias minded); this family is not supported"
        )


def rounding(values: Tensor) -> float:
    """Return by what part two computations of the same logits may differ."""
    return 1e-3 if values.dtype == torch.float32 else 2e-2  # bfloat16 has 8 bits


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
