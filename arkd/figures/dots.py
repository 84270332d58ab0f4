"""Dot plots: a line for each row, a panel for each quantity, its paired interval as a bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from arkd.figures.marks import Mark, mark
from arkd.figures.style import SMALL
from arkd.results.records import SeedValues
from arkd.results.suite_results import observed
from arkd.statistics.intervals import paired_difference
from arkd.tables.builder import Builder, Source
from arkd.tables.table import FAILED, Cell

LINE_IN, APART = 0.21, 0.5  # inches a row; lines between two groups of rows
PAPER = Mark("0.35", "x")
Ends = tuple[float, float]
Quoted = Callable[[str, Source], Mapping[str, float]]  # of pair and source, by row


def dots(
    make: Builder,
    groups: Mapping[str, Sequence[str]],
    sources: Sequence[Source],
    unit: str,
    quoted: Quoted | None = None,
    against: str = "",
    across: int = 0,
    named: bool = False,
) -> Figure:
    """Draw rows in groups against each quantity, each with its own mark.

    A bar is the 95 % t interval of the row less `against` within seed, laid on the mean of
    `against`, which is the dotted line: a bar that leaves the line out tells the two apart. Rows
    without a bar are `against` itself, and those of one seed. Where `against` is not among the
    rows, bars are intervals of the means.

    Args:
        make: The suite's records.
        groups: Rows by the name of their group, from the top.
        sources: A panel each.
        unit: Of all quantities, below each panel.
        quoted: Gives the paper's numbers by row.
        against: The row that the others are compared with.
        across: Panels side by side; 0: all of them. Each pair begins a line of its own.
        named: Write the names of the groups beside the last panel.
    """
    rows = [row for group in groups.values() for row in group]
    across = across or len(sources)
    parts = [sources[start : start + across] for start in range(0, len(sources), across)]
    lines = [(pair, part) for pair in make.pairs for part in parts]
    height = places(groups)[1] * LINE_IN + 0.35
    width = 0.7 + 0.065 * max(map(len, rows)) + 1.45 * across + 0.9 * named
    figure = Figure(figsize=(width, 0.6 + (height + 0.25) * len(lines)), layout="constrained")
    grid = figure.subplots(len(lines), across, squeeze=False, sharey=True)
    printed = False
    for axes, (pair, part) in zip(grid, lines, strict=True):
        for axis, source in zip(axes, part, strict=False):
            cells = make.column(source, pair, rows)
            values = {row: make.values(source, pair, row) for row in rows}
            paper = quoted(pair, source) if quoted else {}
            printed = printed or bool(paper)
            bars = {row: bar(cells, values, row, against) for row in rows}
            _panel(axis, groups, cells, bars, paper, against)
            lead = f"{pair}\n" if len(make.pairs) > 1 else ""
            axis.set_title(lead + source.title, fontsize=9)
            axis.set_xlabel(unit, fontsize=SMALL)
        for axis in axes[len(part) :]:
            axis.set_axis_off()
        if named:
            _name_groups(axes[len(part) - 1], groups)
    handles = []
    if printed:
        handles.append(Line2D([], [], **PAPER.style(5), label="paper"))
    if against in rows and len(rows) > 1:
        handles.append(Line2D([], [], color="0.4", ls=":", lw=1, label=f"mean of {against}"))
        bar_name = f"95 % t interval of the row minus {against}, paired by {observed(make.suite)}"
        handles.append(Line2D([], [], color="0.4", lw=1.2, label=bar_name))
    if handles:
        figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=SMALL)
    return figure


def bar(
    cells: Mapping[str, Cell], values: Mapping[str, SeedValues], row: str, against: str
) -> Ends | None:
    """Return the ends of a row's bar in the unit of its values; None where it has none.

    Args:
        cells: Means by row.
        values: Values by row and seed.
        row: Whose bar it is.
        against: The row that it is compared with; its name need not be among the cells.
    """
    cell = cells[row]
    base = cells[against].mean if against in cells else None
    if base is None:
        if cell.mean is None or cell.half is None:
            return None
        return cell.mean - cell.half, cell.mean + cell.half
    seeds = sorted(values[row].keys() & values[against].keys())
    if row == against or not seeds:
        return None
    first, second = ([values[name][seed] for seed in seeds] for name in (row, against))
    found = paired_difference(first, second)
    if found.low is None or found.high is None:
        return None
    return base + found.low, base + found.high


def places(groups: Mapping[str, Sequence[str]]) -> tuple[dict[str, float], float]:
    """Return the height of each row counted from the top, and where the last line ends."""
    found: dict[str, float] = {}
    at = 0.0
    for group in groups.values():
        for row in group:
            found[row] = at
            at += 1
        at += APART
    return found, at - APART


def _panel(
    axis: Axes,
    groups: Mapping[str, Sequence[str]],
    cells: Mapping[str, Cell],
    bars: Mapping[str, Ends | None],
    paper: Mapping[str, float],
    against: str,
) -> None:
    heights, end = places(groups)
    for row, at in heights.items():
        cell, drawn = cells[row], mark(row)
        if cell.mean is None:
            word = "failed" if cell.word == FAILED else cell.word
            axis.annotate(str(word), (0.02, at), xycoords=("axes fraction", "data"), va="center")
            continue
        if (ends := bars[row]) is not None:
            axis.plot(ends, (at, at), color=drawn.colour, lw=1.2)
        axis.plot(cell.mean, at, label=row, zorder=3, **drawn.style(5))
        if row in paper:
            axis.plot(paper[row], at + 0.3, zorder=3, **PAPER.style(4))
    centre = cells[against].mean if against in cells and len(cells) > 1 else None
    if centre is not None:
        axis.axvline(centre, color="0.4", ls=":", lw=1, zorder=1)
    axis.set_ylim(end - 0.3, -0.7)
    axis.set_yticks([*heights.values()], [*heights])
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=SMALL)
    axis.locator_params(axis="x", nbins=3)


def _name_groups(axis: Axes, groups: Mapping[str, Sequence[str]]) -> None:
    heights, _ = places(groups)
    for name, group in groups.items():
        middle = (heights[group[0]] + heights[group[-1]]) / 2
        axis.annotate(
            name,
            (1.04, middle),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=SMALL,
            color="0.3",
            annotation_clip=False,
        )
