"""The layout of a table: columns from records, quoted numbers, notes, and what is missing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from arkd.metrics.declared import find
from arkd.results.published import Printed, check_pair
from arkd.results.records import SeedValues
from arkd.results.suite_results import SuiteResults
from arkd.suite.folders import INIT, TEACHER, UNTRAINED, Tree
from arkd.suite.suite import Suite
from arkd.tables import paper_columns
from arkd.tables.footnotes import notes
from arkd.tables.table import (
    FEW_SEEDS,
    MISSING,
    Cell,
    Column,
    Layout,
    Origin,
    Row,
    bold_method,
    make_cell,
)

GOLD = "fidelity_gold"  # fidelity to the teacher on the gold responses


@dataclass(frozen=True)
class Source:
    """Where a column's values lie in the records; `pair` None means the row's own pair."""

    task: str
    metric: str
    title: str
    digits: int = 1
    group: str = ""
    pair: str | None = None


class Builder(SuiteResults):
    """Builds tables from one suite's results and collects what is missing."""

    def __init__(self, suite: Suite, results_dir: Path, named: str = "") -> None:
        super().__init__(Tree(results_dir, suite, named))
        for pair in suite.pairs:
            if pair.published is not None:
                check_pair(pair.published, f"suite {suite.name}: pairs.{pair.name}.published")
        self.methods = [entry.label for entry in suite.entries]
        self.all_rows = [TEACHER, UNTRAINED, INIT, *self.methods]
        self.pairs = [pair.name for pair in suite.pairs]

    @property
    def scored(self) -> list[str]:
        """The test sets whose answers can be compared with references."""
        return [t for t in self.suite.test_sets if not self.records.without_references(t)]

    @property
    def outside(self) -> list[str]:
        """Those of them that are out of distribution."""
        return [task for task in self.scored if task != self.suite.test_sets[0]]

    def lead(self, pair: str) -> tuple[str, ...]:
        """Return what a row, or the heading over rows, has first where there are several pairs."""
        return (pair,) if len(self.pairs) > 1 else ()

    def values(self, source: Source, pair: str, method: str) -> SeedValues:
        """Return the values of a source by seed, expected seeds only."""
        pair = source.pair or pair
        found = self.records.values(pair, method, source.task, source.metric, source.group)
        return {s: found[s] for s in self.expected(method) if s in found}

    def cell(
        self,
        values: SeedValues,
        pair: str,
        method: str,
        quantity: str,
        where: tuple[str, str, str] | None = None,
    ) -> Cell:
        """Return a cell and note the seeds it lacks.

        Args:
            values: The values by training seed.
            pair: The pair of teacher and student.
            method: The row they belong to.
            quantity: What they are, in words.
            where: Task, metric and group in the records, if the values stand there as they are.
        """
        self.planned(values, pair, method, quantity)  # notes what is missing
        origin = Origin(pair, (method,), quantity, where)
        return make_cell(values, self.failed(pair, method), self.expected(method), origin)

    def column(self, source: Source, pair: str, methods: Sequence[str]) -> dict[str, Cell]:
        """Return one column's cells by method, the proven best trained method set bold."""
        if self.nothing_to_compare(source):
            why = f"under {short_name(self.suite, source.task)}: no references to compare with"
            return dict.fromkeys(methods, Cell(word=MISSING, why=why))
        values = {method: self.values(source, pair, method) for method in methods}
        name = " ".join(filter(None, (source.task, source.metric, source.group)))
        where = (source.task, source.metric, source.group)
        cells = {m: self.cell(values[m], source.pair or pair, m, name, where) for m in methods}
        expected = {method: self.expected(method) for method in methods}
        best = bold_method(values, expected, self.higher_is_better(source))
        return {m: replace(cell, bold=m == best) for m, cell in cells.items()}

    def nothing_to_compare(self, source: Source) -> bool:
        """Tell whether a quantity cannot be there, because its task has no references."""
        lacks = self.records.without_references(source.task)
        return lacks and not self.records.groups(source.task, source.metric)

    def arrow(self, source: Source) -> str:
        """Return the mark that tells which direction is better."""
        return {True: " ↑", False: " ↓", None: ""}[self.higher_is_better(source)]

    def higher_is_better(self, source: Source) -> bool | None:
        """Return a metric's declared direction; one of an own task says it in the records."""
        metric = find(source.metric)
        if metric is None:
            return self.records.higher_is_better(source.metric)
        return metric.higher_is_better

    def heading(self, source: Source, with_pair: bool = False) -> Column:
        """Return the column of a source."""
        parts = [source.pair if with_pair else "", source.task, source.metric, source.group]
        key = " ".join(part for part in parts if part)
        return Column(key, source.title, source.digits)

    def printed(self, source: Source, pair: str) -> dict[str, Printed]:
        """Return what the paper prints of a quantity by method."""
        name = self.suite.pair(source.pair or pair).published
        return paper_columns.printed(name, source.task, source.metric)

    def table(
        self, sections: dict[str, list[Source]], methods: Sequence[str], paper: bool = False
    ) -> Layout:
        """Lay out a table: rows are methods, by pair and by section where there are several.

        Args:
            sections: Sources by section, which share their columns (one for each group).
            methods: The rows.
            paper: Whether the paper's numbers stand beside ours, where it prints any.
        """
        first = next(iter(sections.values()))
        pair_of_row = first[0].pair is None
        pairs = self.pairs if pair_of_row else self.pairs[:1]
        compared = {  # with the paper, in each pair's rows if in any
            source
            for source in itertools.chain.from_iterable(sections.values())
            if paper and any(self.printed(source, pair) for pair in pairs)
        }
        columns: list[Column] = []
        rows: list[Row] = []
        for pair in pairs:
            for section, sources in sections.items():
                stacked: list[tuple[Column, dict[str, Cell]]] = []
                for source in sources:
                    heading = self.heading(source, with_pair=not pair_of_row)
                    if len(sections) == 1:
                        heading = replace(heading, title=heading.title + self.arrow(source))
                    cells = self.column(source, pair, methods)
                    stacked.append((heading, cells))
                    if source in compared:
                        quoted = paper_columns.cells(cells, self.printed(source, pair))
                        stacked += zip(paper_columns.columns(heading), quoted, strict=True)
                columns = columns or [column for column, _ in stacked]
                lead = self.lead(pair) if pair_of_row else ()
                if len(sections) > 1:
                    lead = (*lead, section + self.arrow(sources[0]))
                rows += [
                    Row((*lead, m), tuple(cells[m] for _, cells in stacked), pair, m)
                    for m in methods
                ]
        lead = self.lead("Pair") if pair_of_row else ()
        labels = (*lead, *(["Metric"] if len(sections) > 1 else []), "Method")
        if len(sections) > 1:  # one heading serves several metrics, so it names none of them
            columns = [
                replace(c, key=s.group or s.task) for c, s in zip(columns, first, strict=True)
            ]
        layout = self.finish(labels, columns, rows)
        remarks = paper_columns.remarks(columns, self.suite.bertscore) if paper else ()
        return replace(layout, remarks=tuple(remarks))

    def finish(
        self,
        labels: tuple[str, ...],
        columns: Iterable[Column],
        rows: Iterable[Row],
        *,
        compared: bool = True,
        dash: str = "not run yet; this table is partial",
    ) -> Layout:
        """Return rows and columns with the notes that the cells call for.

        Args:
            labels: The headings of the rows' labels.
            columns: The columns.
            rows: The rows.
            compared: Whether the methods of a column were tested against each other.
            dash: What the mark of an empty cell means.
        """
        rows, columns = tuple(rows), tuple(columns)
        trained = {row.method for row in rows if row.method in self.methods}
        seeds = [set(self.expected(method)) for method in trained]
        uneven = len({*map(len, seeds)}) > 1
        testable = len(trained) > 1 and len(set.intersection(*seeds)) >= FEW_SEEDS
        below = (
            *notes(rows, compared, testable, uneven, dash, bool(self.suite.worlds)),
            *self._in_no_mean(columns),
        )
        return Layout(labels, columns, rows, below)

    def _in_no_mean(self, columns: Iterable[Column]) -> list[str]:
        """Return the note on test sets without references, where a table has means over sets."""
        lost = [short_name(self.suite, t) for t in self.suite.test_sets if t not in self.scored]
        means = any("out_of_distribution" in column.key for column in columns)
        return (
            [f"Without references, hence in no mean: {', '.join(lost)}."] if lost and means else []
        )


def short_name(suite: Suite, task: str) -> str:
    """Return a task's name without the prefix that all test sets of the suite share."""
    prefix = suite.test_sets[0].split("_")[0] + "_"
    shared = all(name.removeprefix(prefix) not in ("", name) for name in suite.test_sets)
    return task.removeprefix(prefix) if shared else task
