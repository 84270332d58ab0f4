"""From a cell of the report to the runs behind it: seed values, rows, manifests, commands.

The page holds it once, as JSON in which seeds, runs and quantities are numbered: a cell is
`[half, runs, quantity, seeds, values]`, 0 where a cell was not measured in a run.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from arkd.metrics import declared
from arkd.report.views import run_manifests
from arkd.results.records import read_frame
from arkd.suite.command_line import command, suites_option
from arkd.suite.folders import Tree, seeds
from arkd.suite.load import base_name
from arkd.suite.suite import Suite
from arkd.tables.table import Cell, Origin, Table
from arkd.templates import relative

DIGITS = 5  # of a seed's value; the records have ten
AGAIN = "again"  # the results folder of the commands: what is there already is not made again
# Where values lie that are not in the records as they stand, by the first word of their quantity.
OTHER_FILES = {"cost": "cost.csv", "α": "trajectories.csv"}


class Numbered:
    """Distinct values in the order of their first use, each with its number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def __call__(self, value: Hashable) -> int:
        if value not in self._places:
            self._places[value] = len(self.values)
            self.values.append(value)
        return self._places[value]


def panel_data(tables: Sequence[Table], tree: Tree, out_file: Path) -> Markup:
    """Return what the panels of all cells show, as JSON that can stand in a script element."""
    observed, runs, quantities = Numbered(), Numbered(), Numbered()
    decoded = decoded_quantities(tree)

    def cell_data(cell: Cell) -> Any:
        origin = cell.origin
        if origin is None or not origin.seeds:
            return 0
        values = [float(f"{value:.{DIGITS}g}") for _, value in origin.seeds]
        places = [runs((origin.pair, method)) for method in origin.methods]
        quantity = quantities(_quantity(origin, decoded))
        numbers = observed(tuple(seed for seed, _ in origin.seeds))
        return [cell.half, places, quantity, numbers, values]

    cells = {t.name: [[cell_data(cell) for cell in row.cells] for row in t.rows] for t in tables}
    data = {
        "tables": {
            t.name: {"title": t.title, "keys": [c.key for c in t.columns], "rows": cells[t.name]}
            for t in tables
        },
        "seeds": observed.values,
        "quantities": [dict(quantity) for quantity in quantities.values],
        "runs": [_run(tree, out_file, pair, method) for pair, method in runs.values],
        "files": {
            name: relative(path, out_file)
            for name in ("records.csv", *OTHER_FILES.values())
            if (path := tree.root / name).is_file()
        },
        "decoding": list(tree.suite.decoding.seeds),
        "observation": tree.suite.observation,
        "run": "Evaluation" if tree.blocks else "Training",  # whose manifests those are
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def decoded_quantities(tree: Tree) -> set[tuple[str, str, str]]:
    """Return the (task, metric, group) that the records have once for each decoding seed."""
    frame = read_frame(tree.root / "records.csv", tree.suite, [])
    sampled = frame.loc[frame["decode_seed"] != "", ["task", "metric", "group"]]
    return set(sampled.drop_duplicates().itertuples(index=False, name=None))


def _quantity(origin: Origin, decoded: set[tuple[str, str, str]]) -> tuple[tuple[str, Any], ...]:
    """Return where a quantity lies: a file, and which of its rows or which column."""
    if origin.source is not None:
        found: dict[str, Any] = dict(zip(("task", "metric", "group"), origin.source, strict=True))
        found |= {"file": "records.csv"}
        metric = declared.find(found["metric"])
        if metric is not None:
            found |= {"means": metric.definition.replace("`", ""), "unit": metric.unit}
        return tuple((found | ({"decoded": 1} if origin.source in decoded else {})).items())
    first, _, rest = origin.quantity.partition(" ")
    if first in OTHER_FILES:
        return ("file", OTHER_FILES[first]), ("column", rest or "alpha, policy_alpha")
    return (("of", origin.quantity),)


def _run(tree: Tree, out_file: Path, pair: str, method: str) -> dict[str, Any]:
    """Return a run's manifests and samples that are there, and the commands that make it again."""
    manifests = run_manifests(tree, pair, method)
    evaluation = tree.evaluation(pair, method) / "manifest.json"
    run: dict[str, Any] = {"pair": pair, "method": method}
    run |= {"manifests": {n: relative(path, out_file) for n, path in manifests.items()}}
    run |= {"commands": _commands(tree, pair, method, [*manifests])}
    if evaluation.is_file():
        run["evaluation"] = relative(evaluation, out_file)
    samples = evaluation.with_name("samples.jsonl")
    if samples.is_file():
        run["samples"] = relative(samples, out_file)
    return run


def _commands(tree: Tree, pair: str, method: str, made: Sequence[int]) -> list[tuple[str, str]]:
    """Return what makes a row again, each command with what it does."""
    again = Tree(Path(AGAIN), tree.suite, tree.named)
    evaluation = tree.evaluation(pair, method)
    if tree.suite.beside and not tree.makes(evaluation):  # what makes the row is the other suite
        other = tree.suite.model_copy(update={"name": tree.suite.beside, "beside": None})
        again = Tree(Path(AGAIN), other, base_name(tree.named) if tree.named else other.name)
    every = f"Train and evaluate all seeds of {method}"
    if again.blocks:
        world = next(iter(seeds(tree.suite, method)))
        text = evaluation_command(again.blocks[world], pair, method)
        return [(f"{every} in world {world}, in a separate folder:", text)]
    found = [(f"{every} in a separate folder:", evaluation_command(again, pair, method))]
    if len(made) > 1:
        text = training_command(again, pair, method, made[0])
        found.append((f"Train seed {made[0]} only:", text))
    return found


def evaluation_command(tree: Tree, pair: str, method: str) -> str:
    """Return the command that trains all seeds of a row and evaluates them."""
    return command(tree, tree.evaluation(pair, method) / "manifest.json")


def training_command(tree: Tree, pair: str, method: str, seed: int) -> str:
    """Return the command that trains one seed of a row.

    Args:
        tree: The suite's folders.
        pair: Name of teacher and student in the suite.
        method: The row's label.
        seed: Of the training.
    """
    return command(tree, tree.training(pair, method, seed) / "manifest.json")


def suite_command(suite: Suite, named: str = "") -> str:
    """Return the command that runs a whole suite."""
    return f"snakemake --cores all --config {suites_option(named or suite.name)}"
