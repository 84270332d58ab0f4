"""Dot plots: a line for each row, a panel for each quantity, the interval over seeds as a bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from arkd.figures.style import SMALL, Mark
from arkd.tables.builder import Builder, Source
from arkd.tables.table import FAILED, Cell

LINE_IN, APART = 0.21, 0.5  # inches a row; lines between two groups of rows
PAPER = Mark("0.35", "x")
Quoted = Callable[[str, Source], Mapping[str, float]]  # of pair and source, by row


def dots(
    make: Builder,
    groups: Mapping[str, Sequence[str]],
    sources: Sequence[Source],
    unit: str,
    known: Mapping[str, Mark],
    quoted: Quoted | None = None,
    reference: str = "",
) -> Figure:
    """Draw rows in groups against each quantity, means with their 95 % t intervals over seeds.

    Args:
        make: The suite's records.
        groups: Rows by the name of their group, from the top.
        sources: A panel each, side by side; a line of panels for each pair.
        unit: Of all quantities, below each panel.
        known: How each group is drawn.
        quoted: Gives the paper's numbers by row.
        reference: A row whose mean is drawn through each panel.
    """
    rows = [row for group in groups.values() for row in group]
    height = places(groups)[1] * LINE_IN + 0.35
    longest = max(map(len, rows))
    figure = Figure(
        figsize=(0.7 + 0.065 * longest + 1.45 * len(sources), 0.8 + height * len(make.pairs)),
        layout="constrained",
    )
    grid = figure.subplots(len(make.pairs), len(sources), squeeze=False, sharey=True)
    printed = False
    for line, pair in zip(grid, make.pairs, strict=True):
        for axis, source in zip(line, sources, strict=True):
            cells = make.column(source, pair, rows)
            paper = quoted(pair, source) if quoted else {}
            printed = printed or bool(paper)
            _panel(axis, groups, cells, known, paper, reference)
            lead = f"{pair}\n" if len(make.pairs) > 1 else ""
            axis.set_title(lead + source.title, fontsize=9)
            axis.set_xlabel(unit, fontsize=SMALL)
    handles = [
        Line2D([], [], **known[name].style(5), label=name) for name in groups if len(groups) > 1
    ]
    if printed:
        handles.append(Line2D([], [], **PAPER.style(5), label="paper"))
    if reference in rows and len(rows) > 1:
        handles.append(Line2D([], [], color="0.4", ls=":", lw=1, label=f"mean of {reference}"))
    if handles:
        figure.legend(handles=handles, loc="outside upper left", ncols=4, fontsize=SMALL)
    return figure


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
    known: Mapping[str, Mark],
    paper: Mapping[str, float],
    reference: str,
) -> None:
    heights, end = places(groups)
    for name, group in groups.items():
        for row in group:
            cell, mark, at = cells[row], known[name], heights[row]
            if cell.mean is None:
                word = "failed" if cell.word == FAILED else cell.word
                axis.annotate(
                    str(word), (0.02, at), xycoords=("axes fraction", "data"), va="center"
                )
                continue
            if cell.half is not None:
                ends = (cell.mean - cell.half, cell.mean + cell.half)
                axis.plot(ends, (at, at), color=mark.colour, lw=1.2)
            axis.plot(cell.mean, at, label=row, zorder=3, **mark.style(5))
            if row in paper:
                axis.plot(paper[row], at + 0.3, zorder=3, **PAPER.style(4))
    centre = cells[reference].mean if reference in cells and len(cells) > 1 else None
    if centre is not None:
        axis.axvline(centre, color="0.4", ls=":", lw=1, zorder=1)
    axis.set_ylim(end - 0.3, -0.7)
    axis.set_yticks([*heights.values()], [*heights])
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=SMALL)
    axis.locator_params(axis="x", nbins=4)
