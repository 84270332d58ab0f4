"""The tables of `docs/metrics.md`, written from what the metrics declare; its prose is by hand."""

from __future__ import annotations

import math
from pathlib import Path

from arkd.errors import ArkdError
from arkd.metrics.declared import METRICS, Kind, Metric
from arkd.paths import baselines_dir
from arkd.storage.files import write_text

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
    path = path or baselines_dir().parent / "docs" / "metrics.md"
    if not path.is_file():
        raise ArkdError(f"{path}: no such page; run `arkd pages` in a checkout of the project")
    text = path.read_text(encoding="utf-8")
    for kind in METRICS:
        mark = f"<!-- metrics: {kind} -->"
        before, start, rest = text.partition(f"{mark}\n")
        _, end, after = rest.partition(END)
        if not end:
            raise ArkdError(f"{path}: no place for a table; put '{mark}' and '{END}' into it")
        text = before + start + table(kind) + end + after
    write_text(path, text)
    return path


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
