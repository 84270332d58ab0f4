"""What the workflow asks a batch system for: memory and time of each job, as the plan has them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from arkd.errors import ArkdError
from arkd.plan import processor
from arkd.plan.gpus import GPUS, chosen
from arkd.plan.jobs import Assumed, Job, jobs
from arkd.suite.folders import Tree

MIB = 2**20
LIBRARIES_MIB = 3_000  # of RAM, in a process that computes; CUDA takes as much again
MARGIN = 1.5  # of memory, over what is planned
SLOWER = 3.0  # than planned, what a job may be before its time is up
START_MIN = 30  # to start, load, save and hash
UNPLANNED = Job("", count=1)


@dataclass(frozen=True)
class Requests:
    """What the jobs of some suites ask for; a job that is tried again asks for as much again.

    Args:
        trees: The suites, by name.
        gpu: Name of the GPU that times are planned for; "": of each job the slowest that holds it.
    """

    trees: Mapping[str, Tree]
    gpu: str = ""
    _plans: dict[str, list[Job]] = field(default_factory=dict, init=False)

    @classmethod
    def of_config(cls, trees: Mapping[str, Tree], config: Mapping[str, Any]) -> Requests:
        """Return what Snakemake's `--config` says; a GPU that is not known is one line."""
        gpu = str(config.get("gpu") or "")
        try:
            chosen([gpu] if gpu else [])
        except ArkdError as error:
            sys.exit(f"arkd: error: {error}")
        return cls(trees, gpu)

    def of(self, stage: str, wanted: Callable[[], bool]) -> dict[str, Callable[..., int]]:
        """Return the resources of a rule.

        Args:
            stage: The rule's name.
            wanted: Tells whether there is somebody to ask; if not, all of them are 0.
        """

        def asked_of(amount: Callable[..., int]) -> Callable[..., int]:
            def resource(wildcards: Any, attempt: int) -> int:
                return amount(stage, wildcards, attempt) if wanted() else 0

            return resource

        return {"mem_mb": asked_of(self._mem_mb), "runtime": asked_of(self._runtime)}

    def _mem_mb(self, stage: str, wildcards: Any, attempt: int) -> int:
        job, suite = self._job(stage, wildcards), self.trees[wildcards.suite].suite
        if suite.device == "cpu":
            planned, processes = job.memory.peak + job.memory.host, 1
        else:  # weights come by way of the RAM
            planned, processes = 2 * job.memory.weights + job.memory.host, 2
        together = suite.training.devices if stage == "distill" else 1
        return attempt * math.ceil(together * (MARGIN * planned / MIB + processes * LIBRARIES_MIB))

    def _runtime(self, stage: str, wildcards: Any, attempt: int) -> int:
        """Return minutes."""
        job, suite = self._job(stage, wildcards), self.trees[wildcards.suite].suite
        if suite.device == "cpu":
            hours = processor.seconds(job) / job.count / 3600
        else:
            table = chosen([self.gpu] if self.gpu else [])
            fitting = [gpu for gpu in table if gpu.holds(job.memory.peak)] or [GPUS[0]]
            single = job.work.times(1 / job.count)
            hours = max(single.hours(gpu, suite.training) for gpu in fitting)
        return attempt * math.ceil(START_MIN + 60 * SLOWER * hours)

    def _job(self, stage: str, wildcards: Any) -> Job:
        """Return the planned job of a rule, or one that takes nothing if there is no plan of it."""
        name = wildcards.get("method") or wildcards.get("source")
        for job in self._planned(wildcards.suite):
            if (job.stage, job.pair) == (stage, wildcards.pair) and name in (*job.names, None):
                return job
        return UNPLANNED

    def _planned(self, suite: str) -> list[Job]:
        """Return the jobs of a suite, none if no plan can be made; that is said in a line, once."""
        if suite not in self._plans:
            try:
                self._plans[suite] = jobs(self.trees[suite], Assumed())[0]
            except ArkdError as error:
                print(f"arkd: {suite}: jobs ask for {START_MIN} minutes: {error}", file=sys.stderr)
                self._plans[suite] = []
        return self._plans[suite]
