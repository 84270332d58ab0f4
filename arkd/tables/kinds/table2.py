"""Out of distribution: the same of each further test set."""

from __future__ import annotations

from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.quantities import quality_sources
from arkd.tables.table import Layout


def build(make: Builder) -> Layout | None:
    sources = quality_sources(make, make.suite.test_sets[1:])
    return make.table({"": sources}, make.all_rows, paper=True) if sources else None


TABLE = TableKind(
    section="Quality",
    place=2,
    title="Out-of-distribution quality",
    caption="""
        ROUGE-L (F1 × 100) of sampled answers on the test sets that differ from the training data,
        suite {name} {version}. Mean over {observations} ({seeds}) ± half the width of the 95 % t
        interval.
    """,
    build=build,
)
