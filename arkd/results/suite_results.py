"""A finished suite, read: its records, the seeds that each row should have, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from arkd.results.item_scores import FILE, ItemScores
from arkd.results.records import SeedValues, gap_message, read_records
from arkd.storage import manifest
from arkd.suite.folders import TEACHER, Tree, seeds
from arkd.suite.suite import Suite


def observed(suite: Suite) -> str:
    """Return in one word what intervals run over: seed or world."""
    return suite.observation.split()[-1]


class SuiteResults:
    """Values of one suite by training seed; those that are planned and absent are noted as gaps.

    Raises:
        ArkdError: the records are absent, malformed or of another version of the suite.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree, self.suite = tree, tree.suite
        self.records = read_records(tree.result("records.csv"), self.suite)
        self.gaps: dict[str, dict[str, None]] = {}  # by run, in order, each quantity once
        self._seeds: dict[str, tuple[int, ...]] = {}  # by row, for each of its cells

    @cached_property
    def blocks(self) -> dict[int, SuiteResults]:
        """The worlds that were joined, each read once; none for a suite of one."""
        joined, trees = self.records.seeds(), self.tree.blocks.items()
        there = {w: t for w, t in trees if w in joined and (t.root / "records.csv").is_file()}
        return {world: SuiteResults(tree) for world, tree in there.items()}

    @cached_property
    def items(self) -> ItemScores | None:
        """The items' scores; None for results that were collected without them.

        Worlds ask questions of their own, so a suite of several has no items that its rows share.
        """
        there = not self.suite.worlds and (self.tree.root / FILE).is_file()
        return ItemScores(self) if there else None

    def expected(self, method: str) -> tuple[int, ...]:
        """Return the seeds or worlds of a row; the teacher of one world is filed under seed 0."""
        if method not in self._seeds:
            self._seeds[method] = seeds(self.suite, method)
        return self._seeds[method]

    def failed(self, pair: str, method: str) -> set[int]:
        """Return the seeds whose run failed."""
        return self.records.failed(pair, method)

    def planned(self, found: SeedValues, pair: str, method: str, quantity: str) -> SeedValues:
        """Keep the expected seeds that did not fail, and note those without a value.

        Args:
            found: A value by seed.
            pair: Name of teacher and student in the suite.
            method: The row's label.
            quantity: What the values are, as a message names it.
        """
        failed = self.failed(pair, method)
        wanted = [seed for seed in self.expected(method) if seed not in failed]
        for seed in wanted:
            if seed not in found:
                self.gaps.setdefault(f"{pair}/{method}/seed{seed}", {})[quantity] = None
        return {seed: found[seed] for seed in wanted if seed in found}

    def one_model(self, label: str) -> bool:
        """Tell whether a row is one model that goes with every seed: the teacher of one world."""
        return label == TEACHER and not self.suite.worlds

    def spread(self, values: Mapping[int, Any], label: str, seeds: Iterable[int]) -> dict[int, Any]:
        """Give the value of a row that is one model to every seed; leave other rows' as they are.

        Args:
            values: The row's values by seed.
            label: The row.
            seeds: Those that the one model goes with.
        """
        if not self.one_model(label):
            return dict(values)
        return {seed: value for seed in seeds for value in values.values()}

    def student_weights(self, pair: str, method: str, observation: int) -> str:
        """Return the hashes of a seed's student, or of all students of a world; "" if not kept."""
        if not self.suite.worlds:
            return manifest.weights(self.tree.training(pair, method, observation))
        block = self.tree.blocks[observation]
        seeds = block.suite.seeds_of(method)
        found = [manifest.weights(block.training(pair, method, seed)) for seed in seeds]
        return "\n".join(found) if all(found) else ""

    def gap_message(self, partial: str) -> str:
        """Say in one line which runs lack what, and what `--partial` would do instead."""
        return gap_message(self.tree.root, self.gaps, partial)
