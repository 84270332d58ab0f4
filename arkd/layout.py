"""The layout of a table: columns from records, captions, quoted numbers, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from arkd.cells import (
    FAILED,
    FEW_SEEDS,
    MISSING,
    NOT_REPORTED,
    Cell,
    Column,
    Origin,
    Records,
    Row,
    SeedValues,
    Table,
    bold_method,
    gap_message,
    make_cell,
    read_records,
)
from arkd.paths import benchmarks_dir
from arkd.suite import Suite
from arkd.workflow import Tree, seeds

# What the published numbers call the tables that ours are laid out after.
PAPER_TABLES = {"table1": "1", "table2": "2 and 4", "table5": "5 and 6"}
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


class Builder:
    """Builds tables from one suite's records and collects what is missing."""

    def __init__(self, suite: Suite, results_dir: Path) -> None:
        self.suite = suite
        self.tree = Tree(results_dir, suite)
        self.dir = self.tree.root
        self.records: Records = read_records(self.dir / "records.csv", suite)
        self.published = read_published()
        self.captions = captions(suite)["tables"]
        self.methods = [entry.label for entry in suite.entries]
        self.pairs = [pair.name for pair in suite.pairs]
        self.missing: dict[str, dict[str, None]] = {}  # by run, in order, each value once

    def lead(self, pair: str) -> tuple[str, ...]:
        """Return what a row, or the heading over rows, has first where there are several pairs."""
        return (pair,) if len(self.pairs) > 1 else ()

    def expected(self, method: str) -> tuple[int, ...]:
        """Return the seeds a row should have; the teacher is one model, filed under seed 0."""
        return seeds(self.suite, method)

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
        what: str,
        where: tuple[str, str, str] | None = None,
    ) -> Cell:
        """Return a cell and note the seeds it lacks.

        `where` names the rows of the records, if its values stand there as they are.
        """
        failed = self.records.failed(pair, method)
        for seed in self.expected(method):
            if seed not in values and seed not in failed:
                self.missing.setdefault(f"{pair}/{method}/seed{seed}", {})[what] = None
        kept = tuple((seed, values[seed]) for seed in self.expected(method) if seed in values)
        origin = Origin(pair, (method,), kept, what, where)
        return replace(make_cell(values, failed, self.expected(method)), origin=origin)

    def column(self, source: Source, pair: str, methods: Sequence[str]) -> dict[str, Cell]:
        """Return one column's cells by method, the proven best trained method set bold."""
        values = {method: self.values(source, pair, method) for method in methods}
        name = " ".join(filter(None, (source.task, source.metric, source.group)))
        where = (source.task, source.metric, source.group)
        cells = {m: self.cell(values[m], source.pair or pair, m, name, where) for m in methods}
        expected = {method: self.expected(method) for method in methods}
        best = bold_method(values, expected, self.records.higher_is_better(source.metric))
        return {m: replace(cell, bold=m == best) for m, cell in cells.items()}

    def arrow(self, source: Source) -> str:
        """Return the mark that tells which direction is better."""
        return {True: " ↑", False: " ↓", None: ""}[self.records.higher_is_better(source.metric)]

    def heading(self, source: Source, with_pair: bool = False) -> Column:
        """Return the column of a source."""
        parts = [source.pair if with_pair else "", source.task, source.metric, source.group]
        key = " ".join(part for part in parts if part)
        return Column(key, source.title, source.digits)

    def printed(
        self, source: Source, pair: str, metric: str, table: str | None = ""
    ) -> dict[str, float]:
        """Return what the paper prints of a quantity by method, in one of its tables or in any.

        Args:
            source: The quantity; its task tells the data set.
            pair: Whose published pair is meant.
            metric: The quantity's metric as the published numbers call it.
            table: As the published numbers call it; empty for any of them.
        """
        name = self.suite.pair(pair).published
        return {
            method: value
            for (its_table, its_pair, its, dataset, method), value in self.published.items()
            if (its_pair, its) == (name, metric)
            and table in ("", its_table)
            and f"_{source.task}".endswith(f"_{dataset}")
        }

    def quoted(
        self, table: str, source: Source, pair: str, methods: Sequence[str]
    ) -> dict[str, Cell] | None:
        """Return the paper's column beside a source; None where the paper has no such column."""
        known = self.printed(source, source.pair or pair, source.metric, PAPER_TABLES.get(table))
        if not known:
            return None
        return {m: Cell(known[m]) if m in known else Cell(word=NOT_REPORTED) for m in methods}

    def table(self, name: str, sections: dict[str, list[Source]], methods: Sequence[str]) -> Table:
        """Lay out a table: rows are methods, by pair and by section where there are several.

        Sections share their columns (one for each group); each has its sources in their order.
        """
        first = next(iter(sections.values()))
        own_pair = first[0].pair is None
        pairs = self.pairs if own_pair else self.pairs[:1]
        columns: list[Column] = []
        rows: list[Row] = []
        for pair in pairs:
            for section, sources in sections.items():
                stacked: list[tuple[Column, dict[str, Cell]]] = []
                for source in sources:
                    heading = self.heading(source, with_pair=not own_pair)
                    if len(sections) == 1:
                        heading = replace(heading, title=heading.title + self.arrow(source))
                    stacked.append((heading, self.column(source, pair, methods)))
                    paper = self.quoted(name, source, pair, methods)
                    if paper:
                        column = Column(f"{heading.key} paper", "paper", source.digits, False)
                        stacked.append((column, paper))
                columns = columns or [column for column, _ in stacked]
                lead = self.lead(pair) if own_pair else ()
                if len(sections) > 1:
                    lead = (*lead, section + self.arrow(sources[0]))
                rows += [
                    Row((*lead, m), tuple(cells[m] for _, cells in stacked), pair, m)
                    for m in methods
                ]
        lead = self.lead("Pair") if own_pair else ()
        labels = (*lead, *(["Metric"] if len(sections) > 1 else []), "Method")
        if len(sections) > 1:  # one heading serves several metrics, so it names none of them
            columns = [
                replace(c, key=s.group or s.task) for c, s in zip(columns, first, strict=True)
            ]
        return self.finish(name, labels, columns, rows)

    def finish(
        self,
        name: str,
        labels: tuple[str, ...],
        columns: Iterable[Column],
        rows: Iterable[Row],
        compared: bool = True,
        dash: str = "not run yet; this table is partial",
    ) -> Table:
        """Add title, caption and the notes that the cells call for.

        `compared` tells whether the methods of a column were tested against each other, `dash`
        what the mark of an empty cell means.
        """
        text, rows = self.captions[name], tuple(rows)
        cells = [cell for row in rows for cell in row.cells]
        counted = [cell for cell in cells if cell.word is None and cell.n]
        notes = []
        if any(cell.n < FEW_SEEDS for cell in counted):
            notes.append(
                "† fewer than three seeds; one seed has no interval. The teacher is one model."
            )
        if any(cell.bold for cell in cells):
            notes.append(
                "Bold: the best trained method, where its lead over the runner-up, paired by seed, "
                "is significant at 5 % after Holm's correction for the column's comparisons."
            )
        elif compared:
            notes.append(
                "Nothing is bold: in no column is the best trained method's lead over the "
                "runner-up significant at 5 % after Holm's correction."
            )
        trained = {row.method for row in rows if row.method in self.methods}
        if compared and len({len(self.expected(method)) for method in trained}) > 1:
            notes.append(
                "Rows differ in their number of seeds: the best is chosen by the mean over the "
                "seeds that all trained rows share, and compared with each other row on the seeds "
                "that the two share (three at least)."
            )
        if any(cell.failed for cell in cells):
            notes.append(f"'{FAILED}': the run did not finish; its seed is not in the mean.")
        if any(cell.word == NOT_REPORTED for cell in cells):
            notes.append(f"'{NOT_REPORTED}': the paper reports no such number.")
        if any(cell.word == MISSING for cell in cells):
            notes.append(f"'{MISSING}': {dash}.")
        return Table(
            name, text["title"], text["caption"], labels, tuple(columns), rows, tuple(notes)
        )

    def gap_message(self) -> str:
        """Say in one line which runs lack what, and what to do."""
        return gap_message(self.dir, self.missing, "show the gaps")


def captions(suite: Suite) -> dict[str, Any]:
    """Return titles and captions with the suite's settings filled in."""
    text = (benchmarks_dir() / "captions.yaml").read_text(encoding="utf-8")
    counts = sorted({len(suite.seeds_of(entry.label)) for entry in suite.entries})
    facts = {
        "name": suite.name,
        "version": suite.version,
        "seeds": " to ".join(map(str, counts[:1] + counts[1:][-1:])),
        "decodings": len(suite.decoding.seeds),
        "test_set": suite.test_sets[0],
        "mu": suite.tail.tail_mass,
        "recall_ratio": suite.tail.recall_ratio,
        "temperature": f"{suite.distillation.temperature:g}",
    }
    return {
        kind: {
            name: {key: value.format(**facts) for key, value in entry.items()}
            for name, entry in entries.items()
        }
        for kind, entries in yaml.safe_load(text).items()
    }


def read_published() -> dict[tuple[str, ...], float]:
    """Return the paper's numbers by (table, pair, metric, dataset, method)."""
    frame = pd.read_csv(
        benchmarks_dir() / "published" / "arkd.csv", dtype=str, keep_default_na=False
    )
    key = ("table", "pair", "metric", "dataset", "method")
    return {tuple(r[k] for k in key): float(r["value"]) for r in frame.to_dict("records")}


def base_name(label: str) -> str:
    """Return the method of a label without its parameters."""
    return label.split("@")[0]


def short_name(suite: Suite, task: str) -> str:
    """Return a task's name without the prefix that all test sets of the suite share."""
    prefix = suite.test_sets[0].split("_")[0] + "_"
    return task.removeprefix(prefix)
