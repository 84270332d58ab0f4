"""Rows that are longer than a suite allows: left out and counted, or refused if none is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import own_files as example
import pytest
import yaml

from arkd.cli import main as cli
from arkd.data.tokenizer import load_tokenizer
from arkd.data.tokens import batch_order
from arkd.errors import ArkdError
from arkd.storage.files import read_json
from arkd.suite.load import suite_path

SHORT = {"prompt": "Who?", "response": " You."}
LONG = {"prompt": "What is it? " * 40, "response": " Nothing."}
SMOKE = yaml.safe_load(suite_path("smoke").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    example.write_models(folder, [SHORT["prompt"] + SHORT["response"]])
    return folder


CASES = {  # rows of train and dev: exit code, what is said
    "all training rows": ([LONG] * 3, [SHORT], 2, "train.jsonl: all 3 rows are longer than max_"),
    "all development rows": ([SHORT], [LONG] * 2, 2, "dev.jsonl: all 2 rows are longer than max_"),
    "some rows": ([SHORT, LONG, LONG], [SHORT], 0, "train.jsonl: 2 of 3 rows are left out: longer"),
    "no row": ([SHORT], [SHORT], 0, ""),
}


@pytest.mark.parametrize(("train", "dev", "code", "said"), CASES.values(), ids=CASES.keys())
def test_rows_that_are_too_long(
    train: list[dict[str, str]],
    dev: list[dict[str, str]],
    code: int,
    said: str,
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = data_of(tmp_path, models, {"train": train, "dev": dev})
    capsys.readouterr()
    assert cli.main(["tokens", *options, "--pair", "own"]) == code
    told = capsys.readouterr().err
    assert told.count("\n") == bool(said)
    assert said in told
    folder = tmp_path / "results" / "mine" / "own" / "tokens"
    if code:
        assert not folder.exists()
        assert not list(folder.parent.glob(".tokens*"))
    else:
        kept = read_json(folder / "manifest.json")["notes"]["rows_too_long"]
        assert kept == {"train": train.count(LONG), "dev": 0}


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("tail.top_k", {"tail": {"top_k": 301}}),
        ("decoding.top_k", {"decoding": {"top_k": 301}}),
        ("decoding.variants.1.top_k", {"decoding": {"variants": [{"top_k": 2}, {"top_k": 301}]}}),
    ],
    ids=str,
)
def test_more_tokens_than_a_given_tokenizer_has_are_refused(
    key: str, asked: dict[str, Any], models: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """The suite alone does not tell what a given tokenizer knows."""
    known = len(load_tokenizer(models / "teacher"))
    assert known < 301
    options = data_of(tmp_path, models, {"train": [SHORT], "dev": [SHORT]}, **asked)
    capsys.readouterr()
    assert cli.main(["tokens", *options, "--pair", "own"]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert f"{key}: 301 is above the vocabulary of {known} (the tokenizer's)" in told


def data_of(folder: Path, models: Path, files: dict[str, list[Any]], **changes: Any) -> list[str]:
    """Write the data of a suite over files, and return the options of its further stages."""
    for name, rows in (files | {"test": [SHORT]}).items():
        example.write_lines(folder / f"{name}.jsonl", rows)
    roles = ("teacher", "student")
    suite = SMOKE | {
        "name": "mine",
        "data": {
            "source": "files",
            "train": "train.jsonl",
            "dev": "dev.jsonl",
            "tests": {"own": "test.jsonl"},
        },
        "test_sets": ["own"],
        "open_tasks": [],
        "choice_tasks": [],
        "perplexity_task": None,
        "pairs": [
            {"name": "own"} | {r: {"source": "folder", "path": str(models / r)} for r in roles}
        ],
    }
    suite |= {key: SMOKE.get(key, {}) | value for key, value in changes.items()}
    (folder / "mine.yaml").write_text(yaml.safe_dump(suite))
    options = ["--suite", str(folder / "mine.yaml"), "--results", str(folder / "results")]
    assert cli.main(["data", *options]) == 0
    return options


def test_an_order_of_no_rows_is_refused_not_waited_for() -> None:
    with pytest.raises(ArkdError, match="no rows to train on"):
        next(batch_order(0, 10, 4, "distill", 1))
