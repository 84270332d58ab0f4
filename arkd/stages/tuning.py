"""The tuning run: every method at the same few rates, on a world and seeds of its own."""

from __future__ import annotations

import math
from pathlib import Path

from arkd.errors import ArkdError
from arkd.paths import benchmarks_dir
from arkd.stages.trajectories import mean_in_order
from arkd.storage.locks import sole_writer
from arkd.storage.records import read_csv, write_csv
from arkd.suite.folders import Tree

COLUMNS = ("suite", "method", "lr", "dev_jsd", "chosen", "shared")


def write(tree: Tree) -> Path:
    """Choose each method's rate by development JSD to the teacher; write benchmarks/tuning.

    Several tuning suites may fill one table: what the others wrote stays.

    Raises:
        ArkdError: the suite tunes nothing, its records are not there, or the best rate of a method
            is the lowest or highest that was tried: a better one may lie beyond; or another suite
            has chosen a rate for the same method in the same table.
    """
    suite = tree.suite
    target = suite.distillation.tuning
    if not suite.lr_grid or target is None or len(suite.pairs) != 1:
        raise ArkdError(
            f"suite {suite.name}: tuning needs 'lr_grid', 'distillation.tuning' and one pair"
        )
    found: dict[str, list[float]] = {}
    for row in read_csv(tree.root / "records.csv"):
        jsds = found.setdefault(row["method"], [])  # none of a rate at which every run failed
        if (row["task"], row["metric"], row["group"]) == ("fidelity_dev", "jsd", ""):
            jsds.append(float(row["value"]))
    if missing := [entry.label for entry in suite.entries if entry.label not in found]:
        raise ArkdError(f"{tree.root / 'records.csv'}: no record of {missing[0]}; run the suite")
    # A rate at which a run failed on any seed is none to choose.
    values = {
        label: mean_in_order(jsds) if len(jsds) == len(suite.seeds) else math.inf
        for label, jsds in found.items()
    }
    tried_of: dict[str, dict[float, float]] = {}
    for entry in suite.entries:
        assert entry.lr is not None
        method = entry.model_copy(update={"lr": None}).label
        tried_of.setdefault(method, {})[entry.lr] = values[entry.label]
    rows, beyond = [], []
    for method, tried in tried_of.items():
        best = min(tried, key=lambda lr: tried[lr])
        for edge, factor in ((min(tried), 0.5), (max(tried), 2.0)):
            if best == edge:
                beyond.append(f"{method} at {edge * factor:g}")
        for lr, jsd in sorted(tried.items()):
            chosen, shared = lr == best, lr == suite.distillation.lr
            rows.append(
                {
                    "suite": suite.name,
                    "method": method,
                    "lr": lr,
                    "dev_jsd": jsd,
                    "chosen": chosen,
                    "shared": shared,
                }
            )
    if beyond:
        raise ArkdError(
            f"suite {suite.name}: the best rate lies at the edge of those tried; add these to its "
            f"methods and run again: {', '.join(beyond)}"
        )
    path = benchmarks_dir() / "tuning" / f"{target}.csv"
    with sole_writer(path, wait=True):  # other suites write their rows into the same file
        kept = read_csv(path) if path.is_file() else []
        others = [row for row in kept if row["suite"] != suite.name]
        for row in others:
            if row["method"] in tried_of:
                raise ArkdError(
                    f"{path}: suite {row['suite']} has chosen a rate for {row['method']}, and "
                    f"{suite.name} tries it too; leave the row out of one of them"
                )
        write_csv(path, COLUMNS, [*others, *rows])
    return path
