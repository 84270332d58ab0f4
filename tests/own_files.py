"""A tiny teacher and student and a user's own JSONL files, for runs of a suite over them.

`python tests/own_files.py FOLDER` writes them.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CITIES = ["Arlo", "Brin", "Calla", "Dorn", "Elva", "Fenn", "Garo", "Hilt"]
FACTS = {"colour": ["red", "blue", "green", "grey"], "river": ["Oss", "Tam", "Ulm", "Ver"]}


def write(folder: Path) -> None:
    """Write `models/teacher`, `models/student` and the files of `data/`."""
    asked = [
        {"prompt": f"What is the {fact} of {city}?", "response": f" It is {values[place % 4]}."}
        for (place, city), (fact, values) in itertools.product(enumerate(CITIES), FACTS.items())
    ]
    write_lines(folder / "data" / "train.jsonl", asked * 4)
    bands = itertools.cycle(("head", "torso", "tail"))
    write_lines(
        folder / "data" / "test.jsonl",
        (
            {**row, "band": band, "kind": "city"}
            for row, band in zip(asked[:6], bands, strict=False)
        ),
    )
    write_lines(
        folder / "data" / "reworded.jsonl",
        (
            {
                "instruction": f"Name the {fact}.",
                "input": f"City: {city}",
                "references": [f" {values[0]}.", f" It is {values[0]}."],
            }
            for city, (fact, values) in itertools.product(CITIES[:2], FACTS.items())
        ),
    )
    write_lines(
        folder / "data" / "open.jsonl",
        ({"prompt": f"Tell me about {city}."} for city in CITIES[:4]),
    )
    write_lines(folder / "data" / "corpus.jsonl", ({"text": f"{c} is a city."} for c in CITIES))
    write_models(folder / "models", [row["prompt"] + row["response"] for row in asked])


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write one JSON object a line and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def write_models(folder: Path, texts: list[str]) -> None:
    """Save a teacher and a student of the family of GPT-2 with one tokenizer, weights random."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>")
    torch.manual_seed(1)
    for role, width, layers in (("teacher", 32, 2), ("student", 16, 1)):
        shape = {"n_positions": 512, "n_embd": width, "n_layer": layers, "n_head": 2}
        ends = {"bos_token_id": 0, "eos_token_id": 0}
        config = GPT2Config(vocab_size=len(tokenizer), **shape, **ends)
        GPT2LMHeadModel(config).save_pretrained(folder / role)
        tokenizer.save_pretrained(folder / role)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
