"""A clone holds the bytes that were committed, whatever line endings its owner prefers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

KEPT = "results/reference/1.0/smoke"


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The last commit, no file of it written yet; git shall end lines as Windows does."""
    if not (ROOT / ".git").exists():
        pytest.skip(f"{ROOT} is no git checkout; run this in a clone")
    git(tmp_path, "clone", "--quiet", "--no-checkout", "--shared", str(ROOT), "clone")
    git(tmp_path / "clone", "config", "core.autocrlf", "true")
    return tmp_path / "clone"


def sums(folder: Path) -> int:
    """The exit status of `sha256sum`, for the kept run of the smoke suite."""
    command = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    return subprocess.run(command, cwd=folder / KEPT, check=False, capture_output=True).returncode


def test_sums_hold_where_git_would_change_line_endings(clone: Path) -> None:
    git(clone, "checkout", "HEAD", "--", ".gitattributes")
    git(clone, "checkout", "HEAD", "--", KEPT)
    assert sums(clone) == 0


def test_they_would_not_without_the_attributes(clone: Path) -> None:
    git(clone, "checkout", "HEAD", "--", KEPT)
    assert sums(clone) != 0
