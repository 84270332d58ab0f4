"""A plane of two measures: a few rows by name, the others as points, and one enlargement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from arkd.figures.marks import Mark, by_renown, mark
from arkd.figures.style import cross, foot, label_points
from arkd.results.records import SeedValues
from arkd.statistics.intervals import Interval, mean_interval
from arkd.tables.builder import Builder

LABELS = 8  # names in a figure, controls among them
OTHER = Mark("0.55", ".")
NAME_IN, FITTING = 0.065, 22  # inches a letter; letters of a name for which there is room
LEAST = 0.04  # of an axis: the side of the dotted frame, at least
FENCE = 1.5  # interquartile ranges beyond the quartiles: what lies further out is an outlier

Point = tuple[Interval, Interval]
Ends = tuple[float, float]
Values = Callable[[str, str], tuple[SeedValues, SeedValues]]  # of pair and row


def plane(
    make: Builder,
    values: Values,
    controls: Sequence[str],
    labels: tuple[str, str],
    diagonal: bool = False,
) -> Figure | None:
    """Draw a plane twice for each pair: whole, and the part where the trained rows crowd.

    Args:
        make: The suite's records.
        values: Gives both coordinates of a row by seed.
        controls: Drawn beside the methods.
        labels: Of the axes across and up, with units.
        diagonal: Draw the line on which both coordinates agree.
    """
    every = {pair: points(values, pair, [*make.methods, *controls]) for pair in make.pairs}
    there = [row for row in make.methods if any(row in found for found in every.values())]
    if not there:
        return None
    named = by_renown(there)[: LABELS - len(controls)]
    longest = max(map(len, named))
    figure = Figure(
        figsize=(10.0 + NAME_IN * max(0, 2 * (longest - FITTING)), 3.4 * len(make.pairs)),
        layout="constrained",
    )
    grid = figure.subplots(len(make.pairs), 2, squeeze=False)
    to_name: list[tuple[Axes, dict[str, tuple[float, float]]]] = []
    for (whole, part), (pair, found) in zip(grid, every.items(), strict=True):
        near = _near({row: found[row] for row in there if row in found})
        shown = [row for row in named if row in found]
        for axis, rows in (
            (whole, [*controls, *(row for row in shown if row not in near)]),
            (part, [row for row in shown if row in near]),
        ):
            for row, point in found.items():
                if row in rows or row in shown:
                    cross(axis, *point, mark(row))
                elif row not in controls:
                    axis.plot(point[0].mean, point[1].mean, zorder=2, **OTHER.style())
            if diagonal:
                axis.axline((0, 0), slope=1, color="0.6", lw=0.8, ls="--", zorder=1)
            axis.set_xlabel(labels[0])
            places = {row: (found[row][0].mean, found[row][1].mean) for row in rows if row in found}
            to_name.append((axis, places))
        whole.set_ylabel(labels[1])
        lead = f"{pair}, " if len(make.pairs) > 1 else ""
        whole.set_title(f"{lead}with controls and outliers", fontsize=9)
        part.set_title("the dotted part", fontsize=9)
        whole.margins(0.08)
        if near:
            (left, right), (low, high) = (_limits(found, near, shown, i) for i in (0, 1))
            part.set(xlim=(left, right), ylim=(low, high))
            part.locator_params(nbins=6)
            whole.add_patch(_frame(whole, (left, right), (low, high)))
    left_out = len(there) - len(named)
    foot(
        figure,
        f"named: {len(named)} of {len(there)} rows; grey: rows without a name" * bool(left_out),
    )
    for axis, places in to_name:
        label_points(figure, axis, places)
    return figure


def _frame(axis: Axes, across: Ends, up: Ends) -> Rectangle:
    """Return the frame of an enlarged part, large enough to be seen."""
    sides = []
    for (low, high), ends in ((across, axis.get_xlim()), (up, axis.get_ylim())):
        grown = max(0.0, LEAST * (ends[1] - ends[0]) - (high - low)) / 2
        sides.append((low - grown, high - low + 2 * grown))
    (left, width), (bottom, height) = sides
    return Rectangle((left, bottom), width, height, fill=False, ls=":", ec="0.2")


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


def points(values: Values, pair: str, rows: Sequence[str]) -> dict[str, Point]:
    """Return the mean and interval of both coordinates of each row that has them."""
    found = {}
    for row in rows:
        x, y = values(pair, row)
        if x and y:
            found[row] = (mean_interval([*x.values()]), mean_interval([*y.values()]))
    return found


def _limits(
    found: Mapping[str, Point], near: Sequence[str], named: Sequence[str], axis: int
) -> tuple[float, float]:
    """Return limits that hold the means of near rows, and the intervals of those with a name."""
    ends = [found[row][axis].mean for row in near]
    for row in named:
        interval = found[row][axis]
        if row in near and interval.low is not None and interval.high is not None:
            ends += [interval.low, interval.high]
    low, high = min(ends), max(ends)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return low - margin, high + margin
