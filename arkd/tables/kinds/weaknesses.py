"""Where distilled students are known to be weak: rare facts, ambiguity, open-ended answers."""

from __future__ import annotations

from dataclasses import replace

from arkd.data.bands import BANDS
from arkd.tables.builder import Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.quantities import derived
from arkd.tables.table import Cell, Layout, Row, bold_method

ENTROPY_GAP = Source(
    "truth", "truth_entropy_gap", "ambiguous: |entropy gap| (nats)", 3, "ambiguous"
)


def build(make: Builder) -> Layout | None:
    measured = make.records.groups
    recall = [
        Source("truth", "truth_accuracy", f"recall, {band} facts", 3, f"certain_{band}")
        for band in BANDS
        if f"certain_{band}" in measured("truth", "truth_accuracy")
    ]
    ambiguous = [Source("truth", "truth_error", "ambiguous: error", 3, "ambiguous"), ENTROPY_GAP]
    ambiguous = [source for source in ambiguous if source.group in measured("truth", source.metric)]
    answers = []
    for task in make.suite.open_tasks:
        lead = "open-ended" if len(make.suite.open_tasks) == 1 else task
        known = measured(task, "factual_precision")
        answers += [
            Source(task, "factual_precision", f"{lead}: precision, {group or 'all'}", 3, group)
            for group in (*BANDS, "")
            if group in known
        ]
        if "" in measured(task, "facts_told"):
            answers.append(Source(task, "facts_told", f"{lead}: facts told", 2))
    sources = [*recall, *ambiguous, *answers]
    rows: list[Row] = []
    for pair in make.pairs:
        columns = [
            _absolute(make, source, pair)
            if source is ENTROPY_GAP
            else make.column(source, pair, make.all_rows)
            for source in sources
        ]
        rows += [
            Row((*make.lead(pair), row), tuple(column[row] for column in columns), pair, row)
            for row in make.all_rows
        ]
    heads = []
    for source in sources:
        heading = make.heading(source)
        arrow = " ↓" if source is ENTROPY_GAP else make.arrow(source)
        heads.append(replace(heading, title=heading.title + arrow))
    labels = (*make.lead("Pair"), "Method")
    return make.finish(labels, heads, rows) if sources else None


def _absolute(make: Builder, source: Source, pair: str) -> dict[str, Cell]:
    """Return a column of absolute values by method, the smallest proven one set bold."""
    values = {
        row: {seed: abs(value) for seed, value in make.values(source, pair, row).items()}
        for row in make.all_rows
    }
    name = f"{source.task} |{source.metric}| {source.group}"
    best = bold_method(values, {row: make.expected(row) for row in make.all_rows}, higher=False)
    return {
        row: replace(derived(make, values[row], pair, row, name), bold=row == best)
        for row in make.all_rows
    }


TABLE = TableKind(
    section="Tail",
    place=2,
    title="Where students are weak",
    caption="""
        Facts recalled freely, by popularity of the entity: share of items whose right answer is
        believed more than any other answer and more than everything that is no answer. Questions
        with several right answers: total variation between belief and truth, and the absolute
        difference between the mean entropy of the answers and the truth's. Open-ended answers,
        where the suite has them: the share of an answer's sentences that are true, by popularity of
        the entity, and how many different facts it states; decoding seeds ({decodings}) are
        averaged within a training seed. Mean over {observations} ({seeds}) ± half the width of the
        95 % t interval.
    """,
    build=build,
)
