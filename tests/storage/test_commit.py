"""What a manifest says of the commit: a method that no commit has is told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from arkd.storage import provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one committed method, as the project's lies in its own."""
    for level in ("GLOBAL", "SYSTEM"):  # a user may ignore files, or sign what he commits
        monkeypatch.setenv(f"GIT_CONFIG_{level}", os.devnull)
    (tmp_path / "arkd" / "storage").mkdir(parents=True)
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "mine.py").write_text("first = 1\n")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    (tmp_path / "results" / "reference").mkdir(parents=True)
    (tmp_path / "results" / "reference" / "records.csv").write_text("first\n")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    place = tmp_path / "arkd" / "storage" / "provenance.py"
    monkeypatch.setattr(provenance, "__file__", str(place))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "dirty"),
    [
        (None, False),
        ("baselines/mine.py", True),  # changed
        ("baselines/new.py", True),  # in no commit
        ("arkd/new.py", True),
        ("baselines/new.pyc", False),  # ignored
        ("results/mine/records.csv", False),  # no code
        ("results/reference/records.csv", False),  # a kept result that is written anew
    ],
)
def test_code_that_no_commit_has_is_told(checkout: Path, file: str | None, dirty: bool) -> None:
    if file:
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        (checkout / file).write_text("first = 2\n")
    found = provenance.git_state.__wrapped__()
    assert found["dirty"] is dirty
    assert len(found["commit"]) == 40
