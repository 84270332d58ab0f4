"""The files of the SmolLM2 suites: what each holds, and that held-out items stay held out.

The light tests deal out generated sources; the heavy one builds from the real wheels.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from arkd.data.bands import BANDS
from arkd.data.smollm2.source import FACT_TOPICS, TEST_SETS, UNSEEN_BOOKS, Smollm2Spec, build, rows
from arkd.data.smollm2.words import Word
from arkd.storage.files import read_jsonl, sha256_file

SPEC = Smollm2Spec(
    train_examples=60, dev_examples=20, test_items=6, mc_items=3, ppl_items=4, section_words=150
)
SEEN_BOOKS = ("austen-emma", "bible-kjv", "chesterton-ball")
Files = dict[str, list[dict[str, Any]]]


def generated_words() -> list[Word]:
    return [
        Word(
            f"{band}{i}x",
            ("noun", "verb")[i % 2],
            band,
            f"Gloss {i} of the {band}.",
            (f"Gloss {i} of the {band}.",),
            f"She said {band}{i}x aloud." if i % 3 == 0 else "",
        )
        for band in BANDS
        for i in range(120)
    ]


def generated_book(name: str) -> str:
    rng = random.Random(name)
    paragraphs = []
    for number in range(80):
        words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=5)) for _ in range(50)]
        for end in range(6 + number % 3, 50, 7):
            words[end] += "."
        paragraphs.append(" ".join(words) + ".")
    return "\n\n".join(paragraphs)


@pytest.fixture(scope="module")
def files() -> Files:
    topics = {
        topic: {f"What is {topic} {i}": [f"answer {topic} {i}"] for i in range(12)}
        for topic in (*FACT_TOPICS, "greetings", "emotion")
    }
    books = {name: generated_book(name) for name in (*SEEN_BOOKS, *UNSEEN_BOOKS)}
    return rows(SPEC, generated_words(), books, topics)


def defined(found: list[dict[str, Any]]) -> set[str]:
    return {re.findall(r'"(\w+)"', row["prompt"])[0] for row in found if '"' in row["prompt"]}


def test_every_file_has_its_size(files: Files) -> None:
    sizes = {"train": 60, "dev": 20, "ppl": 4} | {f"test_{name}": 6 for name in TEST_SETS}
    sizes |= {f"mc_{band}": 3 for band in BANDS}
    assert {name: len(found) for name, found in files.items()} == sizes
    for found in files.values():
        assert [row["id"] for row in found] == list(range(len(found)))


def test_training_lacks_the_use_task_and_mixes_the_others(files: Files) -> None:
    kinds = [row["kind"] for row in files["train"]]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "definition": 42,
        "continuation": 13,
        "chat": 5,
    }
    bands = [row["band"] for row in files["train"] if row["kind"] == "definition"]
    assert [bands.count(band) for band in BANDS] == [21, 13, 8]
    assert {row["kind"] for row in files["test_smollm2_use"]} == {"use"}
    assert {row["band"] for row in files["test_smollm2_rare"]} == {"tail"}


def test_no_held_out_prompt_word_or_gloss_stands_in_training(files: Files) -> None:
    train = files["train"]
    prompts = {row["prompt"] for row in train}
    responses = {row["response"] for row in train}
    words = defined(train)
    asked = [name for name in files if name not in ("train", "ppl")]
    for name in asked:
        assert prompts.isdisjoint(row["prompt"] for row in files[name]), name
        assert words.isdisjoint(defined(files[name])), name
        for row in files[name]:
            assert responses.isdisjoint(row.get("choices", row.get("references", []))), name
    every = [word for name in asked for word in defined(files[name])]
    assert len(every) == len(set(every))


def test_passages_are_held_out_by_section_and_the_test_by_book(files: Files) -> None:
    trained = " ".join(r["prompt"] + r["response"] for r in files["train"])
    for row in files["test_smollm2_continuation"] + files["ppl"]:
        text = row.get("text", row.get("response")).strip()
        assert text not in trained
        first = text.split()[0]
        assert first not in trained.split()
    unseen = " ".join(generated_book(name) for name in UNSEEN_BOOKS).split()
    for row in files["test_smollm2_continuation"]:
        assert set(row["response"].split()) <= set(unseen)


def test_chat_is_tested_on_topics_that_training_lacks(files: Files) -> None:
    topics = {row["prompt"].split()[3] for row in files["test_smollm2_chat"]}
    assert topics <= set(FACT_TOPICS)
    trained = {r["prompt"].split()[3] for r in files["train"] if r["kind"] == "chat"}
    assert trained == {"greetings", "emotion"}


def test_prompts_end_bare_and_responses_begin_with_a_space(files: Files) -> None:
    for name, found in files.items():
        for row in found:
            texts = row.get("choices") or [
                *row.get("references", []),
                *filter(None, [row.get("response")]),
            ]
            assert row.get("prompt", "x")[-1] not in " \n", name
            assert all(re.fullmatch(r" \S.*", text) for text in texts), name
            if "references" in row:
                assert row["response"] == row["references"][0]


def test_the_gold_choice_is_the_word_s_own_gloss(files: Files) -> None:
    glosses = {word.lemma: f" {word.gloss}" for word in generated_words()}
    for band in BANDS:
        for row in files[f"mc_{band}"]:
            (word,) = defined([row])
            assert row["choices"][row["gold"]] == glosses[word]
            assert len(set(row["choices"])) == SPEC.mc_choices
            assert row["band"] == band


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="test_item"):
        Smollm2Spec.model_validate({"test_item": 3})


@pytest.mark.heavy
def test_the_real_build_repeats_to_the_byte(tmp_path: Path) -> None:
    spec = Smollm2Spec()
    summary = build(spec, tmp_path / "one")
    build(spec, tmp_path / "two")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 11
    for name in names:
        assert sha256_file(tmp_path / "one" / name) == sha256_file(tmp_path / "two" / name)
    assert summary["kinds"]["train"] == {"definition": 2100, "continuation": 660, "chat": 240}
    train = read_jsonl(tmp_path / "one" / "train.jsonl")
    assert not any("sentence with the" in row["prompt"] for row in train)
    for name in TEST_SETS:
        held = read_jsonl(tmp_path / "one" / f"test_{name}.jsonl")
        assert {row["prompt"] for row in train}.isdisjoint(row["prompt"] for row in held)
