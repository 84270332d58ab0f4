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

from arkd.stages.distill import distill
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite

SIGNALS = {"arkd": signal.SIGKILL, "contrastive": signal.SIGTERM}
# How each ends, and after how many steps: the second saves its state after the step at hand.
ENDS = {"arkd": (-signal.SIGKILL, 11), "contrastive": (128 + signal.SIGTERM, 12)}
# The stage as it is, but a checkpoint after every step of the first, and a signal in the twelfth; a
# forked process for each method, so that what all of them load is loaded once.
KILLED = """
import json, os, signal, sys
from arkd import kernels
kernels.choose("portable")
from arkd.cli.main import main
from arkd.stages import distill as stage
from arkd.training import distill
make, loss = stage.checkpoint_of, distill.Step.forward
def often(training, stage):
    checkpoint = make(training, stage)
    if number == signal.SIGKILL:
        checkpoint.every_s = 0
    return checkpoint
def killed(step, index, samples):
    if index == 11:
        os.kill(os.getpid(), number)
    return loss(step, index, samples)
stage.checkpoint_of, distill.Step.forward = often, killed
ended = {}
for method, number in json.loads(sys.argv[1]).items():
    child = os.fork()
    if not child:
        try:
            main([*sys.argv[2:], "--method", method])
        except SystemExit as end:
            os._exit(end.code)
        os._exit(0)
    ended[method] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ended))
"""


@pytest.fixture(scope="module")
def killed(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a smoke run whose students' trainings were killed."""
    results = tmp_path_factory.mktemp("killed")
    shutil.copytree(smoke / "smoke", results / "smoke")
    tree = Tree(results, load_suite("smoke"))
    for method in SIGNALS:
        shutil.rmtree(tree.training("fixture", method, 1))
    stage = ["distill", "--suite", "smoke", "--results", str(results)]
    stage += ["--pair", "fixture", "--seed", "1"]
    command = [sys.executable, "-c", KILLED, json.dumps(SIGNALS), *stage]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ended = {method: status for method, (status, _) in ENDS.items()}
    assert json.loads(done.stdout) == ended, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("arkd: ")]
    assert said == ["arkd: told to end by SIGTERM; the training's state is saved"]
    return results


@pytest.mark.parametrize("method", SIGNALS)
def test_a_killed_training_ends_in_the_same_bytes(method: str, smoke: Path, killed: Path) -> None:
    whole, tree = (Tree(results, load_suite("smoke")) for results in (smoke, killed))
    folder = tree.training("fixture", method, 1)
    assert not folder.exists()
    saved = json.loads((folder.parent / "checkpoint" / "state.json").read_text())
    rows = dict(saved["state"]["dict"])["rows"]
    assert len(rows) == ENDS[method][1]
    distill(tree, "fixture", method, 1)
    ended, uninterrupted = (
        json.loads((of.training("fixture", method, 1) / "manifest.json").read_text())["outputs"]
        for of in (tree, whole)
    )
    assert ended == uninterrupted
    assert [path.name for path in folder.parent.iterdir()] == ["training"]  # nothing left behind
