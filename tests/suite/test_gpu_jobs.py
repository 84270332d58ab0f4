"""How many GPU jobs the workflow runs at once: as many as there are GPUs, or as the user says."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from conftest import snakemake

from arkd.paths import benchmarks_dir


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smoke suite for a GPU, on a machine where `nvidia-smi` lists three."""
    settings = yaml.safe_load((benchmarks_dir() / "suites" / "smoke.yaml").read_text())
    settings |= {"name": "onthree", "device": "auto"}
    settings["pairs"][0]["teacher"]["path"] = str(benchmarks_dir() / "fixtures" / "smoke-teacher")
    path = tmp_path / "onthree.yaml"
    path.write_text(yaml.safe_dump(settings))
    script = tmp_path / "nvidia-smi"
    lines = "".join(f"echo 'GPU {i}: L4 (UUID: GPU-{i})'\n" for i in range(3))
    script.write_text(f"#!/bin/sh\n{lines}")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return path


def provided(suite: Path, *options: str) -> list[str]:
    """Return the GPUs that Snakemake says it has, in a run of the data alone."""
    options = ("--nolock", "--forcerun", "data", "--until", "data", *options)
    done = snakemake(suite.parent / "results", *options, suite=str(suite))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return re.findall(r"Provided resources: .*\bgpu\D+(\d+)", said)


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
