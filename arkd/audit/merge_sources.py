"""The folders that are merged: what each holds, and what forbids to join them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from arkd.audit.manifest_chain import Chain
from arkd.audit.merged_suite import difference
from arkd.audit.recompute import COST, JOINED, RECORDS
from arkd.audit.verify import suite_folders, verify
from arkd.errors import ArkdError
from arkd.storage import given
from arkd.storage.manifest import NAME, check_form
from arkd.storage.records import read_rows
from arkd.suite.folders import TEACHER, methods
from arkd.suite.suite import Suite
from arkd.validated import place

Run = tuple[str, str, str]  # pair, method and seed, as the files spell them
Rows = list[list[str]]
RUN = ("pair", "method", "seed")
CORES = ("core", "training_core")  # of the code that measured, and that trained
ALIKE = ("suite", "suite_version", *CORES, "versions", "claims", "config")  # of the top manifest
OF_TOP = ("suite", "suite_version", "versions", "host", "config")  # what all top manifests have
OUTSIDE = ("data", "tasks", TEACHER)  # what all evaluations must have been made with


@dataclass(frozen=True, eq=False)
class Source:
    """One folder to be merged: its manifests, and the rows of its files by run."""

    chain: Chain

    @property
    def root(self) -> Path:
        """The folder."""
        return self.chain.root

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
            return Suite.model_validate(self.top.get("config"))
        except ValidationError as error:
            where = place(error, self.top.get("config"))
            what = f"config.{where}: another version of arkd wrote it; merge with that version"
            raise ArkdError(f"{self.root / NAME}: {what}") from None

    @cached_property
    def stages(self) -> dict[Path, dict[str, Any]]:
        """The manifests by where their stage lies in a folder of results."""
        results = Path(self.suite.name)
        found = self.chain.manifests.items()
        return {results / folder.relative_to(self.root): made for folder, made in found}

    @cached_property
    def tables(self) -> dict[str, tuple[list[str], dict[Run, Rows]]]:
        """The heading and the rows by run of each file that is there."""
        found = {}
        for name in JOINED:
            if (self.root / name).is_file():
                head, *rows = read_rows(self.root / name)
                pair, method, seed = (head.index(column) for column in RUN)
                runs: dict[Run, Rows] = {}
                for row in rows:
                    runs.setdefault((row[pair], row[method], row[seed]), []).append(row)
                found[name] = head, runs
        return found

    @cached_property
    def runs(self) -> dict[str, list[int]]:
        """The seeds that have records, by `PAIR/METHOD`, in the order of the suite."""
        _, recorded = self.tables[RECORDS]
        found = {
            f"{pair}/{method}": sorted(
                int(seed) for *role, seed in recorded if role == [pair, method]
            )
            for pair, method in methods(self.suite)
        }
        return {role: seeds for role, seeds in found.items() if seeds}


def read(path: Path) -> Source:
    """Return a folder that can be merged.

    Raises:
        ArkdError: it is none, holds several suites, does not verify, or was merged itself.
    """
    below = suite_folders([path])
    if len(below) > 1:
        raise ArkdError(f"{path}: holds {len(below)} suites; name the folder of one")
    source = Source(Chain(below[0]))
    if not source.top:
        raise ArkdError(f"{source.root / NAME}: no manifest; `arkd verify {source.root}` says more")
    if source.chain.merged:
        folders = ", ".join(part.get("folder", "") for part in source.top.get("sources", []))
        raise ArkdError(
            f"{source.root}: merged already; merge the folders it was made of ({folders})"
        )
    if source.suite.beside:
        raise ArkdError(
            f"{source.root}: further rows beside {source.suite.beside}; list the rows in a suite "
            "that extends it and run that, then merge"
        )
    if source.suite.worlds:
        raise ArkdError(
            f"{source.root}: joined from blocks; merge the folders of each block, "
            f"{source.suite.name}@{source.suite.worlds[0]} and so on, then collect the suite"
        )
    problems = sorted(verify(source.root, again=False).problems.items())
    if problems:
        raise ArkdError(
            f"{problems[0][0]}: {problems[0][1]} ({len(problems)} problem"
            f"{'s' * (len(problems) > 1)}; see `arkd verify {source.root}`)"
        )
    for folder, file in source.chain.files.items():
        keys = OF_TOP if folder == source.root else ()
        check_form(file, source.chain.manifests[folder], keys, "restore it")
    for name in (RECORDS, "trajectories.csv", COST):
        if not (source.root / name).is_file():
            raise ArkdError(f"{source.root / name}: no such file; run `arkd collect` first")
    return source


def check_alike(sources: Sequence[Source]) -> None:
    """Refuse what was not measured alike.

    Raises:
        ArkdError: suite, version, core, a library, the claims, a key of the suite, the data, the
            teacher, the files of a method or a model of the same run differ.
    """
    first = sources[0]
    for source in sources[1:]:
        for key in ALIKE:
            found = difference(key, first.top.get(key), source.top.get(key))
            if found:
                where, ours, theirs = found
                raise ArkdError(
                    f"{source.root}: {where} is {theirs!r}, in {first.root} it is {ours!r}; only "
                    "runs made alike are merged: run one of them again"
                )
    seen: dict[tuple[str, ...], tuple[Any, Path]] = {}
    for source in sources:
        for folder, made in source.chain.manifests.items():
            for what_of, value, what in _made_of(source, folder, made):
                known, root = seen.setdefault(what_of, (value, source.root))
                if known != value:
                    raise ArkdError(f"{source.chain.files[folder]}: {what.format(root)}")


def _made_of(
    source: Source, folder: Path, made: dict[str, Any]
) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Yield what all folders must have alike of a stage: key, value, what to say if it differs."""
    pair, method = str(made.get("pair")), str(made.get("method"))
    for role, sha in made["inputs"].items():
        if role.startswith(given.ROLE):
            what = f"made from another '{role}' than in {{}}; give both the same, and run again"
            yield (pair, role), sha, what
    if made["stage"] == "evaluate":
        for role in OUTSIDE:
            what = f"evaluated with other {role} than in {{}}; runs of several machines share one "
            yield (
                (pair, role),
                made["inputs"].get(role, ""),
                f"{what}teacher: copy its folder and run again",
            )
    if made["stage"] == "distill":
        code = {r: sha for r, sha in made["inputs"].items() if not source.chain.origins(made, r)}
        for part, value in {"files": code, "settings": made["config"]}.items():
            what = f"{method} has other {part} than in {{}}; the rows of two versions of a method"
            yield (pair, method, part), value, f"{what} need two names"
    if folder.name == "training":
        tensors = {n: sha for n, sha in made["outputs"].items() if n.endswith(".safetensors")}
        what = "another model of the same run than in {}; leave this run out of one of the two"
        yield (folder.relative_to(source.root).as_posix(),), tensors, what


def pooled(name: str, sources: Sequence[Source]) -> dict[Run, tuple[Source, Rows]]:
    """Return the rows of each run in a file that all sources have, and the first that has it.

    Raises:
        ArkdError: two sources disagree on a run or on the columns.
    """
    found: dict[Run, tuple[Source, Rows]] = {}
    for source in sources:
        head, runs = source.tables[name]
        if head != sources[0].tables[name][0]:
            root = sources[0].root
            raise ArkdError(f"{source.root / name}: other columns than in {root}; collect anew")
        for run, rows in runs.items():
            first, known = found.setdefault(run, (source, rows))
            if known != rows:
                raise ArkdError(
                    f"{source.root / name}: {'/'.join(run)} differs from {first.root}: "
                    f"{_first_difference(rows, known)}; leave this run out of one of the two"
                )
    return found


def _first_difference(rows: Rows, known: Rows) -> str:
    """Say two runs by the first value in which they differ."""
    for row, other in zip(rows, known, strict=False):
        for column, (ours, theirs) in enumerate(zip(row, other, strict=True)):
            if ours != theirs:
                where = [part for part in row[len(RUN) + 2 : column] if part]
                return " ".join([*where, f"{ours} against {theirs}"])
    return f"{len(rows)} lines against {len(known)}"
