"""Where the suites lie, and what each job is told; used by the rules of the other files."""

import re

from arkd.paths import claims_path
from arkd.plan.requests import Requests
from arkd.suite import jobs
from arkd.suite.workflow import Suites

SUITES = Suites.of(config)
TREES = SUITES.trees
ROOT = f"{SUITES.results}/{{suite}}"
PAIR = f"{ROOT}/{{pair}}"
LOGS = f"{ROOT}/logs"
CAPTIONS = jobs.benchmarks_dir() / "report"
REQUESTS = Requests.of_config(TREES, config)


wildcard_constraints:
    # Alone those asked for: what they read of a finished run beside them is never made here.
    suite="|".join(map(re.escape, TREES)),
    pair="[^/]+",
    method="[^/]+",
    seed=r"\d+",


def takes(stage, gpu=SUITES.gpus):
    """Return the resources of a rule: GPUs and, of a batch system, memory and time."""
    return {"gpu": gpu, **REQUESTS.of(stage, lambda: not workflow.local_exec)}


def runs_jobs():
    """Tell whether this process runs jobs, or only shows, marks or serves one of them."""
    runs = workflow.is_main_process and workflow.executor_plugin
    return runs and not (workflow.dryrun or workflow.touch)


def starts_jobs():
    """Tell whether this process runs jobs; if it does so on this machine, one on each GPU.

    A batch system gives GPUs itself, and what the user says of them stands.
    """
    runs = runs_jobs()
    limit = workflow.scheduling_settings.max_jobs_per_timespan if runs else None
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):  # nobody has set it
        # To keep it, Snakemake looks for jobs each second, and for every job that has ended once
        # more each second. `jobs:` of a profile says how many a batch system gets at once.
        workflow.scheduling_settings.max_jobs_per_timespan = None
    if runs and workflow.local_exec and "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", SUITES.gpu_jobs())
    return runs
