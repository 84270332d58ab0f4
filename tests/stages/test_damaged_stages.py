"""What a stage wrote and somebody changed is not used by the next one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.cli import main as cli
from arkd.errors import ArkdError
from arkd.stages.collect import collect
from arkd.storage import manifest, seen
from arkd.storage.files import read_json, write_json
from arkd.suite.folders import Tree, tree

PAIR = "fixture"


@pytest.fixture
def run(smoke: Path, tmp_path: Path) -> Tree:
    """A finished run to damage."""
    shutil.copytree(smoke, tmp_path / "results")
    return tree("smoke", tmp_path / "results")


def flip(path: Path) -> None:
    """Change one byte in the middle of a file; its size and name stay."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = [
    ("data", "train.jsonl"),
    ("tokens", "train.safetensors"),
    ("tokens", "tokenizer/tokenizer.json"),
    ("teacher/seed0/training", "model/model.safetensors"),
    ("teacher/seed0/training", "head.safetensors"),
    ("init/seed1/training", "model/config.json"),
    ("arkd/seed1/training", "model/model.safetensors"),
    ("arkd/seed1/training", "trajectory.csv"),
    ("arkd/evaluation", "records.csv"),
]


@pytest.mark.parametrize("damage", [flip, halve, Path.unlink], ids=["flipped", "torn", "lost"])
@pytest.mark.parametrize(("stage", "name"), DAMAGES, ids=[f"{s}/{n}" for s, n in DAMAGES])
def test_a_damaged_file_is_named_when_its_stage_is_opened(
    run: Tree, stage: str, name: str, damage: Callable[[Path], None]
) -> None:
    folder = run.data if stage == "data" else run.root / PAIR / stage
    sound = manifest.digest(folder)
    damage(folder / name)
    with pytest.raises(ArkdError, match=r"delete .* and run again") as caught:
        manifest.digest(folder)
    assert str(folder / name) in str(caught.value)
    with pytest.raises(ArkdError, match=r"delete .* and run again"):
        collect(run)
    assert manifest.digest_of(read_json(folder / manifest.NAME)["outputs"]) == sound


def test_the_command_says_it_in_one_line(run: Tree) -> None:
    flip(run.tokens(PAIR) / "train.safetensors")
    command = ["arkd", "init", "--suite", "smoke", "--pair", PAIR, "--seed", "1"]
    done = subprocess.run(
        [*command, "--results", str(run.results)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "tokens/train.safetensors: not as its stage wrote it" in done.stderr


@pytest.mark.parametrize("shown", [["tables"], ["figures"], ["claims"], ["report"]], ids=str)
def test_edited_records_are_not_shown(
    run: Tree, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    records = run.root / "records.csv"
    text = records.read_text()
    at = text.index(",rouge_l,")
    digit = next(place for place in range(at, len(text)) if text[place] in "123456789")
    records.write_text(text[:digit] + "8" * (text[digit] != "8") + text[digit + 1 :])
    assert cli.main([*shown, "--suite", "smoke", "--results", str(run.results)]) == 2
    assert "records.csv: not as its stage wrote it" in capsys.readouterr().err


def test_a_large_file_is_hashed_again_only_when_it_has_changed(
    run: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "LARGE_BYTES", 1)
    folder = run.tokens(PAIR)
    first = manifest.digest(folder)
    remembered = folder / seen.NAME
    assert read_json(remembered).keys() == read_json(folder / manifest.NAME)["outputs"].keys()
    assert manifest.digest(folder) == first
    memory = read_json(remembered)
    memory["train.safetensors"][1] += 1  # another time: looked at anew, and found to be the same
    write_json(remembered, memory)
    assert manifest.digest(folder) == first
    flip(folder / "train.safetensors")
    with pytest.raises(ArkdError, match=r"train\.safetensors: not as its stage wrote it"):
        manifest.digest(folder)
