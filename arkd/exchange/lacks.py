"""What a run lacks to stand on the leaderboard, and what a reader of it should know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arkd.audit.compare_records import RECORDS, Side, read
from arkd.errors import ArkdError
from arkd.exchange import alike, cost, worlds
from arkd.exchange.declared import Declared, noted
from arkd.exchange.form import Submission
from arkd.storage import manifest
from arkd.storage.provenance import core_hash
from arkd.suite.folders import CONTROLS, FOREIGN, TEACHER

BASE = "forward_kl"  # what every row is paired with
FEW = 3  # seeds; below it an interval is as wide as one likes


@dataclass
class Lacks:
    """What must be there and is not, and what a reader should know; a line each."""

    missing: list[str]
    notes: list[str]


def of_run(run: Path, submission: Submission) -> Lacks:
    """Return what a run lacks, packed or not.

    Args:
        run: The suite's folder.
        submission: The form that goes with it.
    """
    found = Lacks([], [])
    try:
        top = manifest.read_foreign(run)
        side = read(run)
        cost.read(run)
    except ArkdError as error:
        return Lacks([f"no collected run: {error}"], [])
    steps = ((top.get("config") or {}).get("distillation") or {}).get("steps")
    for pair in sorted({pair for pair, _ in side.by_seed}):
        _rows(run, pair, side, submission, steps, found)
    for folder in worlds.folders(run):
        for part in sorted({*folder.glob("*/*/evaluation"), *folder.glob("*/*/*/evaluation")}):
            if not (part / "samples.jsonl").is_file() and (part / manifest.NAME).is_file():
                where = part.relative_to(run.parent)
                found.missing.append(f"{where}/samples.jsonl: the answers are needed")
    git = top.get("git") or {}
    if git.get("dirty"):
        found.notes.append("the code had uncommitted changes when the run was collected")
    if git.get("commit") not in (None, submission.code.commit):
        found.notes.append(
            f"collected at commit {str(git['commit'])[:12]}, submitted as "
            f"{submission.code.commit[:12]}"
        )
    if top.get("core") != core_hash():
        found.notes.append(
            f"measured by core {top.get('core')}, this checkout has {core_hash()}: the run is "
            "compared by its effects relative to its own forward KL, and the difference is marked"
        )
    return found


def _rows(
    run: Path, pair: str, side: Side, submission: Submission, steps: int | None, found: Lacks
) -> None:
    """Note which rows a pair lacks, and of which too little is known."""
    needed = (BASE, *CONTROLS)
    for row in needed:
        if (pair, row) not in side.by_seed:
            found.missing.append(f"{pair}/{row}: no records; every effect is paired with {BASE}")
    seeds = side.seeds(pair, BASE)
    rows: dict[str, set[int]] = {
        row: side.seeds(pair, row) for of_pair, row in side.by_seed if of_pair == pair
    }
    declared: dict[str, Declared] = {}
    for folder in sorted((run / FOREIGN).glob(f"*/{pair}/evaluation")):
        row = f"{FOREIGN}:{folder.parents[1].name}"
        if not (folder / RECORDS).is_file():
            found.missing.append(f"{folder.relative_to(run)}/{RECORDS}: the row's records")
            continue
        if wrong := alike.difference(run, pair, manifest.read_foreign(folder)):
            found.missing.append(f"{row}: {wrong}; score it by the suite as it was run")
        try:
            rows[row] = alike.records_of(folder, pair, row).seeds(pair, row)
        except ArkdError as error:
            found.missing.append(f"{error}; score the student again")
            continue
        declared[row] = submission.rows.get(row) or noted(folder.parent)
    for row, of_row in rows.items():
        if row == TEACHER:
            continue
        if len(of_row & seeds) < FEW:
            found.notes.append(
                f"{pair}/{row}: {len(of_row & seeds)} seeds shared with {BASE}; {FEW} or more give "
                "an interval that tells something"
            )
    for row, said in declared.items():
        if said.steps and steps and said.steps != steps:
            found.notes.append(f"{row}: trained for {said.steps} steps, the suite's for {steps}")
        if said.processor_s is None and said.gpu_s is None:
            found.missing.append(
                f"{row}: what it cost; add `rows: {{'{row}': {{processor_s: …}}}}` to the form"
            )
    for row in submission.rows:
        if row not in rows:
            found.missing.append(f"rows.{row}: the form speaks of a row that has no records")
