"""Runs that are killed, told to end, or started twice: the same command again gives the same files.

`pytest tests/workflow/test_kills.py --kills-log FILE` also writes a table of the kills.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import own_files
import psutil
import pytest
import yaml
from conftest import PATIENCE_S, ROOT, heed_interrupts

KILLS = 10  # of each of the two suites
COMPARED = ("records.csv", "items.csv", "trajectories.csv")
SHORT = {"steps": 20, "batch_size": 8, "lr": 1.0e-3}


@dataclass
class Run:
    """A suite, and a folder in which the command is called."""

    suite: str
    name: str
    here: Path

    @property
    def root(self) -> Path:
        return self.here / "results" / self.name

    def start(self) -> subprocess.Popen[str]:
        """Start the command as the leader of a process group of its own."""
        self.here.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("arkd")), "run", self.suite, "--cores", "2"],
            cwd=self.here,
            stdout=subprocess.DEVNULL,
            stderr=(self.here / "said").open("w"),
            start_new_session=True,
            preexec_fn=heed_interrupts,
            text=True,
        )

    def finish(self) -> str:
        """Run the command to its end and return what it said; it must succeed."""
        process = self.start()
        assert process.wait(PATIENCE_S) == 0, self.said()
        return self.said()

    def said(self) -> str:
        return (self.here / "said").read_text(errors="replace")

    def stages(self) -> int:
        """How many stages are finished."""
        walked = os.walk(self.root)  # which passes over folders that are renamed meanwhile
        return sum("manifest.json" in files for at, _, files in walked if ".part" not in at)

    def numbers(self) -> dict[str, bytes]:
        return {name: (self.root / name).read_bytes() for name in COMPARED}

    def leftovers(self) -> list[str]:
        """Temporary files and folders, unfinished states and locks."""
        found = [
            path
            for pattern in ("*.part", ".*.old", ".*.lock", "checkpoint", "*.building")
            for path in self.root.rglob(pattern)
        ]
        marks = [*self.here.glob(".snakemake/locks/*"), *self.here.glob(".snakemake/incomplete/*")]
        return [str(path.relative_to(self.here)) for path in (*found, *marks)]


def running(group: int) -> str:
    """Return the stages that run in a process group."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        try:
            ours = os.getpgid(process.info["pid"]) == group
        except ProcessLookupError:
            continue
        if ours and len(words) > 2 and Path(words[1]).name == "arkd":
            axes = dict(zip(words[3::2], words[4::2], strict=False))
            shown = (axes.get(f"--{name}") for name in ("source", "method", "seed"))
            found.append(" ".join([words[2], *filter(None, shown)]))
    return ", ".join(sorted(set(found))) or "Snakemake alone"


def what_was_said(text: str) -> str:
    """Return how many jobs a run did, and every line of it that tells of an error."""
    table = re.search(r"^ *\d+/(\d+)  ", text, re.M)
    errors = [line for line in text.splitlines() if re.search(r"error|exception", line, re.I)]
    return "; ".join([f"{table[1] if table else 0} jobs", *errors])


@pytest.fixture(scope="module")
def own_suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a suite over two tiny models and JSONL files, the teacher fine-tuned first."""
    here = tmp_path_factory.mktemp("own")
    own_files.write(here)
    suite = {
        "name": "own",
        "version": "1.0",
        "description": "two tiny models and files",
        "data": {
            "source": "files",
            "train": "data/train.jsonl",
            "dev_examples": 8,
            "tests": {"test": "data/test.jsonl", "open": "data/open.jsonl"},
            "corpus": {"path": "data/corpus.jsonl"},
        },
        "test_sets": ["test", "open"],
        "pairs": [
            {
                "name": "own",
                "teacher": {"source": "folder", "path": "models/teacher"},
                "student": {"source": "folder", "path": "models/student"},
                "teacher_training": SHORT,
            }
        ],
        "methods": ["arkd", "contrastive", "seqkd"],
        "seeds": [1, 2],
        "student_start": SHORT,
        "distillation": {**SHORT, "lm_corpus": "corpus"},
        "decoding": {"seeds": [1], "max_new_tokens": 8},
        "device": "cpu",
    }
    (here / "own.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    return str(here / "own.yaml")


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Call the suite in a new folder."""
    name: str = request.param
    suite = "smoke" if name == "smoke" else request.getfixturevalue("own_suite")
    return Run(suite, name, tmp_path / "run")


def wait_for(reached: Callable[[], bool], process: subprocess.Popen[str], run: Run) -> None:
    """Wait until a running command has got somewhere."""
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert process.poll() is None, run.said()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def reach(run: Run, stage: str) -> subprocess.Popen[str]:
    """Start the command and return once a stage runs."""
    process = run.start()
    wait_for(lambda: stage in running(process.pid), process, run)
    return process


@pytest.mark.heavy
@pytest.mark.parametrize("run", ["smoke", "own"], indirect=True)
def test_every_kill_is_made_good_by_the_same_command(
    run: Run, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """The whole process group dies once in each tenth of the run, at a moment that is drawn.

    Tenths are counted in finished stages, not seconds: so the kills lie over the whole run on a
    busy machine, too.
    """
    started = time.monotonic()
    run.finish()
    whole_s = time.monotonic() - started
    stages = run.stages()
    killed = Run(run.suite, run.name, tmp_path / "killed")
    draw = random.Random(f"kills of {run.name}")
    rows: list[str] = []

    def note(kill: str) -> None:
        """Write what the run that followed the last kill said, and then the new kill."""
        if rows:
            rows[-1] += f" {what_was_said(killed.said())} |\n"
            if log := pytestconfig.getoption("--kills-log"):
                with log.open("a", encoding="utf-8") as lines:
                    lines.write(rows[-1])
        rows.append(kill)

    for kill in range(KILLS):
        wait_s = draw.random() * whole_s / KILLS
        process = killed.start()
        wait_for(lambda wanted=kill * stages // KILLS: killed.stages() >= wanted, process, killed)
        wait_s += time.monotonic()
        while time.monotonic() < wait_s and killed.stages() < stages:
            time.sleep(0.05)
        ran = running(process.pid)
        assert process.poll() is None, killed.said()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        moment = f"{killed.stages()} of {stages} stages"
        note(f"| {run.name} | {moment} | {ran} | {len(killed.leftovers())} |")
    note(killed.finish())
    assert killed.numbers() == run.numbers()
    assert killed.leftovers() == []
    assert not [row for row in rows[:-1] if re.search("error|exception", row, re.I)]


@pytest.mark.heavy
@pytest.mark.parametrize("run", ["smoke"], indirect=True)
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_a_run_that_is_told_to_end_goes_on(run: Run, send: object) -> None:
    """SIGTERM to the command, as `kill` and batch systems send it, or to all of its processes."""
    process = reach(run, "cache gold")
    send(process.pid, signal.SIGTERM)  # type: ignore[operator]
    assert process.wait(PATIENCE_S) != 0
    deadline = time.monotonic() + PATIENCE_S
    while running(process.pid) != "Snakemake alone" and time.monotonic() < deadline:
        time.sleep(0.05)
    made = {path: path.stat().st_mtime_ns for path in run.root.rglob("manifest.json")}
    assert made
    assert not (run.root / "records.csv").is_file()
    told = run.finish()
    assert "LockException" not in told
    assert all(path.stat().st_mtime_ns == then for path, then in made.items())
    assert run.leftovers() == []


@pytest.mark.heavy
@pytest.mark.parametrize("run", ["smoke"], indirect=True)
def test_a_second_run_into_the_same_results_is_one_line(run: Run) -> None:
    """Whether it is called in the same folder or in another; a dry run may look on."""
    first = reach(run, "data")
    command = [str(Path(sys.executable).with_name("arkd")), "run", "smoke", "--cores", "1"]
    for here in (run.here, ROOT):
        words = [*command, "--results", os.path.relpath(run.here / "results", here)]
        second = subprocess.run(words, cwd=here, capture_output=True, text=True, check=False)
        errors = [line for line in second.stderr.splitlines() if "rror" in line]
        assert second.returncode == 1
        assert len(errors) == 1
        assert "another run is making these results at this moment" in errors[0]
        dry = subprocess.run([*words, "--dry-run"], cwd=here, capture_output=True, check=False)
        assert dry.returncode == 0
    assert first.wait(PATIENCE_S) == 0, run.said()
    assert run.leftovers() == []
