"""What is declared of a method that was not run here: nobody but its author can know it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from arkd.errors import ArkdError
from arkd.method import Axis
from arkd.storage import manifest
from arkd.validated import Frozen, problem

MOST = 10**15  # of anything that is counted here: what the leaderboard can still add and print


class Declared(Frozen):
    """What the author of a student says of it; an absent number is unknown, not zero."""

    prefixes: Literal["gold", "teacher", "student", "mixed"] | None = Field(
        None, description="on whose responses the loss was taken"
    )
    family: Axis | None = Field(None, description="what the method varies, as `arkd list` says it")
    processor_s: float | None = Field(
        None, ge=0, le=MOST, description="processor seconds of one training, all cores together"
    )
    gpu_s: float | None = Field(None, ge=0, le=MOST, description="GPU seconds of one training")
    steps: int | None = Field(None, ge=0, le=MOST, description="optimiser steps")
    tokens: int | None = Field(
        None, ge=0, le=MOST, description="tokens that the student was trained on"
    )
    hardware: str | None = Field(None, max_length=200)
    software: str | None = Field(None, max_length=200, description="library and version")
    code: str | None = Field(None, max_length=300, description="address, with the commit")
    note: str | None = Field(None, max_length=500)

    def keys(self) -> set[str]:
        """Return the keys that are declared."""
        return {*self.model_dump(exclude_none=True)}


def of_words(words: Iterable[str]) -> Declared:
    """Return what `KEY=VALUE` words declare.

    Raises:
        ArkdError: a word has no `=`, or a key or a value is not known.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ArkdError(f"--declare: KEY=VALUE is wanted, found '{word}'")
        if key in found:
            raise ArkdError(f"--declare: {key} stands twice")
        found[key] = value
    try:
        return Declared.model_validate(found)
    except ValidationError as error:
        raise ArkdError(f"--declare: {problem(error, found)}") from None


def noted(row: Path) -> Declared:
    """Return what was declared of a foreign row when it was scored.

    It stands in the manifest of each student that was measured; students of other seeds, scored
    under the same name before, are not asked.

    Raises:
        ArkdError: a manifest is not as stages write it, or declares what cannot be.
    """
    if not (row / "evaluation" / manifest.NAME).is_file():
        return Declared()
    measured = manifest.read_foreign(row / "evaluation").get("inputs", {})
    for role in sorted(measured):
        folder = row / role / "training"
        if not re.fullmatch(r"seed\d+", role) or not (folder / manifest.NAME).is_file():
            continue
        notes = manifest.read_foreign(folder).get("notes", {})
        try:
            return Declared.model_validate(notes.get("declared", {}))
        except ValidationError as error:
            path, what = folder / manifest.NAME, problem(error, notes["declared"])
            raise ArkdError(f"{path}: notes.declared: {what}; score the student again") from None
    return Declared()
