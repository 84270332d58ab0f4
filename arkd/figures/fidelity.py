"""Figures of fidelity to the teacher: head against tail, recall against precision, by rank."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from arkd import exact
from arkd.figures.dots import dots
from arkd.figures.plane import plane
from arkd.figures.style import foot, main_rows
from arkd.results.records import SeedValues
from arkd.statistics.scores import gap_closed
from arkd.suite.folders import INIT, TEACHER, UNTRAINED
from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.kinds.bins import BINS
from arkd.tables.quantities import FORWARD

HEAD_BINS = ("rank_1", "rank_2_10")


def head_tail(make: Builder) -> Figure | None:
    """Share of the start's error removed in the head against that in the tail.

    Errors are |p − q|, because FKL or RKL would measure the methods by what some of them minimise.
    As shares of the gap between start and teacher, head and tail have one scale: on the diagonal a
    method does as much for both.
    """
    recorded = make.records.groups(GOLD, "abs_gap")
    head = [group for group in HEAD_BINS if group in recorded]
    rest = [group for group in recorded if group.startswith("rank_") and group not in HEAD_BINS]
    if not head or not rest:
        return None

    def closed(pair: str, row: str) -> tuple[SeedValues, SeedValues]:
        across, up = (_closed(make, pair, row, groups) for groups in (head, rest))
        return across, up

    labels = ("head: gap closed at the teacher's ranks 1–10", "tail: gap closed at all other ranks")
    return plane(make, closed, (TEACHER, INIT), labels, diagonal=True)


def tail(make: Builder) -> Figure | None:
    """Tail-probability recall against tail precision, the controls among them."""
    if not make.records.groups(GOLD, "tail_recall"):
        return None

    def both(pair: str, row: str) -> tuple[SeedValues, SeedValues]:
        recall, precision = (
            make.values(Source(GOLD, metric, ""), pair, row)
            for metric in ("tail_recall", "tail_precision")
        )
        return recall, precision

    labels = ("tail recall (share of tail tokens)", "tail precision (share of tail mass)")
    return plane(make, both, (TEACHER, INIT, UNTRAINED), labels)


def _closed(make: Builder, pair: str, row: str, groups: Sequence[str]) -> SeedValues:
    """Return the share of the gap in |p − q|, summed over rank bins, that each seed closed."""
    distances, start, teacher = (_summed(make, pair, m, groups) for m in (row, INIT, TEACHER))
    best = make.spread(teacher, TEACHER, distances)
    if make.one_model(row):
        start = dict.fromkeys(distances, exact.mean([*start.values()])) if start else {}
    seeds = [s for s in distances if s in start and s in best and start[s] != best[s]]
    if not seeds:
        return {}
    ends = (np.array([[part[seed]] for seed in seeds]) for part in (distances, start, best))
    return dict(zip(seeds, gap_closed(*ends)[:, 0].tolist(), strict=True))


def _summed(make: Builder, pair: str, row: str, groups: Sequence[str]) -> SeedValues:
    parts = [make.values(Source(GOLD, "abs_gap", "", group=g), pair, row) for g in groups]
    seeds = [seed for seed in make.expected(row) if all(seed in part for part in parts)]
    return {seed: math.fsum(part[seed] for part in parts) for seed in seeds}


def ranks(make: Builder) -> Figure | None:
    """Error |p − q| by the teacher's rank, a panel a rank bin."""
    recorded = make.records.groups(GOLD, "abs_gap")
    titles = {g: name if name.startswith("rank") else f"ranks {name}" for g, name in BINS.items()}
    sources = [Source(GOLD, "abs_gap", titles[g], group=g) for g in BINS if g in recorded]
    choice = main_rows(make, make.methods, plain=True)
    if not sources or not choice.rows:
        return None
    groups = {"methods": choice.rows, "start": (INIT,)}
    figure = dots(make, groups, sources, "|p − q| per token", against=FORWARD)
    foot(figure, choice.note)
    return figure
