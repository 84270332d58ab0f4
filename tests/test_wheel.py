"""A built wheel holds all of the benchmark: suites, tasks, metrics, templates and fixtures."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

BUILT_FROM = ("arkd", "baselines", "benchmarks")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of a copy of the checkout, so that no build folder is left in it."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path_factory.mktemp("checkout")
    for name in BUILT_FROM:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", "dist", "."]
    command = [sys.executable, "-m", "pip", "wheel", *options]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("benchmarks/metrics", "arkd_benchmarks/metrics"),
        ("benchmarks/tasks", "arkd_benchmarks/tasks"),
        ("benchmarks", "arkd_benchmarks"),
        ("arkd", "arkd"),
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
