"""What blocks must be before they are joined: collected, as collected, whole, and of one make."""

from __future__ import annotations

from collections import Counter
from typing import Any

from arkd.errors import ArkdError
from arkd.storage import manifest, provenance
from arkd.storage.records import read_csv
from arkd.suite.folders import CONTROLS, Tree, methods, seeds

QUANTITY = ("task", "metric", "group", "decode_seed")  # what names a number beside its run


def checked(tree: Tree, block: Tree) -> dict[str, Any]:
    """Return a block's manifest, its files compared with it.

    Raises:
        ArkdError: there is none, a file is not as it says, or it was collected by other settings.
    """
    path = block.root / manifest.NAME
    if not path.is_file():
        raise ArkdError(
            f"{path}: no such file; run the block: `{block.command()}`, or pass --partial"
        )
    made = manifest.read(block.root, ["outputs", "versions", "config"])
    manifest.check_outputs(block.root, made["outputs"], "run `arkd collect` again for this block")
    if made["config"] != block.suite.model_dump(mode="json"):
        raise ArkdError(
            f"{path}: collected with other settings than {tree.suite.name} has now; "
            f"run the block again: `{block.command()}`"
        )
    return made


def lacking(block: Tree) -> str:
    """Return what a collected block has no numbers of, which `--partial` leaves out; or nothing."""
    suite = block.suite
    measured, trained, failed = (set[tuple[str, str, str]]() for _ in range(3))
    quantities: dict[tuple[str, str], Counter[tuple[str, ...]]] = {}
    for line in read_csv(block.root / "records.csv"):
        run = line["pair"], line["method"], line["seed"]
        measured.add(run)
        if line["metric"] == "failed":
            failed.add(run)
        else:
            of_row = quantities.setdefault(run[:2], Counter())
            of_row[tuple(line[column] for column in QUANTITY)] += 1
    for line in read_csv(block.root / "trajectories.csv"):
        trained.add((line["pair"], line["method"], line["seed"]))
    for pair, method in methods(suite):
        for seed in seeds(suite, method):
            run = pair, method, str(seed)
            if run not in measured:
                return f"{pair}/{method} has no records of seed {seed}"
            if method not in CONTROLS and run not in trained | failed:
                return f"{pair}/{method} has no trajectory of seed {seed}"
        whole = len(seeds(suite, method))
        for (task, metric, group, decoding), count in quantities.get((pair, method), {}).items():
            if count < whole and not any(run[:2] == (pair, method) for run in failed):
                where = " ".join(filter(None, (task, metric, group, decoding)))
                return f"{pair}/{method} has {where} of {count} seeds, and {whole} are needed"
    return ""


def of_one_make(blocks: dict[int, Tree], made: dict[int, dict[str, Any]]) -> None:
    """Refuse blocks of different code or libraries, and rows of different settings or files.

    Raises:
        ArkdError: there are such.
    """
    (first, reference), *rest = made.items()
    for world, facts in rest:
        for key in ("core", "training_core", "versions"):
            ours, theirs = (_of_make(made_by, key) for made_by in (reference, facts))
            if theirs != ours:
                raise ArkdError(
                    f"{blocks[world].root}: {key} {theirs} beside {ours} of "
                    f"{blocks[first].root}; results of different code are never mixed: "
                    f"run one of them again, `{blocks[world].command()}`"
                )
        for row, of_row in facts.get("rows", {}).items():
            if reference.get("rows", {}).get(row, of_row) != of_row:
                raise ArkdError(
                    f"{blocks[world].root}: {row} was trained by other settings, or by another "
                    f"file of its method, than in {blocks[first].root}; "
                    f"run one of them again, `{blocks[world].command()}`"
                )


def _of_make(facts: dict[str, Any], key: str) -> Any:
    """Return a fact of a manifest; of the versions those of the libraries."""
    value = facts.get(key)
    return provenance.libraries(value) if key == "versions" and value else value
