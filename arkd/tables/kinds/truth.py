"""Errors against the known answer distributions, where the suite has them."""

from __future__ import annotations

from arkd.tables.builder import Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.table import Layout

KINDS = {
    "certain": "certain",
    "certain_head": "certain, head",
    "certain_torso": "certain, torso",
    "certain_tail": "certain, tail",
    "ambiguous": "ambiguous",
    "ratio90": "90:10",
    "ratio70": "70:30",
    "ratio50": "50:50",
    "unseen": "unseen",
}


def build(make: Builder) -> Layout | None:
    recorded = make.records.groups("truth", "truth_error")
    groups = [g for g in KINDS if g in recorded] + sorted(set(recorded) - {"", *KINDS})
    groups += [""] if "" in recorded else []
    sections = {
        title: [Source("truth", metric, KINDS.get(g, g or "all"), 3, g) for g in groups]
        for metric, title in {
            "truth_error": "total variation",
            "truth_entropy_gap": "entropy gap (nats)",
        }.items()
    }
    return make.table(sections, make.all_rows) if groups else None


TABLE = TableKind(
    section="Truth",
    place=1,
    title="Fidelity to the known truth",
    caption="""
        Total variation between a model's distribution over full answers (all wordings of an
        answer together, anything else counted as one false answer) and the distribution that the
        data were drawn from, and the entropy gap (model minus truth), by kind of question:
        certain facts, ambiguous questions, facts stated with two answers in the ratios 90:10,
        70:30 and 50:50, and entities never seen, whose truth is the prior of the relation. Mean
        over {observations} ({seeds}) ± half the width of the 95 % t interval.
    """,
    build=build,
)
