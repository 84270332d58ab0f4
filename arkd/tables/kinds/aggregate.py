"""How much of the gap between start and teacher each row closed, over all test sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from arkd import exact
from arkd.results.records import SeedValues
from arkd.results.suite_results import observed
from arkd.seeding import derive_seed
from arkd.statistics.intervals import holm, paired_difference
from arkd.statistics.power import smallest_effect
from arkd.statistics.resampling import Estimate, seed_interval
from arkd.statistics.scores import gap_closed, iqm, probability_of_improvement, seed_means
from arkd.suite.folders import INIT, TEACHER
from arkd.tables.builder import Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.quantities import derived, difference, reference
from arkd.tables.table import MISSING, SIGNIFICANCE, Cell, Column, Layout, Row
from arkd.tables.write import number

SMALL_GAP = 2.0  # points of ROUGE-L
POWER = 0.8  # at which the smallest difference that could be seen is stated
NO_TEST = (
    "not run yet, the reference itself, or without an interval: a single {unit}, or a share that "
    "is the same whichever {unit} is left out"
)
Closed = dict[int, np.ndarray]  # seed → the share of the gap closed on each test set


@dataclass(frozen=True)
class Against:
    """A row compared with the reference on the seeds that both have."""

    gaps: np.ndarray  # the difference of the mean gap closed, by seed
    p_value: float | None
    better: Estimate  # P(X > Y)


def build(make: Builder) -> Layout | None:
    chosen = reference(make)
    rows: list[Row] = []
    left_out: list[str] = []
    small: dict[str, float] = {}
    for pair in make.pairs:
        sets = open_gaps(make, pair)
        of_pair = f" ({pair})" if len(make.pairs) > 1 else ""
        left_out += [f"{task}{of_pair}" for task in make.scored if task not in sets]
        for task, gap in sets.items():
            if gap < SMALL_GAP:
                small[task] = min(gap, small.get(task, gap))
        if sets:
            rows += _closed_rows(make, pair, [*sets], chosen)
    columns = [
        *_with_ends(Column("gap_closed iqm", "IQM of the gap closed ↑", 3)),
        Column("gap_closed mean", "mean gap closed ↑", 3),
    ]
    if chosen:
        columns += [
            Column("gap_closed difference", f"mean less that of {chosen}", 3),
            Column("difference p_holm", "p (Holm)", 4, False, least=True),
            Column("difference detectable", f"detectable at power {POWER:g}", 3, False),
            *_with_ends(Column("better probability", f"P(better than {chosen})", 2)),
        ]
    labels = (*make.lead("Pair"), "Method")
    if not rows:
        return None
    dash = NO_TEST.format(unit=observed(make.suite))
    table = make.finish(labels, columns, rows, compared=False, dash=dash)
    if left_out:
        named = ", ".join(dict.fromkeys(left_out))
        note = f"Left out, as the teacher is not ahead of the start of every seed: {named}."
        table = replace(table, notes=(*table.notes, note))
    if small:
        named = ", ".join(f"{task} ({number(gap, 2)})" for task, gap in small.items())
        note = f"A share of a gap of a few points is mostly chance; the smallest gaps: {named}."
        table = replace(table, notes=(*table.notes, note))
    return table


def _closed_rows(make: Builder, pair: str, sets: Sequence[str], chosen: str | None) -> list[Row]:
    """Return the rows of a pair."""
    closed = {row: closed_by_seed(make, pair, row, sets) for row in make.methods}
    means = {row: {s: exact.mean(v) for s, v in part.items()} for row, part in closed.items()}
    against = {
        row: _against(make, pair, row, closed[row], closed[chosen])
        for row in make.methods
        if chosen and row != chosen and closed[row].keys() & closed[chosen].keys()
    }
    tested = {row: lead.p_value for row, lead in against.items() if lead.p_value is not None}
    adjusted = dict(zip(tested, holm([*tested.values()]).tolist(), strict=True))
    rows = []
    for row in make.methods:
        mean = derived(make, means[row], pair, row, "share of the gap in ROUGE-L closed")
        cells = [*_estimate(_iqm(make, pair, row, closed[row]), mean), mean]
        if chosen:
            gap = difference(make, pair, (row, chosen), means[row], means[chosen])
            lead, least = against.get(row), None
            if row in tested:
                # At the strictest of the rates that Holm's rule gives the table's comparisons.
                least = smallest_effect(
                    against[row].gaps.tolist(), SIGNIFICANCE / len(tested), POWER
                )
            cells += [gap, _single(adjusted.get(row), gap), _single(least, gap)]
            cells += _estimate(lead.better if lead else None, gap)
        rows.append(Row((*make.lead(pair), row), tuple(cells), pair, row))
    return rows


def _iqm(make: Builder, pair: str, row: str, closed: Closed) -> Estimate | None:
    """Return the interquartile mean of a row; None where it has no seed."""
    seed = derive_seed("bootstrap", make.suite.name, pair, row, "iqm")
    return seed_interval(iqm, np.array([*closed.values()]), seed=seed) if closed else None


def _against(make: Builder, pair: str, row: str, closed: Closed, other: Closed) -> Against:
    """Compare a row with the reference, paired by seed."""
    seeds = [seed for seed in closed if seed in other]
    a, b = (np.array([part[seed] for seed in seeds]) for part in (closed, other))
    seed = derive_seed("bootstrap", make.suite.name, pair, row, "better")
    return Against(
        seed_means(a - b),
        paired_difference(seed_means(a), seed_means(b)).p_value,
        seed_interval(probability_of_improvement, a, b, seed=seed, bounds=(0.0, 1.0)),
    )


def open_gaps(make: Builder, pair: str) -> dict[str, float]:
    """Return the smallest lead of the teacher over a seed's (or world's) start by test set.

    Only of sets on which the teacher is ahead of every start, by more than rounding.
    """
    sets = {}
    for task in make.scored:
        start = _rouge(make, pair, INIT, task)
        teacher = make.spread(_rouge(make, pair, TEACHER, task), TEACHER, start)
        ends = [(teacher[seed], start[seed]) for seed in start if seed in teacher]
        if ends and all(high > low and not exact.same(high, low) for high, low in ends):
            sets[task] = min(high - low for high, low in ends)
    return sets


def closed_by_seed(make: Builder, pair: str, row: str, sets: Sequence[str]) -> Closed:
    """Return the share of the gap in ROUGE-L that a row closed, for each seed with every value.

    The gap is that between the start of the same seed or world and its teacher.

    Args:
        make: The builder of the suite's tables.
        pair: The pair of teacher and student.
        row: The row.
        sets: The test sets, on each of which the teacher is ahead of the start.
    """
    student, start, teacher = (
        [_rouge(make, pair, model, task) for task in sets] for model in (row, INIT, TEACHER)
    )
    seeds = make.expected(row)
    teacher = [make.spread(part, TEACHER, seeds) for part in teacher]
    shared = [s for s in seeds if all(s in part for part in (*student, *start, *teacher))]
    values, starts, best = (
        np.array([[part[seed] for part in parts] for seed in shared]).reshape(-1, len(sets))
        for parts in (student, start, teacher)
    )
    return dict(zip(shared, gap_closed(values, starts, best), strict=True))


def _rouge(make: Builder, pair: str, row: str, task: str) -> SeedValues:
    return make.values(Source(task, make.suite.rouge, ""), pair, row)


def _with_ends(column: Column) -> tuple[Column, Column, Column]:
    """Return a column and those of its interval's ends, which need not lie symmetric."""
    low, high = (
        Column(f"{column.key} {end}", title, column.digits, False)
        for end, title in (("low", "from"), ("high", "to"))
    )
    return column, low, high


def _single(value: float | None, beside: Cell) -> Cell:
    """Return a number without interval that rests on the seeds of another cell."""
    if value is None:
        return Cell(word=beside.word or MISSING)
    return Cell(value, n=beside.n, origin=beside.origin)


def _estimate(found: Estimate | None, beside: Cell) -> tuple[Cell, Cell, Cell]:
    """Return the cells of an estimate and its ends, which rest on the seeds of another cell."""
    if found is None:
        word = beside.word or MISSING
        return Cell(failed=beside.failed, word=word), Cell(word=word), Cell(word=word)
    value = Cell(found.value, n=found.n, failed=beside.failed, origin=beside.origin)
    return value, _single(found.low, beside), _single(found.high, beside)


TABLE = TableKind(
    section="Statistics",
    place=1,
    title="Over all test sets",
    caption="""
        ROUGE-L of sampled answers as the share that a method closed of the gap between the start
        of the same {unit} (0) and the teacher (1). IQM: the interquartile mean over all {unit}s ×
        test sets, with its 95 % interval: from ten {unit}s on, a bootstrap over {unit}s (expanded
        percentiles); with fewer, the t interval of the jackknife. Then the mean over {unit}s ± half
        the width of its 95 % t interval, and its difference from the reference, paired by {unit},
        with the p-value of the paired t test after Holm's correction for this table. Detectable:
        the difference that these {unit}s would have detected with about that power at the strictest
        of Holm's levels (with three {unit}s and many rows in two of three cases). P(better): how
        often the row is ahead of the reference on the same test set, over all pairs of the {unit}s
        that both have, ties counted as half; at 0 and 1 its interval is the exact binomial one, and
        with three {unit}s it is always rough.
    """,
    build=build,
)
