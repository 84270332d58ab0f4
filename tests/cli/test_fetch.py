"""`arkd fetch`: a suite's models before its jobs, which may have no network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from arkd.storage.offline import OURS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SUITE = f"""
extends: smoke
name: given
pairs:
  - name: pair
    teacher: {{source: hub, repo: someone/big, revision: {COMMIT}}}
    student: {{source: scratch, hidden: 32, layers: 1, heads: 2, intermediate: 88}}
"""


def fetched(folder: Path) -> subprocess.CompletedProcess[str]:
    """Fetch the suite's models by a hub's cache in the folder, without a network."""
    (folder / "given.yaml").write_text(SUITE)
    env = {**os.environ, "HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
    for name in ("HF_HUB_CACHE", OURS):  # what other tests leave would say that arkd went offline
        env.pop(name, None)
    command = [sys.executable, "-m", "arkd", "fetch", str(folder / "given.yaml")]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_a_model_that_is_here_is_told_and_one_that_is_not_is_named(tmp_path: Path) -> None:
    lacking = fetched(tmp_path)
    assert lacking.returncode == 2
    assert lacking.stderr.count("\n") == 1
    assert "someone/big@01234567" in lacking.stderr
    snapshot = tmp_path / "hub" / "hub" / "models--someone--big" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (snapshot / name).write_text("{}")
    found = fetched(tmp_path)
    assert (found.returncode, found.stdout) == (0, f"{snapshot}\n"), found.stderr


@pytest.mark.parametrize("suite", ["smoke", "longtail"])
def test_a_suite_of_shipped_models_has_nothing_to_fetch(
    suite: str, capsys: pytest.CaptureFixture
) -> None:
    from arkd.cli.main import main

    assert main(["fetch", suite]) == 0
    assert capsys.readouterr().out == ""
