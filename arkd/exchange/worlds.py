"""Suites of several worlds: a run's folders, and that one is named where one is meant."""

from __future__ import annotations

from pathlib import Path

from arkd.errors import ArkdError
from arkd.storage import manifest
from arkd.storage.files import read_json
from arkd.suite.folders import Tree


def check_one(tree: Tree) -> None:
    """Refuse a suite of several worlds where a teacher and its starts are asked for.

    Raises:
        ArkdError: it has several, each with a teacher of its own.
    """
    if tree.suite.worlds:
        named = tree.named or tree.suite.name
        first, *_ = tree.suite.worlds
        raise ArkdError(
            f"suite {tree.suite.name}: {len(tree.suite.worlds)} worlds, each with a teacher of its "
            f"own; name one of them, such as {named}@{first}"
        )


def folders(run: Path) -> list[Path]:
    """Return a run's folder, and those of its blocks beside it where it has several worlds."""
    from arkd.stages.blocks import STAGE  # loads NumPy, for which `arkd score` chooses the kernels

    made = read_json(run / manifest.NAME) if (run / manifest.NAME).is_file() else {}
    blocks = made.get("inputs", {}) if made.get("stage") == STAGE else {}
    return [run, *(run.parent / name for name in blocks)]
