"""How training went: α, loss and both divergences over the steps, a line for each method."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from arkd.figures.alpha import BAND, interval_series
from arkd.figures.marks import by_renown, mark
from arkd.figures.strategies import chosen
from arkd.figures.style import SMALL, foot
from arkd.results.trajectories import Curves, mean_series, rolled
from arkd.tables.builder import Builder

LINES = 8  # methods, at most
MARKED = 5  # marks on a line, on average
PANELS = {
    "alpha": "α, weight of forward KL",
    "loss": "loss (nats per token)",
    "fkl": "forward KL (nats per token)",
    "rkl": "reverse KL (nats per token)",
}


def dynamics(make: Builder) -> Figure | None:
    """Draw the rows that differ in how α is chosen; None where arkd is not among them."""
    if "arkd" not in make.methods:
        return None
    rows = [row for row in chosen(make) if "@" not in row]
    shown = by_renown(rows)[:LINES]
    logged = Curves(make)
    runs = {
        (pair, row, column): logged.alpha(pair, row)
        if column == "alpha"
        else logged.of(pair, row, column)
        for pair in make.pairs
        for row in shown
        for column in PANELS
    }
    if not any(runs.values()):
        return None
    figure = Figure(figsize=(11.0, 2.9 * len(make.pairs) + 0.4), layout="constrained")
    grid = figure.subplots(len(make.pairs), len(PANELS), squeeze=False)
    for axes, pair in zip(grid, make.pairs, strict=True):
        lead = f"{pair}\n" if len(make.pairs) > 1 else ""
        for axis, (column, title) in zip(axes, PANELS.items(), strict=True):
            for place, row in enumerate(shown):
                _line(axis, row, runs[pair, row, column], place / len(shown), column == "alpha")
            axis.set_title(lead + title, fontsize=9)
            axis.set_xlabel("step", fontsize=SMALL)
            axis.tick_params(labelsize=SMALL)
            axis.set_xlim(left=0)
            if column != "alpha":
                axis.set_yscale("log")
                axis.yaxis.set_major_formatter("{x:g}")
                axis.yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
                axis.yaxis.set_minor_locator(NullLocator())
        axes[0].set_ylim(-0.03, 1.03)
    handles = [
        Line2D([], [], label=row, **mark(row).style(5) | {"ls": "-", "lw": 1.5}) for row in shown
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=LINES, fontsize=SMALL)
    foot(
        figure,
        "loss: each row's own, which differ" + "; band of α: 95 % t" * (len(make.suite.seeds) > 1),
        f"{len(shown)} of {len(rows)} rows" * (len(shown) < len(rows)),
    )
    return figure


def _line(axis: Axes, row: str, seeds: dict[int, pd.Series], offset: float, banded: bool) -> None:
    """Draw the smoothed mean over seeds; marks begin at an offset, a share of their distance."""
    if not seeds:
        return
    mean, drawn = rolled(mean_series(seeds)), mark(row)
    if banded and len(seeds) > 1:
        band = interval_series({seed: rolled(series) for seed, series in seeds.items()})
        axis.fill_between(band.index, band["low"], band["high"], color=drawn.colour, **BAND)
    apart = max(1, len(mean) // MARKED)
    style = drawn.style(4) | {"ls": "-", "lw": 1.3, "markevery": (int(offset * apart), apart)}
    axis.plot(mean, label=row, **style)
