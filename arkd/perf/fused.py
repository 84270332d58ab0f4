"""Our losses on a GPU, their element-wise work fused, beside the operators that it replaces.

Shapes: N tokens, C tokens of a chunk, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from arkd.divergence import fused
from arkd.divergence.chunked import chunks
from arkd.divergence.signals import Softened
from arkd.perf.contenders import CONTENDERS, Contender, largest_error
from arkd.perf.inputs import Inputs, Shape, gradients
from arkd.perf.losses import CHECKED_TOKENS, Tick
from arkd.perf.timing import interleave

FORMS = tuple(c for c in CONTENDERS if c.name in ("early", "late_batch", "late_token"))
ELEMENTWISE = "elementwise"
WAYS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "operators": fused.switched_off,
    "fused": nullcontext,
}


def reason() -> str:
    """Return why there is nothing to compare here; empty if there is."""
    if not torch.cuda.is_available():
        return "it needs a GPU"
    return "" if fused.installed() else "it needs Triton, which PyTorch's CUDA builds bring"


def fused_ticks(repeats: int) -> int:
    """Return how often `measure_fused` ticks."""
    return (repeats + 1) * (len(FORMS) + 1) * len(WAYS) + len(FORMS) * len(WAYS)


def measure_fused(shape: Shape, repeats: int, device: str, tick: Tick) -> dict[str, Any]:
    """Time each form of our loss both ways, and the element-wise work of a chunk alone.

    Args:
        shape: Tokens, hidden sizes and vocabulary of the inputs.
        repeats: How often each is timed, after one run to warm up, in which Triton compiles.
        device: Where the inputs lie.
        tick: Called with what was just done, `fused_ticks` times.
    """
    inputs = Inputs.of(shape).to(device)
    rows: dict[str, Any] = {
        form.name: {"label": form.label, **{way: _checked(form, inputs, way, tick) for way in WAYS}}
        for form in FORMS
    }
    chunk = next(chunks(shape.tokens, shape.vocabulary, on_cpu=device == "cpu"))
    rows[ELEMENTWISE] = {"label": "element-wise work alone", "operators": {}, "fused": {}}
    runs: dict[tuple[str, str], Callable[[], Any]] = {
        (form.name, way): partial(_run, way, partial(gradients, form.loss, inputs), device)
        for form in FORMS
        for way in WAYS
    }
    first = inputs.first(chunk.stop)
    logits = first.student_NV.detach(), first.teacher_NV
    half_C = torch.full_like(logits[0][:, 0], 0.5)
    for way in WAYS:
        runs[ELEMENTWISE, way] = partial(_run, way, partial(_elementwise, *logits, half_C), device)
    named = {f"{name}, {way}": run for (name, way), run in runs.items()}
    times = interleave(named, repeats, lambda name: tick(f"{shape}: time of {name}"))
    for name, way in runs:
        rows[name][way]["times_s"] = times[f"{name}, {way}"]
    try:
        triton = version("triton")
    except PackageNotFoundError:
        triton = "absent"
    return {
        "shape": asdict(shape),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "triton": triton,
        "chunk": chunk.stop - chunk.start,
        "rows": rows,
    }


def _elementwise(student_CV: torch.Tensor, teacher_CV: torch.Tensor, half_C: torch.Tensor) -> None:
    """Form values and gradient of a chunk's logits as the loss with early weights does."""
    if fused.serves(student_CV, teacher_CV):
        fused.weighted(student_CV, teacher_CV, 1.0, half_C, half_C)
    else:
        soft = Softened.of(student_CV, teacher_CV, 1.0)
        soft.fkl()
        student_CV.copy_(soft.gradient(half_C, half_C, soft.rkl()))


def _run(way: str, work: Callable[[], Any], device: str) -> None:
    """Do some work by operators or fused, to its end: a GPU is left to itself otherwise."""
    with WAYS[way]():
        work()
    if device == "cuda":
        torch.cuda.synchronize()


def _checked(form: Contender, inputs: Inputs, way: str, tick: Tick) -> dict[str, Any]:
    """Return a form's error on the first tokens, and on a GPU its peak memory above the inputs."""
    cuda = inputs.hidden_NH.is_cuda
    with WAYS[way]():
        found: dict[str, Any] = {"error": largest_error(form, inputs.first(CHECKED_TOKENS))}
        if cuda:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            gradients(form.loss, inputs)
            found["peak_mib"] = (torch.cuda.max_memory_allocated() - before) / 2**20
    tick(f"error of {form.label}, {way}")
    return found
