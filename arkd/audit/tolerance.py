"""Whether two files say the same: numbers as close as rounding leaves them, all else to the byte.

A number in CSV may be off by `RELATIVE` of itself, or by `ABSOLUTE` near zero. Markdown and LaTeX
show rounded numbers, which jump by a unit of their last digit where the number behind them lies
between the two: such a jump is the same if the table's CSV has a number that lies there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from arkd.errors import ArkdError
from arkd.exact import NOISE
from arkd.storage.records import DIGITS, read_rows

# Two units of the last digit that is written, in the number that has the fewest: 1.000000000. One
# is what rounding may move, half is what earlier versions wrote beyond it.
RELATIVE = 2 * 10.0 ** (1 - DIGITS)
# Differences of numbers up to 100 that should be zero are some 1e-14. No table shows so little.
ABSOLUTE = NOISE
NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")
SHOWN = re.compile(r"(?:−|\$-\$)?[0-9]+(?:\.[0-9]+)?")  # a minus as in Markdown, or as in LaTeX


def same_files(kept: Path, made: Path) -> bool:
    """Tell whether two files of one name say the same.

    Args:
        kept: A CSV, Markdown or LaTeX file.
        made: The same file made again; its numbers stand in the CSV of its name beside it.
    """
    try:
        if made.suffix == ".csv":
            return _same_rows(read_rows(kept), read_rows(made))
        cells = [cell for row in read_rows(made.with_suffix(".csv")) for cell in row]
        texts = kept.read_text(encoding="utf-8"), made.read_text(encoding="utf-8")
    except (UnicodeDecodeError, ArkdError):  # a spoilt file need not be text any more
        return False
    return _same_texts(*texts, [float(cell) for cell in cells if NUMBER.fullmatch(cell)])


def close(a: float, b: float) -> bool:
    """Tell whether two numbers are the same but for rounding."""
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _same_rows(kept: list[list[str]], made: list[list[str]]) -> bool:
    """Compare two CSV files cell by cell."""
    if [len(row) for row in kept] != [len(row) for row in made]:
        return False
    pairs = (pair for rows in zip(kept, made, strict=True) for pair in zip(*rows, strict=True))
    return all(a == b or _same_cell(a, b) for a, b in pairs)


def _same_cell(a: str, b: str) -> bool:
    numbers = NUMBER.fullmatch(a) and NUMBER.fullmatch(b)
    return bool(numbers) and close(float(a), float(b))


def _same_texts(kept: str, made: str, behind: Sequence[float]) -> bool:
    """Compare two texts with rounded numbers; `behind` has what they may be, unrounded."""
    if SHOWN.sub("", kept) != SHOWN.sub("", made):
        return False
    pairs = zip(SHOWN.findall(kept), SHOWN.findall(made), strict=True)
    return all(a == b or _neighbours(a, b, behind) for a, b in pairs)


def _neighbours(a: str, b: str, behind: Sequence[float]) -> bool:
    """Tell whether two texts are what a number is rounded to that lies in the middle of them."""
    decimals = len(a.partition(".")[2])
    first, second = (float(re.sub("−|\\$-\\$", "-", text)) for text in (a, b))
    apart = abs(first - second) * 10**decimals
    if decimals != len(b.partition(".")[2]) or not math.isclose(apart, 1, rel_tol=1e-6):
        return False
    return any(close(value, (first + second) / 2) for value in behind)
