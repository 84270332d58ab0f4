"""Time, throughput and memory of training, and the overhead against the fixed mix."""

from __future__ import annotations

import math

import pandas as pd

from arkd.results.records import SeedValues, read_frame
from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.quantities import joint
from arkd.tables.table import Column, Layout, Row


def build(make: Builder) -> Layout | None:
    costs = run_costs(make)
    columns = [
        Column("wall_s", "wall time (s)"),
        Column("train_s", "training (s)"),
        Column("tokens_per_s", "tokens/s", 0),
        Column("peak_mib", "peak memory (MiB)", 0),
    ]
    reference = next((m for m in ("fixed_mix", "fixed_mix@alpha=0.5") if m in make.methods), None)
    extra = Column("overhead_percent", f"overhead on {reference} (%)")
    rows = []
    for pair in make.pairs:
        base = costs.get((pair, reference or "", "train_s"), {})
        for method in make.methods:
            cells = [
                make.cell(costs.get((pair, method, c.key), {}), pair, method, f"cost {c.key}")
                for c in columns
            ]
            if reference:
                spent = costs.get((pair, method, "train_s"), {})
                more = {s: (spent[s] / base[s] - 1) * 100 for s in spent if base.get(s)}
                cells.append(joint(make, more, pair, (method, reference), f"cost {extra.key}"))
            rows.append(Row((*make.lead(pair), method), tuple(cells), pair, method))
    labels = (*make.lead("Pair"), "Method")
    return make.finish(labels, [*columns, extra] if reference else columns, rows, compared=False)


def run_costs(make: Builder) -> dict[tuple[str, str, str], SeedValues]:
    """Return what the trainings of each (pair, row) cost, by the name of the cost and by seed.

    Evaluation is left out, and so is what all rows share: the teacher and its caches.
    """
    frame = read_frame(
        make.tree.result("cost.csv"),
        make.suite,
        ["wall_s", "train_s", "tokens", "tokens_per_s", "peak_mib"],
    )
    frame = frame[frame["stage"] != "evaluate"]
    by_run = frame.groupby(["pair", "method", "seed"], sort=False)
    runs = by_run[["wall_s", "train_s", "tokens"]].agg(_summed).join(by_run["peak_mib"].max())
    runs["tokens_per_s"] = runs["tokens"] / runs["train_s"].where(runs["train_s"] > 0)
    costs: dict[tuple[str, str, str], SeedValues] = {}
    for run in runs.reset_index().to_dict("records"):
        for name in runs.columns:
            if pd.notna(run[name]):
                key = (run["pair"], run["method"], str(name))
                costs.setdefault(key, {})[int(run["seed"])] = float(run[name])
    return costs


def _summed(column: pd.Series) -> float:
    """Return the sum of a column; none where it is empty."""
    known = column.dropna()
    return math.fsum(known) if len(known) else math.nan


TABLE = TableKind(
    section="Cost",
    place=1,
    title="Cost of training",
    caption="""
        Time, throughput and peak memory of one training run on the host named in the manifest,
        without the teacher's caches and samples (cost.csv has them, as "shared"). Overhead, where
        fixed_mix was run: training time relative to it, paired by {unit}. Times vary between
        hosts and runs and are not part of the reproducible records. Mean over {observations} ± half
        the width of the 95 % t interval.
    """,
    build=build,
)
