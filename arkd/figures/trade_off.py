"""What each divergence buys: head against tail for the ladder of constant weights, and ARKD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arkd import exact
from arkd.figures.marks import mark
from arkd.figures.style import SMALL, foot, label_points
from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.quantities import FORWARD, MIX, REVERSE

# From α = 0 to 1; the line through them is what constant weights can have.
LADDER = (REVERSE, f"{MIX}@alpha=0.25", MIX, f"{MIX}@alpha=0.75", FORWARD)
BESIDE = "arkd"


class Trade(NamedTuple):
    """Two measures that may trade: across what is common, up what is rare."""

    across: Source
    up: Source
    title: str


TRADES = (
    Trade(
        Source(GOLD, "abs_gap", "error at the teacher's first token", group="rank_1"),
        Source(GOLD, "tail_overlap", "overlap of the tails"),
        "fidelity to the teacher",
    ),
    Trade(
        Source("truth", "truth_error", "error on facts of frequent entities", group="certain_head"),
        Source("truth", "truth_error", "error on facts of rare entities", group="certain_tail"),
        "facts of the world",
    ),
)


def trade_off(make: Builder) -> Figure | None:
    """Draw head against tail, each less the even mix of the same seed or world.

    Small points are the single seeds or worlds, large ones their means; either pure divergence and
    the even mix must be rows of the suite.
    """
    if not {FORWARD, MIX, REVERSE} <= {*make.methods}:
        return None
    trades = [t for t in TRADES if all(_recorded(make, source) for source in (t.across, t.up))]
    if not trades:
        return None
    figure = Figure(figsize=(5.4 * len(trades), 0.5 + 3.3 * len(make.pairs)), layout="constrained")
    grid = figure.subplots(len(make.pairs), len(trades), squeeze=False)
    named = []
    for axes, pair in zip(grid, make.pairs, strict=True):
        for axis, trade in zip(axes, trades, strict=True):
            named.append((axis, _draw(axis, make, pair, trade)))
            lead = f"{pair}: " if len(make.pairs) > 1 else ""
            axis.set_title(lead + trade.title, fontsize=9)
    foot(figure, f"each minus {MIX} of the same {make.suite.observation}")
    for axis, means in named:
        label_points(figure, axis, means)
    return figure


def _draw(axis: Axes, make: Builder, pair: str, trade: Trade) -> dict[str, tuple[float, float]]:
    """Draw each row's points and the line through the ladder's means; return the means by row."""
    axis.axhline(0, color="0.6", lw=0.8, zorder=1)
    axis.axvline(0, color="0.6", lw=0.8, zorder=1)
    means: dict[str, tuple[float, float]] = {}
    for row in (*LADDER, BESIDE):
        found = _points(make, pair, row, (trade.across, trade.up)) if row in make.methods else []
        if found:
            across, up = zip(*found, strict=True)
            means[row] = (exact.mean([*across]), exact.mean([*up]))
            axis.plot(across, up, zorder=2, alpha=0.5, **mark(row).style(3))
            axis.plot(*means[row], zorder=4, **mark(row).style(8))
    line = [means[row] for row in LADDER if row in means]
    axis.plot(*zip(*line, strict=True), color="0.4", lw=1.0, zorder=3)
    axis.set_xlabel(f"{trade.across.title}{make.arrow(trade.across)}")
    axis.set_ylabel(f"{trade.up.title}{make.arrow(trade.up)}")
    axis.tick_params(labelsize=SMALL)
    return means


def _points(
    make: Builder, pair: str, row: str, sources: Sequence[Source]
) -> list[tuple[float, ...]]:
    """Return both measures less the even mix's, one point for each seed or world that has all."""
    values = [
        (make.values(source, pair, row), make.values(source, pair, MIX)) for source in sources
    ]
    kept = [seed for seed in values[0][0] if all(seed in part for both in values for part in both)]
    return [tuple(its[seed] - base[seed] for its, base in values) for seed in kept]


def _recorded(make: Builder, source: Source) -> bool:
    return source.group in make.records.groups(source.task, source.metric)
