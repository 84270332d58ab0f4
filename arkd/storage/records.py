"""Tidy records: one measured number a line, with all that names it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.storage.files import write_text

COLUMNS = (
    "suite",
    "suite_version",
    "pair",
    "method",
    "seed",
    "decode_seed",
    "task",
    "metric",
    "group",
    "value",
    "n",
    "higher_is_better",
)
# One decoded test set a line; `values` has the score of each item, in the order of the test set.
ITEM_COLUMNS = (*COLUMNS[:7], "metric", "values")
DIGITS = 10  # significant ones, of any number that is written for machines


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows under fixed columns; floats with `DIGITS` significant digits, none as empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_text(row.get(column)) for column in columns])
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[list[str]]:
    """Return the lines of a CSV file as they stand, its heading first."""
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def significant(value: float) -> str:
    """Return a number to `DIGITS` significant digits, which rounding noise does not reach.

    Zero has no sign.
    """
    return f"{value or 0.0:.{DIGITS}g}"


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as text.

    Raises:
        ArkdError: there is no such file.
    """
    if not path.is_file():
        raise ArkdError(f"{path}: no such file; run the stage that writes it first")
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        return " ".join(f"{number:.6g}" for number in value)
    return significant(value) if isinstance(value, float) else str(value)
