"""Errors by the teacher's rank, for the bins that the vocabulary reaches."""

from __future__ import annotations

from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.table import Layout

BINS = {
    "rank_1": "rank 1",
    "rank_2_10": "2–10",
    "rank_11_100": "11–100",
    "rank_11_up": "over 10",
    "rank_101_1000": "101–1,000",
    "rank_101_up": "over 100",
    "rank_1001_up": "over 1,000",
}


def build(make: Builder) -> Layout | None:
    recorded = make.records.groups(GOLD, "abs_gap")
    groups = [group for group in BINS if group in recorded]
    metrics = {"abs_gap": "|p − q|", "fkl": "FKL (nats)", "rkl": "RKL (nats)"}
    sections = {
        title: [Source(GOLD, metric, BINS[g], 4, g) for g in groups]
        for metric, title in metrics.items()
    }
    return make.table(sections, make.all_rows) if groups else None


TABLE = TableKind(
    section="Tail",
    place=1,
    title="Error by the teacher's rank",
    caption="""
        Where in the teacher's ranking the student errs, on gold prefixes: |p − q| and the share
        of forward and reverse KL that falls on tokens of each rank, summed over the rank bin,
        mean per response token. Bins that the vocabulary does not reach are left out. Mean over
        {observations} ({seeds}) ± half the width of the 95 % t interval.
    """,
    build=build,
)
