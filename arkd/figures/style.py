"""What all figures share: style, the rows that they show, labels that do not overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy
from scipy.optimize import linear_sum_assignment

from arkd.figures.marks import Mark, mark
from arkd.results.suite_results import observed
from arkd.statistics.intervals import Interval
from arkd.tables.builder import Builder

RC: dict[Any, Any] = {
    "svg.hashsalt": "arkd",  # element ids would otherwise differ from run to run
    "svg.fonttype": "none",  # text stays text: it can be read out, searched and copied
    "pdf.fonttype": 42,  # TrueType: journals refuse fonts of type 3
    "ps.fonttype": 42,
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "legend.frameon": False,
    "figure.dpi": 100.0,
}
MANY = 15  # rows; above it a figure in which rows meet shows the main ones alone
LINE = 1.25  # distance of two lines of text, in font sizes
SMALL = 8.0  # points, of labels beside a plot
COLUMN = 1.07  # where names beside a plot begin, in widths of its axes


@contextmanager
def applied() -> Iterator[None]:
    """Draw in this style whatever a user's matplotlibrc says, with Matplotlib's own fonts.

    Those of a machine differ by the machine, and its list of them may be of another environment.
    """
    fonts = font_manager.fontManager
    machines = list(fonts.ttflist)
    fonts.ttflist.clear()
    for path in sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("*.ttf")):
        fonts.addfont(path)
    try:
        with style.context(["default", RC]):
            yield
    finally:
        fonts.ttflist[:] = machines


@dataclass(frozen=True)
class Choice:
    """The rows that a figure shows, and in words which of the suite's they are."""

    rows: tuple[str, ...]
    note: str = ""  # empty where all are shown


def main_rows(make: Builder, rows: Sequence[str], plain: bool = False) -> Choice:
    """Return all rows up to `MANY`, or of one number of seeds; else those that have the most.

    All as well where that rule leaves fewer than two.

    Args:
        make: The suite.
        rows: Labels, in the order in which they are shown.
        plain: Of more than `MANY`, drop also the rows that change a setting of their method,
            unless most rows do.
    """
    if len(rows) <= MANY:
        return Choice(tuple(rows))
    counts = {len(make.expected(row)) for row in rows}
    plain = plain and 2 * sum("@" in row for row in rows) <= len(rows)  # else they are the subject
    if len(counts) == 1 and not plain:
        return Choice(tuple(rows))
    most = max(counts)
    kept = tuple(
        row for row in rows if len(make.expected(row)) == most and not (plain and "@" in row)
    )
    if len(kept) < 2:
        return Choice(tuple(rows))
    rules = [f"all {most} {observed(make.suite)}s"] * (len(counts) > 1)
    rules += ["no changed setting"] * plain
    return Choice(kept, f"{len(kept)} of {len(rows)} rows, those with {' and '.join(rules)}")


def broken(label: str) -> str:
    """Return a row's label for the title of a narrow panel: each change on a line of its own."""
    return label.replace("@", "\n@").replace(",", ",\n")


def foot(figure: Figure, *parts: str) -> None:
    """Write below a figure what it leaves out; nothing where there is nothing to say."""
    text = "; ".join(filter(None, parts))
    if text:
        figure.supxlabel(text, x=0.01, ha="left", fontsize=SMALL, color="0.3")


def cross(axis: Axes, x: Interval, y: Interval, drawn: Mark, size: float = 6.0) -> None:
    """Draw a point with its intervals on both axes; without any where one seed gives none.

    Args:
        axis: To draw on.
        x: Mean and interval across, in the axis's unit.
        y: Mean and interval upwards.
        drawn: Colour and marker.
        size: Of the marker, in points.
    """
    style: dict[str, Any] = {"color": drawn.colour, "lw": 0.8, "alpha": 0.55}
    if x.low is not None and x.high is not None:
        axis.plot((x.low, x.high), (y.mean, y.mean), **style)
    if y.low is not None and y.high is not None:
        axis.plot((x.mean, x.mean), (y.low, y.high), **style)
    axis.plot(x.mean, y.mean, zorder=3, **drawn.style(size))


def label_points(figure: Figure, axis: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Name points in a column right of the axes, each with its mark and a line to its point.

    A column keeps names apart however close the points are. Names are given to places so that the
    lines are as short as can be in sum, since then no two of them cross. Call it when all else is
    drawn and the limits of the axes are fixed.

    Args:
        figure: That the axes belong to; it is laid out by the call.
        axis: On which the points are drawn.
        points: x and y by name, in the axes' units.
    """
    if not points:
        return
    figure.draw_without_rendering()  # the layout decides where a point lies
    box = axis.get_window_extent()
    names = sorted(points)
    at = axis.transAxes.inverted().transform(
        axis.transData.transform([points[name] for name in names])
    )
    column = spread(sorted(at[:, 1]), LINE * SMALL * figure.dpi / 72 / box.height)
    across = (COLUMN - at[:, 0])[:, None] * box.width
    up = (np.array(column) - at[:, 1][:, None]) * box.height
    points_of_names, taken = linear_sum_assignment(np.hypot(across, up))
    for name, place in ((names[i], column[j]) for i, j in zip(points_of_names, taken, strict=True)):
        axis.annotate(
            name,
            points[name],
            (COLUMN, place),
            textcoords="axes fraction",
            va="center",
            fontsize=SMALL,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": "0.55",
                "lw": 0.5,
                "ls": ":",
                "shrinkA": 9,
                "shrinkB": 3,
                "relpos": (0.0, 0.5),
            },
        )
        left = offset_copy(axis.transAxes, figure, x=-8, units="points")
        style = mark(name).style(5) | {"clip_on": False, "transform": left}
        axis.plot(COLUMN, place, **style)


def spread(wanted: Sequence[float], gap: float, high: float = 1.0) -> list[float]:
    """Move ascending places apart so that neighbours keep a gap, and below `high` if they fit."""
    places: list[float] = []
    for value in wanted:
        places.append(max(value, places[-1] + gap) if places else value)
    limit = high
    for at in range(len(places) - 1, -1, -1):
        places[at] = min(places[at], limit)
        limit = places[at] - gap
    return places
