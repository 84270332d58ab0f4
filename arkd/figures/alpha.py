"""Figures of α over the steps: of arkd beside the published curve, and of every strategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from arkd.figures.marks import mark
from arkd.figures.style import SMALL, broken
from arkd.paths import benchmarks_dir
from arkd.results.suite_results import observed
from arkd.results.trajectories import Curves, mean_series, progress, rolled
from arkd.statistics.intervals import mean_interval
from arkd.suite.names import method_of
from arkd.tables.builder import Builder

CONSTANT = ("forward_kl", "reverse_kl", "fixed_mix")  # their α needs no picture
COLUMNS = 5  # panels side by side, at most
ONE_SEED: dict[str, Any] = {"lw": 0.7, "alpha": 0.4}
MEAN: dict[str, Any] = {"lw": 2.0}
PAPER: dict[str, Any] = {"color": "0.45", "lw": 1.1, "ls": "--"}
BAND: dict[str, Any] = {"alpha": 0.2, "lw": 0}


def alpha(make: Builder) -> Figure | None:
    """α of arkd over the steps, with the published trajectory on its own axis of steps."""
    if "arkd" not in make.methods:
        return None
    logged = Curves(make)
    runs = {pair: seeds for pair in make.pairs if (seeds := logged.alpha(pair, "arkd"))}
    if not runs:
        return None
    figure = Figure(figsize=(5.6 * len(runs), 3.5), layout="constrained")
    grid = figure.subplots(1, len(runs), squeeze=False, sharey=True)[0]
    paper, colour = published_alpha(), mark("arkd").colour
    for axis, (pair, seeds) in zip(grid, runs.items(), strict=True):
        for series in seeds.values():
            axis.plot(rolled(series), color=colour, **ONE_SEED)
        mean = rolled(mean_series(seeds))
        band = interval_series({seed: rolled(series) for seed, series in seeds.items()})
        if len(band):
            axis.fill_between(band.index, band["low"], band["high"], color=colour, **BAND)
        axis.plot(mean, color=colour, **MEAN)
        above = axis.twiny()
        above.plot(paper, **PAPER)
        above.grid(False)
        above.spines["top"].set_visible(True)
        above.set(xlim=(0, paper.index[-1]))
        above.set_xlabel("step of the paper's run", fontsize=SMALL)
        last = max(series.index[-1] for series in seeds.values())
        axis.set(xlim=(0, max(last, 1)), ylim=(-0.03, 1.03), xlabel="step")
        if len(runs) > 1:
            axis.set_title(pair)
    grid[0].set_ylabel("α, weight of forward KL")
    word = observed(make.suite)
    names = {f"mean over {word}s": MEAN, f"single {word}s": ONE_SEED}
    handles: list[Any] = [
        Line2D([], [], color=colour, **style, label=name) for name, style in names.items()
    ]
    if any(len(seeds) > 1 for seeds in runs.values()):
        handles.append(Patch(color=colour, **BAND, label="95 % t interval"))
    handles.append(Line2D([], [], **PAPER, label="paper, Figure 5"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=SMALL)
    return figure


def published_alpha() -> pd.Series:
    """Return the paper's Figure 5 as read off the plot, α by step."""
    path = benchmarks_dir() / "published" / "figure5.csv"
    return pd.read_csv(path).set_index("step")["alpha"]


def interval_series(seeds: Mapping[int, pd.Series]) -> pd.DataFrame:
    """Return the 95 % t interval over seeds at each step that several seeds have."""
    frame = pd.concat(seeds.values(), axis=1).sort_index()  # seeds may have logged other windows
    rows = {
        step: mean_interval(kept)
        for step, values in frame.iterrows()
        if (kept := values.dropna().to_numpy()).size > 1
    }
    ends = [(found.low, found.high) for found in rows.values()]
    return pd.DataFrame(ends, index=[*rows], columns=["low", "high"], dtype=float)


def alphas(make: Builder) -> Figure | None:
    """α over training, a panel a strategy, the published trajectory in each."""
    logged = Curves(make)
    arms = [method for method in make.methods if method_of(method) not in CONSTANT]
    families = [method_of(arm) for arm in arms]
    arms.sort(key=lambda arm: families.index(method_of(arm)))
    lines: list[list[tuple[str, str, dict[int, pd.Series]]]] = []
    for pair in make.pairs:  # each pair begins a line of panels
        shown = [(pair, arm, seeds) for arm in arms if (seeds := logged.alpha(pair, arm))]
        lines += [shown[i : i + COLUMNS] for i in range(0, len(shown), COLUMNS)]
    if not lines:
        return None
    across = max(len(line) for line in lines)
    figure = Figure(
        figsize=(max(2.15 * across, 5.0), 2.05 * len(lines) + 0.5), layout="constrained"
    )
    grid = figure.subplots(len(lines), across, squeeze=False, sharex=True, sharey=True)
    paper, word = published_alpha(), observed(make.suite)
    for place, (axes, line) in enumerate(zip(grid, lines, strict=True)):
        for column, axis in enumerate(axes[len(line) :], len(line)):
            axis.set_axis_off()
            if place:
                grid[place - 1, column].tick_params(labelbottom=True)
        for axis, (pair, arm, seeds) in zip(axes, line, strict=False):
            axis.plot(progress(paper), paper, **PAPER)
            _draw_seeds(axis, arm, seeds)
            name, _, change = arm.partition("@")
            counted = f"{len(seeds)} {word}{'s' if len(seeds) > 1 else ''}"
            title = [pair] * (len(make.pairs) > 1) + [
                name,
                f"{broken(change)}, {counted}".lstrip(", "),
            ]
            axis.set_title("\n".join(title), fontsize=8)
    for axis in grid[:, 0]:
        axis.set(xlim=(0, 1), ylim=(-0.03, 1.03), ylabel="α")
        axis.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    figure.supxlabel("share of training", fontsize=9)
    names = {
        f"mean over {word}s": MEAN | {"color": "0.2"},
        f"single {word}s": ONE_SEED | {"color": "0.2"},
        "paper, Figure 5": PAPER,
    }
    handles = [Line2D([], [], **style, label=name) for name, style in names.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return figure


def _draw_seeds(axis: Axes, arm: str, seeds: Mapping[int, pd.Series]) -> None:
    """Draw the seeds and their mean; of a choice between two, the share of seeds that made it."""
    mean, colour = mean_series(dict(seeds)), mark(arm).colour
    if method_of(arm) == "greedy_min":
        axis.fill_between(progress(mean), mean, step="mid", color=colour, alpha=0.3, lw=0)
    else:
        for series in seeds.values():
            axis.plot(progress(series), rolled(series), color=colour, **ONE_SEED)
    axis.plot(progress(mean), rolled(mean), color=colour, **MEAN)
