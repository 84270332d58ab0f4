"""Runs that stand on the leaderboard, read: values by seed, costs, facts; whoever made them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from arkd import exact
from arkd.audit.compare_records import RECORDS, Side, read
from arkd.errors import ArkdError, printable
from arkd.exchange import alike, cost, listing
from arkd.exchange import form as submissions
from arkd.exchange.declared import Declared, noted
from arkd.exchange.lacks import BASE
from arkd.leaderboard.form import Cost, Origin, Run, Unit
from arkd.results.records import SeedValues
from arkd.storage import manifest
from arkd.suite.folders import FOREIGN
from arkd.templates import relative

# What one run may be refused for; the others have their places all the same.
FAULTS = (ArkdError, ValueError, ArithmeticError)


@dataclass
class Entry:
    """One run: its folder, its records, its manifest and, of a submission, its form."""

    id: str
    folder: Path
    origin: Origin
    side: Side
    made: dict[str, Any]
    submission: submissions.Submission | None = None
    foreign: dict[tuple[str, str], Path] = field(default_factory=dict)  # evaluation of (pair, row)

    @property
    def config(self) -> dict[str, Any]:
        """The suite as the run has it."""
        return self.made.get("config") or {}

    @property
    def unit(self) -> Unit:
        """What one observation is."""
        return "world" if self.config.get("worlds") else "seed"

    @property
    def test_sets(self) -> list[str]:
        """The test sets; the first is in distribution."""
        return list(self.config.get("test_sets") or ())

    @cached_property
    def sides(self) -> dict[tuple[str, str], Side]:
        """Where the records of each (pair, row) lie: collected, or a foreign row's own."""
        found = dict.fromkeys(self.side.by_seed, self.side)
        for (pair, row), folder in self.foreign.items():
            found[pair, row] = alike.records_of(folder, pair, row)
        return found

    def values(self, pair: str, row: str, quantity: tuple[str, str, str]) -> SeedValues:
        """Return a quantity by training seed, decoding seeds averaged.

        Of training seeds that the row's run has of forward KL, too, those of the same decoding
        seeds alone: the mean over others would be of other draws.
        """
        found, base = (self._decoded(pair, name, quantity) for name in (row, BASE))
        return {
            seed: exact.mean([*decoded.values()])
            for seed, decoded in found.items()
            if decoded.keys() == base.get(seed, decoded).keys()
        }

    def _decoded(
        self, pair: str, row: str, quantity: tuple[str, str, str]
    ) -> dict[int, dict[str, float]]:
        """Return a quantity of a row by training seed and decoding seed."""
        side = self.sides.get((pair, row))
        return side.by_seed[pair, row].get(quantity, {}) if side else {}

    def failed(self, pair: str, row: str) -> int:
        """Return how many seeds of a row left the finite numbers."""
        return sum(run[:2] == (pair, row) for run in self.side.failed)

    @property
    def _gpus(self) -> int:
        """How many GPUs trained a student; 0 where the processor did."""
        device, host = self.config.get("device"), self.made.get("host")
        found = isinstance(host, dict) and bool(host.get("gpus"))
        if device != "cuda" and not (device == "auto" and found):
            return 0
        training = self.config.get("training")
        devices = training.get("devices") if isinstance(training, dict) else None
        return devices if isinstance(devices, int) else 1

    @cached_property
    def costs(self) -> dict[tuple[str, str], Cost]:
        """What the training of a student took, by (pair, row); one that failed ended early.

        Raises:
            ArkdError: `cost.read` refuses the times.
        """
        gpus = self._gpus
        seconds: dict[tuple[str, str], list[float]] = {}
        for run, spent, threads in cost.read(self.folder):
            if run not in self.side.failed:
                seconds.setdefault(run[:2], []).append(spent * (gpus or threads))
        found = {
            key: Cost(
                seconds=exact.mean(spent), kind="gpu" if gpus else "processor", declared=False
            )
            for key, spent in seconds.items()
        }
        for key in self.foreign:
            said = self.declared(*key)
            if said.gpu_s is not None:
                found[key] = Cost(seconds=said.gpu_s, kind="gpu", declared=True)
            if said.processor_s is not None:
                found[key] = Cost(seconds=said.processor_s, kind="processor", declared=True)
        return found

    def declared(self, pair: str, row: str) -> Declared:
        """Return what is declared of a row: by the form, else when it was scored."""
        if self.submission and row in self.submission.rows:
            return self.submission.rows[row]
        folder = self.foreign.get((pair, row))
        return noted(folder.parent) if folder else Declared()

    def facts(self, page: Path, first: Entry) -> Run:
        """Return what the page says of the run.

        Args:
            page: To whose folder links are relative.
            first: The board's first run, with whose core this one's is compared.
        """
        git, host, submission = (
            (self.made.get("git") or {}),
            (self.made.get("host") or {}),
            self.submission,
        )
        report = self.folder / "report.html"
        return Run(
            id=self.id,
            origin=self.origin,
            suite=self.side.suite,
            version=self.side.version,
            who=", ".join(map(str, submission.who)) if submission else "the project",
            what=submission.method if submission else None,
            note=submission.note if submission else None,
            paper=submission.paper if submission else None,
            hardware=submission.hardware if submission else None,
            licence=submission.licence if submission else None,
            code=f"{submission.code.url} at {submission.code.commit}" if submission else None,
            commit=git.get("commit"),
            dirty=git.get("dirty"),
            core=self.made.get("core"),
            training_core=self.made.get("training_core"),
            core_differs=self.made.get("core") != first.made.get("core"),
            kernels=self.config.get("kernels", "unknown"),
            processor=host.get("processor"),
            versions=self.made.get("versions") or {},
            link=relative(self.folder, page),
            report=relative(report, page) if report.is_file() else None,
        )


def find(results: Path) -> tuple[list[Entry], dict[str, str]]:
    """Return the runs below `reference/` and `submissions/`, and those that cannot be read.

    Args:
        results: The folder of all results.
    """
    entries: list[Entry] = []
    broken: dict[str, str] = {}
    listed = listing.of_all(results / "submissions")
    for path, wrong in listed.wrong.items():
        broken[path.relative_to(results).as_posix()] = wrong
    for folder, origin in _folders(results, listed.runs):
        name = folder.relative_to(results).as_posix()
        try:
            entries.append(_read(name, folder, origin))
        except FAULTS as error:
            broken[name] = printable(str(error))
    return entries, broken


def _folders(results: Path, submitted: list[Path]) -> Iterator[tuple[Path, Origin]]:
    """Yield the suites' folders: reference/VERSION/SUITE and submissions/NAME/SUITE."""
    parts: tuple[tuple[list[Path], Origin], ...] = (
        (sorted(path.parent for path in results.glob(f"reference/*/*/{RECORDS}")), "reference"),
        (submitted, "submission"),
    )
    for folders, origin in parts:
        for folder in folders:
            if "@" not in folder.name:  # a block: its suite has it as one observation
                yield folder, origin


def _read(name: str, folder: Path, origin: Origin) -> Entry:
    submission = submissions.read(folder / submissions.FILE) if origin == "submission" else None
    entry = Entry(name, folder, origin, read(folder), manifest.read_foreign(folder), submission)
    if not entry.test_sets:
        raise ArkdError(f"{folder / manifest.NAME}: config.test_sets: names none; collect it anew")
    for path in sorted((folder / FOREIGN).glob(f"*/*/evaluation/{RECORDS}")):
        row = f"{FOREIGN}:{path.parents[2].name}"
        pair = path.parents[1].name
        if wrong := alike.difference(folder, pair, manifest.read_foreign(path.parent)):
            raise ArkdError(f"{row}: {wrong}; score it by the suite as it was run, or remove it")
        entry.foreign[pair, row] = path.parent
    _ = entry.sides, entry.costs  # what cannot be read is told of this run alone
    return entry
