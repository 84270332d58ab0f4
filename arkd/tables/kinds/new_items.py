"""Differences to the reference over seeds, and over new seeds and items at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from arkd import exact
from arkd.seeding import derive_seed
from arkd.statistics.resampling import BOOTSTRAP_SEEDS, crossed_bootstrap
from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.quantities import joint, reference
from arkd.tables.table import Cell, Column, Layout, Row


def build(make: Builder) -> Layout | None:
    items, chosen = make.items, reference(make)
    if items is None or chosen is None:
        return None
    inside = [task for task in make.scored if task not in make.outside]
    kinds = {"in_distribution": inside, "out_of_distribution": make.outside}
    kinds = {kind: tasks for kind, tasks in kinds.items() if tasks}
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
            if row == chosen or min(shared, default=0) < BOOTSTRAP_SEEDS:
                continue
            cells = [
                cell
                for kind, (a, b) in pairs.items()
                for cell in _both_intervals(make, (pair, row, chosen, kind), a, b)
            ]
            rows.append(Row((*make.lead(pair), f"{row} − {chosen}"), tuple(cells), pair, row))
    labels = (*make.lead("Pair"), "Methods")
    return make.finish(labels, columns, rows, compared=False) if rows else None


def _both_intervals(
    make: Builder,
    place: tuple[str, str, str, str],
    a: Mapping[int, np.ndarray],
    b: Mapping[int, np.ndarray],
) -> tuple[Cell, Cell, Cell]:
    """Return a difference with its t interval over seeds, and the ends of the wider one."""
    pair, row, chosen, kind = place
    seeds = [seed for seed in a if seed in b]
    gaps = np.stack([a[seed] - b[seed] for seed in seeds])
    by_seed = {seed: exact.mean(gap) for seed, gap in zip(seeds, gaps, strict=True)}
    low, high = crossed_bootstrap(gaps, seed=derive_seed("items", make.suite.name, *place))
    cell = joint(make, by_seed, pair, (row, chosen), f"ROUGE-L {kind}, items' means")
    return cell, Cell(low, n=cell.n, origin=cell.origin), Cell(high, n=cell.n, origin=cell.origin)


TABLE = TableKind(
    section="Statistics",
    place=3,
    title="Differences on these items and on new ones",
    caption="""
        ROUGE-L (0 to 100) of each row minus the reference, paired by seed and item: ± half the
        width of the 95 % t interval over {observations}, which holds for these test items, and
        the ends of the 95 % interval for new seeds and new items (both resampled, the pigeonhole
        bootstrap). On {test_set} and on the items of all other test sets together. Only rows with
        ten shared seeds or more; fewer are too few to bootstrap. Uncorrected for the number of
        rows.
    """,
    build=build,
)
