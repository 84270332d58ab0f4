"""The folders that are merged: what each holds, and what forbids to join two of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from arkd.audit import merged_suite
from arkd.audit.manifest_chain import Chain
from arkd.audit.recompute import COST, JOINED, RECORDS
from arkd.audit.verify import suite_folders, verify
from arkd.errors import ArkdError
from arkd.storage.manifest import NAME
from arkd.storage.records import read_rows
from arkd.suite.folders import TEACHER, methods
from arkd.suite.suite import Suite

Run = tuple[str, str, str]  # pair, method and seed, as the files spell them
RUN = ("pair", "method", "seed")
CORES = ("core", "training_core")  # of the code that measured, and that trained
OUTSIDE = ("data", "tasks", TEACHER)  # what all evaluations must have been made with


@dataclass
class Source:
    """One folder to be merged: its manifests, and the rows of its files by run."""

    root: Path

    @cached_property
    def chain(self) -> Chain:
        """The manifests."""
        return Chain(self.root)

    @property
    def top(self) -> dict[str, Any]:
        """The suite's own manifest."""
        return self.chain.top

    @cached_property
    def suite(self) -> Suite:
        """The suite as it was run.

        Raises:
            ArkdError: another version of arkd wrote it, with keys that this one does not read.
        """
        try:
            return Suite.model_validate(self.top["config"])
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"])) or "config"
            what = f"config.{where}: another version of arkd wrote it; merge with that version"
            raise ArkdError(f"{self.root / NAME}: {what}") from None

    @cached_property
    def heads(self) -> dict[str, list[str]]:
        """The headings of each file that is there."""
        there = [name for name in (*JOINED, COST) if (self.root / name).is_file()]
        return {name: read_rows(self.root / name)[0] for name in there}

    @cached_property
    def rows(self) -> dict[str, dict[Run, list[list[str]]]]:
        """The lines of each file that is there, by run."""
        found: dict[str, dict[Run, list[list[str]]]] = {}
        for name, head in self.heads.items():
            columns = [head.index(column) for column in RUN]
            by_run = found.setdefault(name, {})
            for row in read_rows(self.root / name)[1:]:
                by_run.setdefault((row[columns[0]], row[columns[1]], row[columns[2]]), []).append(
                    row
                )
        return found

    @cached_property
    def runs(self) -> dict[str, list[int]]:
        """The seeds that have records, by `PAIR/METHOD`, in the order of the suite."""
        found: dict[str, list[int]] = {
            f"{pair}/{method}": [] for pair, method in methods(self.suite)
        }
        for pair, method, seed in self.rows[RECORDS]:
            found.setdefault(f"{pair}/{method}", []).append(int(seed))
        return {role: sorted(seeds) for role, seeds in found.items() if seeds}


def read(path: Path) -> Source:
    """Return a folder that can be merged.

    Raises:
        ArkdError: it is none, holds several suites, does not verify, or was merged itself.
    """
    below = suite_folders([path])
    if len(below) > 1:
        raise ArkdError(f"{path}: holds {len(below)} suites; name the folder of one")
    source = Source(below[0])
    if source.chain.merged:
        of = ", ".join(one["folder"] for one in source.top["sources"])
        raise ArkdError(f"{source.root}: merged already; merge the folders it was made of ({of})")
    problems = sorted(verify(source.root, again=False).problems.items())
    if problems:
        raise ArkdError(
            f"{problems[0][0]}: {problems[0][1]} ({len(problems)} problem"
            f"{'s' * (len(problems) > 1)}; see `arkd verify {source.root}`)"
        )
    for name in (RECORDS, "trajectories.csv", COST):
        if name not in source.heads:
            raise ArkdError(f"{source.root / name}: no such file; run `arkd collect` first")
    return source


def alike(first: Source, second: Source) -> None:
    """Refuse what was not measured alike.

    Raises:
        ArkdError: suite, version, core, a library, a key of the suite, the data, the teacher or the
            files of a method differ, or the same run has other values.
    """
    for key in ("suite", "suite_version", *CORES, "versions", "config"):
        found = merged_suite.difference(key, first.top.get(key), second.top.get(key))
        if found:
            where, ours, theirs = found
            raise ArkdError(
                f"{second.root}: {where} is {theirs!r}, in {first.root} it is {ours!r}; only runs "
                "made alike are merged: run one of them again"
            )
    evaluations: dict[tuple[str, str], str] = {}
    trainings: dict[tuple[str, str, str], str] = {}
    for source in (first, second):
        for folder, made in source.chain.manifests.items():
            file = source.chain.files[folder]
            pair, method = str(made.get("pair")), str(made.get("method"))
            if made["stage"] == "evaluate":
                for role in OUTSIDE:
                    named = made["inputs"].get(role, "")
                    if evaluations.setdefault((pair, role), named) != named:
                        raise ArkdError(
                            f"{file}: evaluated with other {role} than in {first.root}; runs of "
                            "several machines share one teacher: copy its folder and run again"
                        )
            if made["stage"] == "distill":
                made_of = {
                    r: v for r, v in made["inputs"].items() if not source.chain.origins(made, r)
                }
                for what, value in {"files": made_of, "settings": made["config"]}.items():
                    text = repr(sorted(value.items()))
                    if trainings.setdefault((pair, method, what), text) != text:
                        raise ArkdError(
                            f"{file}: {method} has other {what} than in {first.root}; the rows of "
                            "two versions of a method need two names"
                        )
    _agree(first, second)


def _agree(first: Source, second: Source) -> None:
    """Refuse other values of the same run.

    Raises:
        ArkdError: two folders have another number, or another model, for one run.
    """
    for name in JOINED:
        if name not in first.heads or name not in second.heads:
            continue
        if first.heads[name] != second.heads[name]:
            raise ArkdError(
                f"{second.root / name}: other columns than in {first.root}; collect anew"
            )
        for run in first.rows[name].keys() & second.rows[name].keys():
            ours, theirs = sorted(first.rows[name][run]), sorted(second.rows[name][run])
            if ours != theirs:
                one, other = next(
                    (pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]),
                    ([f"{len(ours)} lines"], [f"{len(theirs)} lines"]),
                )
                raise ArkdError(
                    f"{second.root / name}: {'/'.join(run)} differs from {first.root}: "
                    f"{_values(other, one)}; leave this run out of one of the two"
                )
    for folder, made in second.chain.manifests.items():
        at = first.root / folder.relative_to(second.root)
        before = first.chain.manifests.get(at) if folder.name == "training" else None
        if before and _weights(before) != _weights(made):
            raise ArkdError(
                f"{second.chain.files[folder]}: another model of the same run than in "
                f"{first.root}; leave this run out of one of the two"
            )


def _weights(made: dict[str, Any]) -> dict[str, str]:
    """Return the hashes of the tensors that a training wrote."""
    return {name: sha for name, sha in made["outputs"].items() if name.endswith(".safetensors")}


def _values(row: list[str], other: list[str]) -> str:
    """Say two lines that differ by what they have of their own."""
    if len(row) != len(other):
        return f"{row[0]} against {other[0]}"
    place = next(i for i, (a, b) in enumerate(zip(row, other, strict=True)) if a != b)
    where = " ".join(part for part in row[len(RUN) + 2 : place] if part)
    return f"{where} {row[place]} against {other[place]}".strip()
