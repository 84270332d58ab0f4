"""A table over all test sets at once: how much of the gap to the teacher each method closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from arkd import exact
from arkd.results.records import SeedValues
from arkd.seeding import derive_seed
from arkd.statistics.intervals import holm, paired_difference
from arkd.statistics.power import smallest_effect
from arkd.statistics.resampling import Estimate, seed_interval
from arkd.statistics.scores import gap_closed, iqm, probability_of_improvement, seed_means
from arkd.suite.folders import INIT, TEACHER
from arkd.tables.alpha import difference
from arkd.tables.builder import Builder, Source
from arkd.tables.table import MISSING, SIGNIFICANCE, Cell, Column, Origin, Row, Table, make_cell

# What the others are compared with: the first of these that a suite has, else its first row.
REFERENCES = ("fixed_mix", "fixed_mix@alpha=0.5", "forward_kl", "seqkd", "sft")
POWER = 0.8  # at which the smallest difference that could be seen is stated
NO_TEST = (
    "not run yet, the reference itself, or without an interval: a single seed, or a share that is "
    "the same whichever seed is left out"
)
Closed = dict[int, np.ndarray]  # seed → the share of the gap closed on each test set


def reference(make: Builder) -> str | None:
    """Return the row that the others are compared with; None in a suite of a single row."""
    if len(make.methods) < 2:
        return None
    return next((name for name in REFERENCES if name in make.methods), make.methods[0])


def open_gaps(make: Builder, pair: str) -> list[str]:
    """Return the test sets on which the teacher is ahead of the start of every seed."""
    sets = []
    for task in make.scored:
        teacher, start = (_rouge(make, pair, row, task) for row in (TEACHER, INIT))
        if teacher and start:
            low, high = min(teacher.values()), max(start.values())
            if low > high and not exact.same(low, high):
                sets.append(task)
    return sets


def closed_by_seed(make: Builder, pair: str, row: str, sets: Sequence[str]) -> Closed:
    """Return the share of the gap in ROUGE-L that a row closed, for each seed with every value.

    The gap is that between the start of the same seed and the one teacher.
    """
    own, start, teacher = (
        [_rouge(make, pair, of, task) for task in sets] for of in (row, INIT, TEACHER)
    )
    best = [next(iter(part.values())) for part in teacher]
    shared = [s for s in make.expected(row) if all(s in part for part in (*own, *start))]
    values, starts = (
        np.array([[part[seed] for part in parts] for seed in shared]).reshape(-1, len(sets))
        for parts in (own, start)
    )
    return dict(zip(shared, gap_closed(values, starts, best), strict=True))


def _rouge(make: Builder, pair: str, row: str, task: str) -> SeedValues:
    return make.values(Source(task, "rouge_l", ""), pair, row)


@dataclass(frozen=True)
class Against:
    """A row compared with the reference on the seeds that both have."""

    gaps: np.ndarray  # the difference of the mean gap closed, by seed
    p_value: float | None
    better: Estimate  # P(X > Y)


def aggregate(make: Builder) -> list[Table]:
    """How much of the gap between start and teacher each row closed, over all test sets."""
    chosen = reference(make)
    rows: list[Row] = []
    left_out: list[str] = []
    for pair in make.pairs:
        sets = open_gaps(make, pair)
        left_out += [task for task in make.scored if task not in sets]
        if sets:
            rows += _closed_rows(make, pair, sets, chosen)
    columns = [
        *_with_ends(Column("gap_closed iqm", "IQM of the gap closed ↑", 3)),
        Column("gap_closed mean", "mean gap closed ↑", 3),
    ]
    if chosen:
        columns += [
            Column("gap_closed difference", f"mean less that of {chosen}", 3),
            Column("difference p_holm", "p (Holm)", 4, False),
            Column("difference detectable", f"detectable at power {POWER:g}", 3, False),
            *_with_ends(Column("better probability", f"P(better than {chosen})", 2)),
        ]
    labels = (*make.lead("Pair"), "Method")
    if not rows:
        return []
    table = make.finish("aggregate", labels, columns, rows, False, NO_TEST)
    if left_out:
        named = ", ".join(dict.fromkeys(left_out))
        note = f"Left out, the teacher not being ahead of the start of every seed: {named}."
        table = replace(table, notes=(*table.notes, note))
    return [table]


def _closed_rows(make: Builder, pair: str, sets: Sequence[str], chosen: str | None) -> list[Row]:
    """Return the rows of a pair."""
    closed = {row: closed_by_seed(make, pair, row, sets) for row in make.methods}
    means = {row: {s: exact.mean(v) for s, v in of.items()} for row, of in closed.items()}
    against = {
        row: _against(make, pair, row, closed[row], closed[chosen])
        for row in make.methods
        if chosen and row != chosen and closed[row].keys() & closed[chosen].keys()
    }
    tested = {row: one.p_value for row, one in against.items() if one.p_value is not None}
    adjusted = dict(zip(tested, holm([*tested.values()]).tolist(), strict=True))
    rows = []
    for row in make.methods:
        mean = derived(make, means[row], pair, row, "share of the gap in ROUGE-L closed")
        cells = [*_estimate(_iqm(make, pair, row, closed[row]), mean), mean]
        if chosen:
            gap = difference(make, pair, (row, chosen), means[row], means[chosen])
            one, least = against.get(row), None
            if row in tested:
                # At the strictest of the rates that Holm's rule gives the table's comparisons.
                least = smallest_effect(
                    against[row].gaps.tolist(), SIGNIFICANCE / len(tested), POWER
                )
            cells += [gap, _single(adjusted.get(row), gap), _single(least, gap)]
            cells += _estimate(one.better if one else None, gap)
        rows.append(Row((*make.lead(pair), row), tuple(cells), pair, row))
    return rows


def _iqm(make: Builder, pair: str, row: str, closed: Closed) -> Estimate | None:
    """Return the interquartile mean of a row; None where it has no seed."""
    seed = derive_seed("bootstrap", make.suite.name, pair, row, "iqm")
    return seed_interval(iqm, np.array([*closed.values()]), seed=seed) if closed else None


def _against(make: Builder, pair: str, row: str, own: Closed, other: Closed) -> Against:
    """Compare a row with the reference, paired by seed."""
    seeds = [seed for seed in own if seed in other]
    a, b = (np.array([of[seed] for seed in seeds]) for of in (own, other))
    seed = derive_seed("bootstrap", make.suite.name, pair, row, "better")
    return Against(
        seed_means(a - b),
        paired_difference(seed_means(a), seed_means(b)).p_value,
        seed_interval(probability_of_improvement, a, b, seed=seed, bounds=(0.0, 1.0)),
    )


def derived(make: Builder, values: SeedValues, pair: str, row: str, what: str) -> Cell:
    """Return a cell of values put together from others, whose tables note what is missing."""
    seeds = [seed for seed in make.expected(row) if seed in values]
    cell = make_cell(values, make.records.failed(pair, row), make.expected(row))
    return replace(cell, origin=Origin(pair, (row,), tuple((s, values[s]) for s in seeds), what))


def _with_ends(column: Column) -> tuple[Column, Column, Column]:
    """Return a column and those of its interval's ends, which need not lie symmetric."""
    low, high = (
        Column(f"{column.key} {end}", title, column.digits, False)
        for end, title in (("low", "from"), ("high", "to"))
    )
    return column, low, high


def _single(value: float | None, of: Cell) -> Cell:
    """Return a number without interval that rests on the seeds of another cell."""
    if value is None:
        return Cell(word=of.word or MISSING)
    return Cell(value, n=of.n, origin=of.origin)


def _estimate(found: Estimate | None, of: Cell) -> tuple[Cell, Cell, Cell]:
    """Return the cells of an estimate and its ends, which rest on the seeds of another cell."""
    if found is None:
        word = of.word or MISSING
        return Cell(failed=of.failed, word=word), Cell(word=word), Cell(word=word)
    value = Cell(found.value, n=found.n, failed=of.failed, origin=of.origin)
    return value, _single(found.low, of), _single(found.high, of)
