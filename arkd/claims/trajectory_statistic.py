"""A number from what a training logged, known by windows of steps (`trajectories.csv`)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from arkd import exact
from arkd.claims.kinds import Trajectory


def statistic(run: pd.DataFrame, test: Trajectory) -> float | None:
    """Return a statistic of a logged column; None where nothing of it was logged.

    A window counts by the number of its steps whose middle lies in the asked share of the run. α is
    the weight that was used, also of a policy that draws it; its extremes are those of single
    steps, other columns' those of window means. A slope is the change of the least-squares line
    over the whole run.

    Args:
        run: The windows of one run, with their first and last step, counted from 0.
        test: What to take of which column.
    """
    if test.metric not in run:
        return None
    total = int(run["last_step"].max()) + 1
    run = run[run[test.metric].notna()]
    steps = _steps_in(run, test.window, total)
    part, steps = run[steps > 0], steps[steps > 0]
    if part.empty:
        return None
    if test.statistic in ("min", "max"):
        extremes = part.get(f"{test.metric}_{test.statistic}", part[test.metric])
        return float(extremes.min() if test.statistic == "min" else extremes.max())
    mean = _mean(part[test.metric], steps)
    if test.earlier is not None:
        before = _steps_in(run, test.earlier, total)
        return mean - _mean(run[test.metric], before) if before.any() else None
    if test.statistic == "slope":
        share = (part["first_step"] + part["last_step"] + 1) / 2 / total
        offset = share - _mean(share, steps)
        spread = _mean(offset**2, steps)
        return _mean(offset * part[test.metric], steps) / spread if spread > 0 else None
    return mean


def too_short(test: Trajectory, total: int) -> bool:
    """Tell whether a run of so many steps has none, or for a slope not two, where a test looks."""
    needed = 2 if test.statistic == "slope" else 1
    windows = [_bounds(share, total) for share in (test.window, test.earlier) if share]
    return any(stop - start < needed for start, stop in windows)


def _bounds(share: Iterable[float], total: int) -> tuple[int, int]:
    """Return the first step whose middle lies in a share of the run, and the first behind it."""
    start, stop = (math.ceil(round(x * total - 0.5, 9)) for x in share)
    return start, stop


def _steps_in(run: pd.DataFrame, share: Iterable[float], total: int) -> np.ndarray:
    """Return how many steps of each window have their middle in a share of the run."""
    start, stop = _bounds(share, total)
    first = np.maximum(run["first_step"].to_numpy(), start)
    last = np.minimum(run["last_step"].to_numpy(), stop - 1)
    return np.maximum(last - first + 1, 0)


def _mean(values: pd.Series, weights: np.ndarray) -> float:
    return exact.weighted_mean(values.to_numpy(), weights)
