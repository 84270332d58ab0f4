"""Every shipped suite in a line: its size, what it takes and on what."""

from __future__ import annotations

import os

from arkd.plan.jobs import Assumed
from arkd.plan.records import plan
from arkd.suite.folders import tree
from arkd.suite.load import suite_names

HEAD = ("suite", "rows", "seeds", "takes", "what it is")
CARD = "A100-80GB"


def rows() -> list[tuple[str, ...]]:
    """Return a line for each suite under `HEAD`, as nothing of it had been run."""
    found: list[tuple[str, ...]] = []
    for name in suite_names():
        planned = plan(tree(name, os.devnull), [], Assumed())  # a file, below which nothing lies
        suite, totals = planned.suite, planned.totals()
        if planned.on_processor:
            minutes = totals["processor_minutes"]
            takes = f"{minutes:.0f} core min" if minutes < 90 else f"{minutes / 60:.1f} core h"
        elif totals["gpus"][CARD]["jobs_that_do_not_fit"]:
            takes = "> 80 GB GPU"
        else:
            takes = f"{totals['gpus'][CARD]['gpu_hours']:,.0f} A100 h"
        title = f"{name} {suite.version}"
        seeds = (
            f"{len(suite.seeds)} × {len(suite.worlds)} worlds" if suite.worlds else len(suite.seeds)
        )
        sizes = str(len(suite.entries)), str(seeds)
        found.append((title, *sizes, takes, suite.description))
    return found
