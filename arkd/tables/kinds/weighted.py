"""ROUGE-L in distribution over the questions of the data, not over those of the test set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from arkd import exact
from arkd.errors import ArkdError
from arkd.results.item_scores import FILE, ItemScores
from arkd.results.item_weights import item_weights
from arkd.results.records import SeedValues
from arkd.results.suite_results import SuiteResults
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
        means = {row: _means(make, scored, pair, row) for row in make.all_rows}
        for row, found in means.items():
            cells = [
                derived(make, values, pair, row, title)
                for values, title in zip(found, KINDS.values(), strict=True)
            ]
            if chosen:
                cells += [
                    difference(make, pair, (row, chosen), make.spread(values, row, base), base)
                    for values, base in zip(found, means[chosen], strict=True)
                ]
            rows.append(Row((*make.lead(pair), row), tuple(cells), pair, row))
    return make.finish((*make.lead("Pair"), "Method"), columns, rows, compared=False)


def _scored(make: Builder) -> list[Scored]:
    """Return the items of every world that is there; none where a chance to be drawn is unknown."""
    if make.suite.test_sets[0] not in make.scored:
        return []
    runs: list[tuple[int | None, SuiteResults]] = [*make.blocks.items()] or [(None, make)]
    out = []
    for world, run in runs:
        items, weights = run.items, item_weights(run.suite)
        if items is not None and weights is not None:
            out.append(Scored(world, items, weights))
    return out


def _means(make: Builder, scored: list[Scored], pair: str, row: str) -> list[SeedValues]:
    """Return a row's means over items of each of `KINDS`, by seed, or by world if it is whole.

    Raises:
        ArkdError: the items are not as many as the suite has.
    """
    task = make.suite.test_sets[0]
    out: list[SeedValues] = [{} for _ in KINDS]
    for world, items, weights in scored:
        if world is not None and world not in make.expected(row):
            continue
        by_seed: list[SeedValues] = [{} for _ in KINDS]
        for seed, scores in items.means(pair, row, [task]).items():
            if scores.size != weights.size:
                raise ArkdError(
                    f"{items.make.tree.root / FILE}: {task} has {scores.size} items, "
                    f"suite {make.suite.name} {weights.size}; run `arkd collect` again"
                )
            by_seed[0][seed] = exact.mean(scores)
            by_seed[1][seed] = exact.weighted_mean(scores, weights)
        for found, values in zip(out, by_seed, strict=True):
            if world is None:
                found |= values
            elif len(values) == len(items.make.expected(row)):
                found[world] = exact.mean([*values.values()])
    return out


TABLE = TableKind(
    section="Quality",
    place=4,
    title="In distribution, by the questions of the data",
    caption="""
        ROUGE-L (F1 × 100) of sampled answers on {test_set}. Its items are drawn without
        replacement, each in proportion to its share of the students' data, so that questions
        about popular entities appear at most once. First the unweighted mean over items, as in
        the other tables; then each item weighted by its share of the data divided by its
        probability of being drawn, which estimates the mean over the questions of the data. Then
        both minus the reference, paired by {unit}. Mean over {observations} ({seeds}) ± half the
        width of the 95 % t interval, uncorrected for the number of rows.
    """,
    build=build,
)
