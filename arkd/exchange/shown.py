"""A student that was trained elsewhere, shown beside the rows of the run that measured it."""

from __future__ import annotations

import shlex
from pathlib import Path

from arkd import exact
from arkd.audit.compare_records import RECORDS, read
from arkd.grid import Grid, Look, show, terminal
from arkd.suite.folders import CONTROLS, INIT, Tree
from arkd.tables.kinds.summary import sources

FIRST = ("forward_kl", "reverse_kl")  # the rows that a new one is looked at beside


def beside_the_run(tree: Tree, pair: str, row: str) -> None:
    """Print the headline measures of a foreign row, of the controls and of forward and reverse KL.

    Args:
        tree: The suite's folders.
        pair: The row's pair.
        row: Its label in the records.
    """
    measured = tree.evaluation(pair, row)
    sides = [(row, read(measured))]
    if (tree.root / RECORDS).is_file():
        run = read(tree.root)
        sides += [(name, run) for name in (*CONTROLS, *FIRST) if (pair, name) in run.by_seed]
    there = {quantity for name, side in sides for quantity in side.by_seed[pair, name]}
    columns = sources(tree.suite.test_sets[0], tree.suite.rouge)
    columns = tuple(s for s in columns if (s.task, s.metric, s.group) in there)
    rows = []
    for name, side in sides:
        found = side.by_seed[pair, name]
        cells = []
        for source in columns:
            by_seed = found.get((source.task, source.metric, source.group), {})
            means = [exact.mean([*values.values()]) for values in by_seed.values()]
            cells.append(f"{exact.mean(means):.{source.digits}f}" if means else "–")
        rows.append([name, str(len(side.seeds(pair, name))), *cells])
    head = ["method", "seeds", *(source.title for source in columns)]
    show(Grid(head, rows, left=1), terminal(), Look())
    print(measured / RECORDS)
    if len(sides) > 1:
        other = next((name for name in FIRST if name in dict(sides)), INIT)
        print(f"arkd compare {_typed(tree.root)} {_typed(measured)} --methods {other} {row}")


def _typed(path: Path) -> str:
    return shlex.quote(str(path))
