"""Tidy records: one measured number a line, with all that names it."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from arkd.errors import ArkdError
from arkd.storage.files import reading, write_text

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
FIELD_CHARS = 2**24  # of one cell at most: the scores of a million items
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
WHOLE = re.compile(r"[0-9]{1,18}")
DIGITS = 10  # significant ones, of any number that is written for machines


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows under fixed columns; see `csv_text`."""
    write_text(path, csv_text(columns, rows))


def csv_text(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    """Return rows under fixed columns; floats with `DIGITS` significant digits, none as empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_text(row.get(column)) for column in columns])
    return text.getvalue()


def read_rows(path: Path) -> list[list[str]]:
    """Return the lines of a CSV file as they stand, its heading first, each as long as that.

    Raises:
        ArkdError: it is not UTF-8 text, not CSV, empty, or a line has more or fewer cells.
    """
    remedy = "restore the file, or make it again"
    csv.field_size_limit(FIELD_CHARS)
    try:
        with reading(path):
            text = path.read_bytes().decode("utf-8")
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except UnicodeDecodeError:
        raise ArkdError(f"{path}: not UTF-8 text; {remedy}") from None
    except csv.Error as error:
        raise ArkdError(f"{path}: not CSV ({error}); {remedy}") from None
    if "\0" in text:
        raise ArkdError(f"{path}: holds NUL, so it is no text; {remedy}")
    if not lines:
        raise ArkdError(f"{path}: empty; {remedy}")
    for number, line in enumerate(lines):
        if len(line) != len(lines[0]):
            raise ArkdError(
                f"{path}: row {number} has {len(line)} cells under {len(lines[0])} columns; "
                f"{remedy}"
            )
    return lines


def number(text: str) -> float:
    """Return a finite number as files have it: plain digits, no `1_000`, no other script's.

    Raises:
        ValueError: the text is none.
    """
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"'{text:.40}' is no finite number")
    return value


def whole(text: str) -> int:
    """Return a whole number from zero on, such as a seed.

    Raises:
        ValueError: the text is none.
    """
    if not WHOLE.fullmatch(text):
        raise ValueError(f"'{text:.40}' is not a whole number")
    return int(text)


def significant(value: float) -> str:
    """Return a number to `DIGITS` significant digits, which rounding noise does not reach.

    Zero has no sign.
    """
    return f"{value or 0.0:.{DIGITS}g}"


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as text.

    Raises:
        ArkdError: there is no such file, a column stands twice, or `read_rows` refuses it.
    """
    if not path.is_file():
        raise ArkdError(f"{path}: no such file; run the stage that writes it first")
    head, *rows = read_rows(path)
    if twice := [name for name, times in Counter(head).items() if times > 1]:
        raise ArkdError(f"{path}: column '{twice[0]:.40}' stands twice; make the file again")
    return [dict(zip(head, row, strict=True)) for row in rows]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        return " ".join(f"{number:.6g}" for number in value)
    return significant(value) if isinstance(value, float) else str(value)
