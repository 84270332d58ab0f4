"""Where everything of a suite lies: one folder a stage, below a results folder."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from arkd.data import source as sources
from arkd.data.source import DataSpec
from arkd.errors import ArkdError
from arkd.paths import from_here
from arkd.storage.manifest import NAME
from arkd.suite import checks as own_suite
from arkd.suite.load import WORLD, load_suite, suite_names, suite_path
from arkd.suite.settings import Folder, Hub, Pair
from arkd.suite.suite import Suite

TEACHER, INIT, UNTRAINED = "teacher", "init", "untrained"
CONTROLS = (TEACHER, INIT, UNTRAINED)
TEACHER_SEED = 0  # a pair has one teacher
RESULTS = "results"  # the folder of all suites' results, where none is named
FOREIGN = "foreign"  # folder of students that were trained elsewhere, and what marks their rows


@dataclass(frozen=True)
class Tree:
    """The folders of one suite below a results folder; every stage owns the one it writes."""

    results: Path
    suite: Suite
    named: str = ""  # what the command line calls the suite: its name, or the path of its file

    @property
    def root(self) -> Path:
        """Where records, tables, figures and the report of the suite lie."""
        return self.results / self.suite.name

    def command(self, name: str = "run") -> str:
        """Return a command of `arkd` on this suite, as a user would type it."""
        results = [] if self.results == Path(RESULTS) else ["--results", str(self.results)]
        return shlex.join(["arkd", name, self.named or self.suite.name, *results])

    def result(self, name: str) -> Path:
        """Return a file of the finished suite.

        Raises:
            ArkdError: it is not there.
        """
        path = self.root / name
        if not path.is_file():
            raise ArkdError(f"{path}: no such file; run `{self.command()}` first")
        return path

    @cached_property
    def blocks(self) -> dict[int, Tree]:
        """The folders of each world of a suite of several, beside its own."""
        named = self.named or self.suite.name
        suite = self.suite
        return {w: Tree(self.results, suite.block(w), f"{named}@{w}") for w in suite.worlds}

    def refuse_worlds(self) -> None:
        """Refuse a suite of several worlds, whose blocks alone have data, teachers and runs.

        Raises:
            ArkdError: it has several.
        """
        if self.blocks:
            block, *_ = self.blocks.values()
            raise ArkdError(
                f"suite {self.suite.name}: {len(self.blocks)} worlds, each with its own data, "
                f"teacher and runs; name one of them, such as {block.named}"
            )

    def _stage(self, *parts: str) -> Path:
        """A stage's folder: that of the run beside which the suite's rows stand, if it is there."""
        if self.suite.beside:
            beside = self.results.joinpath(self.suite.beside, *parts)
            if (beside / NAME).is_file():
                return beside
        return self.root.joinpath(*parts)

    def makes(self, folder: Path) -> bool:
        """Tell whether a stage is this suite's to make, and not one that it reads of another."""
        return folder.is_relative_to(self.root)

    @property
    def data(self) -> Path:
        """Text of training, tests and probes."""
        return self._stage("data")

    def place(self, path: str) -> Path:
        """Where a path that the suite names leads, from the folder of its own file."""
        return own_suite.place(suite_path(self.named) if self.named else None, path)

    @property
    def placed_data(self) -> DataSpec:
        """The data's settings, the places of the user's own files found."""
        spec = self.suite.data
        placed: DataSpec = sources.find(spec.source).placed(spec, self.place)
        return placed

    def pair(self, name: str) -> Pair:
        """A pair of the suite, the places of its models found."""
        pair = self.suite.pair(name)
        found = {
            role: spec.model_copy(update={"path": str(self.place(spec.path).absolute())})
            for role, spec in (("teacher", pair.teacher), ("student", pair.student))
            if isinstance(spec, Folder)
        }
        return pair.model_copy(update=found)

    def tokens(self, pair: str) -> Path:
        """The pair's tokenizer, and the gold responses as tokens."""
        return self._stage(pair, "tokens")

    def training(self, pair: str, method: str, seed: int) -> Path:
        """A model and how it was trained; also of the controls."""
        return self._stage(*self._row(pair, method), f"seed{seed}", "training")

    def model(self, pair: str, method: str, seed: int) -> Path:
        """The Hugging Face folder of a trained model or control."""
        return self.training(pair, method, seed) / "model"

    def evaluation(self, pair: str, method: str) -> Path:
        """Records and samples of a method's or control's models, all seeds."""
        return self._stage(*self._row(pair, method), "evaluation")

    def _row(self, pair: str, method: str) -> tuple[str, ...]:
        """Where a row lies; students trained elsewhere lie apart from the suite's own."""
        if method.startswith(f"{FOREIGN}:"):
            return FOREIGN, method.partition(":")[2], pair
        return pair, method

    def cache(self, pair: str, source: str, seed: int | None = None) -> Path:
        """A response set with the teacher's states; the student's sets belong to a seed."""
        name = source if seed is None else f"{source}-seed{seed}"
        return self._stage(pair, "cache", name)

    def caches(self, pair: str) -> list[Path]:
        """The response sets of a pair that are there."""
        roots = [self.root, *([self.results / self.suite.beside] if self.suite.beside else [])]
        found = [path.parent for root in roots for path in root.glob(f"{pair}/cache/*/{NAME}")]
        return sorted(found, key=lambda folder: folder.name)


def tree(suite: str, results: str | Path = RESULTS) -> Tree:
    """Return the folders of a suite, read from its file; the same however the two are spelt."""
    named = plain_name(suite)
    return Tree(Path(from_here(str(results))), load_suite(named), named)


def plain_name(typed: str) -> str:
    """Return what the command line calls a suite in the form that all its spellings have.

    A shipped suite has its name, a user's own the path of its file, a block `@` and its world.
    """
    whole, at, world = typed.rpartition("@")
    if at and WORLD.fullmatch(world):
        return f"{plain_name(whole)}@{int(world)}"
    if not typed.endswith((".yaml", ".yml")):
        return typed
    path = from_here(typed)
    name = Path(path).stem
    shipped = name in suite_names() and os.path.realpath(suite_path(name))
    return name if shipped == os.path.realpath(path) else path


def seeds(suite: Suite, method: str) -> tuple[int, ...]:
    """Return the observations of a method or control: seeds, or worlds (`Suite.seeds_of`)."""
    found = suite.seeds_of(method)
    if suite.worlds:
        return found
    if method == TEACHER:
        return (TEACHER_SEED,)
    # Students that are given are the same before any training, whatever the seed.
    given = all(isinstance(pair.student, Folder | Hub) for pair in suite.pairs)
    return found[:1] if method == UNTRAINED and given else found


def methods(suite: Suite) -> list[tuple[str, str]]:
    """Return every (pair, method) of the tables, controls first."""
    labels = [*CONTROLS, *(entry.label for entry in suite.entries)]
    return [(pair.name, label) for pair in suite.pairs for label in labels]


def stages(tree: Tree) -> Iterator[Path]:
    """Yield the folders of every stage behind a suite's tables, in data-flow order."""
    yield tree.data
    for pair in {pair: None for pair, _ in methods(tree.suite)}:
        yield tree.tokens(pair)
        yield from tree.caches(pair)
    for pair, method in methods(tree.suite):
        yield from (tree.training(pair, method, seed) for seed in seeds(tree.suite, method))
        yield tree.evaluation(pair, method)
