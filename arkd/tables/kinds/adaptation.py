"""Whether a policy's α is worth more on the data that it was fitted on than on others."""

from __future__ import annotations

from collections.abc import Sequence

from arkd import exact
from arkd.results.records import SeedValues
from arkd.results.trajectories import Curves
from arkd.suite.protocol import MethodEntry
from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.quantities import (
    derived,
    difference,
    final_alpha,
    joint,
    quality,
    quality_columns,
)
from arkd.tables.table import Cell, Column, Layout, Row

REPLAY = "replay_alpha"
HALVES = {"first": "first half", "second": "second half"}


def build(make: Builder) -> Layout | None:
    twins = {
        entry.label: fitted
        for entry in make.suite.entries
        if (fitted := _fitted_here(make, entry)) is not None
    }
    if not twins:
        return None
    logged = Curves(make)
    columns = [*quality_columns(make).values(), Column("alpha last", "α, last 10 %", 3)]
    rows = []
    for pair in make.pairs:
        values = {
            row: [*quality(make, pair, row).values(), final_alpha(logged, pair, row)]
            for row in (*twins, *twins.values())
        }
        gaps: dict[str, list[tuple[tuple[str, str], list[SeedValues]]]] = {}
        for replayed, fitted in twins.items():
            split = str(make.suite.entry(fitted).changes["split"])
            half = (*make.lead(pair), HALVES.get(split, split))
            for row in (fitted, replayed):
                cells = [
                    derived(make, v, pair, row, c.title)
                    for v, c in zip(values[row], columns, strict=True)
                ]
                rows.append(Row((*half, row), tuple(cells), pair, row))
            twin_values = [*zip(values[fitted], values[replayed], strict=True)]
            name = f"{make.suite.entry(fitted).name} − {REPLAY}"
            cells = [difference(make, pair, (fitted, replayed), a, b) for a, b in twin_values]
            rows.append(Row((*half, name), tuple(cells), pair))
            by_seed = [{s: a[s] - b[s] for s in a if s in b} for a, b in twin_values]
            gaps.setdefault(name, []).append(((replayed, fitted), by_seed))
        for name, halves in gaps.items():
            if len(halves) == len(HALVES):
                both = [row for twin, _ in halves for row in twin]
                columns_of = zip(*(by_seed for _, by_seed in halves), strict=True)
                cells = [_mean_gap(make, pair, both, parts) for parts in columns_of]
                rows.append(Row((*make.lead(pair), "both halves", name), tuple(cells), pair))
    labels = (*make.lead("Pair"), "Trained on", "Method")
    dash = "not run yet, or without an α"
    return make.finish(labels, columns, rows, compared=False, dash=dash)


def _mean_gap(make: Builder, pair: str, rows: Sequence[str], halves: Sequence[SeedValues]) -> Cell:
    """Return the mean of a difference over both halves, seed by seed."""
    seeds = [seed for seed in halves[0] if all(seed in half for half in halves)]
    values = {seed: exact.mean([half[seed] for half in halves]) for seed in seeds}
    return joint(make, values, pair, rows, "mean over both halves")


def _fitted_here(make: Builder, entry: MethodEntry) -> str | None:
    """Return the row whose policy was fitted on the half that a replaying row trains on.

    None if the row replays nothing, or the α of its own half.
    """
    split = entry.changes.get("split")
    if entry.name != REPLAY or entry.params.get("fitted_on") not in HALVES.keys() - {split}:
        return None
    replayed = entry.params.get("row", "arkd")
    for row in make.suite.entries:
        if row.name == replayed and not row.params and row.changes == entry.changes and split:
            return row.label
    return None


TABLE = TableKind(
    section="α",
    place=3,
    title="Does the policy fit its training data?",
    caption="""
        Each row was trained on one half of the training data. The method itself fits its α there;
        the replaying row uses, step by step, the α that the run of the same {unit} fitted on the
        other half. A policy that adapts to its own batches is ahead of the replay; one that
        over-adapts is ahead in distribution and behind out of it. ROUGE-L (F1 × 100) on
        {test_set} and its mean over the other test sets, JSD to the teacher on gold prefixes, α
        over the last 10 % of the steps. Mean over {observations} ± half the width of the 95 % t
        interval; differences are paired by {unit}, uncorrected for multiple comparisons.
    """,
    build=build,
)
