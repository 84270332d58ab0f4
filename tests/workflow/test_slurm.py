"""The whole workflow as jobs of SLURM, of which one is preempted and one runs out of time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import loopback_slurm as slurm
import psutil
import pytest
from conftest import ROOT

REFERENCE = ROOT / "results" / "reference" / "1.0" / "smoke"
COMPARED = ("records.csv", "items.csv", "trajectories.csv")
PROFILE = ROOT / "workflow" / "profiles" / "slurm"
PATIENCE_S = 1800


class Training:
    """A training of the running workflow, which can be held in the midst of its steps."""

    def __init__(self, results: Path, *row: str) -> None:
        self.place = results.joinpath("smoke", "fixture", *row)
        self.wanted = [stage_of(row[0]), "--seed", row[1].removeprefix("seed")]

    @property
    def steps(self) -> int:
        """How many steps it has taken, while it runs."""
        lines = self.place / "metrics.jsonl"
        return len(lines.read_text().splitlines()) if lines.is_file() else 0

    def hold(self) -> int:
        """Stop it within its steps; return the number of its job."""
        slurm.until(lambda: self.steps >= 2, f"{self.place}: no step was taken", PATIENCE_S)
        self.process = next(p for p in psutil.process_iter(["cmdline"]) if self._is_of(p))
        self.process.send_signal(signal.SIGSTOP)
        assert not (self.place / "training" / "manifest.json").exists(), "too late: it had ended"
        return int(self.process.environ()["SLURM_JOB_ID"])

    def let_go_when_told_to_end(self) -> None:
        """Let it run again once SIGTERM waits for it: held, it could not save its state."""
        slurm.until(self._told_to_end, f"{self.place}: no SIGTERM came", PATIENCE_S)
        with suppress(psutil.NoSuchProcess):
            self.process.send_signal(signal.SIGCONT)

    def _told_to_end(self) -> bool:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except FileNotFoundError:  # it is gone already
            return True
        (waiting,) = re.findall(r"^ShdPnd:\s*([0-9a-f]+)$", status, re.M)
        return bool(int(waiting, 16) >> (signal.SIGTERM - 1) & 1)

    def _is_of(self, process: psutil.Process) -> bool:
        words = process.info["cmdline"] or []
        named = "arkd" in {Path(word).name for word in words[:2]}
        return named and all(word in words for word in self.wanted)

    def saved(self) -> int:
        """Return after how many steps the state was saved that it goes on from."""
        state = self.place / "checkpoint" / "state.json"
        slurm.until(state.is_file, f"{self.place}: no state was saved", PATIENCE_S)
        rows = dict(json.loads(state.read_text())["state"]["dict"])["rows"]
        return len(rows)


def stage_of(label: str) -> str:
    return "init" if label == "init" else "distill"


@pytest.mark.heavy
def test_a_preempted_job_and_one_out_of_time_go_on_to_the_local_bytes(tmp_path: Path) -> None:
    if why := slurm.lacking():
        pytest.skip(why)
    if find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("no plug-in of Snakemake for SLURM: pip install 'arkd[slurm]'")
    results = tmp_path / "results"
    command = ["snakemake", "--workflow-profile", str(PROFILE), "--nolock"]
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks"]
    command += ["5", "--config", "suites=[smoke]", f"results={results}"]
    (tmp_path / "daemons").mkdir()
    with slurm.running(tmp_path / "daemons"), (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        try:
            start = Training(results, "init", "seed1")
            preempted = start.hold()
            slurm.out("sbatch", "-p", "urgent", "-n", "2", "-o", os.devnull, "--wrap", "sleep 1")
            restarted = "Restarts=1 "
            slurm.until(
                lambda: restarted in slurm.out("scontrol", "show", "job", str(preempted)),
                "the preempted job was not put back",
                PATIENCE_S,
            )
            student = Training(results, "arkd", "seed1")
            late = str(student.hold())
            slurm.out("scontrol", "update", f"JobId={late}", "TimeLimit=1")
            student.let_go_when_told_to_end()
            assert 2 <= student.saved() < 20
            # Warned two minutes ahead, so at once here, the training saves and ends by itself: the
            # job has failed, and is not TIMEOUT.
            slurm.until(
                lambda: "JobState=FAILED" in slurm.out("scontrol", "show", "job", late),
                "the job did not end before its time ran out",
                PATIENCE_S,
            )
            assert not (student.place / "training" / "manifest.json").exists()
            assert run.wait(PATIENCE_S) == 0, (tmp_path / "said").read_text()
        finally:
            run.terminate()
            run.wait(60)
    for name in COMPARED:
        assert (results / "smoke" / name).read_bytes() == (REFERENCE / name).read_bytes(), name
