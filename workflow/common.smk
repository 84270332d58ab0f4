"""Where the suites lie, and what each job is told; used by the rules of the other files."""

import re

from arkd.paths import claims_path
from arkd.plan.requests import Requests
from arkd.suite import jobs
from arkd.suite.workflow import Suites

SUITES = Suites.of(config, workflow)
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
