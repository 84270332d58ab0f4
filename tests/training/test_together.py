"""A suite whose students are each trained in two processes: its stage, from the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from conftest import PATIENCE_S, ROOT

from arkd.models import model as models
from arkd.models.sign import check_sign
from arkd.storage.records import read_csv
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite

HELD, SHARED = "{devices: 2}", "{devices: 2, sharding: full}"
SUITE = "extends: smoke\nname: two\ntraining: "
LORA = """
pairs:
  - name: fixture
    teacher: {source: folder, path: fixtures/smoke-teacher}
    student: {source: scratch, hidden: 32, layers: 1, heads: 2, intermediate: 88}
    lora: {rank: 4, alpha: 8}
"""
COMMAND = [sys.executable, "-m", "arkd", "distill", "--pair", "fixture", "--seed", "1"]


@pytest.fixture(params=[HELD, SHARED])
def tree(smoke: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Tree:
    """The suite of two processes after the stages that come before its trainings."""
    return suite_of(SUITE + request.param, smoke, tmp_path)


def suite_of(text: str, smoke: Path, tmp_path: Path) -> Tree:
    """A suite whose trainings are still to come, everything before them taken from another."""
    (tmp_path / "two.yaml").write_text(text)
    shutil.copytree(smoke / "smoke", tmp_path / "two")
    for method in ("arkd", "contrastive"):
        shutil.rmtree(tmp_path / "two" / "fixture" / method)
    return Tree(tmp_path, load_suite(str(tmp_path / "two.yaml")))


def started(tree: Tree, method: str) -> subprocess.Popen[str]:
    place = ["--suite", str(tree.results / "two.yaml"), "--results", str(tree.results)]
    return subprocess.Popen(
        [*COMMAND, *place, "--method", method], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.heavy
@pytest.mark.parametrize("method", ["arkd", "contrastive"])
def test_two_processes_write_one_folder_as_one_does(method: str, tree: Tree, smoke: Path) -> None:
    process = started(tree, method)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
    folder = tree.training("fixture", method, 1)
    alone = smoke / "smoke" / folder.relative_to(tree.results / "two")
    assert sorted(p.name for p in folder.rglob("*")) == sorted(p.name for p in alone.rglob("*"))
    trajectories = [read_csv(of / "trajectory.csv") for of in (folder, alone)]
    for own, other in zip(*trajectories, strict=True):
        for column in own.keys() - {"padding"}:
            assert float(own[column]) == pytest.approx(float(other[column]), rel=2e-3, abs=1e-4)
    assert json.loads((folder / "manifest.json").read_text())["config"]["run"]["devices"] == 2
    assert_same_model(folder, alone)


def assert_same_model(folder: Path, other: Path) -> None:
    """Both load, answer as they were signed with, and are one model but for rounding."""
    loaded = []
    for of in (folder, other):
        loaded.append(models.load(of / "model", torch.device("cpu")))
        signed = json.loads((of / "manifest.json").read_text())["notes"]["sign"]
        check_sign(loaded[-1], signed, of)
    for own, weight in zip(*(model.parameters() for model in loaded), strict=True):
        assert torch.allclose(own, weight, rtol=2e-3, atol=2e-3)


@pytest.mark.heavy
def test_adapters_that_are_shared_out_end_in_one_model(smoke: Path, tmp_path: Path) -> None:
    folders = []
    for devices in ("{devices: 1}", SHARED):
        (place := tmp_path / str(len(folders))).mkdir()
        tree = suite_of(SUITE + devices + LORA, smoke, place)
        process = started(tree, "arkd")
        assert process.communicate(timeout=PATIENCE_S)[1] == ""
        folders.append(tree.training("fixture", "arkd", 1))
    assert_same_model(*folders)


@pytest.mark.heavy
def test_a_killed_process_ends_the_job_in_one_line(tree: Tree) -> None:
    suite = tree.results / "two.yaml"
    suite.write_text(suite.read_text() + "\ndistillation: {steps: 60}\n")
    process = started(tree, "arkd")
    patience = time.monotonic() + PATIENCE_S
    while len(ranks := psutil.Process(process.pid).children()) < 2:
        assert time.monotonic() < patience
        time.sleep(0.1)
    os.kill(ranks[1].pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert "of 2, from 0, was killed (SIGKILL); run it again" in errors
    assert not tree.training("fixture", "arkd", 1).exists()
    again = started(tree, "arkd")
    assert again.communicate(timeout=PATIENCE_S)[1] == ""
    rows = read_csv(tree.training("fixture", "arkd", 1) / "trajectory.csv")
    assert [int(row["step"]) for row in rows] == list(range(60))
