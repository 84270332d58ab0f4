"""What the rules of the workflow are told of the suites: options, inputs, what reruns a job."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError, nearest
from arkd.storage import gpus
from arkd.storage.locks import hold_suite
from arkd.storage.roots import claim
from arkd.suite import changes, jobs, one_core, trees
from arkd.suite.folders import Tree
from arkd.suite.job_list import job_list

KEYS = ("suites", "results", "gpu")  # of `--config`


@dataclass(frozen=True)
class Suites:
    """The suites of one call of Snakemake, by name, and where their results lie.

    Attributes:
        trees: Those asked for, and every block of those of several worlds.
        targets: Names of those asked for.
        results: The folder below which they lie.
        workflow: Snakemake's own, as its files know it.
    """

    trees: dict[str, Tree]
    targets: tuple[str, ...]
    results: str
    workflow: Any = None

    @classmethod
    def of(cls, config: Mapping[str, Any], workflow: Any) -> Suites:
        """Return what Snakemake's `--config` names; a mistake is one line, not a trace."""
        unknown = [key for key in config if key not in KEYS]
        if unknown:
            near = nearest(unknown[0], KEYS)
            sys.exit(
                f"arkd: error: --config: no key '{unknown[0]}'{near}; known: {', '.join(KEYS)}"
            )
        with_default = config.get("suites") or "longtail"
        try:
            results = trees.results_folder(config.get("results"))
            found = trees.to_run(with_default, results)
            suites = cls(trees.with_blocks(found), tuple(found), results, workflow)
            if workflow.is_main_process and not workflow.touch:
                _ = suites.changed  # before Snakemake has looked at a date
            return suites
        except (ArkdError, OSError) as error:
            sys.exit(f"arkd: error: {error}")

    @property
    def ends(self) -> list[str]:
        """The files that a call is for: what every job of its suites makes.

        A report alone would do where it is not there yet. Where it is, Snakemake would not miss a
        stage behind it that was removed, or whose job was killed.
        """
        wanted = [str(job.made) for name in self.targets for job in job_list(self.trees[name])]
        return list(dict.fromkeys(wanted))

    def options(self, wildcards: Any) -> list[str]:
        """Return a command's options: suite, results, and each wildcard under its own name.

        A user's own suite is named by its path.
        """
        named = self.trees[wildcards.suite].named
        axes = {**wildcards, "suite": named, "results": self.results}
        return [word for name, value in axes.items() for word in (f"--{name}", value)]

    def stage(self, name: str) -> dict[str, Any]:
        """Return a stage's command, its slice of the suite, and the user's files' hashes it reads.

        A change of the latter two, and no other, reruns it.
        """

        @cache
        def fingerprint(suite: str, stage: str, *axes: str) -> str:  # all seeds have one
            return jobs.fingerprint(self.trees[suite].suite, stage, *axes)

        def config(wildcards: Any) -> str:
            axes = (wildcards.get("pair", ""), wildcards.get("method", ""))
            stage = jobs.cache_stage(wildcards.source) if name == "cache" else name
            return fingerprint(wildcards.suite, stage, *axes)

        def given(wildcards: Any) -> str:
            pair = wildcards.get("pair", "")
            return json.dumps(jobs.given(self.trees[wildcards.suite], name, pair))

        return {"command": name, "config": config, "given": given}

    def inputs(self, waits: Callable[[Tree], list[str]]) -> Callable[[Any], list[str]]:
        """Return what tells the inputs of the data, or of the collection, before any job runs.

        So here a second run into the same results is refused in one line, and one into a folder of
        somebody else's. Further rows beside a finished run have no data of their own.

        Args:
            waits: Tells what a suite's rule waits for.
        """

        def inputs(wildcards: Any) -> list[str]:
            tree = self.trees[wildcards.suite]
            try:
                found = waits(tree)
                if self._starts_jobs():
                    forced = self.workflow.dag_settings
                    if not (forced.forceall or forced.forcerun):
                        one_core.check(tree)
                    claim(tree.root, tree.suite.name)
                    hold_suite(tree.root, Path(".snakemake"))
                self._force_changed()
            except (ArkdError, OSError) as error:
                sys.exit(f"arkd: error: {error}")
            return found

        return inputs

    @cached_property
    def changed(self) -> frozenset[str]:
        """The manifests of stages that something has changed since; see `changes.settle`."""
        alone = [tree for tree in self.trees.values() if not tree.suite.worlds]
        return frozenset().union(*map(changes.settle, alone))

    def _force_changed(self) -> None:
        """Have stages made anew that something has changed since, if all of a suite is wanted.

        Snakemake sees a change only of what it has made in this folder, under this path. It asks
        for inputs before it asks which jobs are to be run.
        """
        settings = self.workflow.dag_settings
        if self.workflow.is_main_process and not (settings.targets or self.workflow.touch):
            self.workflow.dag.forcefiles |= self.changed

    def _starts_jobs(self) -> bool:
        """Tell whether this process runs jobs; if it does so on this machine, one on each GPU.

        If not, it only shows, marks or serves one of them. A batch system gives GPUs itself, and
        what the user says of them stands.
        """
        workflow = self.workflow
        if not (workflow.is_main_process and workflow.executor_plugin):
            return False
        if workflow.dryrun or workflow.touch:
            return False
        limit = workflow.scheduling_settings.max_jobs_per_timespan
        if limit and (limit.max_jobs, limit.timespan) == (100, 1):  # nobody has set it
            # To keep it, Snakemake looks for jobs each second, and for every job that has ended
            # once more each second. `jobs:` of a profile says how many a batch system gets at once.
            workflow.scheduling_settings.max_jobs_per_timespan = None
        if workflow.local_exec and "gpu" not in workflow.global_resources:
            workflow.register_resource("gpu", self.gpu_jobs())
        return True

    def gpus(self, wildcards: Any) -> int:
        """Return how many accelerators a job of the suite takes."""
        return int(self.trees[wildcards.suite].suite.device != "cpu")

    def processes(self, wildcards: Any) -> int:
        """Return how many processes train one student of the suite."""
        return self.trees[wildcards.suite].suite.training.devices

    def training_gpus(self, wildcards: Any) -> int:
        """Return how many accelerators the training of a student takes."""
        return self.gpus(wildcards) * self.processes(wildcards)

    def gpu_jobs(self) -> int:
        """Return how many GPUs there are for the jobs of this machine; at least one."""
        wanted = any(tree.suite.device != "cpu" for tree in self.trees.values())
        return max(1, len(gpus.visible())) if wanted else 1
