"""Records of a finished suite, as read: values by run and quantity, checked line by line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from arkd import exact
from arkd.errors import ArkdError
from arkd.rouge import ROUGES
from arkd.storage.received import finite
from arkd.storage.records import read_rows, whole
from arkd.suite.suite import Suite

SHOWN_GAPS = 8  # runs that the error about missing values names
# Recorded of any sampled answers, and of those that have references.
SAMPLED, SCORED = "distinct_2", ROUGES
RUN = ["pair", "method", "seed"]
QUANTITY = ["task", "metric", "group"]
SeedValues = dict[int, float]


class Records:
    """Values by run and quantity, decoding seeds averaged within their training seed."""

    def __init__(self, frame: pd.DataFrame, decode_seeds: Iterable[int]) -> None:
        self._seeds = {int(seed) for seed in frame["seed"].unique()}
        failed = frame[frame["metric"] == "failed"]
        self._failed: dict[tuple[str, str], set[int]] = {}
        for run in failed[RUN].to_dict("records"):
            self._failed.setdefault((run["pair"], run["method"]), set()).add(int(run["seed"]))
        values = frame[frame["metric"] != "failed"]
        self._metrics: dict[str, set[str]] = {}
        for task, metric in values[["task", "metric"]].drop_duplicates().to_numpy():
            self._metrics.setdefault(task, set()).add(metric)
        pairs = values[["metric", "higher_is_better"]].drop_duplicates("metric")
        self._higher = {
            r["metric"]: _truth(r["higher_is_better"]) for r in pairs.to_dict("records")
        }
        wanted = {"", *(str(seed) for seed in decode_seeds)}
        sampled = values[values["decode_seed"].isin(wanted)]
        by_decoding: dict[tuple[str, ...], dict[str, float]] = {}
        for *key, decoded, value in zip(
            *(sampled[name] for name in (*RUN, *QUANTITY, "decode_seed", "value")), strict=True
        ):
            by_decoding.setdefault(tuple(key), {})[decoded] = value
        self._values: dict[tuple[str, ...], SeedValues] = {}
        for (pair, method, seed, *quantity), found in by_decoding.items():
            # A seed of which some decodings are missing has no value yet.
            if len(found) == (len(wanted) - 1 if any(found) else 1):
                of_row = self._values.setdefault((pair, method, *quantity), {})
                of_row[int(seed)] = exact.mean([*found.values()])
        self._groups: dict[tuple[str, str], dict[str, None]] = {}
        for _, _, task, metric, group in self._values:
            self._groups.setdefault((task, metric), {})[group] = None

    def values(self, pair: str, method: str, task: str, metric: str, group: str = "") -> SeedValues:
        """Return the value of each training seed; seeds without a complete value are absent.

        Args:
            pair: Name of teacher and student in the suite.
            method: A row's label, or a control.
            task: A test set, a public task or a set of prefixes.
            metric: A declared metric, in its unit.
            group: Of the metric's values within the task; "" where it has none.
        """
        return dict(self._values.get((pair, method, task, metric, group), {}))

    def seeds(self) -> set[int]:
        """Return the seeds that any row has a line of; of joined blocks the worlds."""
        return self._seeds

    def failed(self, pair: str, method: str) -> set[int]:
        """Return the seeds whose run failed."""
        return set(self._failed.get((pair, method), ()))

    def higher_is_better(self, metric: str) -> bool | None:
        """Return the metric's direction; None where neither direction is better."""
        return self._higher.get(metric)

    def without_references(self, task: str) -> bool:
        """Tell whether answers to a task were sampled that nothing could be compared with."""
        metrics = self._metrics.get(task, set())
        return SAMPLED in metrics and not metrics & {*SCORED}

    def groups(self, task: str, metric: str) -> list[str]:
        """Return the groups in which a metric of a task was recorded, in order of appearance."""
        return [*self._groups.get((task, metric), ())]


def read_frame(
    path: Path, suite: Suite, numbers: Iterable[str], newer: Iterable[str] = ()
) -> pd.DataFrame:
    """Read a results file of one suite version, text as text and `numbers` as finite floats.

    Blank numbers are allowed and become missing values.

    Args:
        path: The file.
        suite: Whose results it holds.
        numbers: Columns of numbers that it must have.
        newer: Columns of numbers that older results lack.

    Raises:
        ArkdError: If the file lacks a column, mixes versions or holds a bad number.
    """
    head, *rows = read_rows(path)
    numbers = [*numbers, *(name for name in newer if name in head)]
    if len(set(head)) < len(head):
        raise ArkdError(f"{path}: a column stands twice; run `arkd collect` again")
    frame = pd.DataFrame(rows, columns=head, dtype=object)  # read cell by cell: no Arrow array
    lacking = [c for c in ["suite_version", *RUN, *numbers] if c not in frame.columns]
    if lacking:
        raise ArkdError(f"{path}: column {', '.join(lacking)} is missing; run `arkd collect` again")
    others = sorted(set(frame["suite_version"]) - {suite.version})
    if others:
        raise ArkdError(
            f"{path}: version {', '.join(others):.80} of suite {suite.name} beside "
            f"{suite.version}; tables never mix versions: run the suite again"
        )
    strangers = sorted(set(frame["suite"]) - {suite.name}) if "suite" in frame.columns else []
    if strangers:
        raise ArkdError(
            f"{path}: results of suite {', '.join(strangers):.80}, read as those of "
            f"{suite.name}; give the folder of this suite"
        )
    _parsed(path, frame, "seed", whole, "a whole number")
    values = {
        column: _parsed(path, frame, column, finite, "a finite number", blank=True)
        for column in numbers
    }
    return frame.assign(**values).astype(dict.fromkeys(numbers, float))


def _parsed(
    path: Path,
    frame: pd.DataFrame,
    column: str,
    parse: Callable[[str], Any],
    wanted: str,
    *,
    blank: bool = False,
) -> list[Any]:
    """Return the values of a column.

    Args:
        path: The file.
        frame: What it holds, as text.
        column: Which cells.
        parse: From a cell to its value; raises ValueError.
        wanted: What it takes, in words.
        blank: Whether a cell may be empty as well: NaN.

    Raises:
        ArkdError: a cell is nothing of the kind; the first, with its run.
    """
    values, known = [], {"": math.nan} if blank else {}  # most columns repeat few cells
    for place, cell in enumerate(frame[column]):
        try:
            if cell not in known:
                known[cell] = parse(cell)
            values.append(known[cell])
        except ValueError:
            run = frame.iloc[place]
            where = "/".join(f"{run[name]:.40}" for name in RUN)
            raise ArkdError(f"{path}: {where}: {column} '{cell:.40}' is not {wanted}") from None
    return values


def _direction(text: str) -> bool:
    """Return whether higher is better.

    Raises:
        ValueError: the text is no truth value.
    """
    if text.lower() not in ("0", "false", "1", "true"):
        raise ValueError(f"'{text:.40}' is no truth value")
    return text.lower() in ("1", "true")


def read_records(path: Path, suite: Suite) -> Records:
    """Read `records.csv`.

    Raises:
        ArkdError: If the file is malformed, or says the same thing twice.
    """
    frame = read_frame(path, suite, ["value"])
    key = [*RUN, "decode_seed", *QUANTITY]
    lacking = [c for c in [*key, "higher_is_better"] if c not in frame.columns]
    if lacking:
        raise ArkdError(f"{path}: column {', '.join(lacking)} is missing; run `arkd collect` again")
    for column, parse, wanted in (
        ("decode_seed", whole, "a whole number"),
        ("n", whole, "a whole number"),
        ("higher_is_better", _direction, "0, 1 or nothing"),
    ):
        if column in frame.columns:
            _parsed(path, frame, column, parse, wanted, blank=True)
    problem = frame.duplicated(key) | frame["value"].isna()
    if problem.any():
        first = frame.loc[problem].iloc[0]
        text = ", ".join(f"{first[column]!s:.40}" for column in key if first[column] != "")
        raise ArkdError(f"{path}: empty or doubled value: {text}; run `arkd collect` again")
    # Sorted, so that groups have one order whatever the order of the rows.
    return Records(frame.sort_values(key), suite.decoding.seeds)


def gap_message(root: Path, gaps: Mapping[str, Iterable[str]], partial: str) -> str:
    """Say in one line which runs lack what, and what to do.

    Args:
        root: The suite's folder.
        gaps: What each run lacks, in order.
        partial: What `--partial` would do instead.
    """
    lacks = {run: list(values) for run, values in gaps.items()}
    named = [
        f"{run} ({values[0]}{f' and {len(values) - 1} more' if len(values) > 1 else ''})"
        for run, values in list(lacks.items())[:SHOWN_GAPS]
    ]
    rest = len(lacks) - len(named)
    return (
        f"{root}: {sum(map(len, lacks.values()))} values are missing: {', '.join(named)}"
        + (f" and {rest} further runs" if rest else "")
        + f"; finish the runs, or pass --partial to {partial}"
    )


def _truth(text: str) -> bool | None:
    """Read a direction: yes, no, or neither."""
    return {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower())
