"""A training that is killed goes on from its checkpoint and ends in the same bytes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.suite.folders import Tree
from arkd.suite.suite import load_suite

# The stage as it is, but a checkpoint after every step, and a kill -9 before the twelfth.
KILLED = """
import os, signal, sys
from arkd import kernels
kernels.choose("portable")
from arkd.cli.main import main
from arkd.stages import distill as stage
from arkd.training import distill
make, loss = stage.checkpoint_of, distill.Step.forward
def often(training, stage):
    checkpoint = make(training, stage)
    checkpoint.every_s = 0
    return checkpoint
def killed(step, index, samples):
    if index == 11:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss(step, index, samples)
stage.checkpoint_of, distill.Step.forward = often, killed
main(sys.argv[1:])
"""


@pytest.mark.parametrize("method", ["arkd", "contrastive"])
def test_a_killed_training_ends_in_the_same_bytes(method: str, smoke: Path, tmp_path: Path) -> None:
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    tree = Tree(tmp_path, load_suite("smoke"))
    folder = tree.training("fixture", method, 1)
    before = json.loads((folder / "manifest.json").read_text())["outputs"]
    shutil.rmtree(folder)
    stage = ["distill", "--suite", "smoke", "--results", str(tmp_path)]
    stage += ["--pair", "fixture", "--method", method, "--seed", "1"]
    command = [sys.executable, "-c", KILLED, *stage]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not folder.exists()
    saved = json.loads((folder.parent / "checkpoint" / "state.json").read_text())
    rows = dict(saved["state"]["dict"])["rows"]
    assert len(rows) == 11
    subprocess.run(["arkd", *stage], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads((folder / "manifest.json").read_text())["outputs"] == before
    assert [path.name for path in folder.parent.iterdir()] == ["training"]  # nothing left behind
