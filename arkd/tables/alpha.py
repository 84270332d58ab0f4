"""Tables beyond the paper's: what each strategy did with α, and what one setting changes."""

from __future__ import annotations

from collections.abc import Mapping

from arkd import exact
from arkd.results import trajectories as curves
from arkd.results.records import SeedValues
from arkd.results.trajectories import Curves
from arkd.statistics.intervals import paired_difference
from arkd.storage import manifest
from arkd.suite.settings import Distillation, MethodEntry
from arkd.tables.builder import GOLD, Builder, Source
from arkd.tables.table import FAILED, MISSING, Cell, Column, Origin, Row, Table

FORWARD, REVERSE = "forward_kl", "reverse_kl"
EARLY, LATE = 0.05, 0.10  # shares of training at its start and its end


def alpha(make: Builder) -> list[Table]:
    """Where α began, went and ended, and whether the student is that of a pure divergence."""
    logged = Curves(make)
    columns = (
        Column("alpha first", "α, first 5 % of steps", 3),
        Column("alpha last", "α, last 10 %", 3),
        Column("alpha lowest", "lowest", 3),
        Column("alpha highest", "highest", 3),
        Column("alpha above_half", "share of steps with α > 1/2", 3),
        *(Column(f"weights {name}", f"weights of {name}", 0, False) for name in (FORWARD, REVERSE)),
    )
    rows = []
    for pair in make.pairs:
        for method in make.methods:
            seeds = logged.alpha(pair, method)
            if not seeds:
                continue
            smooth = {seed: curves.rolled(series) for seed, series in seeds.items()}
            statistics: tuple[SeedValues, ...] = (
                {seed: curves.first(series, EARLY) for seed, series in seeds.items()},
                {seed: curves.last(series, LATE) for seed, series in seeds.items()},
                {seed: float(series.min()) for seed, series in smooth.items()},
                {seed: float(series.max()) for seed, series in smooth.items()},
                logged.above_half(pair, method),
            )
            cells = [make.cell(values, pair, method, "α") for values in statistics]
            cells += [_same_weights(make, pair, method, other) for other in (FORWARD, REVERSE)]
            rows.append(Row((*make.lead(pair), method), tuple(cells), pair, method))
    dash = "no such run: the row is that method itself, or the suite lacks it under its settings"
    labels = (*make.lead("Pair"), "Method")
    return [make.finish("alpha", labels, columns, rows, False, dash)] if rows else []


def temperature(make: Builder) -> list[Table]:
    """Rows that differ in nothing but the temperature, and the order of the two divergences."""
    families: dict[str, dict[float, str]] = {}  # plain label → temperature → label
    for entry in make.suite.entries:
        plain = entry.model_copy(update={"temperature": None}).label
        own = entry.temperature or make.suite.distillation.temperature
        families.setdefault(plain, {})[own] = entry.label
    families = {name: dict(sorted(of.items())) for name, of in families.items() if len(of) > 1}
    rows = []
    for pair in make.pairs:
        values = {
            label: [*quality(make, pair, label).values()]
            for of in families.values()
            for label in of.values()
        }
        for plain, of in families.items():
            for degree, label in of.items():
                cells = tuple(make.cell(v, pair, label, "temperature") for v in values[label])
                rows.append(Row((*make.lead(pair), plain, f"{degree:g}"), cells, pair, label))
        forward, reverse = families.get(FORWARD, {}), families.get(REVERSE, {})
        for degree in [degree for degree in forward if degree in reverse]:
            a, b = forward[degree], reverse[degree]
            cells = tuple(
                difference(make, pair, (a, b), first, second)
                for first, second in zip(values[a], values[b], strict=True)
            )
            name = f"{FORWARD} − {REVERSE}"
            rows.append(Row((*make.lead(pair), name, f"{degree:g}"), cells, pair))
    columns = [
        Column("rouge_l in_distribution", "ROUGE-L ↑", 2),
        Column("rouge_l out_of_distribution", "ROUGE-L out of distribution ↑", 2),
        Column("jsd", "JSD (nats) ↓", 4),
    ]
    if not make.outside:
        del columns[1]
    labels = (*make.lead("Pair"), "Method", "T")
    return [make.finish("temperature", labels, columns, rows, compared=False)] if rows else []


def ablation(make: Builder) -> list[Table]:
    """Rows that differ from another one in a single setting, less that row."""
    logged = Curves(make)
    columns = (
        Column("rouge_l difference", "ROUGE-L, difference", 2),
        Column("jsd difference", "JSD, difference (nats)", 4),
        Column("alpha difference", "α over the last 10 %, difference", 3),
    )
    changed = [
        (plain, change, entry.label)
        for entry in make.suite.entries
        for change, plain in _plain_rows(make, entry).items()
    ]
    changed.sort(key=lambda of: make.methods.index(of[0]))
    rows = []
    for pair in make.pairs:
        for plain, change, label in changed:
            a, b = (
                {**quality(make, pair, row), "alpha": final_alpha(logged, pair, row)}
                for row in (label, plain)
            )
            cells = tuple(
                difference(make, pair, (label, plain), a[name], b[name])
                for name in ("rouge_l", "jsd", "alpha")
            )
            rows.append(Row((*make.lead(pair), plain, change), cells, pair, label))
    labels = (*make.lead("Pair"), "Method", "Change")
    dash = "not run yet, or without an α"
    return [make.finish("ablation", labels, columns, rows, False, dash)] if rows else []


def _plain_rows(make: Builder, entry: MethodEntry) -> dict[str, str]:
    """Return the rows that lack exactly one setting of this one, by that setting.

    The temperature has a table of its own.
    """
    found: dict[str, str] = {}
    for key, value in (entry.changes | entry.params).items():
        fewer = {name: other for name, other in entry.params.items() if name != key}
        own = {"params": fewer} | ({key: None} if key in entry.changes else {})
        plain = entry.model_copy(update=own).label
        if key != "temperature" and plain in make.methods:
            found[f"{key}={value}"] = plain
    return found


def quality(make: Builder, pair: str, method: str) -> dict[str, SeedValues]:
    """Return ROUGE-L in distribution, its mean out of distribution if any, and the JSD, by seed."""
    inside, *outside = (
        make.values(Source(task, "rouge_l", ""), pair, method)
        for task in (make.suite.test_sets[0], *make.outside)
    )
    found = {"rouge_l": inside}
    if outside:
        seeds = set(outside[0]).intersection(*outside)
        found["outside"] = {s: exact.mean([v[s] for v in outside]) for s in sorted(seeds)}
    return found | {"jsd": make.values(Source(GOLD, "jsd", ""), pair, method)}


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
    """Return the mean of a − b over the seeds of both, with its interval."""
    failed = set.union(*(make.records.failed(pair, method) for method in methods))
    lost = len(failed.intersection(*(make.expected(method) for method in methods)))
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        return Cell(failed=lost, word=FAILED if lost else MISSING)
    found = paired_difference([a[seed] for seed in seeds], [b[seed] for seed in seeds])
    origin = Origin(pair, methods, tuple((s, a[s] - b[s]) for s in seeds), "paired difference")
    return Cell(found.mean, found.half_width, found.n, failed=lost, origin=origin)


def _same_weights(make: Builder, pair: str, method: str, other: str) -> Cell:
    """Say in how many seeds the student has the bytes of a pure divergence's, all else equal.

    The twin is the row of that divergence under the same protocol; one of the same rate, if any.
    """
    suite, entry = make.suite, make.suite.entry(method)
    own_rate = suite.settings(entry).lr

    def protocol(of: MethodEntry) -> Distillation:
        return suite.settings(of).model_copy(update={"lr": own_rate})

    twins = [
        row
        for row in suite.entries
        if row.name == other and not row.params and protocol(row) == protocol(entry)
    ]
    twins.sort(key=lambda row: suite.settings(row).lr != own_rate)
    if entry.name == other or not twins:
        return Cell(word=MISSING)
    twin = twins[0]
    own, its = (
        {seed: manifest.weights(make.tree.training(pair, label, seed)) for seed in seeds}
        for label in (method, twin.label)
        for seeds in [make.expected(label)]
    )
    seeds = [seed for seed, hashes in own.items() if hashes and its.get(seed)]
    if not seeds:
        return Cell(word=MISSING)
    text = f"{sum(own[seed] == its[seed] for seed in seeds)} of {len(seeds)}"
    same_rate = suite.settings(twin).lr == own_rate
    return Cell(word=text if same_rate else f"{text} (other rate)")
