"""What `arkd run` says of a run: a line a job, how long it took, and about how long the rest will.

This is a logger plug-in of Snakemake, whose own output stays in its log file. It reads the types of
`LogHandlerSettings` as objects: so annotations are evaluated here.
"""

import logging
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from arkd.plan.processor import seconds_by_rule
from arkd.suite.folders import tree
from arkd.suite.job_list import job_name

WIDTH = 80
NAME = 36  # of a line, for a job's name
NOTHING = "Nothing to be done"  # as Snakemake says it
# What it says of a failed job beside the event itself.
OF_JOBS = ("CalledProcessError", "because a job execution failed", "At least one job did not")
WORDLESS = "ended without a word, as a job that is killed does"
TARGET = "all"  # the rule that asks for the others and does nothing


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options of the plug-in; the names are Snakemake's."""

    suite: str = field(default="longtail", metadata={"help": "the suite that is run"})


@dataclass(frozen=True)
class Started:
    """A job that runs."""

    rule: str
    name: str
    at: float


class LogHandler(LogHandlerBase):
    """Prints a line for each job that ends; on a terminal a bar and what runs stand below them."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        assert isinstance(self.settings, LogHandlerSettings)
        self._weights = seconds_by_rule(tree(self.settings.suite))
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._begun = time.monotonic()
        self._left: Counter[str] = Counter()  # jobs by rule
        self._running: dict[int, Started] = {}
        self._total = self._ended = 0
        self._spent = 0.0  # weight of the jobs that have ended
        columns = BarColumn(24), TextColumn("{task.description}", markup=False)
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._task = self._bar.add_task("", total=None)

    def emit(self, record: logging.LogRecord) -> None:
        """Show an event; what is none is shown if it is an error."""
        said: dict[str, Any] = record.__dict__
        match said.get("event"):
            case LogEvent.RUN_INFO:
                self._plan(said["stats"])
            case LogEvent.JOB_INFO:
                if said["rule_name"] != TARGET:
                    axes = dict(said["wildcards"])
                    name = job_name(axes["suite"], said["rule_name"], axes)
                    self._running[said["jobid"]] = Started(
                        said["rule_name"], name, time.monotonic()
                    )
            case LogEvent.JOB_FINISHED:
                self._end(said["job_id"], "")
            case LogEvent.JOB_ERROR:
                self._end(said["jobid"], failure(list(map(Path, said["log"]))))
            case None if record.getMessage().startswith(NOTHING):
                self._console.print("nothing to do: the report is up to date")
            case None | LogEvent.ERROR if record.levelno >= logging.ERROR:
                text = record.getMessage()
                if not any(known in text for known in OF_JOBS):
                    self._console.print(text)
        self._refresh()

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()
        super().close()

    def _plan(self, counts: dict[str, int]) -> None:
        self._left = Counter({k: n for k, n in counts.items() if k not in (TARGET, "total")})
        self._total = self._left.total()
        self._bar.start()

    def _end(self, job: int, failed: str) -> None:
        started = self._running.pop(job, None)
        if started is None:
            return
        self._left[started.rule] -= 1
        self._ended += 1
        self._spent += self._weight(started.rule)
        took = duration(time.monotonic() - started.at)
        line = f"{fitting(started.name, NAME):<{NAME}}  {took:>7}  {self._rest()}"
        text = f"{started.name} failed: {failed}" if failed else line
        self._console.print(f"{self._ended:>3}/{self._total}  {text}")

    def _weight(self, rule: str) -> float:
        return self._weights.get(rule, 1.0)

    def _rest(self) -> str:
        """Say how long the run has taken, and about how long it still will."""
        gone = time.monotonic() - self._begun
        left = sum(self._weight(rule) * count for rule, count in self._left.items())
        if not left:
            return f"{duration(gone)} elapsed"
        return f"{duration(gone)} elapsed, ~{duration(gone * left / self._spent)} left"

    def _refresh(self) -> None:
        runs = ", ".join(job.name for job in self._running.values())
        text = f"{self._ended}/{self._total}  {runs}"[: WIDTH - 26]
        self._bar.update(self._task, completed=self._ended, total=self._total, description=text)


def fitting(name: str, width: int) -> str:
    """Return a job's name in so many letters; seed and world, by which rows differ, stay whole."""
    if len(name) <= width:
        return name
    end = re.search(r"(?: seed \d+)?(?: @\d+)?$", name)
    kept = end[0] if end else ""
    return f"{name[: width - len(kept) - 1]}…{kept}"


def duration(seconds: float) -> str:
    """Return a time for the eye: 9 s, 12 min, 3.4 h."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 99.5 else f"{minutes / 60:.1f} h"


def last_line(log: Path) -> str:
    """Return the last line of a log that has any words; of none, an empty one."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def failure(logs: list[Path]) -> str:
    """Return the last line that a failed job's log has, and where it lies."""
    for log in logs:
        if log.is_file():
            return f"{last_line(log) or WORDLESS} ({log})"
    return "it left no log"
