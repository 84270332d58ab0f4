"""What `arkd run` and `arkd status` say of a suite: real runs of the workflow, real folders."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PATIENCE_S, heed_interrupts

from arkd.cli import status
from arkd.cli.main import main
from arkd.cli.run_log import fitting
from arkd.suite.load import suite_path

WIDTH = 80
Status = Callable[..., tuple[int, str]]


def arkd(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "arkd", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(name="status")
def status_caller(capsys: pytest.CaptureFixture[str]) -> Status:
    """Call `arkd status` in this process, and return its exit code and what it printed."""

    def called(*words: str) -> tuple[int, str]:
        code = main(["status", *words])
        return code, capsys.readouterr().out

    return called


@pytest.fixture
def here(smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a finished run in `results`."""
    shutil.copytree(smoke, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_finished_suite_is_said_to_be_done(here: Path, status: Status) -> None:
    code, shown = status("smoke")
    assert code == 0, shown
    first, *_, last = shown.splitlines()
    assert first == "smoke 1.0 in results/smoke: 20 of 20 jobs done"
    assert last == "report: results/smoke/report.html"
    assert max(map(len, shown.splitlines())) <= WIDTH
    shutil.rmtree(here / "results" / "smoke" / "tables")
    shown = " ".join(status("smoke")[1].split())
    assert "18 of 20 jobs done, 2 left" in shown
    assert "left: report: done before; it follows from what is not done" in shown


def test_what_is_not_done_is_failed_or_left(here: Path, status: Status) -> None:
    """A job whose log ends in an error has failed; one that never ran is left."""
    root = here / "results" / "smoke"
    shutil.rmtree(root / "fixture" / "arkd")
    said = "arkd: error: the disk is full"
    (root / "logs" / "fixture.arkd.1.log").write_text(f"a warning\n{said}\n")
    code, shown = status("smoke")
    assert code == 1
    text = " ".join(shown.split())
    assert text.startswith("smoke 1.0 in results/smoke: 13 of 20 jobs done, 1 failed, 6 left")
    assert "left: collect and 4 more: done before; it follows from what is not done" in text
    assert f"failed: distill arkd seed 1: {said} (results/smoke/logs/fixture.arkd.1.log)" in text
    assert re.search(r"about \d+ s on one core; `arkd run smoke` runs what is left", text)
    row = re.search(r"^distill +2 +1 +1 *$", shown, re.M)
    assert row, shown


def test_what_was_done_before_a_change_is_left(here: Path, status: Status) -> None:
    """Of the method's file, which its manifest names by its hash, or of a setting."""
    made = here / "results/smoke/fixture/arkd/seed1/training/manifest.json"
    manifest = json.loads(made.read_text())
    manifest["inputs"]["method"] = "0" * 64
    made.write_text(json.dumps(manifest))
    text = " ".join(status("smoke")[1].split())
    assert text.startswith("smoke 1.0 in results/smoke: 13 of 20 jobs done, 7 left")
    assert re.search(r"left: distill arkd seed 1: \S*/arkd.py has changed since it was done", text)
    manifest["core"] = "of another commit, to which a finished run belongs as it is"
    made.write_text(json.dumps(manifest))
    assert "20 of 20 jobs done" in status("smoke")[1]
    (here / "results/smoke").rename(here / "results/mine")
    (here / "mine.yaml").write_text(
        "extends: smoke\nname: mine\ndistillation: {lr: 0.001}\ntail: {items_per_set: 10}\n"
    )
    text = " ".join(status("mine.yaml")[1].split())
    # Five evaluations, the positions that are measured, the one training of this core, and what is
    # formed of them.
    assert "8 of 20 jobs done" in text, text
    said = "left: teacher cache prefixes and 6 more: its settings have changed since it was done"
    assert said in text, text


def test_a_run_says_a_line_a_job_and_ends_with_summary_and_report(here: Path) -> None:
    root = here / "results" / "smoke"
    (root / "report.html").unlink()
    for name in ("tables", "figures"):
        shutil.rmtree(root / name)
    done = arkd("run", "smoke", "--cores", "1", folder=here)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if re.match(r" +\d+/", line)]
    jobs = [
        re.match(r" +(\d+)/(\d+)  (\w+) +\d+ (?:s|min)  \d+ (?:s|min) elapsed", line)
        for line in lines
    ]
    assert all(jobs), done.stderr
    assert [(job[1], job[2]) for job in jobs if job] == [("1", "3"), ("2", "3"), ("3", "3")]
    assert {job[3] for job in jobs if job} == {"tables", "figures", "report"}
    assert all("left" in line for line in lines[:-1])
    assert "rule tables" not in done.stderr  # Snakemake's own words are in its log file
    (log,) = (here / ".snakemake" / "log").iterdir()
    assert "rule tables" in log.read_text()
    table = (root / "tables" / "summary.md").read_text()
    for method in ("teacher", "arkd"):
        rouge = re.search(rf"^\| {method} \| 1 \| \**([\d.]+)", table, re.M)
        assert rouge
        assert re.search(rf"^{method} +1 +{rouge[1]}", done.stdout, re.M)
    assert done.stdout.splitlines()[-1] == "report: results/smoke/report.html"
    assert max(map(len, done.stdout.splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("distill arkd seed 204 @4103", "distill arkd seed 204 @4103"),
        (
            "distill fixed_mix@temperature=2.0 seed 204 @4103",
            "distill fixed_mix@te… seed 204 @4103",
        ),
        ("evaluate arkd_sampled@policy_lr=0.001", "evaluate arkd_sampled@policy_lr=0.0…"),
    ],
)
def test_a_long_name_keeps_its_seed_and_its_world(name: str, shown: str) -> None:
    assert fitting(name, 36) == shown


def damage_records(root: Path) -> None:
    """Leave a run whose tables cannot be made again, though no file is newer than it was."""
    (root / "report.html").unlink()
    shutil.rmtree(root / "tables")
    records = root / "records.csv"
    stamp = records.stat()
    records.write_text("not, a, table\n")
    os.utime(records, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_a_failed_job_is_told_with_the_end_of_its_log(here: Path) -> None:
    root = here / "results" / "smoke"
    damage_records(root)
    done = arkd("run", "smoke", "--cores", "1", folder=here)
    assert done.returncode == 1
    (told,) = [line for line in done.stderr.splitlines() if "failed" in line]
    assert re.search(r"1/\d+  \w+ failed: arkd: error: .*records\.csv.*\(results/smoke/logs/", told)
    assert done.stderr.splitlines()[-1] == "arkd: not all is done; see `arkd status smoke`"
    assert done.stdout == ""


def test_a_folder_of_mirrors_fails_no_job(here: Path, status: Status) -> None:
    """A log says by its own last line whether its job failed, wherever it lies."""
    (here / "results").rename(here / "mirror-of-errors")
    root = here / "mirror-of-errors" / "smoke"
    shutil.rmtree(root / "fixture" / "arkd")
    (root / "logs" / "fixture.arkd.1.log").write_text("fetched from a mirror\n")
    code, shown = status("smoke", "--results", "mirror-of-errors")
    assert code == 0, shown
    assert "failed" not in shown.splitlines()[0]


def test_what_is_recommended_goes_on_with_the_same_run(
    tmp_path: Path, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the file that was named, where its results lie, and not of a new run in ./results."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("extends: smoke\nname: mine\n")
    _, shown = status("mine.yaml", "--results", "my results")
    named = re.search(r"`arkd (run .*)` runs what is left", shown)
    assert named, shown
    assert shlex.split(named[1]) == ["run", "mine.yaml", "--results", "my results"]


def test_a_failed_run_elsewhere_is_looked_at_there(here: Path) -> None:
    (here / "results").rename(here / "my results")
    root = here / "my results" / "smoke"
    damage_records(root)
    done = arkd("run", "smoke", "--results", "my results", "--cores", "1", folder=here)
    assert done.returncode == 1
    told = "arkd: not all is done; see `arkd status smoke --results 'my results'`"
    assert done.stderr.splitlines()[-1] == told


def test_a_suite_that_runs_is_known_however_its_file_was_typed(tmp_path: Path) -> None:
    whole = str(tmp_path / "mine.yaml")
    for typed in ("mine.yaml", "./mine.yaml", "inner/../mine.yaml", whole):
        assert status.typed_suite(typed, tmp_path) == whole
        assert status.typed_suite(f"{typed}@11", tmp_path) == f"{whole}@11"
    assert status.typed_suite("smoke@3", tmp_path) == "smoke@3"
    words = ["--suite=mine.yaml", "--pair", "p", "--seed=3"]
    assert status.typed_options(words) == {"suite": "mine.yaml", "pair": "p", "seed": "3"}


def test_what_runs_is_seen_by_any_spelling_of_its_suite(
    tmp_path: Path, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a shipped suite also by its file: the workflow calls it by its name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arkd").write_text("print(flush=True)\ninput()\n")
    job = ["distill", "--suite", "smoke", "--pair", "fixture", "--method", "arkd", "--seed", "1"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "arkd", *job], **pipes) as running:
        assert running.stdout
        running.stdout.readline()
        _, shown = status(str(suite_path("smoke")), "--results", "./results/")
        running.communicate(b"\n")
    assert re.search(r"^running: distill arkd seed 1: for \d+ s$", shown, re.M), shown
    assert "`arkd run smoke` runs what is left" in " ".join(shown.split())


@pytest.mark.heavy
def test_what_runs_is_said_to_run(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-m", "arkd", "run", "smoke", "--cores", "1"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    deadline = time.monotonic() + PATIENCE_S
    seen = ""
    while "running: " not in seen and time.monotonic() < deadline:
        seen = arkd("status", "smoke", folder=tmp_path).stdout
    os.killpg(run.pid, signal.SIGTERM)
    run.wait(PATIENCE_S)
    assert re.search(r"^running: \w+.*: for \d+ s$", seen, re.M), seen
