"""Figures of fidelity to the teacher: head against tail, against cost, and by rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from arkd import exact
from arkd.figures.dots import dots
from arkd.figures.style import SMALL, Mark, cross, foot, label_points, main_rows, marks
from arkd.results.records import SeedValues
from arkd.statistics.intervals import Interval, mean_interval
from arkd.statistics.scores import gap_closed
from arkd.suite.folders import INIT, TEACHER, UNTRAINED
from arkd.tables.builder import GOLD, Builder, Source, base_name
from arkd.tables.kinds.bins import BINS
from arkd.tables.kinds.cost import run_costs

HEAD_BINS = ("rank_1", "rank_2_10")
CONTROL_MARKS = {
    TEACHER: Mark("black", "*"),
    INIT: Mark("black", "s", hollow=True),
    UNTRAINED: Mark("black", "X", hollow=True),
}
OTHER = Mark("0.55", ".")
FENCE = 1.5  # interquartile ranges beyond the quartiles: what lies further out is an outlier
WIDE = 3.0  # times: from there on an axis of costs is logarithmic

Point = tuple[Interval, Interval]
Plane = Callable[[str, str], tuple[SeedValues, SeedValues]]  # of pair and row


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
    return _plane(make, closed, (TEACHER, INIT), labels, diagonal=True)


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
    return _plane(make, both, (TEACHER, INIT, UNTRAINED), labels)


def _closed(make: Builder, pair: str, row: str, groups: Sequence[str]) -> SeedValues:
    """Return the share of the gap in |p − q|, summed over rank bins, that each seed closed."""
    distances, start, teacher = (_summed(make, pair, m, groups) for m in (row, INIT, TEACHER))
    best = next(iter(teacher.values()), None)
    if best is None:
        return {}
    if row == TEACHER:
        start = dict.fromkeys(distances, exact.mean([*start.values()])) if start else {}
    seeds = [seed for seed in distances if seed in start and start[seed] != best]
    values, starts = (
        np.array([[by_seed[seed]] for seed in seeds]) for by_seed in (distances, start)
    )
    if not seeds:
        return {}
    return dict(zip(seeds, gap_closed(values, starts, [best])[:, 0].tolist(), strict=True))


def _summed(make: Builder, pair: str, row: str, groups: Sequence[str]) -> SeedValues:
    parts = [make.values(Source(GOLD, "abs_gap", "", group=g), pair, row) for g in groups]
    seeds = [seed for seed in make.expected(row) if all(seed in part for part in parts)]
    return {seed: math.fsum(part[seed] for part in parts) for seed in seeds}


def _plane(
    make: Builder,
    values: Plane,
    controls: Sequence[str],
    labels: tuple[str, str],
    diagonal: bool = False,
) -> Figure | None:
    """Draw a plane twice for each pair: with controls and outliers, and its part with the rest."""
    choice = main_rows(make, make.methods, plain=True)
    known = marks(choice.rows) | CONTROL_MARKS
    every = {pair: points(values, pair, [*make.methods, *controls]) for pair in make.pairs}
    if not any(row in found for found in every.values() for row in make.methods):
        return None
    height = max(3.6, 0.7 + 0.15 * len(choice.rows))
    figure = Figure(figsize=(10.5, height * len(make.pairs)), layout="constrained")
    grid = figure.subplots(len(make.pairs), 2, squeeze=False)
    named: list[tuple[Axes, dict[str, tuple[float, float]]]] = []
    for (whole, part), (pair, found) in zip(grid, every.items(), strict=True):
        shown = {row: found[row] for row in choice.rows if row in found}
        near = _near(shown)
        far = [row for row in found if row in controls or (row in shown and row not in near)]
        for row, point in found.items():
            for axis, rows in ((whole, far), (part, near)):
                if row in rows:
                    cross(axis, *point, known[row])
                elif row in make.methods:
                    axis.plot(point[0].mean, point[1].mean, zorder=2, **OTHER.style())
        for axis, rows in ((whole, far), (part, near)):
            if diagonal:
                axis.axline((0, 0), slope=1, color="0.6", lw=0.8, ls="--", zorder=1)
            axis.set_xlabel(labels[0])
            named.append((axis, {row: (found[row][0].mean, found[row][1].mean) for row in rows}))
        whole.set_ylabel(labels[1])
        lead = f"{pair}, " if len(make.pairs) > 1 else ""
        whole.set_title(f"{lead}with controls and outliers", fontsize=9)
        part.set_title("the dotted part", fontsize=9)
        whole.margins(0.08)
        if near:
            (left, right), (low, high) = (_limits([shown[r][i] for r in near]) for i in (0, 1))
            part.set(xlim=(left, right), ylim=(low, high))
            part.locator_params(nbins=6)
            frame = Rectangle((left, low), right - left, high - low, fill=False, ls=":", ec="0.2")
            whole.add_patch(frame)
    foot(figure, f"named: {choice.note}; grey points: the others" if choice.note else "")
    for axis, places in named:
        label_points(figure, axis, places, known)
    return figure


def _near(found: Mapping[str, Point]) -> list[str]:
    """Return the rows within Tukey's fences on both axes; few rows have no outliers."""
    if len(found) < 4:
        return [*found]
    inside = np.ones(len(found), dtype=bool)
    for axis in (0, 1):
        means = np.array([point[axis].mean for point in found.values()])
        low, high = np.quantile(means, (0.25, 0.75))
        reach = FENCE * (high - low)
        inside &= (means >= low - reach) & (means <= high + reach)
    return [row for row, near in zip(found, inside, strict=True) if near]


def points(values: Plane, pair: str, rows: Sequence[str]) -> dict[str, Point]:
    """Return the mean and interval of both coordinates of each row that has them."""
    found = {}
    for row in rows:
        x, y = values(pair, row)
        if x and y:
            found[row] = (mean_interval([*x.values()]), mean_interval([*y.values()]))
    return found


def _limits(intervals: Sequence[Interval]) -> tuple[float, float]:
    """Return limits that hold all intervals with a margin."""
    low = min(i.mean if i.low is None else i.low for i in intervals)
    high = max(i.mean if i.high is None else i.high for i in intervals)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return low - margin, high + margin


def pareto(make: Builder) -> Figure | None:
    """Training time of a run against JSD to the teacher, with the rows that none dominates."""
    choice = main_rows(make, make.methods, plain=True)
    costs = run_costs(make)

    def both(pair: str, row: str) -> tuple[SeedValues, SeedValues]:
        seconds = costs.get((pair, row, "train_s"), {})
        train_s = {seed: seconds[seed] for seed in make.expected(row) if seed in seconds}
        return train_s, make.values(Source(GOLD, "jsd", ""), pair, row)

    every = {pair: points(both, pair, make.methods) for pair in make.pairs}
    if not any(every.values()):
        return None
    fronts = {pair: front(found) for pair, found in every.items()}
    shown = [r for r in make.methods if r in choice.rows or any(r in f for f in fronts.values())]
    known = marks(shown)
    figure = Figure(
        figsize=(7.5, max(3.8, 0.8 + 0.16 * len(shown)) * len(make.pairs)), layout="constrained"
    )
    grid = figure.subplots(len(make.pairs), 1, squeeze=False)[:, 0]
    for axis, (pair, found) in zip(grid, every.items(), strict=True):
        for row, point in found.items():
            if row in shown:
                cross(axis, *point, known[row])
            else:
                axis.plot(point[0].mean, point[1].mean, zorder=2, **OTHER.style())
        edge = [(found[row][0].mean, found[row][1].mean) for row in fronts[pair]]
        if edge:
            x, y = zip(*edge, strict=True)
            axis.step(x, y, where="post", color="0.3", lw=1.2, ls="--", label="front", zorder=1)
        spans = [point[0].mean for point in found.values()]
        if spans and min(spans) > 0 and max(spans) > WIDE * min(spans):
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter("{x:g}")
            axis.tick_params(axis="x", which="both", labelsize=SMALL)
        axis.set(xlabel="training time of a run (s)", ylabel="JSD to the teacher (nats/token)")
        if len(make.pairs) > 1:
            axis.set_title(pair)
    note = f"named: {choice.note}, and the front; grey points: the others" if choice.note else ""
    foot(figure, note)
    for axis, found in zip(grid, every.values(), strict=True):
        places = {r: (found[r][0].mean, found[r][1].mean) for r in shown if r in found}
        label_points(figure, axis, places, known)
    return figure


def front(found: Mapping[str, Point]) -> list[str]:
    """Return the rows that no other row beats in both means, from the cheapest on."""
    kept: list[str] = []
    for row in sorted(found, key=lambda row: (found[row][0].mean, found[row][1].mean)):
        if not kept or found[row][1].mean < found[kept[-1]][1].mean:
            kept.append(row)
    return kept


def ranks(make: Builder) -> Figure | None:
    """Error |p − q| by the teacher's rank, a panel a rank bin."""
    recorded = make.records.groups(GOLD, "abs_gap")
    titles = {g: name if name.startswith("rank") else f"ranks {name}" for g, name in BINS.items()}
    sources = [Source(GOLD, "abs_gap", titles[g], group=g) for g in BINS if g in recorded]
    choice = main_rows(make, make.methods, plain=True)
    if not sources or not choice.rows:
        return None
    known = {"methods": Mark("#0072B2", "o"), INIT: CONTROL_MARKS[INIT]}
    groups = {"methods": choice.rows, INIT: (INIT,)}
    reference = next((row for row in choice.rows if base_name(row) == "arkd"), "")
    figure = dots(make, groups, sources, "|p − q| a token", known, reference=reference)
    foot(figure, choice.note)
    return figure
