"""A student trained by TRL on a pack is measured beside the run that the pack was made from."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

TRL = "trl==1.16.0"


@pytest.fixture(scope="module")
def with_trl(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which TRL stands beside what is installed."""
    folder = tmp_path_factory.mktemp("trl")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, TRL], capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        pytest.skip(f"pip cannot fetch {TRL} ({why}): run `make test-all` where an index has it")
    return {**os.environ, "PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def run(command: list[str | Path], env: dict[str, str] | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def quantities(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
    keys = ("seed", "decode_seed", "task", "metric", "group")
    return sorted(tuple(row[key] for key in keys) for row in rows)


@pytest.mark.heavy
def test_the_example_gets_a_row(smoke: Path, with_trl: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(smoke / "smoke", tmp_path / "smoke")
    packed, student = tmp_path / "pack", tmp_path / "student"
    run([sys.executable, "-m", "arkd", "pack", "smoke", "--results", tmp_path, "--out", packed])
    script = ROOT / "examples" / "trl-student" / "train.py"
    said = run([sys.executable, script, packed, student, "--seed", "1"], with_trl)
    line = next(line for line in said.splitlines() if line.startswith("arkd score "))
    run([sys.executable, "-m", *shlex.split(line), "--results", tmp_path])

    scored = tmp_path / "smoke" / "foreign" / "trl-opd" / "fixture"
    made = json.loads((scored / "seed1" / "training" / "manifest.json").read_text())
    assert made["notes"]["as_the_suites_students"] is True
    declared = made["notes"]["declared"]
    assert declared["software"] == "trl 1.16.0"
    assert declared["steps"] == 20
    assert declared["processor_s"] > 0

    with (scored / "evaluation" / "records.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    with (tmp_path / "smoke" / "records.csv").open(newline="") as lines:
        start = [row for row in csv.DictReader(lines) if row["method"] == "init"]
    assert quantities(rows) == quantities(start)  # every metric of the suite
    assert {row["method"] for row in rows} == {"foreign:trl-opd"}

    def jsd(of: list[dict[str, str]]) -> float:
        wanted = {"task": "fidelity_gold", "metric": "jsd", "group": ""}
        return next(float(row["value"]) for row in of if wanted.items() <= row.items())

    assert jsd(rows) < jsd(start)  # twenty steps toward the teacher
