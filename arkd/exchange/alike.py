"""Whether a student that was trained elsewhere is measured as the run that it stands beside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arkd.audit.compare_records import Side, read
from arkd.errors import ArkdError
from arkd.storage import manifest
from arkd.suite.folders import TEACHER

VERSION, CONFIG = "suite_version", "config"


def records_of(folder: Path, pair: str, row: str) -> Side:
    """Return the records of the evaluation of a student that was trained elsewhere.

    Args:
        folder: The evaluation's.
        pair: The pair that the folder's place names.
        row: The row that it names.

    Raises:
        ArkdError: they cannot be read, or are of another pair or row, or of none.
    """
    side = read(folder)
    named = {run[:2] for run in side.failed} | {*side.by_seed}
    if named != {(pair, row)}:
        found = ", ".join(sorted(map("/".join, named - {(pair, row)}))) or "none"
        raise ArkdError(f"{side.path}: lies where {pair}/{row} belongs, and has records of {found}")
    return side


def difference(run: Path, pair: str, measured: Mapping[str, Any]) -> str:
    """Say by which settings a measurement differs from the run's own; "" if by none.

    Args:
        run: The suite's folder, of whose evaluations the teacher's stands for all.
        pair: The row's pair.
        measured: `suite_version` and `config` of the measurement, as its manifest has them.

    Raises:
        ArkdError: the teacher's manifest is not as stages write it.
    """
    folder = run / pair / TEACHER / "evaluation"
    if not (folder / manifest.NAME).is_file():
        return ""  # as in a run that is not finished: there is nothing that it could differ from
    of_run = manifest.read_foreign(folder)
    here, there = (made.get(VERSION) for made in (measured, of_run))
    if here != there:
        return f"measured by version {here} of the suite, and {folder} by {there}"
    settings, others = (made.get(CONFIG) or {} for made in (measured, of_run))
    keys = sorted({*settings, *others})
    changed = [key for key in keys if settings.get(key) != others.get(key)]
    return f"measured with other {', '.join(changed)} than {folder}" if changed else ""
