"""How runs went, condensed: a hundred windows a run instead of thousands of steps.

`trajectory.csv` of a training has every step; `trajectories.csv` of a suite has what the tables,
figures and claims look at, small enough to be kept with the results.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from arkd.metrics.declared import CONDENSED
from arkd.storage.records import COLUMNS as OF_RECORDS
from arkd.storage.records import read_csv, write_csv
from arkd.suite.folders import Tree, seeds

WINDOWS = 100  # at most; a run of fewer steps has a window a step
COLUMNS = (*OF_RECORDS[:5], "window", "first_step", "last_step", *CONDENSED)


def mean_in_order(values: Sequence[float]) -> float:
    """Return the mean by additions in order, each rounded: the bytes of all runs that are kept.

    `sum` adds so as well up to Python 3.11, and from 3.12 on it does not.
    """
    return reduce(add, values) / len(values)


def condense(rows: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the means of each window of a run; a column that is nowhere logged there is left out.

    Args:
        rows: The lines of a `trajectory.csv`, one a step.
    """
    count = min(WINDOWS, len(rows))
    for window in range(count):
        part = rows[window * len(rows) // count : (window + 1) * len(rows) // count]
        means: dict[str, Any] = {"window": window}
        means |= {"first_step": int(part[0]["step"]), "last_step": int(part[-1]["step"])}
        for column in CONDENSED:
            values = [float(row[column]) for row in part if row.get(column)]
            if values:
                means[column] = mean_in_order(values)
                if column == "alpha":
                    means |= {"alpha_min": min(values), "alpha_max": max(values)}
        yield means


def write(tree: Tree, runs: Iterable[tuple[str, str]]) -> Path:
    """Condense the trainings of (pair, method) runs that have left a trajectory."""
    suite = tree.suite
    lines: list[dict[str, Any]] = []
    for pair, method in runs:
        for seed in seeds(suite, method):
            path = tree.training(pair, method, seed) / "trajectory.csv"
            if path.is_file():
                of_run: dict[str, Any] = {"suite": suite.name, "suite_version": suite.version}
                of_run |= {"pair": pair, "method": method, "seed": seed}
                lines += [of_run | means for means in condense(read_csv(path))]
    out = tree.root / "trajectories.csv"
    write_csv(out, COLUMNS, lines)
    return out
