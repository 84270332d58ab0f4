"""Tables on chance: which source makes how much of it, and what new test items would change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from arkd import exact
from arkd.results.item_scores import read_items
from arkd.seeding import derive_seed
from arkd.statistics.resampling import BOOTSTRAP_SEEDS, crossed_bootstrap
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
from arkd.tables.gap_closed import reference
from arkd.tables.table import Cell, Column, Origin, Row, Table, make_cell
from arkd.tables.write import number

TITLES = {
    "training_seed": "training seed",
    "decoding_seed": "decoding seed",
    "item": "item",
    "seed_item": "seed × item",
    "rest": "rest",
}
ONE_MORE = {"seeds": "training_seed", "decodings": "decoding_seed", "items": "item"}
NOTHING = "no such step: what lies between seed and item shrinks with either"


def variance(make: Builder) -> list[Table]:
    """The variance components of ROUGE-L on each test set, pooled over trained methods."""
    items = read_items(make)
    columns = [Column(name, TITLES[name], 2, False) for name in SOURCES]
    columns.append(Column("total", "all together", 2, False))
    rows: list[Row] = []
    negative: list[str] = []
    for pair in make.pairs if items else ():
        for task in make.scored:
            by_row = {row: items.of(pair, row, task) for row in make.methods} if items else {}
            enough = {
                row: np.stack([*of.values()])
                for row, of in by_row.items()
                if len(of) > 1 and min(next(iter(of.values())).shape) > 1
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
        return []
    labels = (*make.lead("Pair"), "Test set", "Quantity")
    table = make.finish("variance", labels, columns, rows, False, NOTHING)
    if negative:
        note = f"Estimated below 0 and shown as 0 (squared points): {', '.join(negative)}."
        table = replace(table, notes=(*table.notes, note))
    return [table]


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
            "standard error less with one more (%)": row(gains),
        }
    return found


def new_items(make: Builder) -> list[Table]:
    """Differences to the reference over seeds, and over new seeds and items at once."""
    items, chosen = read_items(make), reference(make)
    if items is None or chosen is None:
        return []
    inside, outside = make.suite.test_sets[0], make.outside
    kinds = {"in_distribution": [inside]} | ({"out_of_distribution": outside} if outside else {})
    columns = [
        column
        for kind in kinds
        for column in (
            Column(f"{kind} difference", f"{kind.replace('_', ' ')}: difference", 2),
            Column(f"{kind} low", "new items: from", 2, False),
            Column(f"{kind} high", "to", 2, False),
        )
    ]
    rows = []
    for pair in make.pairs:
        means = {
            (row, kind): items.means(pair, row, tasks)
            for row in make.methods
            for kind, tasks in kinds.items()
        }
        for row in make.methods:
            pairs = {kind: (means[row, kind], means[chosen, kind]) for kind in kinds}
            shared = [len(a.keys() & b.keys()) for a, b in pairs.values()]
            if row == chosen or min(shared) < BOOTSTRAP_SEEDS:
                continue
            cells = [
                cell
                for kind, (a, b) in pairs.items()
                for cell in _both_intervals(make, (pair, row, chosen, kind), a, b)
            ]
            rows.append(Row((*make.lead(pair), f"{row} − {chosen}"), tuple(cells), pair, row))
    labels = (*make.lead("Pair"), "Methods")
    return [make.finish("new_items", labels, columns, rows, compared=False)] if rows else []


def _both_intervals(
    make: Builder,
    of: tuple[str, str, str, str],
    a: Mapping[int, np.ndarray],
    b: Mapping[int, np.ndarray],
) -> tuple[Cell, Cell, Cell]:
    """Return a difference with its t interval over seeds, and the ends of the wider one."""
    pair, row, chosen, kind = of
    seeds = [seed for seed in a if seed in b]
    gaps = np.stack([a[seed] - b[seed] for seed in seeds])
    by_seed = {seed: exact.mean(gap) for seed, gap in zip(seeds, gaps, strict=True)}
    low, high = crossed_bootstrap(gaps, seed=derive_seed("items", make.suite.name, *of))
    origin = Origin(pair, (row, chosen), tuple(by_seed.items()), f"ROUGE-L {kind}, items' means")
    cell = replace(make_cell(by_seed, (), seeds), origin=origin)
    return cell, Cell(low, n=cell.n, origin=origin), Cell(high, n=cell.n, origin=origin)
