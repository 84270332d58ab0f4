"""The blocks of a suite of several worlds, joined: each world becomes one observation.

A block is the whole suite in one world, with its own teacher, caches and training seeds, and is
collected like any suite. Here each of its numbers is averaged over the block's training seeds and
stands under the world in place of the seed; so whatever reads records by seed, from tables to
verdicts, speaks of worlds and their teachers, and not of reruns beside one teacher.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from arkd import exact
from arkd.errors import ArkdError
from arkd.metrics.declared import names
from arkd.paths import claims_path
from arkd.stages import trajectories
from arkd.stages.block_checks import checked, lacking, of_one_make
from arkd.stages.collect import COST_COLUMNS
from arkd.storage import manifest, provenance
from arkd.storage.files import refuse_unlike, write_json, write_text
from arkd.storage.received import finite, read_csv
from arkd.storage.records import COLUMNS, ITEM_COLUMNS, csv_text, write_csv
from arkd.suite import beside
from arkd.suite.folders import Tree

STAGE, ITEMS = "blocks", "items.csv"
# Of each file: its columns, what names a number there beside its seed, and what is averaged.
QUANTITY = (*COLUMNS[2:4], *COLUMNS[5:9])
WINDOW = (*COLUMNS[2:4], "window", "first_step", "last_step")
JOINED: dict[str, tuple[Sequence[str], Sequence[str], Sequence[str]]] = {
    "records.csv": (COLUMNS, QUANTITY, ("value",)),
    "trajectories.csv": (
        trajectories.COLUMNS,
        WINDOW,
        tuple(name for name in trajectories.COLUMNS if name not in (*COLUMNS[:5], *WINDOW)),
    ),
    "cost.csv": (
        COST_COLUMNS,
        (*COLUMNS[2:4], "stage"),
        tuple(names("cost")),
    ),
}


def pool(tree: Tree, partial: bool = False) -> None:
    """Join the records, trajectories and costs of a suite's blocks, averaged over their seeds.

    Scores of single items are not joined: each world asks questions of its own.

    Args:
        tree: The folders of a suite with `worlds`.
        partial: Join the blocks that are collected as a whole, and leave out the rest.

    Raises:
        ArkdError: a block is missing, lacks runs or was changed, or two are of different code or
            settings.
    """
    suite = tree.suite
    blocks: dict[int, Tree] = {}
    made: dict[int, dict[str, Any]] = {}
    for world, block in tree.blocks.items():
        if partial and not (block.root / manifest.NAME).is_file():
            continue
        facts_of_block = checked(tree, block)
        if missing := lacking(block):
            if partial:
                continue
            raise ArkdError(f"{block.root}: {missing}; finish it: `{block.command()}`")
        blocks[world], made[world] = block, facts_of_block
    if not blocks:
        raise ArkdError(f"{tree.root}: no block is collected yet; run one: `{tree.command()}`")
    of_one_make(blocks, made)
    named = {"suite": suite.name, "suite_version": suite.version}
    roots = {world: block.root for world, block in blocks.items()}
    refuse_unlike(tree.root / "records.csv", ",".join(COLUMNS))
    refuse_unlike(tree.root / manifest.NAME, '"stage"')
    for name in JOINED:
        write_text(tree.root / name, joined(name, roots, named))
    write_csv(tree.root / ITEMS, ITEM_COLUMNS, ())
    first = next(iter(made.values()))
    facts = {
        "stage": STAGE,
        **named,
        "config": suite.model_dump(mode="json"),
        "core": first["core"],
        "training_core": first["training_core"],
        "claims": manifest.digest(claims_path(suite.claims)),
        **beside.facts(tree),
        "inputs": {
            block.suite.name: manifest.digest_of(made[world]["outputs"])
            for world, block in blocks.items()
        },
        "outputs": {name: manifest.digest(tree.root / name) for name in (*JOINED, ITEMS)},
        "versions": first["versions"],
        "git": provenance.git_state(),
        "host": provenance.host(),
    }
    write_json(tree.root / manifest.NAME, facts)


def joined(name: str, blocks: Mapping[int, Path], named: Mapping[str, str]) -> str:
    """Return the text of one of the joined files.

    Args:
        name: Which, of `JOINED`.
        blocks: The folder of each world's block.
        named: The suite's name and version, as the lines have them.
    """
    columns, key, averaged = JOINED[name]
    lines = [
        {**line, **named}
        for world, folder in blocks.items()
        for line in mean_over_seeds(_of_whole_rows(folder, name), key, averaged, world)
    ]
    if name == "records.csv":
        lines.sort(key=lambda line: tuple(str(line[column]) for column in COLUMNS[:9]))
    return csv_text(columns, lines)


def _of_whole_rows(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the lines of a block's file without numbers of rows that failed with some seed.

    A mean over the seeds that are left would stand where others have one over all of them. That the
    row failed stays, and what its runs cost.
    """
    lines = read_csv(folder / name)
    if name == "cost.csv":
        return lines
    failed = {
        (line["pair"], line["method"])
        for line in (lines if name == "records.csv" else read_csv(folder / "records.csv"))
        if line["metric"] == "failed"
    }
    return [
        line
        for line in lines
        if (line["pair"], line["method"]) not in failed or line.get("metric") == "failed"
    ]


def mean_over_seeds(
    rows: Iterable[dict[str, str]], key: Sequence[str], averaged: Sequence[str], world: int
) -> list[dict[str, Any]]:
    """Return the lines of a block's file with its numbers averaged over training seeds.

    A cell that is empty in some seeds is averaged over the others.

    Args:
        rows: The lines of the file, as text.
        key: The columns that name a number beside its seed.
        averaged: The columns of numbers.
        world: What stands in place of the seed.
    """
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in key), []).append(row)
    out: list[dict[str, Any]] = []
    for group in groups.values():
        line: dict[str, Any] = {**group[0], "seed": world}
        for column in averaged:
            values = [finite(row[column]) for row in group if row.get(column)]
            line[column] = exact.mean(values) if values else None
        if "n" in line:
            line["n"] = sum(int(row["n"]) for row in group)
        out.append(line)
    return out
