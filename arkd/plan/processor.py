"""How long jobs take one core of a processor: four constants, held against the reference runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from arkd.errors import ArkdError
from arkd.plan.jobs import Assumed, Job, jobs
from arkd.suite.folders import Tree

# Of one core of an Intel Xeon (Sapphire Rapids) and PyTorch in float32, portable kernels; printed
# with every plan. A test compares their sum with what the committed runs took.
START_S = 6.0  # a process that loads the libraries; its files
FLOP_S = 50e9  # operations a second in matrix products
LAYER_S = 4e-3  # beyond them, for each pass through a block: small models cost no less
BYTES_S = 10e9  # of weights, keys and values that decoding reads, and of logits that are measured


def seconds(job: Job) -> float:
    """Return the seconds that one core takes over all jobs of a kind."""
    done = job.work
    passes = done.flops / FLOP_S + LAYER_S * (done.launched_layers + done.decoded_layers)
    starts = 2 if job.stage == "evaluate" else 1  # the harness and its metrics load as well
    return (
        START_S * starts * job.count + passes + (done.decoded_bytes + done.measured_bytes) / BYTES_S
    )


def minutes(planned: Iterable[Job]) -> float:
    """Return the minutes that one core takes over jobs."""
    return sum(map(seconds, planned)) / 60


def seconds_by_rule(tree: Tree) -> dict[str, float]:
    """Return the seconds of one job of each rule, their mean; empty where no plan can be made."""
    try:
        planned, _ = jobs(next(iter(tree.blocks.values()), tree), Assumed())  # blocks cost alike
    except ArkdError:
        return {}
    spent, counts = defaultdict[str, float](float), defaultdict[str, int](int)
    for job in planned:
        for rule in job.stage.split(", "):  # those that only show stand in one line, and cost alike
            spent[rule] += seconds(job)
            counts[rule] += job.count
    return {rule: spent[rule] / counts[rule] for rule in spent}
