"""A run of several worlds: its folder, and those of its blocks beside it."""

from __future__ import annotations

from pathlib import Path

from arkd.errors import ArkdError
from arkd.storage import manifest
from arkd.storage.names import SUITE


def folders(run: Path) -> list[Path]:
    """Return a run's folder, and those of its blocks beside it where it has several worlds.

    Raises:
        ArkdError: its manifest is not as stages write it, or names what lies elsewhere.
    """
    from arkd.stages.blocks import STAGE  # loads NumPy, for which `arkd score` chooses the kernels

    made = manifest.read_foreign(run) if (run / manifest.NAME).is_file() else {}
    blocks = made.get("inputs", {}) if made.get("stage") == STAGE else {}
    for name in blocks:
        if not SUITE.fullmatch(name):
            raise ArkdError(f"{run / manifest.NAME}: inputs: '{name:.100}' is no block's name")
    return [run, *(run.parent / name for name in blocks)]
