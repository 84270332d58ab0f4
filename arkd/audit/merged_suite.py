"""The suite of merged runs: the methods and seeds of all, and everything else unchanged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from arkd.errors import ArkdError
from arkd.suite.folders import INIT, UNTRAINED
from arkd.suite.settings import MethodEntry
from arkd.suite.suite import Suite

JOINED_KEYS = ("config.methods", "config.seeds")  # what merged suites may differ in
Runs = Mapping[str, Sequence[int]]  # seeds that have records, by PAIR/METHOD


def difference(key: str, first: Any, second: Any) -> tuple[str, Any, Any] | None:
    """Return the first key, dotted, in which two parts of a manifest differ, and both values."""
    if key in JOINED_KEYS or first == second:
        return None
    if isinstance(first, dict) and isinstance(second, dict):
        for name in {**first, **second}:
            found = difference(f"{key}.{name}", first.get(name), second.get(name))
            if found:
                return found
        return None
    return key, first, second


def union(parts: Sequence[tuple[Suite, Runs]], partial: bool = False) -> Suite:
    """Return the suite of all runs: methods in order of appearance, each with its own seeds.

    A suite gives a method its first so many seeds. Seeds are therefore in the order in which this
    tells every method's: sorted, unless some methods have only later ones.

    Args:
        parts: Suites that differ in methods and seeds alone, and the runs there are of each.
        partial: Allow methods that lack seeds; the suite plans those, and tables show the gap.

    Raises:
        ArkdError: a method lacks a seed that its number of seeds would take in.
    """
    base = parts[0][0]
    entries: dict[str, MethodEntry] = {}
    for suite, _ in parts:
        for entry in suite.methods:
            entries.setdefault(entry.label, entry)
    pairs = [pair.name for pair in base.pairs]
    grid: tuple[float | None, ...] = base.lr_grid or (None,)
    has = {
        label: {
            run: _seeds(parts, *run)
            for pair in pairs
            for run in [(pair, _at_rate(entry, rate).label) for rate in grid]
        }
        for label, entry in entries.items()
    }
    every = {label: set().union(*runs.values()) for label, runs in has.items()}
    counts = Counter(seed for seeds in every.values() for seed in seeds)
    started = set().union(*(_seeds(parts, pair, c) for pair in pairs for c in (INIT, UNTRAINED)))
    order = tuple(sorted(started | counts.keys(), key=lambda seed: (-counts[seed], seed)))
    methods = []
    for label, entry in entries.items():
        take = max((order.index(seed) + 1 for seed in every[label]), default=0)
        for (pair, row), seeds in has[label].items():
            _complete(f"{pair}/{row}", order[:take], seeds, partial)
        seeds_key = take if 0 < take < len(order) else None
        methods.append(entry.model_copy(update={"seeds": seeds_key}))
    for control in (INIT, UNTRAINED):
        for pair in pairs:
            _complete(f"{pair}/{control}", order, _seeds(parts, pair, control), partial)
    return base.model_copy(update={"methods": tuple(methods), "seeds": order})


def plain(suite: Suite) -> dict[str, Any]:
    """Return a suite as its file has it: methods in short form, everything else spelled out."""
    value: dict[str, Any] = suite.model_dump(mode="json")
    for number, entry in enumerate(value["methods"]):
        short = {key: v for key, v in entry.items() if key != "params" and v is not None}
        short |= entry["params"]
        value["methods"][number] = entry["name"] if short.keys() == {"name"} else short
    return value


def _at_rate(entry: MethodEntry, rate: float | None) -> MethodEntry:
    """Return a method at a rate of the suite's grid, or as it is where there is none."""
    return entry if rate is None else entry.model_copy(update={"lr": rate})


def _seeds(parts: Sequence[tuple[Suite, Runs]], pair: str, method: str) -> set[int]:
    """Return the seeds of which anybody has a run."""
    return {seed for _, runs in parts for seed in runs.get(f"{pair}/{method}", ())}


def _complete(run: str, planned: Sequence[int], has: set[int], partial: bool) -> None:
    """Refuse a gap, unless gaps are allowed.

    Raises:
        ArkdError: a planned seed is not there.
    """
    lacks = [str(seed) for seed in planned if seed not in has]
    if lacks and not partial:
        raise ArkdError(
            f"{run}: has seeds {', '.join(map(str, sorted(has))) or 'none'} and not "
            f"{', '.join(lacks)}, which others have; run those too, or pass --partial to show gaps"
        )
