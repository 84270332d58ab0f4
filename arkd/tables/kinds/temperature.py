"""Rows that differ in nothing but the temperature, and the order of the two divergences."""

from __future__ import annotations

from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.quantities import FORWARD, REVERSE, difference, quality, quality_columns
from arkd.tables.table import Layout, Row


def families(make: Builder) -> dict[str, dict[float, str]]:
    """Return the rows that differ in T alone: by the label without it, label by temperature."""
    found: dict[str, dict[float, str]] = {}
    for entry in make.suite.entries:
        plain = entry.model_copy(update={"temperature": None}).label
        degree = entry.temperature or make.suite.distillation.temperature
        found.setdefault(plain, {})[degree] = entry.label
    return {name: dict(sorted(rows.items())) for name, rows in found.items() if len(rows) > 1}


def build(make: Builder) -> Layout | None:
    same = families(make)
    rows = []
    for pair in make.pairs:
        values = {
            label: [*quality(make, pair, label).values()]
            for labels in same.values()
            for label in labels.values()
        }
        for plain, labels in same.items():
            for degree, label in labels.items():
                cells = tuple(make.cell(v, pair, label, "temperature") for v in values[label])
                rows.append(Row((*make.lead(pair), plain, f"{degree:g}"), cells, pair, label))
        forward, reverse = same.get(FORWARD, {}), same.get(REVERSE, {})
        for degree in [degree for degree in forward if degree in reverse]:
            a, b = forward[degree], reverse[degree]
            cells = tuple(
                difference(make, pair, (a, b), first, second)
                for first, second in zip(values[a], values[b], strict=True)
            )
            name = f"{FORWARD} − {REVERSE}"
            rows.append(Row((*make.lead(pair), name, f"{degree:g}"), cells, pair))
    columns, heads = quality_columns(make).values(), (*make.lead("Pair"), "Method", "T")
    return make.finish(heads, columns, rows, compared=False) if rows else None


TABLE = TableKind(
    section="Fidelity",
    place=2,
    title="Training temperature",
    caption="""
        Rows that differ in T, which softens both models in the divergences, and in the learning
        rate where a tuning run chose it for each T; the suite {name} uses T = {temperature} unless
        a row states otherwise. ROUGE-L (F1 × 100) on {test_set} and its mean over the other test
        sets; JSD to the teacher on gold prefixes at temperature 1. Mean over {observations} ± half
        the width of the 95 % t interval. The last rows are paired by {unit}: an interval that
        excludes 0 shows which of the two divergences is ahead at that T, uncorrected for the number
        of such comparisons.
    """,
    build=build,
)
