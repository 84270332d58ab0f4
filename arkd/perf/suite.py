"""What a whole suite costs, from the cost table of a finished run; one stage is one core."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median
from typing import Any

from arkd.storage.records import read_csv
from arkd.suite.folders import CONTROLS

SEEDS = 3  # that the cost of one more method is stated for


def cost_file(results: Path, suite: str) -> Path | None:
    """Return a finished run's cost table: the user's own, or else the latest reference run's."""
    kept = sorted(results.glob(f"reference/*/{suite}/cost.csv"), key=_version)
    return next(filter(Path.is_file, [results / suite / "cost.csv", *reversed(kept)]), None)


def _version(path: Path) -> list[int]:
    """Return the numbers of the reference's version: 10.0 comes after 2.0."""
    return [int(number) for number in re.findall(r"\d+", path.parts[-3])]


def measure_suite(path: Path) -> dict[str, Any]:
    """Return seconds by stage, the share of overhead, and the cost of one more method.

    Seconds are core-seconds: they add up over stages whether these ran side by side or not.

    Raises:
        ArkdError: there is no such file.
    """
    rows = read_csv(path)
    stages: dict[str, dict[str, float]] = {}
    for row in rows:
        of_stage = stages.setdefault(row["stage"], {"runs": 0, "wall_s": 0.0})
        of_stage["runs"] += 1
        of_stage["wall_s"] += float(row["wall_s"])
    return {
        "host": rows[0]["host"] if rows else "",
        "stages": stages,
        "startup_s": _sum(rows, "startup_s"),
        "proper_s": _sum(rows, "proper_s"),
        "padding_share": _mean(rows, "padding_share"),
        "overhead_share": _overhead(rows),
        "methods_s": methods_s(rows),
        "method_s": _more(rows),
    }


def methods_s(rows: list[dict[str, str]]) -> dict[str, float]:
    """Return what each method costs with `SEEDS` seeds: its trainings and their evaluation."""
    spent: dict[str, float] = {}
    seeds: dict[str, set[str]] = {}
    for row in rows:
        if row["stage"] in ("distill", "evaluate") and row["method"] not in CONTROLS:
            spent[row["method"]] = spent.get(row["method"], 0.0) + _total(row)
            if row["stage"] == "distill":
                seeds.setdefault(row["method"], set()).add(row["seed"])
    return {name: spent[name] * SEEDS / len(trained) for name, trained in seeds.items()}


def _more(rows: list[dict[str, str]]) -> dict[str, float] | None:
    costs = sorted(methods_s(rows).values())
    return {"least": costs[0], "median": median(costs), "most": costs[-1]} if costs else None


def _total(row: dict[str, str]) -> float:
    """A stage's seconds, its start-up included where it was recorded."""
    return float(row["wall_s"]) + float(row.get("startup_s") or 0)


def _overhead(rows: list[dict[str, str]]) -> float | None:
    """The share of core-seconds outside training, evaluation and generation proper."""
    proper_s = _sum(rows, "proper_s")
    return None if proper_s is None else 1 - proper_s / sum(map(_total, rows))


def _values(rows: list[dict[str, str]], column: str) -> list[float]:
    return [float(row[column]) for row in rows if row.get(column)]


def _sum(rows: list[dict[str, str]], column: str) -> float | None:
    values = _values(rows, column)
    return sum(values) if values else None


def _mean(rows: list[dict[str, str]], column: str) -> float | None:
    values = _values(rows, column)
    return sum(values) / len(values) if values else None
