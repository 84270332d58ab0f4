"""ROUGE-L on each test set under the suite's own decoder and each variant of it."""

from __future__ import annotations

from arkd.tables.builder import Builder, Source, short_name
from arkd.tables.kind import TableKind
from arkd.tables.table import Layout


def build(make: Builder) -> Layout | None:
    variants = [change.label for change in make.suite.decoding.variants]
    sections = {
        short_name(make.suite, task): [
            Source(task, make.suite.rouge, label or "as in the other tables", group=label)
            for label in ("", *variants)
        ]
        for task in make.scored
    }
    return make.table(sections, make.all_rows) if variants else None


TABLE = TableKind(
    section="Further tables",
    place=2,
    title="Effect of decoding",
    caption="""
        ROUGE-L (F1 × 100) of the same students' answers, suite {name} {version}, decoded as in
        the other tables and with one setting changed. Mean over {observations} ({seeds}) ± half
        the width of the 95 % t interval.
    """,
    build=build,
)
