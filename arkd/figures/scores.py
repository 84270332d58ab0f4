"""Figure of scores: every seed of every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from arkd import exact
from arkd.figures.marks import mark
from arkd.figures.style import MANY, SMALL
from arkd.results.records import SeedValues
from arkd.results.suite_results import observed
from arkd.statistics.intervals import mean_interval
from arkd.suite.folders import CONTROLS, TEACHER
from arkd.tables.builder import GOLD, Builder, Source

SEED_DOT: dict[str, Any] = {"marker": "o", "ms": 3, "ls": "none", "mfc": "none", "mew": 0.8}


@dataclass(frozen=True)
class Strip:
    """A measure of the strip plot: one value a seed, by row."""

    label: str
    lower_is_better: bool
    values: Mapping[str, SeedValues]


def seeds(make: Builder) -> Figure | None:
    """Every seed of every row as a dot, mean and interval on it; the controls in own panels."""
    controls = [TEACHER, *(c for c in CONTROLS if c != TEACHER)]
    height = 0.17 if len(make.methods) > MANY else 0.24
    longest = max(map(len, make.methods), default=0)
    lines = [len(make.methods) + 0.5, len(controls) + 0.5] * len(make.pairs)
    strips = {pair: _strips(make, pair, [*make.methods, *controls]) for pair in make.pairs}
    figure = Figure(
        figsize=(
            0.8 + 0.065 * longest + 2.5 * len(strips[make.pairs[0]]),
            height * sum(lines) + 1.4 * len(make.pairs),
        ),
        layout="constrained",
    )
    shape = (len(lines), len(strips[make.pairs[0]]))
    grid = figure.subplots(*shape, squeeze=False, sharey="row", height_ratios=lines)
    for place, (pair, pair_strips) in enumerate(strips.items()):
        first = pair_strips[0]
        means = {
            row: exact.mean([*first.values[row].values()])
            for row in make.methods
            if first.values[row]
        }
        sign = 1 if first.lower_is_better else -1
        order = sorted(means, key=lambda row: sign * means[row])
        order += [row for row in make.methods if row not in means]
        for column, strip in enumerate(pair_strips):
            upper, lower = grid[2 * place, column], grid[2 * place + 1, column]
            _strip(upper, strip, order)
            _strip(lower, strip, controls)
            lower.axvspan(*upper.get_xlim(), color="0.92", zorder=0, lw=0)
            lower.set_xlabel(strip.label, fontsize=SMALL)
            lead = f"{pair}\n" if len(make.pairs) > 1 else ""
            upper.set_title(lead + strip.label.split(" (")[0], fontsize=9)
    handles = [
        Line2D([], [], color="0.3", **SEED_DOT, label=f"one {observed(make.suite)}"),
        Line2D([], [], color="0.3", marker="D", ms=4, lw=1.2, label="mean and 95 % t interval"),
        Line2D([], [], color="0.85", lw=6, label="span of the panel above"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=SMALL)
    return figure


def _strips(make: Builder, pair: str, rows: Sequence[str]) -> list[Strip]:
    rest, rouge = make.outside, make.suite.rouge
    first = [task for task in make.scored if task not in rest]
    wanted = [
        ("JSD to the teacher (nats/token)", True, [Source(GOLD, "jsd", "")]),
        ("ROUGE-L in distribution (0–100)", False, [Source(t, rouge, "") for t in first]),
        ("ROUGE-L out of distribution (0–100)", False, [Source(t, rouge, "") for t in rest]),
    ]
    return [
        Strip(label, lower, {row: means(make, pair, row, sources) for row in rows})
        for label, lower, sources in wanted
        if sources
    ]


def means(make: Builder, pair: str, row: str, sources: Sequence[Source]) -> SeedValues:
    """Return a row's mean over some quantities for each seed that has all of them.

    Args:
        make: The suite's records; values that are missing are noted there.
        pair: Name of teacher and student in the suite.
        row: A method's label, or a control.
        sources: The quantities, all in one unit.
    """
    parts = [make.values(source, pair, row) for source in sources]
    for source, part in zip(sources, parts, strict=True):
        make.cell(part, pair, row, f"{source.task} {source.metric}")  # notes what is missing
    shared = [seed for seed in make.expected(row) if all(seed in part for part in parts)]
    return {seed: exact.mean([part[seed] for part in parts]) for seed in shared}


def _strip(axis: Axes, strip: Strip, rows: Sequence[str]) -> None:
    for at, row in enumerate(rows):
        values = [*strip.values[row].values()]
        if not values:
            continue
        drawn = mark(row)
        axis.plot(values, [at - 0.12] * len(values), label=row, color=drawn.colour, **SEED_DOT)
        interval = mean_interval(values)
        if interval.low is not None and interval.high is not None:
            ends = (interval.low, interval.high)
            axis.plot(ends, (at + 0.22,) * 2, color=drawn.colour, lw=1.1)
        axis.plot(interval.mean, at + 0.22, zorder=3, **drawn.style(3.5))
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(labelsize=SMALL)
    axis.locator_params(axis="x", nbins=4)
    axis.ticklabel_format(axis="x", useOffset=False)
