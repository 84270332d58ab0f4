"""Locks that a killed process cannot leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from arkd.errors import ArkdError
from arkd.storage.locks import sole_writer, unlock_dead_runs


def holder(code: str) -> subprocess.Popen[str]:
    """Start a process that holds a lock until it is killed."""
    full = f"from pathlib import Path; from arkd.storage.locks import *\n{code}"
    process = subprocess.Popen([sys.executable, "-c", full], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_two_processes_do_not_make_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "training"
    hold = f"with sole_writer(Path({str(out)!r})):\n print('held', flush=True)\n input()"
    other = holder(f"import sys, time; input = lambda: time.sleep(600)\n{hold}")
    with (
        pytest.raises(ArkdError, match=r"training: another process is making it.*wait") as caught,
        sole_writer(out),
    ):
        pass
    assert "\n" not in str(caught.value)
    kill(other)  # without a chance to clean up
    with sole_writer(out):
        out.mkdir()
    with sole_writer(out):  # and again, once it is free
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["training"]


def test_locks_of_dead_runs_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    folder = tmp_path / ".snakemake"
    left = folder / "locks" / "0.output.lock"

    def leave() -> None:
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_text("results/smoke/data/manifest.json\n")

    leave()
    alive = f"unlock_dead_runs(Path({str(folder)!r})); print('held', flush=True)"
    other = holder(f"import time\n{alive}\ntime.sleep(600)")
    assert not left.exists()  # nobody was alive then
    leave()  # this one's own
    ask = f"print(unlock_dead_runs(Path({str(folder)!r})))"
    code = f"from pathlib import Path; from arkd.storage.locks import *\n{ask}"
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "False\n"
    assert left.exists()
    kill(other)
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "True\n"
    assert not left.exists()
    assert not unlock_dead_runs(folder)
