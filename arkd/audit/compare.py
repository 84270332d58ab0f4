"""Two runs of a suite, or two rows of one, side by side: differences paired by training seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from arkd import exact
from arkd.audit.compare_records import Quantity, Side
from arkd.errors import ArkdError, nearest
from arkd.rouge import ROUGES
from arkd.statistics.intervals import PairedDifference, holm, paired_difference


@dataclass(frozen=True)
class Filter:
    """What of the records is compared; nothing named is everything, for metrics the summary."""

    metrics: Sequence[str] = ()
    tasks: Sequence[str] = ()
    methods: Sequence[str] = ()


@dataclass(frozen=True)
class Comparison:
    """One quantity of one method, or of two: means over the shared seeds, and `a - b`.

    `adjusted` is the p-value after Holm's rule over all comparisons that are shown.
    """

    pair: str
    methods: tuple[str, str]
    quantity: Quantity
    means: tuple[float, float]
    difference: PairedDifference
    adjusted: float | None = None


def compare(
    a: Side, b: Side, methods: tuple[str, str] | None = None, chosen: Filter | None = None
) -> list[Comparison]:
    """Return every comparison of what both sides have, in the order of the records.

    Args:
        a: One run.
        b: The other, or the same.
        methods: Compare this row of `a` with that row of `b`; none: each row with its namesake.
        chosen: What is compared; none: all methods in the quantities of the summary.

    Raises:
        ArkdError: a name of the filter or of `methods` is not in the records.
    """
    chosen = chosen or Filter()
    _known(a, b, methods, chosen)
    found = []
    for pair, rows in _rows(a, b, methods, chosen):
        ours, theirs = a.by_seed[pair, rows[0]], b.by_seed[pair, rows[1]]
        for quantity in _quantities(a, ours, theirs, chosen):
            seeds = _paired_seeds(ours[quantity], theirs[quantity])
            if seeds:
                first = [exact.mean([*ours[quantity][seed].values()]) for seed in seeds]
                second = [exact.mean([*theirs[quantity][seed].values()]) for seed in seeds]
                difference = paired_difference(first, second)
                means = exact.mean(first), exact.mean(second)
                found.append(Comparison(pair, rows, quantity, means, difference))
    return _adjusted(found)


def lone_seeds(
    a: Side, b: Side, methods: tuple[str, str] | None = None, chosen: Filter | None = None
) -> list[tuple[str, str, set[int], set[int]]]:
    """Return (pair, rows, seeds only `a` has, seeds only `b` has) where there are such.

    Args:
        a: One run.
        b: The other, or the same.
        methods: The row of `a` and that of `b` if two rows are compared; none: namesakes.
        chosen: Its methods restrict the rows; none: all rows.
    """
    names = sorted({run[:2] for run in (*a.by_seed, *b.by_seed)})
    if methods:
        names = [(pair, "") for pair in sorted({pair for pair, _ in names})]
    found = []
    for pair, name in names:
        first, second = methods or (name, name)
        if chosen and chosen.methods and name and name not in chosen.methods:
            continue
        ours, theirs = a.seeds(pair, first), b.seeds(pair, second)
        if ours != theirs:
            label = name or f"{first} − {second}"
            found.append((pair, label, ours - theirs, theirs - ours))
    return found


def _rows(
    a: Side, b: Side, methods: tuple[str, str] | None, chosen: Filter
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each pair and the two rows of it that are compared."""
    for pair, method in a.by_seed:
        if methods:
            if method == methods[0] and (pair, methods[1]) in b.by_seed:
                yield pair, methods
        elif (pair, method) in b.by_seed and (not chosen.methods or method in chosen.methods):
            yield pair, (method, method)


def _quantities(
    a: Side, ours: Iterable[Quantity], theirs: Iterable[Quantity], chosen: Filter
) -> list[Quantity]:
    """Return the shared quantities that were asked for."""
    there = set(theirs)
    shared = [quantity for quantity in ours if quantity in there]
    if not chosen.metrics and not chosen.tasks:
        from arkd.tables.kinds.summary import sources  # loads pandas

        first = a.first_test or ""
        columns = [(s.task, s.metric, s.group) for kind in ROUGES for s in sources(first, kind)]
        return [quantity for quantity in dict.fromkeys(columns) if quantity in shared]
    return [
        (task, metric, group)
        for task, metric, group in shared
        if (not chosen.tasks or task in chosen.tasks)
        and (not chosen.metrics or metric in chosen.metrics)
    ]


def _paired_seeds(
    ours: dict[int, dict[str, float]], theirs: dict[int, dict[str, float]]
) -> list[int]:
    """Return the training seeds that both have, each decoded by the same decoding seeds."""
    return sorted(s for s in ours.keys() & theirs.keys() if ours[s].keys() == theirs[s].keys())


def _adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons with Holm's correction over all that have a p-value."""
    raw = [comparison.difference.p_value for comparison in found]
    tested = iter(holm([p for p in raw if p is not None]))
    return [
        comparison if p is None else replace(comparison, adjusted=float(next(tested)))
        for comparison, p in zip(found, raw, strict=True)
    ]


def _known(a: Side, b: Side, methods: tuple[str, str] | None, chosen: Filter) -> None:
    """Refuse a name that no record has, with the nearest that some have.

    Raises:
        ArkdError: there is such a name.
    """
    rows = [sorted({method for _, method in side.by_seed}) for side in (a, b)]
    quantities = [q for values in (*a.by_seed.values(), *b.by_seed.values()) for q in values]
    tasks, metrics = ({q[place] for q in quantities} for place in (0, 1))
    both = str(a.path) if a.path == b.path else f"{a.path} and {b.path}"
    choices = [(both, "method", name, {*rows[0], *rows[1]}) for name in chosen.methods]
    choices += [
        (str(side.path), "method", name, set(known))
        for side, name, known in zip((a, b), methods or (), rows, strict=False)
    ]
    choices += [(both, "task", name, tasks) for name in chosen.tasks]
    choices += [(both, "metric", name, metrics) for name in chosen.metrics]
    for where, kind, name, known in choices:
        if name not in known:
            raise ArkdError(f"{where}: no {kind} '{name}'{nearest(name, sorted(known))}")
