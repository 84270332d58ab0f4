"""Quantities that several tables show, by seed, and their cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from arkd import exact
from arkd.results import trajectories as curves
from arkd.results.records import SeedValues
from arkd.results.trajectories import Curves
from arkd.statistics.intervals import paired_difference
from arkd.tables.builder import GOLD, Builder, Source, short_name
from arkd.tables.table import FAILED, MISSING, Cell, Column, Origin, make_cell

FORWARD, REVERSE, MIX, SFT = "forward_kl", "reverse_kl", "fixed_mix", "sft"
QUALITY = {
    "rouge_l": Column("rouge_l in_distribution", "ROUGE-L ↑", 2),
    "outside": Column("rouge_l out_of_distribution", "ROUGE-L out of distribution ↑", 2),
    "jsd": Column("jsd", "JSD (nats) ↓", 4),
}
LATE = 0.10  # the share of training at its end over which α is averaged
# What the others are compared with: the first of these that a suite has, else its first row.
REFERENCES = (MIX, f"{MIX}@alpha=0.5", FORWARD, "seqkd", SFT)


def quality_sources(make: Builder, sets: Iterable[str]) -> list[Source]:
    """Return ROUGE-L and, where it is measured, BERTScore of each test set, side by side.

    Columns are named without the suite's prefix.
    """
    score, every = f"bertscore_{make.suite.bertscore}", make.suite.test_sets
    scored = any(make.records.groups(task, score) for task in every)
    sources = []
    for name in sets:
        short = short_name(make.suite, name)
        sources.append(Source(name, make.suite.rouge, short))
        sources += [Source(name, score, f"{short} BERTScore", 3)] * scored
    return sources


def quality_columns(make: Builder) -> dict[str, Column]:
    """Return the column of each value of `quality`: of the suite's sets that have references."""
    lacking = {"rouge_l": make.suite.test_sets[0] not in make.scored, "outside": not make.outside}
    return {key: column for key, column in QUALITY.items() if not lacking.get(key)}


def quality(make: Builder, pair: str, method: str) -> dict[str, SeedValues]:
    """Return ROUGE-L in distribution, its mean out of it, and the JSD, by seed.

    Either of the first two only where there are sets with references to measure it on.
    """
    by_set = {t: make.values(Source(t, make.suite.rouge, ""), pair, method) for t in make.scored}
    outside = [by_set[task] for task in make.outside]
    seeds = set(outside[0]).intersection(*outside) if outside else set()
    values = {
        "rouge_l": by_set.get(make.suite.test_sets[0], {}),
        "outside": {s: exact.mean([v[s] for v in outside]) for s in sorted(seeds)},
        "jsd": make.values(Source(GOLD, "jsd", ""), pair, method),
    }
    return {key: values[key] for key in quality_columns(make)}


def final_alpha(logged: Curves, pair: str, method: str) -> SeedValues:
    """Return the α that a row ended with, by seed."""
    seeds = logged.alpha(pair, method)
    return {seed: curves.last(series, LATE) for seed, series in seeds.items()}


def difference(
    make: Builder,
    pair: str,
    methods: tuple[str, str],
    a: Mapping[int, float],
    b: Mapping[int, float],
) -> Cell:
    """Return the mean of a − b over the seeds of both, with its interval.

    Args:
        make: The builder of the suite's tables.
        pair: The pair of teacher and student.
        methods: The rows that `a` and `b` belong to.
        a: The first row's values by training seed.
        b: The second row's.
    """
    failed = set.union(*(make.failed(pair, method) for method in methods))
    lost = len(failed.intersection(*(make.expected(method) for method in methods)))
    seeds = sorted((a.keys() & b.keys()) - failed)
    if not seeds:
        return Cell(failed=lost, word=FAILED if lost else MISSING)
    found = paired_difference([a[seed] for seed in seeds], [b[seed] for seed in seeds])
    gaps = tuple((seed, a[seed] - b[seed]) for seed in seeds)
    origin = Origin(pair, methods, "paired difference", seeds=gaps)
    return Cell(found.mean, found.half_width, found.n, failed=lost, origin=origin)


def derived(make: Builder, values: SeedValues, pair: str, method: str, quantity: str) -> Cell:
    """Return a cell of values put together from others, whose tables note what is missing.

    Args:
        make: The builder of the suite's tables.
        values: The values by training seed.
        pair: The pair of teacher and student.
        method: The row they belong to.
        quantity: What they are, in words.
    """
    return joint(make, values, pair, (method,), quantity)


def joint(
    make: Builder, values: SeedValues, pair: str, methods: Sequence[str], quantity: str
) -> Cell:
    """Return a cell of values that several rows have a part in, over the seeds of all.

    Args:
        make: The builder of the suite's tables.
        values: The values by training seed.
        pair: The pair of teacher and student.
        methods: The rows: where one failed there is no value.
        quantity: What they are, in words.
    """
    failed = set.union(*(make.failed(pair, method) for method in methods))
    first, *others = map(make.expected, methods)
    expected = [seed for seed in first if all(seed in seeds for seeds in others)]
    return make_cell(values, failed, expected, Origin(pair, tuple(methods), quantity))


def reference(make: Builder) -> str | None:
    """Return the row that the others are compared with; None in a suite of a single row."""
    if len(make.methods) < 2:
        return None
    return next((name for name in REFERENCES if name in make.methods), make.methods[0])
