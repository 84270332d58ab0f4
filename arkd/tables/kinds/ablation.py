"""Rows that differ from another one in a single setting, less that row."""

from __future__ import annotations

from dataclasses import replace

from arkd.results.trajectories import Curves
from arkd.suite.protocol import MethodEntry
from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.quantities import difference, final_alpha, quality, quality_columns
from arkd.tables.table import Column, Layout, Row

LM = "lm_weight=0.0"
LM_TERM = f"{LM} shows the effect of the language-modelling term for one method only."


def build(make: Builder) -> Layout | None:
    logged = Curves(make)
    columns = {
        "rouge_l": Column("rouge_l difference", "ROUGE-L, difference", 2),
        "jsd": Column("jsd difference", "JSD, difference (nats)", 4),
        "alpha": Column("alpha difference", "α over the last 10 %, difference", 3),
    }
    if "rouge_l" not in quality_columns(make):
        del columns["rouge_l"]
    changed = [
        (plain, change, entry.label)
        for entry in make.suite.entries
        for change, plain in _plain_rows(make, entry).items()
    ]
    changed.sort(key=lambda change: make.methods.index(change[0]))
    rows = []
    for pair in make.pairs:
        for plain, change, label in changed:
            a, b = (
                {**quality(make, pair, row), "alpha": final_alpha(logged, pair, row)}
                for row in (label, plain)
            )
            cells = tuple(
                difference(make, pair, (label, plain), a[name], b[name]) for name in columns
            )
            rows.append(Row((*make.lead(pair), plain, change), cells, pair, label))
    labels = (*make.lead("Pair"), "Method", "Change")
    dash = "not run yet, or without an α"
    if not rows:
        return None
    table = make.finish(labels, columns.values(), rows, compared=False, dash=dash)
    return (
        replace(table, remarks=(LM_TERM,)) if any(LM in row.labels[-1] for row in rows) else table
    )


def _plain_rows(make: Builder, entry: MethodEntry) -> dict[str, str]:
    """Return the rows that lack exactly one setting of this one, by that setting.

    The temperature has a table of its own.
    """
    found: dict[str, str] = {}
    for key, value in (entry.changes | entry.params).items():
        fewer = {name: other for name, other in entry.params.items() if name != key}
        without = {"params": fewer} | ({key: None} if key in entry.changes else {})
        plain = entry.model_copy(update=without).label
        if key != "temperature" and plain in make.methods:
            found[f"{key}={value}"] = plain
    return found


TABLE = TableKind(
    section="Fidelity",
    place=3,
    title="One setting changed",
    caption="""
        Each row minus the row that lacks only the change, paired by {observation}: ROUGE-L (F1 ×
        100) on {test_set}, JSD to the teacher on gold prefixes, and α over the last 10 % of the
        steps. Mean difference ± half the width of its 95 % t interval, uncorrected for multiple
        comparisons; an interval that contains 0 leaves the sign open.
    """,
    build=build,
)
