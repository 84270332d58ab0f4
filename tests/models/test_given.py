"""Given models: what teacher and student must share, and what is said where they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import stand_ins
import torch

from arkd.data.tokenizer import load_tokenizer
from arkd.errors import ArkdError
from arkd.models.external import load_given, shared_tokenizer
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
