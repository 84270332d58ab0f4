"""ROUGE-L in distribution, its mean out of it, and the drop between the two."""

from __future__ import annotations

from arkd.results.records import SeedValues
from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.quantities import derived, difference, quality, quality_columns, reference
from arkd.tables.table import Column, Layout, Row


def build(make: Builder) -> Layout | None:
    chosen = reference(make)
    measured = quality_columns(make)
    if not {"rouge_l", "outside"} <= measured.keys():
        return None
    columns = [measured["rouge_l"], measured["outside"], Column("rouge_l drop", "drop", 2)]
    if chosen:
        columns.append(Column("rouge_l drop_difference", f"drop less that of {chosen}", 2))
    rows = []
    for pair in make.pairs:
        base = _drop(make, pair, chosen) if chosen else {}
        for row in make.all_rows:
            found, drop = quality(make, pair, row), _drop(make, pair, row)
            parts = (found["rouge_l"], found["outside"], drop)
            names = ("ROUGE-L", "ROUGE-L out of distribution", "drop in ROUGE-L")
            cells = [derived(make, v, pair, row, n) for v, n in zip(parts, names, strict=True)]
            if chosen:
                paired = make.spread(drop, row, base)
                cells.append(difference(make, pair, (row, chosen), paired, base))
            rows.append(Row((*make.lead(pair), row), tuple(cells), pair, row))
    labels = (*make.lead("Pair"), "Method")
    return make.finish(labels, columns, rows, compared=False)


def _drop(make: Builder, pair: str, row: str) -> SeedValues:
    """Return how much lower ROUGE-L is out of distribution, by seed."""
    found = quality(make, pair, row)
    inside, outside = found["rouge_l"], found["outside"]
    return {seed: inside[seed] - outside[seed] for seed in inside if seed in outside}


TABLE = TableKind(
    section="Quality",
    place=3,
    title="In distribution and out of distribution",
    caption="""
        ROUGE-L (F1 × 100) of sampled answers on {test_set}, its mean over the test sets that
        differ from the training data, and how much lower that is (the generalisation gap). Last,
        the drop minus that of the reference, paired by {unit}: below 0 the row loses less. A poor
        model has little to lose, so read the drop together with the level. Mean over
        {observations} ({seeds}) ± half the width of the 95 % t interval, uncorrected for the
        number of rows.
    """,
    build=build,
)
