"""The benchmark's tables: which numbers stand beside which."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from arkd.perf.inputs import Shape
from arkd.perf.ratios import Ratio, ratios
from arkd.perf.timing import median

Cell = float | str | None


@dataclass(frozen=True)
class Table:
    """Numbers under columns; the first cell of a row names it. A note stands below the title."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


def tables(measured: dict[str, Any]) -> list[Table]:
    """Return all tables of what is measured so far, the ratios first."""
    builders = {
        "shape": _shape,
        "fused": _fused,
        "retained": _retained,
        "step": _steps,
        "growth": _growth,
        "sampling": _sampling,
        "suite": _suite,
    }
    parts = measured["parts"]
    found = [table for part in parts.values() for table in builders[part["kind"]](part)]
    compared = ratios(parts)
    return [_ratios(compared), *found] if compared else found


def _ratios(compared: list[Ratio]) -> Table:
    return Table(
        "Ratios and their limits",
        "Medians of one run. Without a limit a ratio is only stated.",
        ("setting and ratio", "measured", "limit", "verdict"),
        [(f"{r.setting} {r.what}", r.value, _limit(r), _verdict(r)) for r in compared],
    )


def _limit(ratio: Ratio) -> str:
    sign = "≥" if ratio.at_least else "≤"
    return "—" if ratio.limit is None else f"{sign} {number(ratio.limit)}"


def _verdict(ratio: Ratio) -> str:
    if ratio.met is None or ratio.limit is None:
        return "—"
    return "met" if ratio.met else f"NOT MET by {abs(ratio.value / ratio.limit - 1):.1%}"


def _shape(part: dict[str, Any]) -> Iterator[Table]:
    shape = Shape(**part["shape"])
    rows: list[tuple[Cell, ...]] = []
    bare_s = median(part["rows"]["bare"]["times_s"])
    for row in part["rows"].values():
        spent = row.get("times_s") or []
        if row["reason"] and not spent:
            rows.append((row["label"], row["reason"], *[None] * 6))
            continue
        peak = row.get("peak_mib", math.nan)
        memory = ("n/a", "n/a") if peak is None else (peak, peak - part["gradients_mib"])
        times = median(spent), min(spent), max(spent), 100 * bare_s / median(spent)
        rows.append((row["label"], *times, *memory, row.get("error")))
    yield Table(
        f"Divergence, forward and backward: (tokens, H, G, V) = {shape}",
        f"{part['gflop']:,.0f} GFLOP of matrix products, which this machine does at "
        f"{part['gflop_per_s']:,.0f} GFLOP/s. Memory is above the inputs; error is relative to "
        "float64, the largest of loss and both gradients.",
        (
            *("contender", "median (s)", "least (s)", "most (s)", "share of product rate (%)"),
            *("peak (MiB)", "peak without gradients (MiB)", "largest error"),
        ),
        rows,
    )


def _fused(part: dict[str, Any]) -> Iterator[Table]:
    shape = Shape(**part["shape"])
    rows: list[tuple[Cell, ...]] = []
    for row in part["rows"].values():
        of_each = [row[way] for way in ("operators", "fused")]
        times = [median(found["times_s"]) for found in of_each]
        rest = [found.get(key) for key in ("peak_mib", "error") for found in of_each]
        rows.append((row["label"], *times, times[0] / times[1], *rest))
    yield Table(
        f"Fused element-wise work beside the operators: (tokens, H, G, V) = {shape}",
        f"On {part['device']}, Triton {part['triton']}; forward and backward, and the element-wise "
        f"work alone over {part['chunk']} tokens. Memory is above the inputs; error is relative to "
        "float64, the largest of loss and both gradients.",
        (
            *("form", "operators (s)", "fused (s)", "operators / fused"),
            *("operators (MiB)", "fused (MiB)", "operators' error", "fused error"),
        ),
        rows,
    )


def _retained(part: dict[str, Any]) -> Iterator[Table]:
    sizes = [f"V = {shape['vocabulary']} (MiB)" for shape in part["shapes"]]
    tokens, hidden = part["shapes"][0]["tokens"], part["shapes"][0]["student"]
    yield Table(
        "Kept for the backward pass",
        f"{tokens} tokens, H = {hidden}; inputs and gradients of the head left out.",
        ("contender", *sizes),
        [(row["label"], *row.get("mib", (row["reason"], None))) for row in part["rows"].values()],
    )


def _steps(part: dict[str, Any]) -> Iterator[Table]:
    made = ", ".join(f"{name} {spent_s:.0f} s" for name, spent_s in part["stages_s"].items())
    yield Table(
        f"One step, {part['suite']}",
        f"Loss and backward pass, mean over {part['batches']} batches of "
        f"{part['batch_tokens']:.0f} response tokens. Stages: {made or 'of a finished run'}.",
        ("step", "median (s)", "least (s)", "most (s)"),
        [
            (row["label"], median(row["times_s"]), min(row["times_s"]), max(row["times_s"]))
            for row in part["rows"].values()
        ],
    )
    cache = part["cache"]
    spent_s = median(cache["times_s"])
    yield Table(
        f"Teacher cache, {part['suite']}",
        f"Built from {cache['tokens']} tokens, {cache['response_tokens']} of them of responses.",
        ("quantity", "value"),
        [
            ("tokens read a second", cache["tokens"] / spent_s),
            ("response tokens cached a second", cache["response_tokens"] / spent_s),
            ("bytes a response token", cache["bytes_per_token"]),
            ("bytes a response token, as float32 logits", cache["logits_bytes_per_token"]),
        ],
    )


def _growth(part: dict[str, Any]) -> Iterator[Table]:
    for grows in ("tokens", "vocabulary"):
        found = part[grows]
        yield Table(
            f"Growth with {grows}: ours, early weights",
            f"Fitted: time ∝ {grows}^{found['exponent']:.2f}.",
            ("(tokens, H, G, V)", "median (s)", "least (s)", "most (s)"),
            [(name, median(t), min(t), max(t)) for name, t in found["times_s"].items()],
        )


def _sampling(part: dict[str, Any]) -> Iterator[Table]:
    rows: list[tuple[Cell, ...]] = []
    for row in part["rows"].values():
        batches, padded, continuous = (median(times) for times in row["times_s"].values())
        same = 100 * row["same"]["continuous"]
        times = batches, padded, continuous, padded / continuous
        rows.append((row["label"], row["tokens"], *times, same))
    yield Table(
        "Answers of many lengths, by engine",
        f"On {part['device']}, a Llama of random weights; an answer is the same if every token is.",
        (
            *("load", "tokens an answer", "batches (s)", "padded batches (s)", "continuous (s)"),
            *("padded / continuous", "the same as of batches (%)"),
        ),
        rows,
    )


def _suite(part: dict[str, Any]) -> Iterator[Table]:
    rows: list[tuple[Cell, ...]] = [
        (f"stage {name}, {cost['runs']} runs (core-s)", cost["wall_s"])
        for name, cost in part["stages"].items()
    ]
    overhead, padding = part["overhead_share"], part["padding_share"]
    rows += [
        ("start-up of all stages (core-s)", _or_not(part["startup_s"])),
        ("training, evaluation and generation proper (core-s)", _or_not(part["proper_s"])),
        ("overhead: the rest (%)", _or_not(None if overhead is None else 100 * overhead)),
        ("padding among the tokens read (%)", _or_not(None if padding is None else 100 * padding)),
    ]
    more = part["method_s"] or {"median": None}
    rows += [(f"one more method × 3 seeds, {k} (core-s)", _or_not(v)) for k, v in more.items()]
    yield Table(
        f"The whole suite {part['suite']}",
        f"From {part['file']} ({part['host']}). Methods share data, teacher, starts and caches: "
        "a suite grows by the last lines with each one, in proportion to their number.",
        ("quantity", "value"),
        rows,
    )


def _or_not(value: float | None) -> Cell:
    return "not recorded" if value is None else value


def number(value: Cell) -> str:
    """Return a number with three digits that count, or a text as it is."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "—"
    if isinstance(value, str):
        return value
    if value == 0 or math.isinf(value):
        return "0" if value == 0 else "∞"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1e}" if abs(value) < 1e-3 else f"{value:#.3g}".rstrip(".")
