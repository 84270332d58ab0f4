"""ROUGE-L in distribution over the questions of the data, not over those of the test set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from arkd import exact
from arkd.errors import ArkdError
from arkd.results.item_scores import FILE, ItemScores, read_items
from arkd.results.item_weights import item_weights
from arkd.results.records import SeedValues
from arkd.results.suite_results import SuiteResults
from arkd.suite.folders import Tree
from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.quantities import derived, difference, reference
from arkd.tables.table import Column, Layout, Row

KINDS = {"plain": "ROUGE-L, items as they are", "weighted": "by their share of the data"}


class Scored(NamedTuple):
    """The items of one world and what each stands for; `world` is None in a suite of one."""

    world: int | None
    items: ItemScores
    weights: np.ndarray


def build(make: Builder) -> Layout | None:
    scored, chosen = _scored(make), reference(make)
    if not scored:
        return None
    columns = [Column(kind, f"{title} ↑", 2) for kind, title in KINDS.items()]
    if chosen:
        columns += [
            Column(f"{kind} difference", f"less {chosen}: {title}", 2)
            for kind, title in KINDS.items()
        ]
    rows = []
    for pair in make.pairs:
        base = [_mean(make, scored, kind, pair, chosen) for kind in KINDS] if chosen else []
        for row in make.all_rows:
            found = [_mean(make, scored, kind, pair, row) for kind in KINDS]
            cells = [
                derived(make, values, pair, row, f"ROUGE-L, {title}")
                for values, title in zip(found, KINDS.values(), strict=True)
            ]
            if chosen:
                cells += [
                    difference(
                        make, pair, (row, chosen), make.spread(values, row, of_base), of_base
                    )
                    for values, of_base in zip(found, base, strict=True)
                ]
            rows.append(Row((*make.lead(pair), row), tuple(cells), pair, row))
    return make.finish((*make.lead("Pair"), "Method"), columns, rows, compared=False)


def _scored(make: Builder) -> list[Scored]:
    """Return the items of every world that is there; none where a chance to be drawn is unknown."""
    trees: Iterable[tuple[int | None, Tree]] = make.tree.blocks.items() or [(None, make.tree)]
    out = []
    for world, tree in trees:
        items = read_items(SuiteResults(tree)) if (tree.root / "records.csv").is_file() else None
        weights = item_weights(tree.suite)
        if items is not None and weights is not None:
            out.append(Scored(world, items, weights))
    return out


def _mean(make: Builder, scored: list[Scored], kind: str, pair: str, row: str) -> SeedValues:
    """Return a row's mean over items by seed, or by world if it has all its seeds there.

    Raises:
        ArkdError: the items are not as many as the suite has.
    """
    task = make.suite.test_sets[0]
    out: dict[int, float] = {}
    for world, items, weights in scored:
        if world is not None and world not in make.expected(row):
            continue
        used = weights if kind == "weighted" else np.ones(weights.size)
        by_seed = {}
        for seed, scores in items.means(pair, row, [task]).items():
            if scores.size != used.size:
                raise ArkdError(
                    f"{items.make.tree.root / FILE}: {task} has {scores.size} items, "
                    f"suite {make.suite.name} {used.size}; run `arkd collect` again"
                )
            by_seed[seed] = exact.weighted_mean(scores, used)
        if world is None:
            out = by_seed
        elif len(by_seed) == len(items.make.expected(row)):
            out[world] = exact.mean([*by_seed.values()])
    return out


TABLE = TableKind(
    section="Quality",
    place=4,
    title="In distribution, by the questions of the data",
    caption="""
        ROUGE-L (F1 × 100) of sampled answers on {test_set}. Its items are drawn without
        replacement, each in proportion to its share of the students' data, so that questions
        about popular entities appear at most once. First the mean over the items as they are,
        which the other tables show; then each item weighted by its share of the data over its
        probability of being drawn, which estimates the mean over the questions of the data. Then
        both less the reference, paired by seed. Mean over {observations} ({seeds}) ± half the
        width of the 95 % t interval, without correction for the number of rows.
    """,
    build=build,
)
