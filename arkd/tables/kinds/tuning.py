"""The committed tuning run: every rate that was tried and what came of it."""

from __future__ import annotations

import pandas as pd

from arkd.paths import benchmarks_dir
from arkd.suite.names import method_of
from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.table import Cell, Column, Layout, Row


def build(make: Builder) -> Layout | None:
    name = make.suite.distillation.tuning or make.suite.name
    path = benchmarks_dir() / "tuning" / f"{name}.csv"
    if not path.is_file():
        return None
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    columns = (
        Column("dev_jsd", "development JSD (nats) ↓", 4, measured=False),
        Column("chosen", "chosen", measured=False),
        Column("shared", "shared", measured=False),
    )
    words = {"1": "yes", "0": "no"}
    shown = {*make.methods, *map(method_of, make.methods)}  # the run may have tuned more
    rows = [
        Row((r["method"], r["lr"]), (Cell(float(r["dev_jsd"])), *marks), None, r["method"])
        for r in frame[frame["method"].isin(shown)].to_dict("records")
        for marks in [[Cell(word=words.get(r[c], r[c])) for c in ("chosen", "shared")]]
    ]
    labels = ("Method", "Learning rate")
    return make.finish(labels, columns, rows, compared=False) if rows else None


TABLE = TableKind(
    section="Cost",
    place=2,
    title="Learning rates tried",
    caption="""
        Learning rates tried on a development world, with the same budget for every method, and the
        Jensen-Shannon divergence to the teacher on its development set, mean over training seeds.
        The rate with the lowest divergence was chosen. "Shared" is the rate of a method that was
        not tuned. Where the chosen rate is the lowest or highest tried, a better one may lie beyond
        it; docs/protocol.md says how the rates were placed.
    """,
    build=build,
)
