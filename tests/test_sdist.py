"""A built sdist holds what a clone holds, except for the large kept results, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from conftest import ROOT

BUILD = "from setuptools.build_meta import build_sdist; build_sdist('dist')"
SMALL = ("results/README.md", "results/reference/1.0/smoke/")  # of the results
MADE = {"PKG-INFO", "setup.cfg"}  # and arkd.egg-info, by setuptools


def files_of_git() -> set[str]:
    """The tracked and new files, as a commit of all of them would have them."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{ROOT} is no git checkout; run this in a clone")
    return {name for name in done.stdout.split("\0")[:-1] if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def expected() -> set[str]:
    names = files_of_git()
    return {name for name in names if not name.startswith("results/") or name.startswith(SMALL)}


@pytest.fixture(scope="module")
def sdist(expected: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy that also has caches, a build folder and results of its owner."""
    pytest.importorskip("setuptools", minversion="77", reason="older setuptools: run `make env`")
    copy = tmp_path_factory.mktemp("checkout")
    for name in expected:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for stray in (
        "build/lib/arkd/method.py",
        "arkd/__pycache__/method.cpython-311.pyc",
        "tests/__pycache__/conftest.cpython-311.pyc",
        "examples/results/records.csv",
        "results/longtail/records.csv",
    ):
        (copy / stray).parent.mkdir(parents=True, exist_ok=True)
        (copy / stray).write_text("stray")
    (copy / "dist").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (built,) = (copy / "dist").iterdir()
    return built


def test_it_holds_every_file_of_a_clone_and_nothing_else(sdist: Path, expected: set[str]) -> None:
    with tarfile.open(sdist) as archive:
        members = {m.name.partition("/")[2]: m for m in archive.getmembers() if m.isfile()}
        found = {name for name in members if not name.startswith("arkd.egg-info/")} - MADE
        assert found == expected
        for name in ("Makefile", "tests/conftest.py", "docs/tables.md", "requirements.lock"):
            kept = archive.extractfile(members[name])
            assert kept is not None
            assert kept.read() == (ROOT / name).read_bytes()


def test_it_is_small(sdist: Path) -> None:
    assert sdist.stat().st_size < 5e6
