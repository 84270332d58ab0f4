"""Tiny models in the shape of the paper suites' own, to run those suites without hub and GPU.

`python tests/stand_ins.py FOLDER` writes a GPT-2, a LLaMA and a Qwen family, each with a teacher
and two students, as Hugging Face folders, and the files of the five sets of instructions. A suite
runs on them by what its own YAML may override, and by no code of theirs.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import instruction_files
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

WIDTHS = {"teacher": 48, "student": 32, "second": 24}
LEARNT_STEPS = 60


def write(folder: Path, families: tuple[str, ...] = ("gpt2", "llama", "qwen")) -> None:
    """Write the families' models to FOLDER/FAMILY/ROLE and the data to FOLDER/data."""
    rows = instruction_files.write(folder / "data")
    texts = [f"{row['instruction']}\n{row['response']}" for row in rows["dolly"]]
    for family in families:
        tokenizer = TOKENIZERS[family](texts)
        for place, (role, width) in enumerate(WIDTHS.items()):
            torch.manual_seed(place)
            # Qwen's heads have more rows than its tokenizer has tokens, and not all as many.
            model = MODELS[family](
                len(tokenizer) + (64 * (3 - place) if family == "qwen" else 0), width
            )
            learn(model, tokenizer, texts)
            model.save_pretrained(folder / family / role)
            tokenizer.save_pretrained(folder / family / role)


def learn(model: Any, tokenizer: Any, texts: list[str]) -> None:
    """Train a model briefly on plain text, so that it is no longer uniform."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rng = random.Random(0)
    for _ in range(LEARNT_STEPS):
        ids = torch.tensor([tokenizer.encode(rng.choice(texts))[:48]])
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def words(count: int) -> list[str]:
    """Return made-up words, enough for a tokenizer to find all of its merges in."""
    rng = random.Random(0)
    parts = [a + b for a in "bcdfghklmnprstvz" for b in "aeiou"]
    return ["".join(rng.choices(parts, k=rng.randint(2, 6))) for _ in range(count)]


def byte_level(texts: list[str], vocabulary: int, end: str, extra: tuple[str, ...] = ()) -> Any:
    """Return a byte-level BPE of exactly so many tokens, as GPT-2's and Qwen's are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 1 - len(extra),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, " ".join(words(90_000))], trainer)
    tokenizer.add_special_tokens([end, *extra])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, bos_token=end)
    assert len(wrapped) == vocabulary, len(wrapped)
    return wrapped


def sentence_piece(texts: list[str], vocabulary: int = 32_000) -> Any:
    """Return a BPE over words with a leading ▁ and bytes to fall back on, as LLaMA's is."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, " ".join(words(90_000))], trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    assert len(wrapped) == vocabulary, len(wrapped)
    return wrapped


def gpt2(rows: int, width: int) -> Any:
    config = GPT2Config(
        vocab_size=rows, n_embd=width, n_layer=2, n_head=2, n_positions=1024,
        bos_token_id=rows - 1, eos_token_id=rows - 1,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def sizes(rows: int, width: int) -> dict[str, int]:
    return {
        "vocab_size": rows,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 1024,
    }


def llama(rows: int, width: int) -> Any:
    own = {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes(rows, width), **own, tie_word_embeddings=False))


def qwen(rows: int, width: int) -> Any:
    own = {"num_key_value_heads": 1, "bos_token_id": None, "eos_token_id": None}
    return Qwen2ForCausalLM(Qwen2Config(**sizes(rows, width), **own, tie_word_embeddings=True))


TOKENIZERS = {
    "gpt2": lambda texts: byte_level(texts, 50_257, "<|endoftext|>"),
    "llama": sentence_piece,
    "qwen": lambda texts: byte_level(texts, 50_304, "<|endoftext|>", ("<|im_start|>",)),
}
MODELS = {"gpt2": gpt2, "llama": llama, "qwen": qwen}


def suite(name: str, family: str, folder: Path, pairs: int = 2, **changes: Any) -> Path:
    """Write a suite that runs a shipped one on stand-ins, and return its file.

    Sizes, steps and places are other; protocol, tasks, regime and layout of the tables are the
    shipped suite's own.
    """
    from arkd.suite.load import load_suite

    given = {role: {"source": "folder", "path": str(folder / family / role)} for role in WIDTHS}
    shipped = load_suite(name)
    made = []
    for pair, student in zip(shipped.pairs[:pairs], ("student", "second"), strict=False):
        own = pair.model_dump(mode="json", exclude_none=True)
        own |= {"teacher": given["teacher"], "student": given[student]}
        own["teacher_training"] |= {"epochs": 1, "batch_size": 8, "lr": 1e-3}
        made.append(own)
    of_start = {"epochs": 1, "batch_size": 8, "lr": 2e-3}
    if shipped.student_start.selection:
        of_start["selection"] = {"points": 2, "items": 8}
    of_students = {"epochs": 1, "batch_size": 8, "lr": 1e-3}
    if shipped.distillation.selection:
        of_students["selection"] = {"points": 2, "items": 8}
    own = {
        "extends": name,
        "name": f"{name}-stand-in",
        "data": {"data_dir": str(folder / "data"), "dev_rows": 16, "test_rows": 12},
        "pairs": made,
        "public_tasks": [],
        "seeds": [1],
        "student_start": of_start,
        "distillation": of_students,
        "training": {"precision": "float32", "micro_batch": 4},
        "decoding": {"seeds": [10], "max_new_tokens": 16, "batch_size": 16},
        "tail": {"items_per_set": 6},
        "bertscore": None,
        "max_tokens": 256,
        "device": "cpu",
    }
    path = folder / f"{name}.yaml"
    for key, value in changes.items():
        own[key] = own[key] | value if isinstance(own.get(key), dict) else value
    path.write_text(yaml.safe_dump(own, sort_keys=False), encoding="utf-8")
    return path


if __name__ == "__main__":
    write(Path(sys.argv[1]))
