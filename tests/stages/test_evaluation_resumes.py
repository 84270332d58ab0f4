"""An evaluation that is killed keeps what it has measured, and ends in the same bytes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.evaluation.kept import Kept, Measured
from arkd.evaluation.measure_model import Subject
from arkd.evaluation.value import Value
from arkd.stages.evaluate import evaluate
from arkd.stages.stage import made_for
from arkd.storage.stage_writer import Stage
from arkd.suite.folders import Tree
from arkd.suite.load import load_suite

# The stage as it is, but a kill -9 in the place of one part.
KILLED = """
import os, signal, sys
from arkd import kernels
kernels.choose("portable")
from arkd.cli.main import main
from arkd.evaluation.measure_model import Subject
def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)
Subject.truth = killed
main(sys.argv[1:])
"""


def measured_again(*_: object) -> None:
    raise AssertionError("measured again")


def test_a_killed_evaluation_measures_only_the_rest_and_ends_in_the_same_bytes(
    smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    tree = Tree(tmp_path, load_suite("smoke"))
    folder = tree.evaluation("fixture", "arkd")
    whole = json.loads((folder / "manifest.json").read_text())["outputs"]
    shutil.rmtree(folder)
    stage = ["evaluate", "--suite", "smoke", "--results", str(tmp_path)]
    command = [sys.executable, "-c", KILLED, *stage, "--pair", "fixture", "--method", "arkd"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    kept = {path.stem for path in (folder.parent / "measured").glob("seed1.*.json")}
    assert kept == {
        *("seed1.decoding1", "seed1.likelihood", "seed1.public"),
        *(f"seed1.fidelity_{prefix}" for prefix in ("dev", "gold", "teacher", "student")),
    }
    for name in ("answers", "public", "fidelity"):
        monkeypatch.setattr(Subject, name, measured_again)
    evaluate(tree, "fixture", "arkd")
    assert json.loads((folder / "manifest.json").read_text())["outputs"] == whole
    assert not (folder.parent / "measured").exists()


def test_what_a_killed_stage_left_is_of_its_code_settings_and_libraries(tmp_path: Path) -> None:
    """A training that goes on under another torch would be of two, with one in its manifest."""
    made_of = {"stage": "distill", "config": {"lr": 1}, "inputs": {}, "core": "a", "git": "b"}
    stages = [
        Stage(tmp_path, made_of | {"versions": {"torch": version}})
        for version in ("2.13.0", "2.14")
    ]
    first, second = map(made_for, stages)
    assert first != second
    assert first == made_for(Stage(tmp_path, stages[0].made_of | {"git": "c"}))


def test_parts_of_another_evaluation_are_measured_anew(tmp_path: Path) -> None:
    def found(number: float) -> Measured:
        return Measured(
            [(Value("run", "failed", "", number, 1), None), (Value("t", "rkl", "g", 0.1, 3), 2)],
            [{"text": "ä"}],
            [("t", 2, [0.1, 1 / 3])],
            {"t": "1"},
        )

    first = Kept(tmp_path / "measured", {"core": "a", "inputs": {}})
    assert first.part("seed1.x", lambda: found(0.1 + 0.2)) == found(0.1 + 0.2)
    again = Kept(tmp_path / "measured", {"core": "a", "inputs": {}})
    assert again.part("seed1.x", lambda: found(7.0)) == found(0.1 + 0.2)
    other = Kept(tmp_path / "measured", {"core": "b", "inputs": {}})
    assert other.part("seed1.x", lambda: found(7.0)) == found(7.0)
