"""Whether a stage that was made is what the suite would make now, whatever a run remembers.

Snakemake remembers in its working folder what it made a file by, under the path it had, and goes by
dates. Results that were moved or copied have only their manifests to tell by.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from arkd.data.source import find, task_template
from arkd.errors import ArkdError
from arkd.paths import benchmarks_dir
from arkd.storage import manifest, provenance
from arkd.suite import upstream
from arkd.suite.folders import UNTRAINED, Tree
from arkd.suite.job_list import SHOWN, Job, job_list
from arkd.suite.jobs import as_set, data_inputs, given, method_files

TASKS = "tasks"  # what an evaluation is told by; an input of it


def change(tree: Tree, made: dict[str, Any]) -> str:
    """Return what has changed since a stage was made, "" if nothing has.

    What other code made stays as it is: its settings may have other names.

    Args:
        tree: The folders of its suite.
        made: Its manifest.
    """
    stage, inputs = made["stage"], made["inputs"]
    for role, sha in inputs.items():
        there = {folder: _outputs(folder) for folder in upstream.folders(tree, made, role)}
        if any(there.values()) and sha not in there.values():
            return f"{next(iter(there)) if len(there) == 1 else 'the run that it replays'} has"
    if made["core"] != provenance.core_hash(stage):
        return ""
    if not as_set(tree.suite, made):
        return "its settings have"
    for role, sha in given(tree, stage, made.get("pair", "")).items():
        if inputs.get(role) != sha:
            return f"{role} has"
    for file in _code(tree, made):
        if _digest(file) not in inputs.values():
            return f"{file} has"
    if stage == "data" and not _of_template(tree):
        return f"{task_template()} has"
    return ""


def _of_template(tree: Tree) -> bool:
    """Tell whether the tasks among the data, if any, begin with the template as it is now."""
    written = (tree.data / "tasks").glob("*.yaml") if find(tree.suite.data.source).tests else ()
    template = task_template().read_text(encoding="utf-8")
    return all(file.read_text(encoding="utf-8").startswith(template) for file in written)


def settle(tree: Tree) -> set[str]:
    """Return the manifests of stages that something has changed since, and date all others alike.

    Snakemake makes anew what is older than one of its inputs: results that were copied without
    their dates, and all of them beside a new clone of the code. Where a stage is so, though it was
    made from what lies there, all get one date, that of the newest of them and their inputs.
    """
    changed, inputs, dated = set[str](), list[Path](), list[Path]()
    too_old = False
    for job in job_list(tree):
        if job.rule in SHOWN or not job.made.is_file():
            continue
        try:
            made = manifest.read(job.made.parent)
        except ArkdError:  # damaged: its own stage, or the collection, says how
            continue
        if change(tree, made):
            changed.add(str(job.made))
            continue
        of_job = [file for file in _read(tree, made) if file.is_file()]
        by_job = [file for file in _written(tree, job) if file.is_file()]
        too_old |= max(map(_date, of_job), default=0) > min(map(_date, by_job))
        inputs += of_job
        dated += by_job
    if too_old:
        latest = max(map(_date, (*inputs, *dated)))
        for file in dated:
            os.utime(file, ns=(latest, latest))
    return changed


def _written(tree: Tree, job: Job) -> list[Path]:
    """Return the files by whose dates Snakemake tells when a job was done."""
    files = [job.made, job.log.with_suffix(".benchmark.jsonl")]
    if job.rule == "student_init":  # it makes the student before its start as well
        seed = int(job.axes["seed"])
        files.append(tree.training(job.axes["pair"], UNTRAINED, seed) / manifest.NAME)
    return files


def _read(tree: Tree, made: dict[str, Any]) -> Iterator[Path]:
    """Yield the files by whose dates Snakemake tells whether a stage is to be made anew."""
    for role in made["inputs"]:
        for folder in upstream.folders(tree, made, role):
            yield folder / manifest.NAME
    if made["stage"] == "data":
        yield from map(Path, data_inputs(tree))
    for place in map(Path, _code(tree, made)):
        yield from place.rglob("*.yaml") if place.is_dir() else (place,)


def _code(tree: Tree, made: dict[str, Any]) -> list[str]:
    """Return the files or the folder of a stage's inputs that a user may edit beside the core."""
    if made["stage"] == "distill":
        return method_files(tree.suite, made["method"])
    return [str(benchmarks_dir() / TASKS)] if TASKS in made["inputs"] else []


def _date(file: Path) -> int:
    return file.stat().st_mtime_ns


def _outputs(folder: Path) -> str:
    """Return the digest of what a stage wrote; "" where there is none, or its manifest damaged."""
    try:
        return manifest.digest_of(manifest.read(folder, ["outputs"])["outputs"])
    except ArkdError:
        return ""


@cache
def _digest(file: str) -> str:
    return manifest.digest(Path(file))
