"""The suite of merged runs: the methods and seeds of all, and everything else unchanged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from arkd.errors import ArkdError
from arkd.suite.folders import INIT, UNTRAINED
from arkd.suite.protocol import MethodEntry
from arkd.suite.suite import Suite

# What merged runs may differ in; the code of arkd is told by its core.
JOINED_KEYS = ("config.methods", "config.seeds", "versions.arkd")
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
    has: defaultdict[str, set[int]] = defaultdict(set)
    for suite, runs in parts:
        for entry in suite.methods:
            entries.setdefault(entry.label, entry)
        for role, seeds in runs.items():
            has[role] |= set(seeds)
    pairs = [pair.name for pair in base.pairs]
    roles = {
        label: [f"{pair}/{row.label}" for pair in pairs for row in _rows(base, entry)]
        for label, entry in entries.items()
    }
    every = {label: set().union(*(has[role] for role in roles[label])) for label in entries}
    controls = [f"{pair}/{control}" for pair in pairs for control in (INIT, UNTRAINED)]
    counts = Counter(seed for seeds in every.values() for seed in seeds)
    started = set().union(*(has[role] for role in controls))
    order = tuple(sorted(started | counts.keys(), key=lambda seed: (-counts[seed], seed)))
    planned = dict.fromkeys(controls, order)
    methods = []
    for label, entry in entries.items():
        take = max((order.index(seed) + 1 for seed in every[label]), default=0)
        planned |= dict.fromkeys(roles[label], order[:take])
        seeds_key = take if 0 < take < len(order) else None
        methods.append(entry.model_copy(update={"seeds": seeds_key}))
    for role, wanted in planned.items():
        lacks = [str(seed) for seed in wanted if seed not in has[role]]
        if lacks and not partial:
            raise ArkdError(
                f"{role}: has seeds {', '.join(map(str, sorted(has[role]))) or 'none'} and not "
                f"{', '.join(lacks)}, which others have; run those too, or pass --partial to show "
                "gaps"
            )
    return base.model_copy(update={"methods": tuple(methods), "seeds": order})


def _rows(base: Suite, entry: MethodEntry) -> tuple[MethodEntry, ...]:
    """Return a method's rows of the tables: several where the suite has a grid of rates."""
    return base.model_copy(update={"methods": (entry,)}).entries


def plain(suite: Suite) -> dict[str, Any]:
    """Return a suite as its file has it: methods in short form, everything else spelled out."""
    value: dict[str, Any] = suite.model_dump(mode="json")
    for number, entry in enumerate(value["methods"]):
        short = {key: v for key, v in entry.items() if key != "params" and v is not None}
        short |= entry["params"]
        value["methods"][number] = entry["name"] if short.keys() == {"name"} else short
    return value
