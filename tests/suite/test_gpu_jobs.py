"""How many GPU jobs the workflow runs at once: as many as there are GPUs, or as the user says."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, snakemake

from arkd.paths import benchmarks_dir
from arkd.storage import gpus

# In the place of `arkd`: a job that takes its GPUs as stages do, is busy, and computes nothing.
IDLE_JOB = """#!{python}
import json, os, sys, time
from pathlib import Path
from arkd.storage import gpus
from arkd.suite import folders
stage, *options = sys.argv[1:]
given = dict(zip(options[::2], options[1::2]))
tree = folders.tree(given["--suite"], given["--results"])
pair, seed = given.get("--pair", ""), int(given.get("--seed", 0))
made = {{
    "data": lambda: [tree.data],
    "tokens": lambda: [tree.tokens(pair)],
    "teacher": lambda: [tree.training(pair, "teacher", 0)],
    "init": lambda: [tree.training(pair, name, seed) for name in ("untrained", "init")],
    "cache": lambda: [tree.cache(pair, given["--source"], seed or None)],
    "distill": lambda: [tree.training(pair, given["--method"], seed)],
}}[stage]()
gpus.POLL_S, busy_s = 0.05, 0
if stage not in ("data", "tokens"):
    taken = gpus.take(tree.suite.training.devices if stage == "distill" else 1)
    busy_s = 4 if stage == "init" else 0.2
    since = time.time()
    time.sleep(busy_s)
    line = json.dumps([stage, taken.split(","), since, time.time()]) + "\\n"
    with open({log!r}, "a") as lines:
        lines.write(line)
for folder in made:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text("{{}}")
"""


def for_gpus(here: Path, monkeypatch: pytest.MonkeyPatch, number: int, **settings: Any) -> Path:
    """Write the smoke suite for a GPU, and let `nvidia-smi` list so many."""
    suite = yaml.safe_load((benchmarks_dir() / "suites" / "smoke.yaml").read_text())
    suite |= {"name": "ongpus", "device": "auto", **settings}
    suite["pairs"][0]["teacher"]["path"] = str(benchmarks_dir() / "fixtures" / "smoke-teacher")
    path = here / "ongpus.yaml"
    path.write_text(yaml.safe_dump(suite))
    lines = "".join(f"echo 'GPU {i}: L4 (UUID: GPU-{i})'\n" for i in range(number))
    executable(here / "nvidia-smi", f"#!/bin/sh\n{lines}")
    monkeypatch.setenv("PATH", f"{here}{os.pathsep}{os.environ['PATH']}")
    for name in (gpus.VISIBLE, *gpus.SCHEDULERS):
        monkeypatch.delenv(name, raising=False)
    return path


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smoke suite for a GPU, on a machine where `nvidia-smi` lists three."""
    return for_gpus(tmp_path, monkeypatch, 3)


def provided(suite: Path, *options: str) -> list[str]:
    """Return the GPUs that Snakemake says it has, in a run of the data alone."""
    options = ("--nolock", "--forcerun", "data", "--until", "data", *options)
    done = snakemake(suite.parent / "results", *options, suite=str(suite))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return re.findall(r"Provided resources: .*\bgpu\D+(\d+)", said)


@pytest.mark.heavy  # starts Snakemake several times
def test_there_are_as_many_as_gpus_or_as_the_user_says(
    suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert provided(suite) == ["3"]
    assert provided(suite, "--resources", "gpu=2") == ["2"]
    profile = suite.parent / "profile"
    profile.mkdir()
    (profile / "config.yaml").write_text("resources:\n  gpu: 5\n")
    assert provided(suite, "--profile", str(profile)) == ["5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert provided(suite) == ["1"]


@pytest.mark.heavy
def test_a_suite_on_eight_gpus_uses_all_and_no_two_jobs_share_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real jobs of the workflow and real locks; what the jobs compute is left out."""
    seeds, log = [*range(1, 9)], tmp_path / "jobs"
    path = for_gpus(tmp_path, monkeypatch, 8, seeds=seeds, training={"devices": 2})
    executable(tmp_path / "arkd", IDLE_JOB.format(python=sys.executable, log=str(log)))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # of the locks
    options = ("--nolock", "--cores", "16", "--until", "distill")
    done = snakemake(tmp_path / "results", *options, suite=str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = [json.loads(line) for line in log.read_text().splitlines()]
    stages = [stage for stage, *_ in jobs]
    assert (stages.count("init"), stages.count("distill")) == (8, 16)
    assert all(len(set(taken)) == 1 + (stage == "distill") for stage, taken, *_ in jobs)
    assert {name for _, taken, *_ in jobs for name in taken} == {f"GPU-{i}" for i in range(8)}
    for (_, first, since, until), (_, second, later, end) in itertools.combinations(jobs, 2):
        assert not (set(first) & set(second)) or until <= later or end <= since
