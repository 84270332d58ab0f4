"""Locks that a killed process cannot leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from arkd.errors import ArkdError
from arkd.storage.locks import hold_suite, sole_writer

IMPORT = "from arkd.storage.locks import *"


def holder(code: str) -> subprocess.Popen[str]:
    """Start a process that holds a lock until it is killed."""
    full = f"from pathlib import Path; {IMPORT}\n{code}"
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


def test_who_waits_for_a_folder_has_it_once_the_other_has_ended(tmp_path: Path) -> None:
    out = str(tmp_path / "unpacked")
    said = "print('held', flush=True)"
    other = holder(f"import time\nwith sole_writer(Path({out!r})):\n {said}\n time.sleep(600)")
    code = f"from pathlib import Path; {IMPORT}\nprint('asks', flush=True)\n"
    code += f"with sole_writer(Path({out!r}), wait=True):\n {said}"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout
        assert waiting.stdout.readline() == "asks\n"
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=0.5)
        kill(other)
        assert waiting.stdout.read() == "held\n"
    assert waiting.returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_lock_that_another_run_removes_meanwhile_stops_nobody(tmp_path: Path) -> None:
    """The other's end is a link to nowhere: listed as a lock is, and gone when it is read."""
    root, locks = tmp_path / "results" / "smoke", tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").symlink_to(locks / "gone")
    dead = locks / "1.output.lock"
    dead.write_text(f"{root}/report.html\n")
    code = f"from pathlib import Path; {IMPORT}\n{hold(root, locks.parent)}"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "held\n"
    assert not dead.exists()


def hold(root: Path, snakemake: Path) -> str:
    return f"hold_suite(Path({str(root)!r}), Path({str(snakemake)!r})); print('held', flush=True)"


def test_a_suite_is_held_by_one_run_and_by_none_that_was_killed(tmp_path: Path) -> None:
    root, folder = tmp_path / "results" / "smoke", tmp_path / ".snakemake"
    other = holder(f"import time\n{hold(root, folder)}\ntime.sleep(600)")
    with pytest.raises(ArkdError, match="another run is making these results") as caught:
        hold_suite(root, folder)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)
    kill(other)
    run = [sys.executable, "-c", f"from pathlib import Path; {IMPORT}\n{hold(root, folder)}"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "held\n"
    assert not list(root.iterdir())


def test_locks_of_dead_runs_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    """A dead run's go even while a run of another suite lives in the same working folder."""
    root, folder = tmp_path / "results" / "smoke", tmp_path / ".snakemake"
    (folder / "locks").mkdir(parents=True)
    dead, given, living = (folder / "locks" / f"{n}.output.lock" for n in range(3))
    dead.write_text("results/smoke/data/manifest.json\nresults/smoke/report.html\n")
    given.write_text(f"{root}/report.html\n")
    living.write_text("results/smoke-2/data/manifest.json\nother.txt\n")
    code = f"from pathlib import Path; {IMPORT}\n{hold(Path('results/smoke'), Path('.snakemake'))}"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert sorted((folder / "locks").iterdir()) == [living]
