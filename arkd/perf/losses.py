"""The divergence's part of the benchmark: time, memory and error of each contender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import torch

from arkd.perf.contenders import CONTENDERS, bare, early, largest_error
from arkd.perf.inputs import Inputs, Shape, gradients
from arkd.perf.memory import INSTALL, contender_peak_mib, retained_mib
from arkd.perf.timing import exponent, interleave, median

Tick = Callable[[str], None]

SHAPES = (
    Shape(1024, 512, 768, 50257),
    Shape(4096, 768, 1600, 50257),
    Shape(2048, 256, 576, 49152),
)
QUICK_SHAPES = (Shape(512, 64, 96, 16384),)
CHECKED_TOKENS = 256  # on which errors are taken: more than one chunk at the shapes above
RETAINED = Shape(256, 256, 384, 8192), Shape(256, 256, 384, 32768)
GROWTH_TOKENS = (256, 512, 1024, 2048, 4096)
GROWTH_VOCABULARIES = (8192, 16384, 32768, 65536)


def shape_ticks(repeats: int) -> int:
    """Return how often `measure_shape` ticks."""
    return 2 * len(CONTENDERS) + (repeats + 1) * (len(CONTENDERS) + 1)


def measure_shape(shape: Shape, repeats: int, threads: int, tick: Tick) -> dict[str, Any]:
    """Measure every contender at one shape; one that cannot run has a reason instead of numbers.

    Args:
        shape: Tokens, hidden sizes and vocabulary of the inputs.
        repeats: How often each contender is timed, after one run to warm up.
        threads: Of torch.
        tick: Called with what was just done, `shape_ticks` times.
    """
    rows: dict[str, dict[str, Any]] = {}
    for contender in CONTENDERS:
        peak, reason = contender_peak_mib(contender.name, shape, threads)
        rows[contender.name] = {"label": contender.label, "peak_mib": peak, "reason": reason}
        tick(f"{shape}: memory of {contender.label}")
    torch.set_num_threads(threads)
    inputs = Inputs.of(shape)
    able = [contender for contender in CONTENDERS if not rows[contender.name]["reason"]]
    for contender in able:
        rows[contender.name]["error"] = largest_error(contender, inputs.first(CHECKED_TOKENS))
        tick(f"{shape}: error of {contender.label}")
    runs: dict[str, Callable[[], Any]] = {"bare": partial(bare, inputs)}
    runs |= {c.name: partial(gradients, c.loss, inputs) for c in able}
    times = interleave(runs, repeats, lambda name: tick(f"{shape}: time of {name}"))
    rows = {"bare": {"label": "bare matrix products", "reason": ""}} | rows
    for name, spent in times.items():
        rows[name]["times_s"] = spent
    return {
        "shape": asdict(shape),
        "gflop": shape.gflop,
        "gflop_per_s": shape.gflop / median(times["bare"]),
        "gradients_mib": shape.gradients_mib,
        "rows": rows,
    }


def measure_retained(threads: int, tick: Tick) -> dict[str, Any]:
    """Measure what each contender keeps for its backward pass, at two vocabularies."""
    torch.set_num_threads(threads)
    rows: dict[str, dict[str, Any]] = {}
    for contender in CONTENDERS:
        row: dict[str, Any] = {"label": contender.label, "reason": ""}
        try:
            row["mib"] = [retained_mib(contender.loss, Inputs.of(shape)) for shape in RETAINED]
        except ImportError as error:
            row["reason"] = f"{error}: {INSTALL}"
        rows[contender.name] = row
        tick(f"retained by {contender.label}")
    return {"shapes": [asdict(shape) for shape in RETAINED], "rows": rows}


def growth_sizes(quick: bool) -> dict[str, list[Shape]]:
    """Return the shapes over which the loss is timed, by what grows."""
    tokens, vocabulary, count = (256, 8192, 3) if quick else (1024, 49152, None)
    return {
        "tokens": [Shape(n, 256, 576, vocabulary) for n in GROWTH_TOKENS[:count]],
        "vocabulary": [Shape(tokens, 256, 576, v) for v in GROWTH_VOCABULARIES[:count]],
    }


def growth_ticks(quick: bool, repeats: int) -> int:
    """Return how often `measure_growth` ticks."""
    return (repeats + 1) * sum(map(len, growth_sizes(quick).values()))


def measure_growth(quick: bool, repeats: int, threads: int, tick: Tick) -> dict[str, Any]:
    """Time our early loss over growing sizes, and fit how its time grows with them.

    Args:
        quick: Take the smaller sizes.
        repeats: How often each size is timed, after one run to warm up.
        threads: Of torch.
        tick: Called with what was just done, `growth_ticks` times.
    """
    torch.set_num_threads(threads)
    found: dict[str, Any] = {}
    for grows, shapes in growth_sizes(quick).items():
        given = {str(shape): Inputs.of(shape) for shape in shapes}
        runs = {name: partial(gradients, early, inputs) for name, inputs in given.items()}
        times = interleave(runs, repeats, lambda name: tick(f"growth: {name}"))
        medians = [median(spent) for spent in times.values()]
        sizes = [asdict(shape)[grows] for shape in shapes]
        found[grows] = {"times_s": times, "sizes": sizes, "exponent": exponent(sizes, medians)}
    return found
