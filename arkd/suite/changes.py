"""Whether a stage that was made is what the suite would make now, whatever a run remembers.

Snakemake remembers in its working folder what it made a file by, under the path it had. Results
that were moved, or are used from another folder, have only their manifests to tell by.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.storage import manifest, provenance
from arkd.suite.folders import Tree, stages
from arkd.suite.jobs import as_set, given, method_files


def change(tree: Tree, made: dict[str, Any]) -> str:
    """Return what has changed since a stage was made, "" if nothing has.

    What other code made stays as it is: its settings may have other names.

    Args:
        tree: The folders of its suite.
        made: Its manifest.
    """
    stage, inputs = made["stage"], made["inputs"]
    if made["core"] != provenance.core_hash(stage):
        return ""
    if not as_set(tree.suite, made):
        return "its settings have"
    for role, sha in given(tree, stage, made.get("pair", "")).items():
        if inputs.get(role) != sha:
            return f"{role} has"
    for file in method_files(tree.suite, made["method"]) if stage == "distill" else ():
        if _digest(file) not in inputs.values():
            return f"{file} has"
    return ""


def changed(tree: Tree) -> Iterator[tuple[Path, str]]:
    """Yield the manifests of stages that something has changed since, with what it is."""
    for folder in stages(tree):
        path = folder / manifest.NAME
        if not tree.makes(folder) or not path.is_file():
            continue
        try:
            said = change(tree, manifest.read(folder))
        except ArkdError:  # damaged: its own stage, or the collection, says how
            continue
        if said:
            yield path, said


@cache
def _digest(file: str) -> str:
    return manifest.digest(Path(file))
