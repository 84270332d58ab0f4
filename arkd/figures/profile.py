"""Performance profiles: how often a method closes how much of the gap to the teacher."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from arkd import exact
from arkd.figures.style import SMALL, broken, foot, main_rows
from arkd.statistics.intervals import mean_interval
from arkd.statistics.scores import performance_profile
from arkd.tables.builder import Builder, short_name
from arkd.tables.kinds.aggregate import closed_by_seed, open_gaps

COLUMNS = 5  # panels side by side
START, WHOLE = 0.0, 1.0  # shares of the gap that are always in view: the start's and the teacher's
BAND: dict[str, Any] = {"step": "post", "color": "0.7", "alpha": 0.5, "lw": 0}
WIDEST = (-0.5, 1.5)  # shares of the gap between which a view lies at most


def profile(make: Builder) -> Figure | None:
    """Performance profiles: share of seeds × test sets above a share of the gap, a panel a row."""
    choice = main_rows(make, make.methods, plain=True)
    lines: list[list[tuple[str, str]]] = []
    found: dict[tuple[str, str], np.ndarray] = {}
    left_out: dict[str, None] = {}
    for pair in make.pairs:
        sets = open_gaps(make, pair)
        left_out |= {short_name(make.suite, t): None for t in make.scored if t not in sets}
        for row in choice.rows if sets else ():
            by_seed = closed_by_seed(make, pair, row, sets)
            if by_seed:
                found[pair, row] = np.array([*by_seed.values()])
        ranked = sorted((k for k in found if k[0] == pair), key=lambda key: -exact.mean(found[key]))
        lines += [ranked[i : i + COLUMNS] for i in range(0, len(ranked), COLUMNS)]
    if not found:
        return None
    across = max(map(len, lines))
    figure = Figure(figsize=(max(2.0 * across, 5.0), 1.9 * len(lines) + 0.8), layout="constrained")
    grid = figure.subplots(len(lines), across, squeeze=False, sharex=True, sharey=True)
    every = np.concatenate([scores.ravel() for scores in found.values()])
    low, high = np.clip(np.quantile(every, (0.005, 0.995)), *WIDEST)
    limits = (min(float(low), START) - 0.03, max(float(high), WHOLE) + 0.03)
    ends = (min(limits[0], float(every.min())), max(limits[1], float(every.max())))
    curves = {key: steps(scores, ends) for key, scores in found.items()}
    for place, (axes, line) in enumerate(zip(grid, lines, strict=True)):
        for column, axis in enumerate(axes[len(line) :], len(line)):
            axis.set_axis_off()
            if place:
                grid[place - 1, column].tick_params(labelbottom=True)
        for axis, key in zip(axes, line, strict=False):
            for other, curve in curves.items():
                if other[0] == key[0] and other != key:
                    axis.step(*curve, where="post", color="0.8", lw=0.6, zorder=1)
            if len(found[key]) > 1:
                at = curves[key][0]
                axis.fill_between(at, *band(found[key], at), **BAND)
            axis.step(*curves[key], where="post", color="black", lw=1.6, label=key[1])
            count = f"{len(found[key])} seed{'s' if len(found[key]) > 1 else ''}"
            lead = [key[0]] * (len(make.pairs) > 1)
            name = [*lead, broken(key[1]), f"mean {exact.mean(found[key]):.2f}, {count}"]
            axis.set_title("\n".join(name), fontsize=SMALL)
            axis.set(xlim=limits, ylim=(-0.02, 1.02))
    for axis in grid[:, 0]:
        axis.set_ylabel("share above τ", fontsize=SMALL)
    closed = "τ: share of the gap in ROUGE-L between start and teacher that is closed"
    gone = f"left out, teacher not ahead of the start: {', '.join(left_out)}" if left_out else ""
    foot(figure, "\n".join(filter(None, (closed, choice.note, gone))))
    return figure


def steps(scores: np.ndarray, ends: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return a profile where it changes, which is at the scores themselves, and at both ends."""
    at = np.unique([*ends, *scores.ravel()])
    return at, performance_profile(scores, at)


def band(scores: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % t interval over seeds of a profile at some thresholds, within 0 to 1.

    Args:
        scores: Shape [seeds, sets], of two seeds or more.
        at: Thresholds, shape [grid].
    """
    by_seed = np.array([performance_profile(seed[None, :], at) for seed in scores])
    found = [mean_interval(column) for column in by_seed.T]
    low, high = (np.array([getattr(i, end) for i in found], dtype=float) for end in ("low", "high"))
    return np.clip(low, 0, 1), np.clip(high, 0, 1)
