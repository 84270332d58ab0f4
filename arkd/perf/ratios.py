"""What must hold of the measured numbers, beside what does: met or not met, never left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from arkd.perf.inputs import Shape
from arkd.perf.losses import RETAINED, SHAPES
from arkd.perf.timing import median

SMALL, LARGE, SMOLLM2 = map(str, SHAPES)


@dataclass(frozen=True)
class Ratio:
    """A measured ratio and its limit; none where a number is only stated."""

    setting: str
    what: str
    value: float
    limit: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the limit holds; none without a limit or a measured value."""
        if self.limit is None or math.isnan(self.value):
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


# What our losses must keep to, as (first, second, limit, at least): time of first / second.
Limit = tuple[str, str, float, bool]
LATE: tuple[Limit, ...] = (
    ("late_batch", "dense", 1.25, False),
    ("late_token", "dense", 1.25, False),
)
TIMES: dict[str, tuple[Limit, ...]] = {
    SMALL: (
        ("early", "dense", 0.75, False),
        ("early", "bare", 1.35, False),
        ("trl", "early", 2.5, True),
        ("authors", "early", 3.0, True),
        ("authors_whole", "early", 3.0, True),
        *LATE,
    ),
    LARGE: (
        ("early", "dense", 0.85, False),
        ("trl", "early", 1.8, True),
        ("authors", "early", 2.3, True),
        ("authors_whole", "early", 2.3, True),
        *LATE,
    ),
    SMOLLM2: LATE,
}
STATED = (
    *dict.fromkeys((first, second) for limits in TIMES.values() for first, second, *_ in limits),
    *(("trl_tiled", "early"), ("liger", "early")),
)
MEMORY_LIMITS = {LARGE: 1 / 8}  # of early's memory to dense's, inputs and gradients left out
STEPS: tuple[tuple[str, str, float | None], ...] = (
    ("cached", "floor", 1.15),
    ("cached", "live", None),
    ("arkd", "late", 1.05),
    ("arkd", "cached", 1.3),
)
LOG_PROB_LIMIT = 1e-4
SAME = 1.01  # a ratio of two sizes that counts as no growth


def of_shape(part: dict[str, Any]) -> list[Ratio]:
    """Return the ratios of one shape; limits are those stated for this shape and no other."""
    setting = str(Shape(**part["shape"]))
    rows = part["rows"]
    limits = {(first, second): rest for first, second, *rest in TIMES.get(setting, ())}
    found = []
    for first, second in STATED:
        if not {first, second} <= {*rows}:  # a run of before there was such a contender
            continue
        limit, at_least = limits.get((first, second), (None, False))
        what = f"time: {rows[first]['label']} / {rows[second]['label']}"
        found.append(Ratio(setting, what, _times(rows, first, second), limit, bool(at_least)))
    above = {name: _above(part, name) for name in ("early", "dense")}
    what = "memory above inputs and gradients: ours, early weights / dense autograd"
    found.append(Ratio(setting, what, above["early"] / above["dense"], MEMORY_LIMITS.get(setting)))
    return found


def of_retained(part: dict[str, Any]) -> list[Ratio]:
    """Return by how much more is kept for the backward pass at the larger vocabulary."""
    small, large = (shape.vocabulary for shape in RETAINED)
    found = []
    for name, row in part["rows"].items():
        least, most = row.get("mib", (math.nan, math.nan))
        ratio = 1.0 if least == most else most / least if least else math.inf
        limit = SAME if name in ("early", "late_batch", "late_token") else None
        what = f"kept for the backward pass: {row['label']}"
        found.append(Ratio(f"V = {large} / V = {small}", what, ratio, limit))
    return found


def of_steps(part: dict[str, Any]) -> list[Ratio]:
    """Return the ratios of whole steps; limits are those of the SmolLM2 pair and no other."""
    rows, judged = part["rows"], not part["quick"]
    found = [
        Ratio(
            part["suite"],
            f"step: {rows[first]['label']} / {rows[second]['label']}",
            _times(rows, first, second),
            limit if judged else None,
        )
        for first, second, limit in STEPS
    ]
    what = "largest difference of log p, cached and live teacher (nats)"
    found.append(Ratio(part["suite"], what, part["log_prob_gap"], LOG_PROB_LIMIT))
    return found


def ratios(parts: dict[str, dict[str, Any]]) -> list[Ratio]:
    """Return all ratios of the finished parts, by the kind of part."""
    builders = {"shape": of_shape, "retained": of_retained, "step": of_steps}
    return [
        ratio
        for part in parts.values()
        if part["kind"] in builders
        for ratio in builders[part["kind"]](part)
    ]


def _times(rows: dict[str, dict[str, Any]], first: str, second: str) -> float:
    return median(rows[first].get("times_s", ())) / median(rows[second].get("times_s", ()))


def _above(part: dict[str, Any], name: str) -> float:
    """Peak memory above inputs and the returned gradients, in MiB."""
    peak = part["rows"][name].get("peak_mib")
    return math.nan if peak is None else float(peak - part["gradients_mib"])
