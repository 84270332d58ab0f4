"""`arkd perf`: its parts one after another, each saved as it ends."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from arkd.perf import fused, losses, pair, report, suite
from arkd.perf.losses import Tick
from arkd.storage import provenance
from arkd.storage.files import read_json, write_json

CHOICES = ("divergence", "sampling", "step", "suite")
WHOLE = "longtail"  # the suite whose cost is told
BATCHES = 4  # that a step is timed on
RECORDED = ("MKL_CBWR", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")


@dataclass(frozen=True)
class Plan:
    """What was asked for."""

    out: Path
    results: Path
    only: str | None
    quick: bool
    again: bool
    repeats: int
    threads: int


@dataclass(frozen=True)
class Part:
    """A part that is measured and saved as a whole."""

    name: str
    kind: str  # how its numbers are read: see `report.tables`
    ticks: int  # of its progress bar
    run: Callable[[Tick], dict[str, Any]]


def parts(plan: Plan) -> list[Part]:
    """Return the parts that were asked for, in order."""
    repeats, threads, quick = plan.repeats, plan.threads, plan.quick
    found: dict[str, list[Part]] = {name: [] for name in CHOICES}
    for shape in losses.QUICK_SHAPES if quick else losses.SHAPES:
        run = partial(losses.measure_shape, shape, repeats, threads)
        found["divergence"].append(
            Part(f"divergence {shape}", "shape", losses.shape_ticks(repeats), run)
        )
        if not fused.reason():
            beside = partial(fused.measure_fused, shape, repeats, "cuda")
            ticks = fused.fused_ticks(repeats)
            found["divergence"].append(Part(f"fused {shape}", "fused", ticks, beside))
    kept = partial(losses.measure_retained, threads)
    found["divergence"].append(Part("retained", "retained", len(losses.CONTENDERS), kept))
    from arkd.perf.sampling import measure_sampling, sampling_ticks
    from arkd.perf.steps import step_ticks

    device = "cuda" if torch.cuda.is_available() else "cpu"
    drawn = partial(measure_sampling, quick, repeats, device)
    found["sampling"].append(Part("sampling", "sampling", sampling_ticks(quick, repeats), drawn))
    found["step"].append(Part("step", "step", step_ticks(repeats), partial(_step, plan)))
    growth = partial(losses.measure_growth, quick, repeats, threads)
    ticks = losses.growth_ticks(quick, repeats)
    found["suite"].append(Part("growth", "growth", ticks, growth))
    if cost := suite.cost_file(plan.results, WHOLE):
        found["suite"].append(Part("suite", "suite", 1, partial(_suite, plan.results, cost)))
    return [part for name in CHOICES if plan.only in (None, name) for part in found[name]]


def _step(plan: Plan, tick: Tick) -> dict[str, Any]:
    from arkd.perf.steps import measure_steps

    name = pair.QUICK_SUITE if plan.quick else pair.SUITE
    there, spent = pair.made_stages(plan.results, plan.out / "stages", name, tick)
    ready = pair.load(there, BATCHES)
    found = measure_steps(ready, plan.repeats, plan.threads, tick)
    return {"suite": name, "quick": plan.quick, "stages_s": spent, **found}


def _suite(results: Path, cost: Path, tick: Tick) -> dict[str, Any]:
    found = suite.measure_suite(cost)
    tick(f"cost of {WHOLE}")
    # Named from the folder of all results on: where that stands is the machine's own affair.
    return {"suite": WHOLE, "file": cost.relative_to(results.parent).as_posix(), **found}


def _machine(plan: Plan) -> dict[str, Any]:
    """Facts that numbers depend on; those of another machine or code are not mixed with these."""
    git = provenance.git_state()
    return {
        **provenance.host(),
        "threads": plan.threads,
        "torch": torch.__version__,
        **{name: os.environ.get(name, "") for name in RECORDED},
        "commit": git["commit"],
        "dirty": git["dirty"],
        "core": provenance.core_hash(),
        "benchmark": _code_hash(),
    }


def _code_hash() -> str:
    """Return a hash of the benchmark's own code."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:16]


def _before(plan: Plan, machine: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return the parts that an earlier run has measured on this machine, with this code."""
    path = plan.out / "performance.json"
    if (plan.again and plan.only is None) or not path.is_file():
        return {}
    saved = read_json(path)
    revision = ("commit", "dirty")  # of which the hashes of the code say enough
    same = all(saved["machine"].get(k) == v for k, v in machine.items() if k not in revision)
    return dict(saved["parts"]) if same and saved["settings"] == settings else {}


def measure(plan: Plan, console: Console) -> dict[str, Any]:
    """Measure all parts that were asked for, saving each as it ends; go on where a run stopped."""
    machine, settings = _machine(plan), {"quick": plan.quick, "repeats": plan.repeats}
    flags = f"{' --quick' if plan.quick else ''} --repeats {plan.repeats} --threads {plan.threads}"
    before = _before(plan, machine, settings)
    measured: dict[str, Any] = {"command": f"arkd perf{flags}", "machine": machine}
    measured |= {"settings": settings, "parts": before}
    todo = [part for part in parts(plan) if plan.again or part.name not in before]
    if len(todo) < len(parts(plan)):
        console.print("Parts measured before are kept; --again measures them anew.")
    threads = torch.get_num_threads()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        for part in todo:
            task = progress.add_task(part.name, total=part.ticks)

            def tick(text: str, task: Any = task) -> None:
                progress.update(task, description=text, advance=1)

            started = time.monotonic()
            found = {"kind": part.kind, **part.run(tick)}
            found["took_s"] = round(time.monotonic() - started, 1)
            progress.update(task, description=part.name, completed=part.ticks)
            measured["parts"][part.name] = found
            write_json(plan.out / "performance.json", measured)
            report.write(measured, plan.out)
    torch.set_num_threads(threads)
    return measured


def run(plan: Plan) -> None:
    """Measure, and print what was found."""
    console = Console()
    measured = measure(plan, console)
    report.show(measured)
    rows = [row for part in measured["parts"].values() for row in part.get("rows", {}).values()]
    for line in {f"{row['label']}: {row['reason']}": None for row in rows if row.get("reason")}:
        console.print(f"left out: {line}", markup=False)
    if plan.only in (None, "divergence") and (reason := fused.reason()):
        console.print(f"left out: fused element-wise work beside the operators: {reason}")
    if plan.only in (None, "suite") and "suite" not in measured["parts"]:
        console.print(f"left out: the cost of {WHOLE}: no finished run below {plan.results}")
    names = (f"performance.{suffix}" for suffix in ("md", "csv", "json"))
    console.print(" ".join(str(plan.out / name) for name in names))
