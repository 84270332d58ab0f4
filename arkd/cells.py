"""From records to the cells of a table: seeds averaged, gaps named, the best method marked.

A cell is a mean over training seeds with its 95 % t interval. Decoding seeds are averaged within
their training seed first. A failed run counts as failed, never as missing and never as a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from arkd import exact
from arkd.errors import ArkdError
from arkd.stats import holm, mean_interval, paired_difference
from arkd.suite import Suite
from arkd.workflow import CONTROLS

SIGNIFICANCE = 0.05
FEW_SEEDS = 3  # below this a cell is marked
SHOWN_GAPS = 8  # runs that the error about missing values names
MISSING, FAILED, NOT_REPORTED = "–", "failed", "n/a"
# Recorded of any sampled answers, and of those that have references.
SAMPLED, SCORED = "distinct_2", "rouge_l"

RUN = ["pair", "method", "seed"]
QUANTITY = ["task", "metric", "group"]
SeedValues = dict[int, float]


@dataclass(frozen=True)
class Origin:
    """Where a cell's number comes from, so that a reader can follow it to the runs behind it."""

    pair: str
    methods: tuple[str, ...]  # one, or the two whose difference it is
    seeds: tuple[tuple[int, float], ...]  # training seed and its value
    quantity: str  # what was looked up, in words of the records where `source` is absent
    source: tuple[str, str, str] | None = None  # task, metric and group in `records.csv`


@dataclass(frozen=True)
class Cell:
    """A mean over `n` seeds with the half width of its interval, or a word where there is none."""

    mean: float | None = None
    half: float | None = None
    n: int = 0
    bold: bool = False
    failed: int = 0  # runs of this cell that failed
    word: str | None = None  # stands in place of the number
    mark: str = ""  # stands behind the number
    why: str = ""  # what word or mark mean here, for the note below the table
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Column:
    """A column: `key` heads it in CSV, `title` (with unit and direction) elsewhere."""

    key: str
    title: str
    digits: int = 1
    measured: bool = True  # false: quoted values, without interval and number of seeds


@dataclass(frozen=True)
class Row:
    """A row: one label for each label column, one cell for each column."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    pair: str | None = None
    method: str | None = None


@dataclass(frozen=True)
class Table:
    """A finished table, independent of the format it is written in."""

    name: str
    title: str
    caption: str
    label_columns: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


class Records:
    """Values by run and quantity, decoding seeds averaged within their training seed."""

    def __init__(self, frame: pd.DataFrame, decode_seeds: Iterable[int]) -> None:
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

    def values(self, pair: str, method: str, task: str, metric: str, group: str = "") -> SeedValues:
        """Return the value of each training seed; seeds without a complete value are absent."""
        return self._values.get((pair, method, task, metric, group), {})

    def failed(self, pair: str, method: str) -> set[int]:
        """Return the seeds whose run failed."""
        return self._failed.get((pair, method), set())

    def higher_is_better(self, metric: str) -> bool | None:
        """Return the metric's direction; None where neither direction is better."""
        return self._higher.get(metric)

    def without_references(self, task: str) -> bool:
        """Tell whether answers to a task were sampled that nothing could be compared with."""
        metrics = self._metrics.get(task, set())
        return SAMPLED in metrics and SCORED not in metrics

    def groups(self, task: str, metric: str) -> list[str]:
        """Return the groups in which a metric of a task was recorded, in order of appearance."""
        found = [key[4] for key in self._values if key[2] == task and key[3] == metric]
        return list(dict.fromkeys(found))


def read_csv(path: Path, suite: Suite, numbers: Iterable[str]) -> pd.DataFrame:
    """Read a results file of one suite version, text as text and `numbers` as finite floats.

    Blank numbers are allowed and become missing values.

    Raises:
        ArkdError: If the file is absent, lacks a column, mixes versions or holds a bad number.
    """
    if not path.is_file():
        raise ArkdError(f"{path}: no such file; run `arkd collect` first")
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    lacking = [c for c in ["suite_version", *RUN, *numbers] if c not in frame.columns]
    if lacking:
        raise ArkdError(f"{path}: column {', '.join(lacking)} is missing; run `arkd collect` again")
    others = sorted(set(frame["suite_version"]) - {suite.version})
    if others:
        raise ArkdError(
            f"{path}: version {', '.join(others)} of suite {suite.name} beside {suite.version}; "
            "tables never mix versions: run the suite again"
        )
    for column in numbers:
        parsed = pd.to_numeric(frame[column].replace("", None), errors="coerce").astype(float)
        bad = frame[column].ne("") & ~np.isfinite(parsed)
        if bad.any():
            first = frame.loc[bad].iloc[0]
            where = f"{first['pair']}/{first['method']}/seed{first['seed']}"
            raise ArkdError(f"{path}: {where}: {column} '{first[column]}' is not a finite number")
        frame[column] = parsed
    return frame


def read_records(path: Path, suite: Suite) -> Records:
    """Read `records.csv`.

    Raises:
        ArkdError: If the file is absent or malformed, or says the same thing twice.
    """
    frame = read_csv(path, suite, ["value"])
    key = [*RUN, "decode_seed", *QUANTITY]
    lacking = [c for c in [*key, "higher_is_better"] if c not in frame.columns]
    if lacking:
        raise ArkdError(f"{path}: column {', '.join(lacking)} is missing; run `arkd collect` again")
    problem = frame.duplicated(key) | frame["value"].isna()
    if problem.any():
        first = frame.loc[problem].iloc[0]
        text = ", ".join(str(first[column]) for column in key if first[column] != "")
        raise ArkdError(f"{path}: empty or doubled value: {text}; run `arkd collect` again")
    # Sorted, so that groups have one order whatever the order of the rows.
    return Records(frame.sort_values(key), suite.decoding.seeds)


def make_cell(values: Mapping[int, float], failed: Iterable[int], expected: Iterable[int]) -> Cell:
    """Return the cell of the expected seeds, whatever of them is there."""
    wanted = list(expected)
    lost = len(set(failed) & set(wanted))
    found = [values[seed] for seed in wanted if seed in values]
    if not found:
        return Cell(failed=lost, word=FAILED if lost else MISSING)
    interval = mean_interval(found)
    return Cell(interval.mean, interval.half_width, interval.n, failed=lost)


def best_method(values: Mapping[str, SeedValues], higher: bool) -> str | None:
    """Return the best method of a column, or None if its lead may be chance.

    The best is the one with the best mean over the seeds that all methods share. It is compared
    with each other one, paired by seed, on all seeds that the two share; Holm's rule corrects for
    the number of comparisons. Its lead holds if every comparison is in its favour and significant
    at 5 % after that.

    Args:
        values: For each trained method, a value per seed.
        higher: Whether larger is better.
    """
    if len(values) < 2:
        return None
    shared = sorted(set.intersection(*(set(part) for part in values.values())))
    if len(shared) < FEW_SEEDS:
        return None
    sign = 1.0 if higher else -1.0
    means = {m: exact.mean([part[s] for s in shared]) for m, part in values.items()}
    best = max(values, key=lambda method: sign * means[method])
    p_values = []
    for rival in values.keys() - {best}:
        both = sorted(values[best].keys() & values[rival].keys())
        lead = paired_difference(
            [sign * values[best][seed] for seed in both],
            [sign * values[rival][seed] for seed in both],
        )
        p_values.append(1.0 if lead.p_value is None or lead.mean <= 0 else lead.p_value)
    return best if max(holm(p_values)) < SIGNIFICANCE else None


def bold_method(
    values: Mapping[str, SeedValues], expected: Mapping[str, Iterable[int]], higher: bool | None
) -> str | None:
    """Return the method that a column sets bold: the proven best of the trained ones, or none.

    A column with a failed or missing run has none: an advantage over a run that is not there is
    not known. Controls do not compete. `expected` has the seeds that each row should have.
    """
    compared = {method: part for method, part in values.items() if method not in CONTROLS}
    whole = all(part.keys() == set(expected[method]) for method, part in compared.items())
    return best_method(compared, higher) if whole and higher is not None else None


def gap_message(root: Path, gaps: Mapping[str, Iterable[str]], partial: str) -> str:
    """Say in one line which runs lack what, and what to do.

    Args:
        root: The suite's folder.
        gaps: What each run lacks, in order.
        partial: What `--partial` would do instead.
    """
    lacks = {run: list(of) for run, of in gaps.items()}
    named = [
        f"{run} ({of[0]}{f' and {len(of) - 1} more' if len(of) > 1 else ''})"
        for run, of in list(lacks.items())[:SHOWN_GAPS]
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
