"""Suites of several worlds: their blocks go along, and an effect is paired by world."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from run_folders import filled_form, rows_for, write_run
from simulate import suite_of

from arkd.errors import ArkdError
from arkd.exchange import pack, submit
from arkd.leaderboard import page
from arkd.stages import blocks
from arkd.suite.folders import Tree

WORLDS = (11, 12, 13)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    suite = suite_of(("forward_kl", "reverse_kl"), name="several", worlds=WORLDS)
    for block in Tree(folder, suite).blocks.values():
        write_run(block.suite, folder, rows_for(block.suite))
    blocks.pool(Tree(folder, suite))
    return folder


def test_one_world_is_to_be_named(results: Path, tmp_path: Path) -> None:
    suite = suite_of(("forward_kl",), name="several", worlds=WORLDS)
    with pytest.raises(ArkdError, match="name one of them, such as several@11"):
        pack.write(Tree(results, suite), tmp_path / "pack")


def test_blocks_go_along_and_stand_as_one_board(results: Path, tmp_path: Path) -> None:
    written = filled_form()
    (tmp_path / "form.yaml").write_text(yaml.safe_dump(written))
    name = written["name"]
    out = tmp_path / "all" / "submissions" / name
    submit.pack(results / "several", tmp_path / "form.yaml", out)
    assert {path.name for path in out.iterdir()} == {
        "several", *(f"several@{world}" for world in WORLDS)
    }  # fmt: skip
    assert submit.check(out).missing == []
    page.write(tmp_path / "all", tmp_path / "board")
    made = json.loads((tmp_path / "board" / page.JSON).read_text())
    (board,) = made["boards"]
    assert (board["suite"], board["unit"]) == ("several", "world")
    assert {row["effects"]["jsd"]["seeds"] for row in board["rows"]} == {len(WORLDS)}
    assert '<th scope="col">Worlds</th>' in (tmp_path / "board" / page.PAGE).read_text()

    kept = next((results / "several@13").rglob("samples.jsonl"))
    answers = kept.read_bytes()
    kept.write_bytes(answers + b"{}")  # of a block, whose own files the joined ones do not show
    with pytest.raises(ArkdError, match=r"several@13.*samples\.jsonl"):
        submit.pack(results / "several", tmp_path / "form.yaml", tmp_path / "again")
    kept.write_bytes(answers)

    samples = next((out / "several@12").rglob("samples.jsonl"))
    samples.unlink()
    assert any("several@12" in text for text in submit.check(out).missing)
