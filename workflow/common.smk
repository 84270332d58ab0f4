"""Where the suites lie, and what each job is told; used by the rules of the other files."""

import json
import sys
from pathlib import Path

from arkd.errors import ArkdError
from arkd.storage.locks import hold_suite
from arkd.suite import jobs

try:
    RESULTS = jobs.results_folder(config.get("results"))
    TREES = jobs.trees(config.get("suites") or "longtail", RESULTS)
except ArkdError as error:  # one line, not a trace
    sys.exit(f"arkd: error: {error}")
ROOT = f"{RESULTS}/{{suite}}"
PAIR = f"{ROOT}/{{pair}}"
LOGS = f"{ROOT}/logs"


wildcard_constraints:
    suite="[^/]+",
    pair="[^/]+",
    method="[^/]+",
    seed=r"\d+",


def options(wildcards):
    """The options of a job's command: suite, results, and each wildcard under its own name.

    A user's own suite is named by its path.
    """
    axes = {**wildcards, "suite": TREES[wildcards.suite].named, "results": RESULTS}
    return [word for name, value in axes.items() for word in (f"--{name}", value)]


def stage(name):
    """A stage's command, its slice of the suite, and hashes of the user's files that it reads.

    A change of the latter two, and no other, reruns it.
    """
    return {
        "command": name,
        "config": lambda w: jobs.fingerprint(
            TREES[w.suite].suite, name, w.get("pair", ""), w.get("method", "")
        ),
        "given": lambda w: json.dumps(
            jobs.given(TREES[w.suite], name, w.get("pair", ""))
        ),
    }


def data_inputs(wildcards):
    """What the data wait for: asked first of all, and here a second run is refused in one line."""
    tree = TREES[wildcards.suite]
    runs = workflow.is_main_process and workflow.executor_plugin
    if runs and not (workflow.dryrun or workflow.touch):
        try:
            hold_suite(tree.root, Path(".snakemake"))
        except ArkdError as error:
            sys.exit(f"arkd: error: {error}")
    return jobs.data_inputs(tree)


def gpus(wildcards):
    return int(TREES[wildcards.suite].suite.device != "cpu")
