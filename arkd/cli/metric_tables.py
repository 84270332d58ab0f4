"""The tables of `docs/metrics.md`, written from what the metrics declare; its prose is by hand."""

from __future__ import annotations

import math
from pathlib import Path

from arkd.metrics.declared import METRICS, Kind, Metric
from arkd.paths import baselines_dir
from arkd.storage.generated import fill

HEAD = "| metric | unit | range | better | definition |\n|---|---|---|---|---|\n"
END = "<!-- end -->"
BETTER = {True: "higher", False: "lower", None: ""}


def write(path: Path | None = None) -> Path:
    """Write every kind's table between its marks in the page; return the file.

    Args:
        path: The page; that of the checkout if none is given.

    Raises:
        ArkdError: there is no such page, or a kind of metrics has no marks in it.
    """
    page = path or baselines_dir().parent / "docs" / "metrics.md"
    return fill(page, ((f"<!-- metrics: {kind} -->", table(kind)) for kind in METRICS), END)


def table(kind: Kind) -> str:
    """Return the table of a kind's metrics as Markdown."""
    return HEAD + "".join(f"| {' | '.join(_row(metric))} |\n" for metric in METRICS[kind])


def _row(metric: Metric) -> list[str]:
    """Return a metric's line, the tasks named where they are not all of its kind."""
    only = f"; only on {', '.join(f'`{task}`' for task in metric.tasks)}" if metric.tasks else ""
    better = BETTER[metric.higher_is_better]
    return [f"`{metric.name}`", metric.unit, _range(metric), better, metric.definition + only]


def _range(metric: Metric) -> str:
    """Return what values there can be: 0–1, ≥ 0, or nothing for any."""
    low, high = metric.range
    if math.isinf(low):
        return "" if math.isinf(high) else f"≤ {_number(high)}"
    if math.isinf(high):
        return f"≥ {_number(low)}"
    return _number(low) if low == high else f"{_number(low)}–{_number(high)}"


def _number(value: float) -> str:
    return "ln 2" if value == math.log(2) else f"{value:g}".replace("-", "−")
