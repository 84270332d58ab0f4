"""A plan as a whole: its jobs, its totals and what it rests on, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from arkd.plan import processor
from arkd.plan.gpus import BANDWIDTH_SHARE, LAYER_S, USABLE, UTILISATION, Gpu, chosen
from arkd.plan.jobs import Assumed, Job, formed, runs
from arkd.plan.work import AUTO_MICRO
from arkd.suite.folders import Tree
from arkd.suite.suite import Suite


@dataclass(frozen=True)
class Plan:
    """What a suite will take."""

    suite: Suite
    jobs: tuple[Job, ...]
    gpus: tuple[Gpu, ...]
    notes: tuple[str, ...]

    def hours(self, job: Job, gpu: Gpu) -> float:
        """Return the hours that all jobs of a kind take one GPU."""
        return job.work.hours(gpu, self.suite.training)

    def fitting(self, gpu: Gpu) -> tuple[Job, ...]:
        """Return the jobs that a GPU has the memory for."""
        return tuple(job for job in self.jobs if gpu.holds(job.memory.peak))

    @property
    def on_processor(self) -> bool:
        """Whether the suite asks for the CPU, whose minutes are then told."""
        return self.suite.device == "cpu"

    @property
    def disk(self) -> int:
        """Bytes of all models and caches."""
        return sum(job.disk for job in self.jobs)

    @property
    def students(self) -> int:
        """Students that are distilled."""
        return sum(job.count for job in self.jobs if job.stage == "distill")

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record of each job: bytes, tokens, operations, hours."""
        found = []
        for job in self.jobs:
            held, done = job.memory, job.work
            times: dict[str, Any] = {}
            if self.on_processor:
                times["processor_minutes"] = round(processor.seconds(job) / 60, 2)
            for gpu in self.gpus:
                times[f"fits_{gpu.name}"] = gpu.holds(held.peak)
                times[f"hours_{gpu.name}"] = round(self.hours(job, gpu), 4)
            found.append(
                {
                    "stage": job.stage,
                    "pair": job.pair,
                    "names": " ".join(job.names),
                    "jobs": job.count,
                    "parameters": job.parameters,
                    "trained_parameters": job.trained,
                    "weights_bytes": held.weights,
                    "optimiser_bytes": held.optimiser,
                    "activations_bytes": held.activations,
                    "loss_bytes": held.loss,
                    "peak_bytes": held.peak,
                    "ram_bytes": held.host,
                    "disk_bytes": job.disk,
                    "trained_tokens": round(done.trained_tokens),
                    "teacher_tokens": round(done.teacher_tokens),
                    "drawn_tokens": round(done.drawn_tokens),
                    "flops": round(done.flops),
                    **times,
                }
            )
        return found

    def totals(self) -> dict[str, Any]:
        """Return what the suite takes as a whole, by GPU where it depends on one."""
        of_gpus = {}
        for gpu in self.gpus:
            fitting = self.fitting(gpu)
            of_gpus[gpu.name] = {
                "gpu_hours": round(sum(self.hours(job, gpu) for job in fitting), 2),
                "jobs_that_do_not_fit": sum(job.count for job in self.jobs if job not in fitting),
            }
        return {
            "jobs": sum(job.count for job in self.jobs),
            "students": self.students,
            "disk_bytes": self.disk,
            "flops": round(sum(job.work.flops for job in self.jobs)),
            "largest_peak_bytes": max(job.memory.peak for job in self.jobs),
            **(
                {"processor_minutes": round(processor.minutes(self.jobs), 1)}
                if self.on_processor
                else {}
            ),
            "gpus": of_gpus,
        }


def plan(tree: Tree, gpus: Sequence[str], assumed: Assumed) -> Plan:
    """Plan a suite.

    Args:
        tree: The suite's folders.
        gpus: Names of GPUs; none for all of the table, or for the processor of a CPU suite.
        assumed: What the user says of lengths and models.

    Raises:
        ArkdError: a GPU or the shape of a model is not known.
    """
    table = chosen(gpus) if gpus or tree.suite.device != "cpu" else ()
    planned = [(*runs(block, assumed), count) for block, count in _alike(tree)]
    found = _joined(_times(job, count) for of_block, _, count in planned for job in of_block)
    notes = planned[0][1]
    made = (*found, formed(tree))
    return Plan(tree.suite, made, table, (*notes, *_assumptions(tree.suite, table)))


def _alike(tree: Tree) -> list[tuple[Tree, int]]:
    """Return a block of each kind, and how many cost as much: those that differ in their world.

    What has been made of one is counted, so a block of which anything lies there is planned alone;
    so is one beside another run.
    """
    kinds: dict[tuple[str, ...], list[Tree]] = {}
    for block in tree.blocks.values():
        alone = [block.suite.name] if block.suite.beside or block.root.exists() else []
        rows = (entry.label for entry in block.suite.entries)
        kinds.setdefault((*alone, *rows), []).append(block)
    return [(blocks[0], len(blocks)) for blocks in kinds.values()] or [(tree, 1)]


def _times(job: Job, count: int) -> Job:
    return replace(job, count=count * job.count, work=job.work.times(count), disk=count * job.disk)


def _joined(found: Iterable[Job]) -> list[Job]:
    """Join the jobs of several worlds that do the same."""
    groups: dict[tuple[object, ...], Job] = {}
    for job in found:
        kind = job.stage, job.pair, job.names
        known = groups.get(kind)
        if known:
            count, disk = known.count + job.count, known.disk + job.disk
            job = replace(known, count=count, work=known.work + job.work, disk=disk)
        groups[kind] = job
    return [*groups.values()]


def _assumptions(suite: Suite, gpus: Sequence[Gpu]) -> list[str]:
    """Say what every plan rests on."""
    where = "as on a GPU" if suite.device != "cpu" else "as on the suite's CPU"
    found = [
        f"memory is {where}, for rows of {suite.max_tokens} tokens, attention without a matrix of "
        "scores; additional RAM: a checkpoint's copy, states of the measured positions",
        "sampled answers reach the length limit; steps take the most expensive of their options",
        "not counted: BERTScore, MAUVE, rewards, truth probes, a GPU's start-up, and downloads in "
        "the hub's cache",
    ]
    if suite.decoding.batch_size == "auto":
        found.append(
            "decoding.batch_size: auto: speed is for as many rows as fit, memory for one row"
        )
    if suite.training.micro_batch == "auto":
        found.append(
            f"training.micro_batch: auto: speed is for {AUTO_MICRO} rows at once, memory for one; "
            "a job runs as many as fit"
        )
    if gpus:
        found += [
            f"speed is {UTILISATION:.0%} of a GPU's peak dense rate, {BANDWIDTH_SHARE:.0%} of its "
            f"memory bandwidth in decoding and in measuring, at least {LAYER_S * 1e3:g} ms for "
            f"each block; heads and losses are {'TF32' if suite.training.tf32 else 'float32'}",
            f"a job fits if its peak is at most {USABLE:.0%} of a GPU's memory; a job has one GPU",
        ]
    if suite.device == "cpu":
        found.append(
            f"a core computes {processor.FLOP_S / 1e9:g} GFLOP/s, {processor.LAYER_S * 1e3:g} ms "
            f"at least for each block, and starts a job in {processor.START_S:g} s: a Sapphire "
            "Rapids Xeon; elsewhere half to double that"
        )
        found.append(
            "glibc keeps several hundred MiB of freed memory; MALLOC_MMAP_THRESHOLD_=65536 in the "
            "environment makes it return that"
        )
    return found
