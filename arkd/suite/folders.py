"""Where everything of a suite lies: one folder a stage, below a results folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arkd.data import source as sources
from arkd.data.source import DataSpec
from arkd.suite import checks as own_suite
from arkd.suite.load import load_suite, suite_path
from arkd.suite.settings import Folder, Hub, Pair
from arkd.suite.suite import Suite

TEACHER, INIT, UNTRAINED = "teacher", "init", "untrained"
CONTROLS = (TEACHER, INIT, UNTRAINED)
TEACHER_SEED = 0  # a pair has one teacher
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

    @property
    def blocks(self) -> dict[int, Tree]:
        """The folders of each world of a suite of several, beside its own."""
        named = self.named or self.suite.name
        suite = self.suite
        return {w: Tree(self.results, suite.block(w), f"{named}@{w}") for w in suite.worlds}

    @property
    def data(self) -> Path:
        """Text of training, tests and probes."""
        return self.root / "data"

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
        return self.root / pair / "tokens"

    def training(self, pair: str, method: str, seed: int) -> Path:
        """A model and how it was trained; also of the controls."""
        return self._row(pair, method) / f"seed{seed}" / "training"

    def model(self, pair: str, method: str, seed: int) -> Path:
        """The Hugging Face folder of a trained model or control."""
        return self.training(pair, method, seed) / "model"

    def evaluation(self, pair: str, method: str) -> Path:
        """Records and samples of a method's or control's models, all seeds."""
        return self._row(pair, method) / "evaluation"

    def _row(self, pair: str, method: str) -> Path:
        """The folder of a row; students trained elsewhere lie apart from the suite's own."""
        if method.startswith(f"{FOREIGN}:"):
            return self.root / FOREIGN / method.partition(":")[2] / pair
        return self.root / pair / method

    def cache(self, pair: str, source: str, seed: int | None = None) -> Path:
        """A response set with the teacher's states; the student's sets belong to a seed."""
        name = source if seed is None else f"{source}-seed{seed}"
        return self.root / pair / "cache" / name


def tree(suite: str, results: str | Path = "results") -> Tree:
    """Return the folders of a suite, read from its file."""
    return Tree(Path(results), load_suite(suite), suite)


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
