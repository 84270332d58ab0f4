"""The example package, installed as a user would, among the methods and in a table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the example beside the project, and nothing else changed."""
    target, source = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "examples" / "arkd-hellinger", source, dirs_exist_ok=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return {**os.environ, "PYTHONPATH": str(target)}


def arkd(env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "arkd", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_listed_with_its_package_and_cited(installed: dict[str, str]) -> None:
    line = next(x for x in arkd(installed, "list").splitlines() if x.startswith("hellinger"))
    assert "arkd-hellinger" in line
    assert "2505.04560" in line
    assert "wang2025abkd" in arkd(installed, "cite", "hellinger")


@pytest.mark.heavy  # every check of a method
def test_it_passes_the_conformance_suite(installed: dict[str, str]) -> None:
    assert "hellinger" in arkd(installed, "check", "hellinger")


@pytest.mark.heavy  # a suite from a copied folder
@pytest.mark.parametrize("until", ["tables/manifest.json", "report.html"])
def test_it_has_a_row_in_the_tables(
    until: str, installed: dict[str, str], smoke: Path, tmp_path: Path
) -> None:
    shutil.copytree(smoke, tmp_path / "results")  # only what is new has to run
    own = tmp_path / "smoke" / "suite.yaml"  # a copy of the shipped suite, with one row more
    own.parent.mkdir()
    methods = ["contrastive", "arkd", "hellinger"]
    own.write_text(yaml.safe_dump({"extends": "smoke", "name": "smoke", "methods": methods}))
    results = tmp_path / "results" / "smoke"
    for part in (".", "tables", "claims", "figures"):  # a copy has no provenance: what is there
        (results / part / "manifest.json").unlink()  # would count as up to date
    (results / until).unlink(missing_ok=True)
    command = ["snakemake", "--cores", "2", "--nolock", str(results / until)]
    command += ["--config", f"suites=[{own}]", f"results={tmp_path / 'results'}"]
    done = subprocess.run(
        command, cwd=ROOT, env=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| hellinger | 1 |" in (results / "tables" / "summary.md").read_text()
