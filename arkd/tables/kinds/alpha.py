"""Where α began, went and ended, and whether the student is that of a pure divergence."""

from __future__ import annotations

from collections.abc import Mapping

from arkd import exact
from arkd.results import trajectories as curves
from arkd.results.records import SeedValues
from arkd.results.trajectories import FILE, Curves
from arkd.suite.protocol import Distillation, MethodEntry
from arkd.tables.builder import Builder
from arkd.tables.kind import TableKind
from arkd.tables.quantities import FORWARD, LATE, REVERSE
from arkd.tables.table import MISSING, Cell, Column, Layout, Row

NO_RUNS = "read off single runs, whose folders are not beside those of the suite"
EARLY = 0.05  # the share of training at its start over which α is averaged


def build(make: Builder) -> Layout | None:
    of_suite = Curves(make)
    blocks = {
        world: Curves(block)
        for world, block in make.blocks.items()
        if (block.tree.root / FILE).is_file()
    }
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
            if not of_suite.alpha(pair, method):
                continue
            statistics = (
                _by_world(blocks, pair, method) if blocks else _statistics(of_suite, pair, method)
            )
            cells = [make.cell(values, pair, method, "α") for values in statistics]
            if make.suite.worlds and not blocks:
                cells[2:] = [Cell(word=MISSING, why=NO_RUNS)] * len(cells[2:])
            cells += [_same_weights(make, pair, method, other) for other in (FORWARD, REVERSE)]
            rows.append(Row((*make.lead(pair), method), tuple(cells), pair, method))
    dash = "no such run: the row is that method itself, or the suite lacks it with these settings"
    labels = (*make.lead("Pair"), "Method")
    return make.finish(labels, columns, rows, compared=False, dash=dash) if rows else None


def _statistics(logged: Curves, pair: str, method: str) -> list[SeedValues]:
    """Return each column's values of a row by seed."""
    seeds = logged.alpha(pair, method)
    smooth = {seed: curves.rolled(series) for seed, series in seeds.items()}
    return [
        {seed: curves.first(series, EARLY) for seed, series in seeds.items()},
        {seed: curves.last(series, LATE) for seed, series in seeds.items()},
        {seed: float(series.min()) for seed, series in smooth.items()},
        {seed: float(series.max()) for seed, series in smooth.items()},
        logged.above_half(pair, method),
    ]


def _by_world(blocks: Mapping[int, Curves], pair: str, method: str) -> list[SeedValues]:
    """Return the same by world, the mean over its seeds.

    Extremes are those of single runs, not of the mean curve over a world's seeds.
    """
    found = {world: _statistics(logged, pair, method) for world, logged in blocks.items()}
    columns = zip(*found.values(), strict=True)
    return [
        {w: exact.mean([*seeds.values()]) for w, seeds in zip(found, column, strict=True) if seeds}
        for column in columns
    ]


def _same_weights(make: Builder, pair: str, method: str, other: str) -> Cell:
    """Say in how many seeds the student has the bytes of a pure divergence's, all else equal.

    The twin is the row of that divergence under the same protocol; one of the same rate, if any.
    """
    suite, entry = make.suite, make.suite.entry(method)
    own_rate = suite.settings(entry).lr

    def protocol(row: MethodEntry) -> Distillation:
        return suite.settings(row).model_copy(update={"lr": own_rate})

    twins = [
        row
        for row in suite.entries
        if row.name == other and not row.params and protocol(row) == protocol(entry)
    ]
    twins.sort(key=lambda row: suite.settings(row).lr != own_rate)
    if entry.name == other or not twins:
        return Cell(word=MISSING)
    twin = twins[0]
    weights, pure = (
        {seed: make.student_weights(pair, label, seed) for seed in make.expected(label)}
        for label in (method, twin.label)
    )
    seeds = [seed for seed, hashes in weights.items() if hashes and pure.get(seed)]
    if not seeds:
        return Cell(word=MISSING)
    text = f"{sum(weights[seed] == pure[seed] for seed in seeds)} of {len(seeds)}"
    text += " worlds" if suite.worlds else ""
    same_rate = suite.settings(twin).lr == own_rate
    return Cell(word=text if same_rate else f"{text} (other rate)")


TABLE = TableKind(
    section="α",
    place=2,
    title="What each strategy did with α",
    caption="""
        α, the weight of forward KL, of every row that has one: its mean over the first 5 % and
        the last 10 % of the steps, its extremes after smoothing over 5 % of training, and the
        share of steps at which it was above 1/2. A method that samples its α is shown by its
        policy's mean; one that chooses between the divergences has α 0 or 1. Mean over
        {observations} ± half the width of the 95 % t interval. Weights: in how many {unit}s the
        trained student is, byte for byte, that of forward_kl or reverse_kl, from the same {unit}
        and with the same settings. "Other rate": the two rows were trained at different learning
        rates, so their weights differ whatever α did.
    """,
    build=build,
)
