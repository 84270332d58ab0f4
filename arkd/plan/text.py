"""A plan in the terminal, as Markdown, as CSV or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from arkd import grid as grids
from arkd.grid import Grid, Look
from arkd.plan import processor
from arkd.plan.gpus import Gpu
from arkd.plan.jobs import Job
from arkd.plan.records import Plan

WIDTH = 100
LABEL = 36  # of a job, at most
NO = "no"  # in the place of hours on a GPU that the job does not fit


def show(plan: Plan, style: str) -> None:
    """Print a plan as `text`, `markdown`, `csv` or `json`."""
    if style == "csv":
        print(to_csv(plan), end="")
    elif style == "json":
        value = {
            "suite": plan.suite.name,
            "version": plan.suite.version,
            "jobs": plan.records(),
            "totals": plan.totals(),
            "assumed": plan.notes,
        }
        print(json.dumps(value, indent=2, ensure_ascii=False))
    elif style == "markdown":
        print("\n".join(_markdown(plan)))
    else:
        _print(plan)


def to_csv(plan: Plan) -> str:
    """Return a line for each kind of job."""
    records = plan.records()
    return grids.to_csv([[*records[0]], *([*record.values()] for record in records)])


def sheets(plan: Plan) -> Iterator[tuple[str, Grid]]:
    """Yield memory, work and hours of each kind of job, and totals, each under its title."""
    large = plan.totals()["largest_peak_bytes"] >= 4 * 2**30
    unit, unit_bytes = ("GiB", 2**30) if large else ("MiB", 2**20)
    memory: list[tuple[str, ...]] = []
    work: list[tuple[str, ...]] = []
    hours: list[tuple[str, ...]] = []
    minutes: list[tuple[str, ...]] = []
    pairs = len(plan.suite.pairs) > 1
    last = ""
    for job in plan.jobs:
        if not job.memory.peak:
            continue
        if pairs and job.pair != last:
            last = job.pair
            for rows in (memory, work, hours, minutes):
                rows.append((last,))
        label, count = named(job), str(job.count)
        held, done = job.memory, job.work
        parts = (held.weights, held.optimiser, held.activations, held.loss, held.peak, held.host)
        sizes = (_digits(part / unit_bytes) for part in parts)
        memory.append((label, count, _many(job.parameters), *sizes))
        tokens = (done.trained_tokens, done.teacher_tokens, done.drawn_tokens)
        work.append((label, count, *map(_many, tokens), _many(done.flops), size(job.disk)))
        minutes.append((label, count, _digits(processor.seconds(job) / 60)))
        hours.append((label, count, *(_hours(plan, job, gpu) for gpu in plan.gpus)))
    parts_of = ("parameters", "weights", "optimiser", "activations", "loss", "peak", "RAM")
    title = f"Memory of one job, {unit}: on its device, and additional RAM"
    yield title, Grid(("job", "jobs", *parts_of), memory)
    kinds = ("trained", "teacher", "drawn", "FLOP", "disk")
    yield "Work of all jobs: tokens, operations, disk", Grid(("job", "jobs", *kinds), work)
    if plan.on_processor:
        yield "Minutes of one core, all jobs", Grid(("job", "jobs", "minutes"), minutes)
    if not plan.gpus:
        return
    names = (gpu.name.replace("-", " ") for gpu in plan.gpus)
    yield f"GPU-hours of all jobs; {NO}: one does not fit", Grid(("job", "jobs", *names), hours)
    yield "Whole suite", Grid(("GPU", "GPU-hours", "jobs that do not fit"), _totals(plan))


def _totals(plan: Plan) -> list[tuple[str, ...]]:
    gpus = plan.totals()["gpus"]
    return [
        (name, f"{found['gpu_hours']:,.1f}", str(found["jobs_that_do_not_fit"] or "–"))
        for name, found in gpus.items()
    ]


def summary(plan: Plan) -> list[str]:
    """Return the totals that belong to no GPU, and what the plan rests on."""
    totals, suite = plan.totals(), plan.suite
    return [
        f"{suite.name} {suite.version}: {totals['jobs']} jobs, {totals['students']} students, "
        f"{size(totals['disk_bytes'])} of disk for models and caches, "
        f"{_many(totals['flops'])}FLOP; the largest job holds "
        f"{size(totals['largest_peak_bytes'])}.{spent(plan) if plan.on_processor else ''}",
        "These are estimates; nothing was run. Assumed:",
        *(f"- {note}" for note in plan.notes),
    ]


def spent(plan: Plan) -> str:
    """Return the time of a whole suite on a processor, in a sentence."""
    minutes = plan.totals()["processor_minutes"]
    return (
        f" One core takes about {minutes:,.0f} minutes, two cores {minutes / 2:,.0f}: jobs run in "
        "parallel."
    )


def named(job: Job) -> str:
    """Return what a kind of job is called: its stage, and as many of its names as fit."""
    text = job.stage.replace("_", " ")
    for place, name in enumerate(job.names):
        longer = f"{text}{' ' if place == 0 else ', '}{name}"
        rest = len(job.names) - place
        if place and len(longer) + (6 if rest > 1 else 0) > LABEL:
            return f"{text} +{rest}"
        text = longer
    return text


def size(count: float) -> str:
    """Return bytes for the eye."""
    if count >= 2**30:
        return f"{count / 2**30:,.1f} GiB"
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else ("–" if not count else "< 1 MiB")


def _digits(count: float) -> str:
    """Return a number as long as it needs to be; a dash for none."""
    if not count:
        return "–"
    digits = 0 if count >= 99.5 else 1 if count >= 0.95 else 2
    return f"{count:,.{digits}f}"


def _many(count: float) -> str:
    """Return a large number with three digits and a letter."""
    for letter, unit in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * unit:
            return f"{count / unit:.3g} {letter}"
    return f"{count:.0f}" if count else "–"


def _hours(plan: Plan, job: Job, gpu: Gpu) -> str:
    if not gpu.holds(job.memory.peak):
        return NO
    hours = plan.hours(job, gpu)
    return _digits(hours) if hours >= 0.005 else "<0.01"


def _print(plan: Plan) -> None:
    from rich.console import Console

    console = Console(width=WIDTH, highlight=False, markup=False)
    for title, sheet in sheets(plan):
        pairs = {(place, 0): "italic" for place, row in enumerate(sheet.rows) if len(row) == 1}
        grids.show(sheet, console, Look(title, gap=1, styles=pairs))
        console.print()
    for line in summary(plan):
        console.print(line)


def _markdown(plan: Plan) -> Iterator[str]:
    for title, sheet in sheets(plan):
        yield f"### {title}\n\n{grids.to_markdown(sheet)}\n"
    first, *rest = summary(plan)
    yield "\n".join((first, "", rest[0], "", *rest[1:]))
