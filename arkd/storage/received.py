"""What files that somebody sent may say: names inside a folder, lines of text, numbers of a size.

Functions that return a value return it as it is to be used, and raise a ValueError otherwise.
"""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from pathlib import Path

from arkd.errors import UNPRINTABLE, ArkdError
from arkd.storage import records
from arkd.storage.names import FOLDER, LABEL, SUITE

FORMULA = ("=", "+", "-", "@")  # how a cell begins that spreadsheets compute
LONGEST_TEXT = 1000
LONGEST_NUMBER = 64  # characters
MOST_COLUMNS = 1000
MOST = 1e15
# Perplexities are exponentials. The squares of these, and their sums, are still finite.
MOST_PERPLEXITY = 1e150


def inside(name: str) -> bool:
    """Tell whether a name is of a file below its folder, and leads nowhere else on any system."""
    leads = name.startswith("/") or ".." in name.split("/") or "\\" in name
    return bool(name) and not leads and "\0" not in name


def folder(name: str) -> str:
    """Return a name that a folder may have, such as a pair's; "" is none.

    Raises:
        ValueError: it is none.
    """
    return _matching(FOLDER, name, "no name of letters, digits, '.', '_' and '-'")


def suite(name: str) -> str:
    """Return the name of a suite or of one of its blocks.

    Raises:
        ValueError: it is none.
    """
    return _matching(SUITE, name, "no suite's name")


def label(text: str) -> str:
    """Return the label of a row.

    Raises:
        ValueError: it is none, or `plain` refuses it.
    """
    return _matching(LABEL, plain(text), "no row's label")


def plain(text: str) -> str:
    """Return text that can be printed as one line, and that no spreadsheet computes.

    Raises:
        ValueError: it is too long, has control characters, or begins as a formula does.
    """
    if len(text) > LONGEST_TEXT or UNPRINTABLE.search(text) or text.startswith(FORMULA):
        raise ValueError(
            f"{text[:80]!r} is no line of at most {LONGEST_TEXT} characters that begins with none "
            f"of {' '.join(FORMULA)}"
        )
    return text


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as text, as `records.read_csv` does.

    Raises:
        ArkdError: it has more columns than any file of arkd, or `records.read_csv` refuses it.
    """
    csv.field_size_limit(records.FIELD_CHARS)
    with suppress(OSError, csv.Error), path.open(encoding="utf-8", errors="replace") as lines:
        head = next((line for line in csv.reader(lines) if line), [])
        if len(head) > MOST_COLUMNS:
            raise ArkdError(f"{path}: {len(head):,} columns, at most {MOST_COLUMNS}; restore it")
    return records.read_csv(path)


def finite(text: str) -> float:
    """Return a finite number of a file.

    Raises:
        ValueError: the text is none, or too long.
    """
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"'{text:.40}…' has more than {LONGEST_NUMBER} characters")
    return records.number(text)


def number(text: str, least: float = -MOST, most: float = MOST) -> float:
    """Return a number of a file, which can be added to others and squared.

    Raises:
        ValueError: `finite` refuses the text, or the number is too small or too large.
    """
    value = finite(text)
    if not least <= value <= most:
        raise ValueError(f"{value:g} is not between {least:g} and {most:g}")
    return value


def _matching(pattern: re.Pattern[str], text: str, wrong: str) -> str:
    if text and not pattern.fullmatch(text):
        raise ValueError(f"'{text:.80}' is {wrong}")
    return text
