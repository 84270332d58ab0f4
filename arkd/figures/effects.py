"""What each method does beside forward KL: paired differences, one panel a headline measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from arkd.figures.marks import mark
from arkd.figures.style import SMALL, foot, main_rows
from arkd.results.records import SeedValues
from arkd.results.suite_results import observed
from arkd.tables.builder import Builder
from arkd.tables.kinds.summary import TRUTH
from arkd.tables.quantities import FORWARD, difference, quality
from arkd.tables.table import Cell

LINE_IN = 0.2  # inches a row
DECIDED, OPEN = (2.6, 6.0), (0.8, 3.0)  # width of the line, size of the mark: told apart, or not


@dataclass(frozen=True)
class Measure:
    """A panel: the key of its values, its title, and on which side of zero a row is better."""

    key: str
    title: str
    unit: str
    lower_is_better: bool = False


MEASURES = (
    Measure("rouge_l", "ROUGE-L", "points, in distribution"),
    Measure("outside", "ROUGE-L, other sets", "points, out of distribution"),
    Measure("jsd", "JSD to the teacher", "nats per token", lower_is_better=True),
    Measure("truth", "error, tail facts", "total variation", lower_is_better=True),
)


def effects(make: Builder) -> Figure | None:
    """Draw each row less forward KL, seed by seed, with its interval; the best JSD on top."""
    if FORWARD not in make.methods or len(make.methods) < 2:
        return None
    choice = main_rows(make, [row for row in make.methods if row != FORWARD], plain=True)
    rows = choice.rows
    found = {pair: _differences(make, pair, rows) for pair in make.pairs}
    shown = [m for m in MEASURES if any(m.key in cells for cells in found[make.pairs[0]].values())]
    height = len(rows) * LINE_IN + 0.6
    figure = Figure(
        figsize=(0.7 + 0.065 * max(map(len, rows)) + 1.75 * len(shown), height * len(found) + 0.5),
        layout="constrained",
    )
    grid = figure.subplots(len(found), len(shown), squeeze=False, sharey="row")
    for line, (pair, cells) in zip(grid, found.items(), strict=True):
        order = sorted(cells, key=lambda row: cells[row]["jsd"].mean or 0.0)
        for axis, measure in zip(line, shown, strict=True):
            axis.axvline(0, color="black", lw=0.8, zorder=1)
            for at, row in enumerate(order):
                cell = cells[row][measure.key]
                if cell.mean is None:
                    continue
                decided = cell.half is None or abs(cell.mean) > cell.half
                drawn, (line_width, size) = mark(row), DECIDED if decided else OPEN
                if cell.half is not None:
                    ends = (cell.mean - cell.half, cell.mean + cell.half)
                    axis.plot(ends, (at, at), color=drawn.colour, lw=line_width)
                axis.plot(cell.mean, at, label=row, zorder=3, **drawn.style(size))
            lead = f"{pair}\n" if len(found) > 1 else ""
            axis.set_title(lead + measure.title, fontsize=9)
            better = "← better" if measure.lower_is_better else "better →"
            axis.set_xlabel(f"{measure.unit}\n{better}", fontsize=SMALL)
            axis.set_yticks(range(len(order)), order)
            axis.set_ylim(len(order) - 0.5, -0.5)
            axis.tick_params(axis="y", length=0)
            axis.tick_params(axis="x", labelsize=SMALL)
            axis.locator_params(axis="x", nbins=4)
    alone = len(make.expected(FORWARD)) == 1
    what = (
        f"no intervals from a single {observed(make.suite)}"
        if alone
        else "95 % t intervals, uncorrected; thin: the interval contains zero"
    )
    foot(figure, f"zero: {FORWARD}", what, choice.note)
    return figure


def _differences(make: Builder, pair: str, rows: Sequence[str]) -> dict[str, dict[str, Cell]]:
    """Return each row's paired difference to forward KL by measure; measured ones only."""
    base = _values(make, pair, FORWARD)
    found: dict[str, dict[str, Cell]] = {}
    for row in rows:
        values = _values(make, pair, row)
        found[row] = {
            key: difference(make, pair, (row, FORWARD), values[key], base[key]) for key in base
        }
    return found


def _values(make: Builder, pair: str, row: str) -> dict[str, SeedValues]:
    found = quality(make, pair, row)
    tail = TRUTH[-1]
    if tail.group in make.records.groups(tail.task, tail.metric):
        found["truth"] = make.values(tail, pair, row)
    return found
