"""One column of each kind of measure: what a reader looks at first."""

from __future__ import annotations

from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.table import Layout


def build(make: Builder) -> Layout | None:
    sources = [
        Source(make.suite.test_sets[0], "rouge_l", "ROUGE-L"),
        Source(GOLD, "jsd", "JSD (nats)", 3),
        Source(GOLD, "fkl", "FKL (nats)", 3),
        Source(GOLD, "rkl", "RKL (nats)", 3),
        Source(GOLD, "tail_recall", "tail recall", 3),
        Source(GOLD, "tail_precision", "tail precision", 3),
    ]
    if "certain_tail" in make.records.groups("truth", "truth_error"):
        sources += [
            Source("truth", "truth_error", f"error, {band} facts", 3, f"certain_{band}")
            for band in ("head", "tail")
        ]
    return make.table({"": sources}, make.all_rows)


TABLE = TableKind(
    section="Overview",
    place=1,
    title="At a glance",
    caption="""
        One measure of each kind, suite {name} {version}: ROUGE-L (F1 × 100) of sampled answers in
        distribution; divergences, tail-probability recall and precision against the teacher on
        gold prefixes at temperature 1; and, where the truth is known, the total variation between
        belief and truth on facts of popular and of rare entities. Mean over training seeds
        ({seeds}) ± half the width of the 95 % t interval.
    """,
    build=build,
)
