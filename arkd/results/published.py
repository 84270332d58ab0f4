"""The numbers that papers print, read from `benchmarks/published` and checked line by line.

A number belongs to the paper that measured it, which need not be where it was read: papers repeat
each other's results. `README.md` beside the files says what stands in each.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from arkd.errors import ArkdError, nearest
from arkd.paths import benchmarks_dir

COLUMNS = (
    *("paper", "arxiv", "table", "pair", "method", "dataset", "metric", "value", "std"),
    *("setting", "provenance"),
)
SETS = ("dolly", "selfinst", "vicuna", "sni", "unni")
DATASETS = (*SETS, "average", "training")  # over the sets that a paper names; of a training run
METRICS = {"rouge_l": 100.0, "bert_score": 1.0, "seconds_per_sample": math.inf}  # and the largest
PAPER = "arkd"
PAPER_ENCODER = (
    "deberta-xlarge-mnli"  # of the paper's BERTScore; another one cannot stand beside it
)
RECORDED = {"rouge_l": "rouge_l", f"bertscore_{PAPER_ENCODER}": "bert_score"}  # as records say it

READ = "read"
REPEATED = "quoted from"  # another source's result, in the paper that repeats it
SECOND_HAND = "quoted by"  # the paper's own result, but read where it is repeated
AUTHORS, USERS = "authors:", "users:"  # in code or notes of the authors; in a thread of users
DOUBTFUL = "doubtful:"  # kept with the reason, never counted
KINDS = (READ, REPEATED, SECOND_HAND, AUTHORS, USERS, DOUBTFUL)


@dataclass(frozen=True)
class Printed:
    """One printed number and where it comes from; `text` is the value as it was printed."""

    paper: str
    arxiv: str
    table: str
    pair: str
    method: str
    dataset: str
    metric: str
    text: str
    std: str
    setting: str
    provenance: str

    @property
    def value(self) -> float:
        """The number."""
        return float(self.text)

    @property
    def cell(self) -> tuple[str, str, str, str]:
        """What was measured: pair, method, data set and metric."""
        return self.pair, self.method, self.dataset, self.metric

    @property
    def kind(self) -> str:
        """How it was read: one of `KINDS`."""
        return next(kind for kind in KINDS if self.provenance.startswith(kind))

    @property
    def origin(self) -> str:
        """The source that measured it."""
        return self.provenance.removeprefix(REPEATED).strip() if self.repeated else self.paper

    @property
    def repeated(self) -> bool:
        """Whether the paper repeats another source's result."""
        return self.kind == REPEATED


@cache
def numbers() -> tuple[Printed, ...]:
    """Return all printed numbers, ARKD's first, then file by file.

    Raises:
        ArkdError: a file breaks the format.
    """
    folder = benchmarks_dir() / "published"
    paths = sorted(path for path in folder.glob("*.csv") if path.stem != "figure5")
    paths.sort(key=lambda path: path.stem != PAPER)
    return tuple(number for path in paths for number in read(path))


def read(path: Path) -> list[Printed]:
    """Read one file.

    Raises:
        ArkdError: a column is missing, a value is not what its column holds, or a number stands
            twice.
    """
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ArkdError(f"{path}:1: the columns must be {','.join(COLUMNS)}")
        rows = [(reader.line_num, row) for row in reader]
    found: dict[tuple[str, ...], Printed] = {}
    for line, row in rows:
        for key, wrong in _problems(row):
            raise ArkdError(f"{path}:{line}: {key}: {wrong}")
        number = Printed(*(row[column] for column in COLUMNS))
        place = (number.paper, number.table, *number.cell)
        if place in found:
            raise ArkdError(f"{path}:{line}: method: {', '.join(number.cell)} stands twice")
        found[place] = number
    return list(found.values())


def _problems(row: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield the column and what is wrong, for each value that its column cannot hold."""
    if None in row or None in row.values():
        yield COLUMNS[-1], f"a line has {len(COLUMNS)} values, one with a comma in quotes"
        return
    text = {key: value or "" for key, value in row.items()}
    for key in ("paper", "pair", "method"):
        if not text[key] or text[key] != text[key].strip():
            yield key, f"'{text[key]}' is no name"
    if not re.fullmatch(r"(\d{4}\.\d{5})?", text["arxiv"]):
        yield "arxiv", f"'{text['arxiv']}' is no number of arXiv; leave it empty if it is not known"
    for key, known in (("dataset", DATASETS), ("metric", tuple(METRICS))):
        if text[key] not in known:
            yield (
                key,
                f"unknown '{text[key]}'{nearest(text[key], known)}; known: {', '.join(known)}",
            )
            return
    for key, optional in (("value", False), ("std", True)):
        if not (optional and not text[key]) and not _within(text[key], METRICS[text["metric"]]):
            yield key, f"'{text[key]}' is no number that {text['metric']} can have"
    if not any(_says(text["provenance"], kind) for kind in KINDS):
        yield "provenance", f"'{text['provenance']}' must begin with one of: {', '.join(KINDS)}"


def _within(text: str, most: float) -> bool:
    return bool(re.fullmatch(r"\d+(\.\d+)?", text)) and float(text) <= most


def _says(provenance: str, kind: str) -> bool:
    """Tell whether a provenance is of a kind, and names the source that all but `read` need."""
    lead, _, source = provenance.partition(kind)
    return not lead and (provenance == kind if kind == READ else bool(source.strip()))


def of_paper() -> list[Printed]:
    """Return the numbers that ARKD's own paper prints."""
    return [number for number in numbers() if number.paper == PAPER]


def check_pair(pair: str, where: str) -> None:
    """Refuse a pair of which nothing is printed.

    Args:
        pair: The pair's name.
        where: What named it, to begin the error with.

    Raises:
        ArkdError: there is no such pair.
    """
    known = list(dict.fromkeys(number.pair for number in numbers()))
    if pair not in known:
        raise ArkdError(
            f"{where}: no published pair '{pair}'{nearest(pair, known)}; known: {', '.join(known)}"
        )


def counted(those: Sequence[Printed]) -> list[Printed]:
    """Return the numbers that each tell of a measurement of their own.

    What a paper repeats counts only where its source's own number is not among them, and once.
    Tables of one paper that print the same cell under the same setting count once, too.
    """
    originals = {
        (number.cell, number.paper) for number in those if number.kind not in (REPEATED, DOUBTFUL)
    }
    found: dict[tuple[object, ...], Printed] = {}
    for number in those:
        if number.kind == DOUBTFUL or (
            number.repeated and (number.cell, number.origin) in originals
        ):
            continue
        found.setdefault(
            (number.cell, number.origin, "" if number.repeated else number.setting), number
        )
    return list(found.values())
