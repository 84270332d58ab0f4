"""The chain of hashes in a suite's folder: manifests name outputs, and what they were made from.

Each stage's manifest holds the SHA-256 of the files beside it and a digest of every input, which is
formed from the outputs that the input's own manifest names. So a changed file contradicts its
manifest, and a changed manifest contradicts the next one, up to the suite's own.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from arkd.errors import ArkdError
from arkd.stages.blocks import STAGE as BLOCKS
from arkd.storage import given, manifest, received
from arkd.storage.checksums import LOGS
from arkd.storage.files import read_json, sha256_file
from arkd.storage.manifest import MERGE, NAME, digest_of, foreign_problem
from arkd.suite import upstream
from arkd.suite.folders import Tree
from arkd.suite.suite import Suite

DATA = "data.manifest.json"  # a reference keeps the manifest of the data without their folder
SOURCES = "sources"  # of a merged folder: the manifests of each folder that it was made of
COLLECT = "collect"
SHOWN = ("tables", "claims", "figures")  # what is made from the collected files


@dataclass
class Findings:
    """What was looked at below a folder, and what is wrong there."""

    root: Path
    hashed: dict[Path, str] = field(default_factory=dict)
    checked: set[Path] = field(default_factory=set)  # files whose hash somebody names
    not_kept: dict[Path, str] = field(default_factory=dict)  # named but absent, by stage
    problems: dict[Path, str] = field(default_factory=dict)  # the first of each file
    outside: set[str] = field(default_factory=set)  # inputs that lie nowhere in the folder: code
    notes: list[str] = field(default_factory=list)
    manifests: int = 0
    suite: str = ""  # name and version
    anchored: bool = False  # whether `SHA256SUMS` was there to be compared
    remade: list[str] = field(default_factory=list)  # what was formed again, and was the same
    close: list[str] = field(default_factory=list)  # the same but for the rounding of its numbers

    def sha256(self, path: Path) -> str:
        """Return a file's hash; each file is read once."""
        if path not in self.hashed:
            self.hashed[path] = sha256_file(path)
        return self.hashed[path]

    def blame(self, path: Path, what: str) -> None:
        """Note what is wrong with a file and what to do."""
        self.problems.setdefault(path, what)

    def absent(self) -> Counter[str]:
        """Return how many named files are not kept, by stage."""
        return Counter(self.not_kept.values())


# What the inputs of a stage are called, where their names say where they came from.
PLACES = {
    MERGE: rf"{SOURCES}/[0-9]+",
    BLOCKS: r"[^/@]+@[0-9]{1,18}",
    COLLECT: r"[^/]+/.+",
    "evaluate": r"(?!seed)(?s:.*)|seed[0-9]{1,18}",
}


def _is_place(stage: str, name: str) -> bool:
    """Tell whether an input is named as its stage names them, and leads nowhere else."""
    named = stage not in PLACES or re.fullmatch(PLACES[stage], name) is not None
    return named and received.inside(name)


class Chain:
    """The manifests of one suite's folder.

    Args:
        root: The folder of a run, a reference or a merger.
        findings: Where problems go; one of its own if none is given.
    """

    def __init__(self, root: Path, findings: Findings | None = None) -> None:
        self.root = root
        self.findings = findings or Findings(root)
        self.files: dict[Path, Path] = {}  # by stage's folder
        self.manifests: dict[Path, dict[str, Any]] = {}
        for path in self._found():
            folder = root / "data" if path == root / DATA else path.parent
            made = self._read(path)
            if made is not None:
                self.files.setdefault(folder, path)
                self.manifests.setdefault(folder, made)
        self.findings.manifests += len(self.manifests)
        # The layout is the workflow's; the folder may have another name than its suite.
        config = self.top.get("config")
        beside = config.get("beside") if isinstance(config, dict) else None
        self.tree = Tree(root.parent, cast(Suite, SimpleNamespace(name=root.name, beside=beside)))

    @cached_property
    def top(self) -> dict[str, Any]:
        """The suite's own manifest; empty if it is absent or unreadable."""
        return self.manifests.get(self.root, {})

    @property
    def merged(self) -> bool:
        """Whether the folder was merged from several."""
        return bool(self.top.get("stage") == MERGE)

    @cached_property
    def sources(self) -> list[Chain]:
        """What a merged folder was made of; only manifests are kept of them.

        `arkd merge` takes no merged folder. One among the sources could lead on without end.
        """
        names = self.top["inputs"] if self.merged else {}
        found = [Chain(self.root / name, self.findings) for name in names]
        for source in found:
            if source.merged:
                within = source.root.relative_to(self.root).as_posix()
                what = f"{within} is merged itself; merge the folders that it was made of"
                self.findings.blame(self.root / NAME, what)
        return [source for source in found if not source.merged]

    def check(self) -> Findings:
        """Hash every file that a manifest names, and follow every input to the one it names."""
        if not (self.root / NAME).is_file():
            self.findings.blame(self.root / NAME, "no such file; finish the run or `arkd collect`")
        for folder, made in self.manifests.items():
            self._outputs(folder, made)
        for folder, made in self.manifests.items():
            self._inputs(folder, made)
        for (_, role), folders in given.mixed(self.manifests.items()).items():
            if role.startswith(given.ROLE):  # what lies in the folder was compared with itself
                self._blame_second(role, folders)
        for source in self.sources:
            source.check()
        return self.findings

    def _found(self) -> list[Path]:
        """Return the manifests below the folder; of a merged one, those of its own files."""
        if manifest.merged(self.root):
            manifests = [self.root / NAME, *(self.root / name / NAME for name in SHOWN)]
            return [path for path in manifests if path.is_file()]
        every = [*sorted(self.root.rglob(NAME)), self.root / DATA]
        return [path for path in every if path.is_file() and not self._left_out(path)]

    def _left_out(self, path: Path) -> bool:
        parts = path.relative_to(self.root).parts
        return parts[0] in (LOGS, SOURCES) or any(part.startswith(".") for part in parts)

    def _read(self, path: Path) -> dict[str, Any] | None:
        """Return a manifest, or note why it is none."""
        try:
            made = read_json(path)
        except ArkdError:
            self.findings.blame(path, "not a manifest any more (no valid JSON); restore it")
            return None
        wrong = next((key for key in ("stage", "outputs", "inputs") if key not in made), None)
        wrong = f"no {wrong}" if wrong else foreign_problem(made)
        if not wrong:
            strange = (name for name in made["inputs"] if not _is_place(made["stage"], name))
            wrong = next((f"an input '{name:.80}'" for name in strange), None)
        if wrong:
            self.findings.blame(path, f"not a manifest any more ({wrong}); restore it")
            return None
        return made

    def _outputs(self, folder: Path, made: dict[str, Any]) -> None:
        """Hash what a manifest says it wrote; a stage's folder holds that and nothing else."""
        for name, sha in made["outputs"].items():
            path = folder / name
            if not path.is_file():
                self.findings.not_kept[path] = made["stage"]
                continue
            self.findings.checked.add(path)
            if self.findings.sha256(path) != sha:
                by = self.files[folder].relative_to(self.root).as_posix()
                self.findings.blame(path, f"not what {by} says was written; restore one of the two")
        if folder == self.root or not folder.is_dir():
            return
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder)
            named = relative.as_posix() in made["outputs"] or path.name == NAME
            hidden = any(part.startswith(".") for part in relative.parts)
            if path.is_file() and not named and not hidden:
                self.findings.blame(path, "no manifest names this file; remove it")

    def _inputs(self, folder: Path, made: dict[str, Any]) -> None:
        """Compare the digest of each input with what stands where the input came from."""
        for role, named in made["inputs"].items():
            origins = self.origins(made, role)
            there = {path: found for path in origins if (found := self.digest(path))}
            if not origins:
                self.findings.outside.add(role)
            elif not there and origins[0] not in self.findings.not_kept:
                self.findings.not_kept[origins[0]] = "inputs"
            elif there and named not in there.values():
                guilty = folder if len(there) > 1 else next(iter(there))
                by = self.files[folder].relative_to(self.root).as_posix()
                self.findings.blame(
                    self.files.get(guilty, guilty),
                    f"not the '{role}' that {by} was made from; restore one of the two, or run "
                    "again what follows from it",
                )

    def _blame_second(self, role: str, folders: list[Path]) -> None:
        """Note that stages were made from two models or files that the user gave at one place."""
        first, second = (self.files[folder].relative_to(self.root) for folder in folders[:2])
        self.findings.blame(
            self.files[folders[1]],
            f"made from another '{role}' than {first.as_posix()}: it was replaced during the run; "
            f"delete {second.parent.as_posix()} and what follows from it, and run again",
        )

    def digest(self, path: Path) -> str | None:
        """Return the digest of a stage's folder or a file (`manifest.digest`); None if not kept."""
        if path in self.manifests:
            return digest_of(self.manifests[path]["outputs"])
        if (path / NAME).is_file():  # a block, beside the suite's folder
            block = self._read(path / NAME)
            return digest_of(block["outputs"]) if block else None
        if path.is_file():
            self.findings.checked.add(path)
            return self.findings.sha256(path)
        return None

    def origins(self, made: dict[str, Any], role: str) -> list[Path]:
        """Return where an input came from; several where a role does not say which of them.

        Nothing is returned for what lies outside of the folder: code, tasks and registered claims.
        """
        tree, stage = self.tree, made["stage"]
        if stage == MERGE:
            return [self.root / role / NAME]
        if stage == BLOCKS:
            return [self.root.parent / role]
        if stage == COLLECT:
            of_pair, _, method = role.partition("/")
            return [tree.evaluation(of_pair, method)]
        if stage in SHOWN:
            return [] if role == "claims" else [self.root / f"{role}.csv"]
        found = upstream.folders(tree, made, role)
        return [path for path in found if self.digest(path)] if role == "replayed" else found
