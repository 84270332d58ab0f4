"""Times of several runs, taken in turns: what disturbs the machine disturbs them all alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def interleave(
    runs: Mapping[str, Callable[[], Any]],
    repeats: int,
    tick: Callable[[str], None] = lambda name: None,
) -> dict[str, list[float]]:
    """Return the seconds of each run, `repeats` times each, after one that does not count.

    A round runs each of them once, every other round from the last to the first, so that none is
    always behind the same one. What a run returns is freed inside its time.

    Args:
        runs: What to time, by name.
        repeats: Rounds that count.
        tick: Called with a run's name when it has run.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        names = list(runs)[:: 1 if turn % 2 == 0 else -1]
        for name in names:
            started = time.perf_counter()
            runs[name]()
            spent_s = time.perf_counter() - started
            if turn:
                times[name].append(spent_s)
            tick(name)
    return times


def median(times: Sequence[float]) -> float:
    """Return the median; not a number where there are none."""
    return statistics.median(times) if times else math.nan


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Return b of time ∝ size^b, by least squares on logarithms."""
    x, y = ([math.log(value) for value in values] for values in (sizes, times))
    return statistics.linear_regression(x, y).slope
