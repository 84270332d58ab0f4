"""Where the error of a difference between methods comes from: worlds, seeds, decodings, items."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from arkd import exact
from arkd.results.suite_results import SuiteResults
from arkd.statistics.variance_components import WORLD, between, of_worlds
from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.kind import TableKind
from arkd.tables.quantities import reference
from arkd.tables.table import MISSING, Cell, Column, Layout, Row

SEED = "training_seed"
TITLES = {
    WORLD: "world and teacher",
    SEED: "training seed",
    "decoding_seed": "decoding seed",
    "item": "item",
    "seed_item": "seed × item",
    "rest": "rest",
}
NOT_APART = (
    "not told apart: measured teacher-forced, without decodings, and kept without single items; "
    "since the seeds of a world share its items, their part is in that of the world"
)
FIDELITY = (
    Source(GOLD, "jsd", "JSD (nats)"),
    Source(GOLD, "tail_overlap", "tail overlap"),
    Source("truth", "truth_error", "error, all facts"),
)


def build(make: Builder) -> Layout | None:
    chosen = reference(make)
    blocks = [*make.blocks.values()]
    if chosen is None or len(blocks) < 2:
        return None
    columns = [Column(name, title, 4, False) for name, title in TITLES.items()]
    columns.append(Column("standard_error", "standard error", 4, False))
    columns.append(Column("worlds", "worlds", 0, False))
    rows = []
    for pair in make.pairs:
        contrasts = {
            f"{make.suite.rouge}, {make.suite.test_sets[0]}": _of_items(blocks, pair, chosen),
            **{s.title: _of_records(blocks, pair, chosen, s) for s in FIDELITY},
        }
        for name, found in contrasts.items():
            if found:
                parts = {
                    source: exact.mean([of_row[source] for of_row in found]) for source in found[0]
                }
                rows.append(Row((*make.lead(pair), name), _cells(parts, len(blocks)), pair))
    labels = (*make.lead("Pair"), "Difference in")
    return make.finish(labels, columns, rows, compared=False) if rows else None


def _of_items(blocks: list[SuiteResults], pair: str, chosen: str) -> list[dict[str, float]]:
    """Return the variance of a world's mean difference by source, of each row in all worlds."""
    scores = [block.items for block in blocks]
    task = blocks[0].suite.test_sets[0]
    found = []
    for row in _shared_rows(blocks, pair, chosen):
        gaps = []
        for items in scores:
            a, b = (items.of(pair, name, task) for name in (row, chosen)) if items else ({}, {})
            seeds = [seed for seed in a if seed in b]
            if len(seeds) < 2 or min(a[seeds[0]].shape) < 2:
                break
            gaps.append(np.stack([a[seed] - b[seed] for seed in seeds]))
        else:
            found.append(of_worlds(gaps))
    return found


def _of_records(
    blocks: list[SuiteResults], pair: str, chosen: str, source: Source
) -> list[dict[str, float]]:
    """Return the same of a value that has no decodings and no items."""
    found = []
    for row in _shared_rows(blocks, pair, chosen):
        gaps = []
        for block in blocks:
            a, b = (_values(block, pair, name, source) for name in (row, chosen))
            gaps.append([a[seed] - b[seed] for seed in a if seed in b])
        if min(map(len, gaps)) > 1:
            within = exact.mean([exact.deviation(gap) ** 2 / len(gap) for gap in gaps])
            means = [exact.mean(gap) for gap in gaps]
            found.append({WORLD: between(means, within), SEED: within})
    return found


def _values(block: SuiteResults, pair: str, row: str, source: Source) -> Mapping[int, float]:
    return block.records.values(pair, row, source.task, source.metric, source.group)


def _shared_rows(blocks: list[SuiteResults], pair: str, chosen: str) -> list[str]:
    """Return the rows beside the reference that every world has, with no run that failed."""
    labels = [
        [e.label for e in block.suite.entries if not block.failed(pair, e.label)]
        for block in blocks
    ]
    whole = [row for row in labels[0] if all(row in rows for rows in labels)]
    return [row for row in whole if row != chosen] if chosen in whole else []


def _cells(parts: Mapping[str, float], worlds: int) -> tuple[Cell, ...]:
    """Return each source's part of the standard error, the standard error, and of how many worlds.

    Parts below 0 are cut here, not before they are averaged; the standard error is of them all.
    """
    cells = [
        Cell(math.sqrt(max(0.0, parts[name]) / worlds), n=worlds)
        if name in parts
        else Cell(word=MISSING, why=NOT_APART)
        for name in TITLES
    ]
    total = max(0.0, math.fsum(parts.values()))  # not below 0 but by rounding
    return (*cells, Cell(math.sqrt(total / worlds), n=worlds), Cell(float(worlds), n=worlds))


TABLE = TableKind(
    section="Statistics",
    place=4,
    title="What the error of a difference is made of",
    caption="""
        The standard error of a difference between a row and the reference, mean over the worlds
        that the last column counts, and the part of each source, which add up in squares: worlds
        with their teachers, training seeds within a world, decoding seeds within a training seed,
        test items crossed with both, and the rest, the chance of one sampled answer. Variances by
        the method of moments in a random-effects model, averaged over the rows that every world
        has, none of whose runs failed; parts estimated below 0 are shown as 0, and the others then
        add up to more than the standard error. In the unit of each measure.
    """,
    build=build,
)
