"""Given models: what teacher and student must share, and what is said where they do not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import stand_ins
import torch
from tokenizers import Tokenizer

from arkd.data.tokenizer import end_ids, load_tokenizer, text_ids
from arkd.errors import ArkdError
from arkd.models.external import load_given, shared_tokenizer
from arkd.models.generate import sample
from arkd.suite.settings import Folder, Hub

TEXTS = ["the river holds the lantern near a mill", "a quiet market in the northern part"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A byte-level BPE of GPT-2's kind, of 300 tokens."""
    return stand_ins.byte_level(TEXTS, 300, "<|endoftext|>")


def folder(path: Path, tokenizer: Any, rows: int = 300) -> Folder:
    """Write a model of GPT-2's kind with a tokenizer."""
    stand_ins.gpt2(rows, 16).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return Folder(source="folder", path=str(path))


def test_a_pair_shares_its_tokenizer_and_pads_with_the_end_token(
    tmp_path: Path, tokenizer: Any
) -> None:
    teacher, student = (folder(tmp_path / role, tokenizer) for role in ("teacher", "student"))
    shared_tokenizer(teacher, student, tmp_path / "shared")
    shared = load_tokenizer(tmp_path / "shared")
    assert shared.pad_token_id == shared.eos_token_id == 299
    assert shared.get_vocab() == tokenizer.get_vocab()
    model = load_given(student, tmp_path / "shared", torch.device("cpu"), "float32")
    assert (model.config.eos_token_id, model.config.pad_token_id) == (299, 299)


def test_two_vocabularies_are_refused_by_their_first_difference(
    tmp_path: Path, tokenizer: Any
) -> None:
    other = stand_ins.byte_level(["where the comet warms a castle"] * 3, 300, "<|endoftext|>")
    teacher = folder(tmp_path / "teacher", tokenizer)
    student = folder(tmp_path / "student", other)
    ours, theirs = tokenizer.get_vocab(), other.get_vocab()
    apart = sum(ours.get(token) != theirs.get(token) for token in ours.keys() | theirs.keys())
    with pytest.raises(ArkdError, match=f"student: not the vocabulary .* {apart} tokens differ"):
        shared_tokenizer(teacher, student, tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_one_vocabulary_that_is_cut_otherwise_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    teacher, student = (folder(tmp_path / role, tokenizer) for role in ("teacher", "student"))
    path = tmp_path / "student" / "tokenizer.json"
    rules = json.loads(path.read_text())
    assert rules["pre_tokenizer"]["add_prefix_space"] is False
    rules["pre_tokenizer"]["add_prefix_space"] = True
    path.write_text(json.dumps(rules))
    with pytest.raises(ArkdError, match="cut a text differently"):
        shared_tokenizer(teacher, student, tmp_path / "shared")


def test_a_single_merge_or_rule_that_no_text_shows_is_told_apart(
    tmp_path: Path, tokenizer: Any
) -> None:
    teacher = folder(tmp_path / "teacher", tokenizer)
    for name in ("merges", "normalizer"):
        student = folder(tmp_path / name, tokenizer)
        path = tmp_path / name / "tokenizer.json"
        rules = json.loads(path.read_text())
        if name == "merges":
            rules["model"]["merges"][-2:] = rules["model"]["merges"][:-3:-1]
        else:
            rules["normalizer"] = {"type": "Replace", "pattern": {"String": "Ω"}, "content": "O"}
        path.write_text(json.dumps(rules))
        said = "2 merges differ, the first" if name == "merges" else "another normalizer"
        with pytest.raises(ArkdError, match=said) as caught:
            shared_tokenizer(teacher, student, tmp_path / "shared")
        assert "\n" not in str(caught.value)


def test_a_text_that_opens_otherwise_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    teacher, student = (folder(tmp_path / role, tokenizer) for role in ("teacher", "student"))
    path = tmp_path / "student" / "tokenizer.json"
    rules = json.loads(path.read_text())
    end = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    rules["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [end, text],
        "pair": [end, text],
        "special_tokens": {
            "<|endoftext|>": {"id": "<|endoftext|>", "ids": [299], "tokens": ["<|endoftext|>"]}
        },
    }
    path.write_text(json.dumps(rules))
    with pytest.raises(ArkdError, match="opens with nothing in the teacher's, with"):
        shared_tokenizer(teacher, student, tmp_path / "shared")


@pytest.mark.parametrize("whose", ["teacher", "student"])
def test_a_pad_token_that_one_side_has_added_is_padding_of_its_head(
    tmp_path: Path, tokenizer: Any, whose: str
) -> None:
    pair = {}
    for role in ("teacher", "student"):
        own = copy.deepcopy(tokenizer)
        if role == whose:
            own.add_special_tokens({"pad_token": "[PAD]"})
        pair[role] = folder(tmp_path / role, own, rows=len(own))
    shared_tokenizer(pair["teacher"], pair["student"], tmp_path / "shared")
    shared = load_tokenizer(tmp_path / "shared")
    assert (len(shared), shared.pad_token_id) == (300, 299)
    models = [
        load_given(spec, tmp_path / "shared", torch.device("cpu"), "float32")
        for spec in pair.values()
    ]
    assert sorted(len(model.get_output_embeddings().weight) for model in models) == [300, 301]
    for model in models:
        drawn = sample(model, [[5]] * 400, seed=0, max_new_tokens=4, vocabulary=len(shared))
        assert max(token for ids in drawn for token in ids) < 300


@pytest.mark.parametrize("beside", [None, "qwen2", "llama"])
def test_the_tokenizers_file_decides_and_not_a_class(
    tmp_path: Path, tokenizer: Any, beside: str | None
) -> None:
    folder(tmp_path / "model", tokenizer)
    for name, key, value in (
        ("tokenizer_config.json", "tokenizer_class", "LlamaTokenizer"),
        ("config.json", "model_type", beside),
    ):
        path = tmp_path / "model" / name
        if value:
            path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
        else:
            path.unlink()
    text = "The year 1984 wasn't  over:\n\tnaïve 東京 cost 10**7."
    file = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
    expected = file.encode(text, add_special_tokens=False).ids
    assert text_ids(load_tokenizer(tmp_path / "model"), [text]) == [expected]


def test_end_tokens_are_one_set_of_tokenizer_and_configurations(
    tmp_path: Path, tokenizer: Any
) -> None:
    own = copy.deepcopy(tokenizer)
    own.add_special_tokens({"additional_special_tokens": ["<turn>", "<call>"]})
    teacher, student = (folder(tmp_path / r, own, len(own)) for r in ("teacher", "student"))
    for role, name, ends in (
        ("teacher", "config.json", [299, 300]),
        ("student", "generation_config.json", [301, 65]),  # 65 is a letter: no end token
    ):
        path = tmp_path / role / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": ends}))
    shared_tokenizer(teacher, student, tmp_path / "shared")
    assert end_ids(load_tokenizer(tmp_path / "shared")) == [299, 300, 301]
    model = load_given(student, tmp_path / "shared", torch.device("cpu"), "float32")
    assert model.config.eos_token_id == [299, 300, 301]


def test_a_head_may_have_more_rows_than_tokens_and_not_fewer(
    tmp_path: Path, tokenizer: Any
) -> None:
    padded = folder(tmp_path / "padded", tokenizer, rows=320)
    small = folder(tmp_path / "small", tokenizer, rows=290)
    cpu = torch.device("cpu")
    assert load_given(padded, tmp_path / "padded", cpu, "float32") is not None
    with pytest.raises(ArkdError, match="head has 290 rows and the pair's tokenizer 300 tokens"):
        load_given(small, tmp_path / "small", cpu, "float32")


def test_a_folder_without_a_tokenizer_is_one_line(tmp_path: Path, tokenizer: Any) -> None:
    (tmp_path / "teacher").mkdir()
    with pytest.raises(ArkdError, match="no tokenizer that can be read"):
        shared_tokenizer(
            Folder(source="folder", path=str(tmp_path / "teacher")), None, tmp_path / "shared"
        )


def test_a_model_of_the_hub_needs_a_whole_commit() -> None:
    with pytest.raises(ValueError, match="revision"):
        Hub(source="hub", repo="openai-community/gpt2", revision="main")
