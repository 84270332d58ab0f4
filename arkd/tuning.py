"""The tuning run: every method at the same few rates, on a world and a seed of its own."""

from __future__ import annotations

from pathlib import Path

from arkd.errors import ArkdError
from arkd.paths import benchmarks_dir
from arkd.records import read_csv, write_csv
from arkd.workflow import Tree

COLUMNS = ("method", "lr", "dev_jsd", "chosen", "shared")


def write(tree: Tree) -> Path:
    """Choose each method's rate by development JSD to the teacher; write benchmarks/tuning.

    Raises:
        ArkdError: the suite tunes nothing, or its records are not there.
    """
    suite = tree.suite
    target = suite.distillation.tuning
    if not suite.lr_grid or target is None:
        raise ArkdError(
            f"suite {suite.name}: 'lr_grid' and 'distillation.tuning' must be set to tune rates"
        )
    values = {
        row["method"]: float(row["value"])
        for row in read_csv(tree.root / "records.csv")
        if (row["task"], row["metric"], row["group"]) == ("fidelity_dev", "jsd", "")
    }
    rows = []
    for method in suite.methods:
        tried = {
            entry.lr: values[entry.label]
            for entry in suite.entries
            if entry.name == method.name and entry.params == method.params
        }
        best = min(tried, key=lambda lr: tried[lr])
        for lr, jsd in tried.items():
            chosen, shared = lr == best, lr == suite.distillation.lr
            rows.append(
                {
                    "method": method.label,
                    "lr": lr,
                    "dev_jsd": jsd,
                    "chosen": chosen,
                    "shared": shared,
                }
            )
    path = benchmarks_dir() / "tuning" / f"{target}.csv"
    write_csv(path, COLUMNS, rows)
    return path
