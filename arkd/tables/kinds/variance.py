"""The variance components of ROUGE-L on each test set, pooled over trained methods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from arkd.statistics.variance_components import (
    SOURCES,
    Components,
    Design,
    components,
    one_more,
    pooled,
    variance_of_mean,
)
from arkd.tables.builder import Builder, short_name
from arkd.tables.kind import TableKind
from arkd.tables.table import Cell, Column, Layout, Row
from arkd.tables.write import number

TITLES = {
    "training_seed": "training seed",
    "decoding_seed": "decoding seed",
    "item": "item",
    "seed_item": "seed × item",
    "rest": "rest",
}
ONE_MORE = {"seeds": "training_seed", "decodings": "decoding_seed", "items": "item"}
NOTHING = "no such step: the interaction of seed and item shrinks with more of either"


def build(make: Builder) -> Layout | None:
    items = make.items
    columns = [Column(name, TITLES[name], 2, False) for name in SOURCES]
    columns.append(Column("total", "all together", 2, False))
    rows: list[Row] = []
    negative: list[str] = []
    if items is None:
        return None
    for pair in make.pairs:
        for task in make.scored:
            by_row = {row: items.of(pair, row, task) for row in make.methods}
            enough = {
                row: np.stack([*scores.values()])
                for row, scores in by_row.items()
                if len(scores) > 1 and min(next(iter(scores.values())).shape) > 1
            }
            if not enough:
                continue
            found = pooled((components(scores), len(scores)) for scores in enough.values())
            most = max(map(len, enough.values()))
            design = Design(most, *next(iter(enough.values())).shape[1:])
            name = short_name(make.suite, task)
            negative += [
                f"{name} {TITLES[source]} ({number(value, 2)})"
                for source, value in zip(SOURCES, found, strict=True)
                if value < 0
            ]
            lead = (*make.lead(pair), name)
            rows += [
                Row((*lead, what), cells, pair)
                for what, cells in _cells(found.cut(), design).items()
            ]
    if not rows:
        return None
    labels = (*make.lead("Pair"), "Test set", "Quantity")
    table = make.finish(labels, columns, rows, compared=False, dash=NOTHING)
    if negative:
        note = f"Estimated below 0 and shown as 0 (squared points): {', '.join(negative)}."
        table = replace(table, notes=(*table.notes, note))
    return table


def _cells(parts: Components, design: Design) -> dict[str, tuple[Cell, ...]]:
    """Return the rows of a test set by what they state."""

    def row(values: Mapping[str, float], total: float | None = None) -> tuple[Cell, ...]:
        known = [*(values.get(name) for name in SOURCES), total]
        return tuple(Cell(word="–") if v is None else Cell(v, n=design.seeds) for v in known)

    of_mean = variance_of_mean(parts, design)
    size = f"{design.seeds} × {design.decodings} × {design.items}"
    found = {
        "SD of one score (points)": row(
            {name: math.sqrt(getattr(parts, name)) for name in SOURCES}, math.sqrt(parts.total)
        ),
        f"standard error of a mean of {size} (points)": row(
            {name: math.sqrt(getattr(of_mean, name)) for name in SOURCES},
            math.sqrt(of_mean.total),
        ),
    }
    if parts.total > 0:
        shares = row({n: 100 * getattr(parts, n) / parts.total for n in SOURCES}, 100.0)
        of_error = row({n: 100 * getattr(of_mean, n) / of_mean.total for n in SOURCES}, 100.0)
        gains = {ONE_MORE[kind]: 100 * gain for kind, gain in one_more(parts, design).items()}
        first, second = found
        found = {
            first: found[first],
            "share of its variance (%)": shares,
            second: found[second],
            "share of its square (%)": of_error,
            "standard error reduction with one more (%)": row(gains),
        }
    return found


TABLE = TableKind(
    section="Statistics",
    place=2,
    title="Sources of variance",
    caption="""
        Variance components of ROUGE-L (0 to 100) of one sampled answer, suite {name} {version}:
        training seeds, decoding seeds within a training seed, items crossed with both, the
        interaction of seed and item, and the rest; by expected mean squares, averaged over the
        trained methods with two seeds or more, weighted by seeds − 1. Then the standard error that
        follows for a method's mean over {observations} × decoding seeds × items, each source's
        part in its square, and how much smaller it would be with one more training seed, decoding
        seed or item. All sources count here; the intervals of the other tables take the items as
        given, so they leave out the item. A difference of two methods keeps that part of it which
        the two do not share (table new_items).
    """,
    build=build,
)
