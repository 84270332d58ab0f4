"""Answers of many lengths by each engine: batches, padded batches, continuous batching.

The model is a Llama of random weights, in whose vocabulary a token in forty ends an answer, so that
lengths are as good as geometric.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from functools import partial
from statistics import fmean
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from arkd.models.generate import sample
from arkd.perf.losses import Tick
from arkd.perf.timing import interleave

VOCABULARY, ENDS = 2048, 51
MODEL = {
    **{"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4},
    **{"num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 512},
}
PROMPT_TOKENS = range(8, 40)
ENGINES: dict[str, dict[str, Any]] = {
    "batches": {},
    "padded": {"padded": True},
    "continuous": {"engine": "continuous"},
}


@dataclass(frozen=True)
class Load:
    """How many prompts are answered, how many of them at once, and by how many tokens at most."""

    prompts: int
    at_once: int
    new_tokens: int

    def __str__(self) -> str:
        return f"{self.prompts} answers, {self.at_once} at once"


LOADS = (Load(256, 8, 128), Load(256, 32, 128), Load(256, 128, 128), Load(16, 16, 32))
QUICK_LOADS = (Load(32, 8, 32),)


def sampling_ticks(quick: bool, repeats: int) -> int:
    """Return how often `measure_sampling` ticks."""
    return len(QUICK_LOADS if quick else LOADS) * len(ENGINES) * (repeats + 2)


def measure_sampling(quick: bool, repeats: int, device: str, tick: Tick) -> dict[str, Any]:
    """Time the engines on each load, and tell how many answers are those of batches.

    Args:
        quick: One small load instead.
        repeats: How often each is timed, after one run to warm up.
        device: Where the model lies.
        tick: Called with what was just done, `sampling_ticks` times.
    """
    torch.manual_seed(0)
    ends = [*range(1, 1 + ENDS)]
    tokens = {"vocab_size": VOCABULARY, "eos_token_id": ends, "pad_token_id": 0}
    config = LlamaConfig(**tokens, **MODEL, bos_token_id=None)
    model = LlamaForCausalLM(config).eval().to(device)
    loads = QUICK_LOADS if quick else LOADS
    rows = {str(load): _row(model, load, repeats, tick) for load in loads}
    name = torch.cuda.get_device_name() if device == "cuda" else device
    return {"device": name, "vocabulary": VOCABULARY, "model": MODEL, "rows": rows}


def _row(model: Any, load: Load, repeats: int, tick: Tick) -> dict[str, Any]:
    draw = random.Random(1)
    lengths = [draw.choice(PROMPT_TOKENS) for _ in range(load.prompts)]
    prompts = [[draw.randrange(VOCABULARY) for _ in range(length)] for length in lengths]
    limits: dict[str, Any] = {
        "max_new_tokens": load.new_tokens,
        "batch_size": load.at_once,
        "label": "",
    }
    runs = {
        name: partial(sample, model, prompts, seed=1, **limits, **engine)
        for name, engine in ENGINES.items()
    }
    answers = {}
    for name, run in runs.items():
        answers[name] = run()
        tick(f"{load}: answers of {name}")
    pairs = {name: zip(found, answers["batches"], strict=True) for name, found in answers.items()}
    return {
        "load": asdict(load),
        "label": str(load),
        "tokens": fmean(map(len, answers["batches"])),
        "same": {name: fmean(a == b for a, b in both) for name, both in pairs.items()},
        "times_s": interleave(runs, repeats, lambda name: tick(f"{load}: time of {name}")),
    }
