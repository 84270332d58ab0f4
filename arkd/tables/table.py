"""From records to the cells of a table: seeds averaged, gaps named, the best method marked.

A cell is a mean over training seeds with its 95 % t interval. Decoding seeds are averaged within
their training seed first. A failed run counts as failed, never as missing and never as a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from arkd import exact
from arkd.results.records import SeedValues
from arkd.statistics.intervals import holm, mean_interval, paired_difference
from arkd.suite.folders import CONTROLS

SIGNIFICANCE = 0.05
FEW_SEEDS = 3  # below this a cell is marked
MISSING, FAILED, NOT_REPORTED = "–", "failed", "n/a"


@dataclass(frozen=True)
class Origin:
    """Where a cell's number comes from, so that a reader can follow it to the runs behind it."""

    pair: str
    methods: tuple[str, ...]  # one, or the two whose difference it is
    quantity: str  # what was looked up, in words of the records where `source` is absent
    source: tuple[str, str, str] | None = None  # task, metric and group in `records.csv`
    seeds: tuple[tuple[int, float], ...] = ()  # training seed and its value


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
    least: bool = False  # what would be shown as 0 is shown as below the last digit


@dataclass(frozen=True)
class Row:
    """A row: one label for each label column, one cell for each column."""

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    pair: str | None = None
    method: str | None = None


@dataclass(frozen=True)
class Layout:
    """What a table shows below its title; `remarks` are further sentences of its caption."""

    label_columns: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


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
    section: str = ""  # of the report
    suite: str = ""  # whose results it shows
    counted: str = "Seeds"  # heads the number of observations behind a row

    @property
    def label(self) -> str:
        """What LaTeX calls it: two suites can stand in one paper."""
        return table_label(self.suite, self.name)


def table_label(suite: str, name: str) -> str:
    """Return LaTeX's label of a suite's table, as `tab:longtail-summary`."""
    return "tab:" + "-".join(filter(None, (suite, name)))


def make_cell(
    values: Mapping[int, float],
    failed: Iterable[int],
    expected: Iterable[int],
    origin: Origin | None = None,
) -> Cell:
    """Return the cell of the expected seeds that did not fail, whatever of them is there.

    Args:
        values: By training seed; a failed run has a cost, which is in no mean.
        failed: The seeds whose run failed.
        expected: The seeds that the cell should rest on.
        origin: Where the values come from; it is given the seeds that the cell rests on.
    """
    wanted = list(expected)
    lost = set(failed) & set(wanted)
    found = {seed: values[seed] for seed in wanted if seed in values and seed not in lost}
    if not found:
        return Cell(failed=len(lost), word=FAILED if lost else MISSING)
    interval = mean_interval([*found.values()])
    if origin is not None:
        origin = replace(origin, seeds=tuple(found.items()))
    return Cell(interval.mean, interval.half_width, interval.n, failed=len(lost), origin=origin)


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
