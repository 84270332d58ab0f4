"""One column of each kind of measure: what a reader looks at first."""

from __future__ import annotations

from arkd.rouge import Rouge
from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.table import Layout

FIDELITY = (
    Source(GOLD, "jsd", "JSD (nats)", 3),
    Source(GOLD, "fkl", "FKL (nats)", 3),
    Source(GOLD, "rkl", "RKL (nats)", 3),
    Source(GOLD, "tail_recall", "tail recall", 3),
    Source(GOLD, "tail_precision", "tail precision", 3),
)
TRUTH = (
    Source("truth", "truth_error", "error, head facts", 3, "certain_head"),
    Source("truth", "truth_error", "error, tail facts", 3, "certain_tail"),
)


def sources(first_test: str, rouge: Rouge) -> tuple[Source, ...]:
    """Return all columns, given the test set in distribution and the kind of ROUGE-L."""
    return (Source(first_test, rouge, "ROUGE-L"), *FIDELITY, *TRUTH)


def build(make: Builder) -> Layout | None:
    known = "certain_tail" in make.records.groups("truth", "truth_error")
    columns = sources(make.suite.test_sets[0], make.suite.rouge)
    return make.table({"": [s for s in columns if known or s not in TRUTH]}, make.all_rows)


TABLE = TableKind(
    section="Overview",
    place=1,
    title="At a glance",
    caption="""
        One measure of each kind, suite {name} {version}: ROUGE-L (F1 × 100) of sampled answers in
        distribution; divergences, tail-probability recall and precision against the teacher on
        gold prefixes at temperature 1; and, where the truth is known, the total variation between
        belief and truth on facts about popular and about rare entities. Mean over {observations}
        ({seeds}) ± half the width of the 95 % t interval.
    """,
    build=build,
)
