"""A finished suite, read: its records, the seeds that each row should have, and what is missing."""

from __future__ import annotations

from arkd.results.records import SeedValues, gap_message, read_records
from arkd.suite.folders import Tree, seeds


class SuiteResults:
    """Values of one suite by training seed; those that are planned and absent are noted as gaps.

    Raises:
        ArkdError: the records are absent, malformed or of another version of the suite.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree, self.suite = tree, tree.suite
        self.records = read_records(tree.root / "records.csv", self.suite)
        self.gaps: dict[str, dict[str, None]] = {}  # by run, in order, each quantity once
        self._seeds: dict[str, tuple[int, ...]] = {}  # by row, for each of its cells

    def expected(self, method: str) -> tuple[int, ...]:
        """Return the seeds a row should have; the teacher is one model, filed under seed 0."""
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

    def gap_message(self, partial: str) -> str:
        """Say in one line which runs lack what, and what `--partial` would do instead."""
        return gap_message(self.tree.root, self.gaps, partial)
