"""A built wheel holds all of the benchmark: suites, tasks, metrics, templates and fixtures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

BUILT_FROM = ("arkd", "baselines", "benchmarks", "workflow")
KEPT = ROOT / "results" / "reference" / "1.0" / "smoke"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the checkout, so that no build folder is left in it."""
    pytest.importorskip("setuptools", minversion="77", reason="older setuptools: run `make env`")
    copy = tmp_path_factory.mktemp("checkout")
    for name in BUILT_FROM:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "PYPI.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", "dist", "."]
    command = [sys.executable, "-m", "pip", "wheel", *options]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(built)


def test_it_is_of_the_cited_version_and_typed(wheel: zipfile.ZipFile) -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    facts = message_from_bytes(wheel.read(f"arkd-{cited}.dist-info/METADATA"))
    assert (facts["Name"], facts["Version"]) == ("arkd", cited)
    assert facts.get_payload() == (ROOT / "PYPI.md").read_text(encoding="utf-8")
    assert "Typing :: Typed" in facts.get_all("Classifier", [])
    assert "arkd/py.typed" in wheel.namelist()


@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("benchmarks/metrics", "arkd_benchmarks/metrics"),
        ("benchmarks/tasks", "arkd_benchmarks/tasks"),
        ("benchmarks", "arkd_benchmarks"),
        ("arkd", "arkd"),
        ("workflow", "arkd_workflow"),
    ],
)
def test_every_file_is_in_the_wheel(folder: str, package: str, wheel: zipfile.ZipFile) -> None:
    here = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}": path
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here
    assert sorted(set(here) - set(wheel.namelist())) == []
    for name, path in here.items():
        assert wheel.read(name) == path.read_bytes(), name


def test_tasks_and_metrics_of_the_wheel_are_found_where_the_readmes_say(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    wheel.extractall(tmp_path)
    code = (
        "from arkd.paths import benchmarks_dir\n"
        "from lm_eval.tasks import TaskManager\n"
        "print(benchmarks_dir())\n"
        "include = str(benchmarks_dir() / 'tasks')\n"
        "manager = TaskManager(include_path=include, include_defaults=False)\n"
        "print(*sorted(manager.all_groups))\n"
        "print((benchmarks_dir() / 'metrics' / 'tail_recall' / 'tail_recall.py').is_file())\n"
    )
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "check": True}
    done = subprocess.run([sys.executable, "-c", code], **options)
    folder, groups, found = done.stdout.splitlines()
    assert Path(folder) == tmp_path / "arkd_benchmarks"
    assert {"arkd_longtail", "arkd_smollm2"} <= set(groups.split())
    assert found == "True"


@pytest.mark.heavy
def test_the_wheel_alone_runs_a_suite_in_an_empty_folder(built: Path, tmp_path: Path) -> None:
    """In an environment that has what arkd depends on, and no checkout."""
    place, here = tmp_path / "env", tmp_path / "empty"
    here.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(built)], check=True)
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(place / "bin" / "arkd"), "run", "smoke", "--cores", "2"]
    done = subprocess.run(command, cwd=here, env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    made = here / "results" / "smoke"
    assert (made / "records.csv").read_bytes() == (KEPT / "records.csv").read_bytes()
    assert (made / "report.html").is_file()
    assert json.loads((made / "manifest.json").read_text())["git"]["commit"] is None
