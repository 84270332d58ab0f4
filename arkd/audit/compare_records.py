"""The records of one run, read to be compared, and how far two files agree number by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path

from arkd.errors import ArkdError
from arkd.storage import received
from arkd.storage.files import read_json, sha256_file
from arkd.storage.manifest import NAME, read_foreign
from arkd.storage.received import read_csv
from arkd.storage.records import COLUMNS, whole
from arkd.suite.load import load_suite, suite_names

RECORDS = "records.csv"
PLAIN = ("suite_version", "task", "metric", "group", "decode_seed")
NAMES = {  # what reads the names of a column
    **{"suite": received.suite, "pair": received.folder, "method": received.label},
    **dict.fromkeys(PLAIN, received.plain),
}
Quantity = tuple[str, str, str]  # task, metric and group
Run = tuple[str, str, int]  # pair, method and training seed
Key = tuple[str, str, int, str, str, str, str]  # run, decoding seed and quantity


@dataclass
class Side:
    """The records of one run."""

    path: Path
    values: dict[Key, float]
    suite: str
    version: str
    failed: set[Run] = field(default_factory=set)

    @cached_property
    def by_seed(self) -> dict[tuple[str, str], dict[Quantity, dict[int, dict[str, float]]]]:
        """Return the values of each (pair, method) by quantity, training seed and decoding seed."""
        found: dict[tuple[str, str], dict[Quantity, dict[int, dict[str, float]]]] = {}
        for (pair, method, seed, decode, *quantity), value in self.values.items():
            of_row = found.setdefault((pair, method), {})
            of_seed = of_row.setdefault((quantity[0], quantity[1], quantity[2]), {})
            of_seed.setdefault(seed, {})[decode] = value
        return found

    def seeds(self, pair: str, method: str) -> set[int]:
        """Return the training seeds that have values."""
        return set(chain.from_iterable(self.by_seed.get((pair, method), {}).values()))

    @cached_property
    def first_test(self) -> str | None:
        """The test set in distribution: of the manifest beside the records, or as shipped."""
        try:
            return str(read_json(self.path.parent / NAME)["config"]["test_sets"][0])
        except (ArkdError, LookupError, TypeError):
            return load_suite(self.suite).test_sets[0] if self.suite in suite_names() else None


@dataclass(frozen=True)
class Agreement:
    """How far two files agree, number by number: those that both have, and the largest gap."""

    same_bytes: bool
    both: int = 0
    differing: int = 0
    only: tuple[int, int] = (0, 0)
    largest: tuple[Key, float, float] | None = None


def read(path: Path) -> Side:
    """Return the records of a `records.csv`, or of the suite's folder that it lies in.

    Raises:
        ArkdError: there are none, of two suites or versions, doubled, not finite numbers, too large
            ones, or of what has no name of a suite's.
    """
    file = path / RECORDS if path.is_dir() else path
    if not file.is_file():
        raise ArkdError(f"{file}: no such file; name a suite's folder or its {RECORDS}")
    if (file.parent / NAME).is_file():
        named = read_foreign(file.parent).get("outputs", {}).get(file.name)
        if named and named != sha256_file(file):
            raise ArkdError(f"{file}: not as {NAME} beside it says; restore it, or collect again")
    values: dict[Key, float] = {}
    failed: set[Run] = set()
    suites: set[tuple[str, str]] = set()
    rows = read_csv(file)
    lacking = [column for column in COLUMNS if rows and column not in rows[0]]
    if lacking:
        raise ArkdError(f"{file}: column {lacking[0]} is missing; run `arkd collect` again")
    check_names(file, rows)
    for place, row in enumerate(rows, start=1):
        suites.add((row["suite"], row["suite_version"]))
        try:
            run = (row["pair"], row["method"], whole(row["seed"]))
            value = _value(row["metric"], row["value"])
        except ValueError as error:
            raise ArkdError(f"{file}: row {place}: {error}; run `arkd collect` again") from None
        if row["metric"] == "failed":
            failed.add(run)
            continue
        key = (*run, row["decode_seed"], row["task"], row["metric"], row["group"])
        if key in values:
            raise ArkdError(f"{file}: {' '.join(map(str, key))}: stands twice; run `arkd collect`")
        values[key] = value
    if len(suites) != 1:
        kinds = ", ".join(" ".join(suite) for suite in sorted(suites)) or "none"
        raise ArkdError(f"{file}: records of one suite version are needed, found {kinds}")
    return Side(file, values, *suites.pop(), failed)


def check_names(file: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Make sure that what rows are named by can be printed, and be told apart from commands.

    Args:
        file: Where they were read.
        rows: The rows, of which each has all of the columns, or none has.

    Raises:
        ArkdError: a name is none.
    """
    for column, check in NAMES.items() if rows else ():
        for name in sorted({row.get(column, "") for row in rows}):
            try:
                check(name)
            except ValueError as error:
                raise ArkdError(f"{file}: {column}: {error}; rename it, or restore it") from None


def _value(metric: str, text: str) -> float:
    most = received.MOST_PERPLEXITY if metric.endswith("perplexity") else received.MOST
    return received.number(text, -most, most)


def check_suites(a: Side, b: Side) -> None:
    """Refuse two suites or two versions, whose numbers measure different things.

    Raises:
        ArkdError: they differ.
    """
    if (a.suite, a.version) != (b.suite, b.version):
        raise ArkdError(
            f"{b.path}: suite {b.suite} {b.version} against {a.suite} {a.version} of {a.path}; "
            "their numbers measure different things: pass --across to compare them anyway"
        )


def agreement(a: Side, b: Side) -> Agreement:
    """Return how far two files agree."""
    if sha256_file(a.path) == sha256_file(b.path):
        return Agreement(True, len(a.values))
    both = [key for key in a.values if key in b.values]
    gaps = [(key, a.values[key], b.values[key]) for key in both if a.values[key] != b.values[key]]
    # Relative to the size of the numbers: points of ROUGE-L and nats stand in one list.
    largest = max(gaps, key=lambda gap: relative_gap(gap[1], gap[2]), default=None)
    only = len(a.values) - len(both), len(b.values) - len(both)
    return Agreement(False, len(both), len(gaps), only, largest)


def relative_gap(a: float, b: float) -> float:
    """Return how far two numbers that are not equal lie apart, as a share of the larger."""
    return abs(a - b) / max(abs(a), abs(b))
