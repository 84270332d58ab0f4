"""Temperature by method: rows that differ in nothing but T, and each less forward KL at its T."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from arkd.figures.marks import mark
from arkd.figures.style import SMALL
from arkd.results.records import SeedValues
from arkd.results.suite_results import observed
from arkd.statistics.intervals import Interval, PairedDifference, mean_interval, paired_difference
from arkd.tables.builder import Builder
from arkd.tables.kinds.temperature import families
from arkd.tables.quantities import FORWARD, quality

TITLES = {
    "rouge_l": "ROUGE-L (0–100)",
    "outside": "ROUGE-L out of distribution (0–100)",
    "jsd": "JSD to the teacher (nats per token)",
}
SPREAD = 0.12  # share of a temperature by which neighbouring rows stand apart

Family = Mapping[float, SeedValues]  # a measure of a method by temperature and seed


def temperature(make: Builder) -> Figure | None:
    """Draw a panel a measure, temperature across; below, each less forward KL at the same T."""
    rows = {
        name: kept
        for name, labels in families(make).items()
        if len(kept := {t: row for t, row in labels.items() if row in make.methods}) > 1
    }
    if not rows:
        return None
    found = {
        (pair, name): {degree: quality(make, pair, row) for degree, row in labels.items()}
        for pair in make.pairs
        for name, labels in rows.items()
    }
    keys = [key for key in TITLES if any(key in next(iter(v.values())) for v in found.values())]
    paired = FORWARD in rows and len(rows) > 1
    lines = 2 if paired else 1
    figure = Figure(
        figsize=(3.4 * len(keys), 2.2 * lines * len(make.pairs) + 0.5), layout="constrained"
    )
    grid = figure.subplots(lines * len(make.pairs), len(keys), squeeze=False, sharex=True)
    degrees = sorted({degree for labels in rows.values() for degree in labels})
    counts: set[int] = set()
    for place, pair in enumerate(make.pairs):
        for column, key in enumerate(keys):
            upper = grid[lines * place, column]
            lead = f"{pair}\n" if len(make.pairs) > 1 else ""
            upper.set_title(lead + TITLES[key], fontsize=9)
            values = {
                name: {degree: q[key] for degree, q in found[pair, name].items() if q.get(key)}
                for name in rows
            }
            seeds = _shared(values)
            counts.add(len(seeds))
            for number, (name, family) in enumerate(values.items()):
                at = 1 + SPREAD * (number / max(1, len(rows) - 1) - 0.5)
                shown = family if seeds else {}  # means over different seeds do not compare
                means = {t: mean_interval([v[s] for s in seeds]) for t, v in shown.items()}
                _line(upper, name, means, at)
                if paired and name != FORWARD:
                    _line(grid[2 * place + 1, column], name, _less(family, values[FORWARD]), at)
            if paired:
                grid[2 * place + 1, column].axhline(0, color="black", lw=0.8, zorder=1)
        if paired:
            grid[2 * place + 1, 0].set_ylabel(f"minus {FORWARD}", fontsize=SMALL)
    for axis in grid.flat:
        axis.set_xscale("log", base=2)
        axis.set_xticks(degrees, [f"{degree:g}" for degree in degrees])
        axis.minorticks_off()
        axis.tick_params(labelsize=SMALL)
    count = ", ".join(map(str, sorted(counts)))
    of_all = f"upper row: over the {count} {observed(make.suite)}s that all rows have"
    figure.supxlabel(f"temperature T of training\n{of_all}", fontsize=SMALL)
    handles = [
        Line2D([], [], label=name, **mark(name).style(5) | {"ls": "-", "lw": 1.3}) for name in rows
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=8, fontsize=SMALL)
    return figure


def _shared(families: Mapping[str, Family]) -> list[int]:
    """Return the seeds that every method has at every temperature, so that means compare."""
    every = [seeds.keys() for family in families.values() for seeds in family.values()]
    return sorted(set.intersection(*map(set, every))) if every else []


def _less(family: Family, base: Family) -> dict[float, PairedDifference]:
    """Return a family less another at each temperature of both, paired by seed."""
    found = {}
    for degree in sorted(family.keys() & base.keys()):
        seeds = sorted(family[degree].keys() & base[degree].keys())
        if seeds:
            first, second = ([part[degree][s] for s in seeds] for part in (family, base))
            found[degree] = paired_difference(first, second)
    return found


def _line(
    axis: Axes, name: str, means: Mapping[float, Interval | PairedDifference], at: float
) -> None:
    """Draw means over temperatures and their intervals, all moved by a factor `at` across."""
    drawn = mark(name)
    for degree, mean in means.items():
        if mean.low is not None and mean.high is not None:
            axis.plot((degree * at,) * 2, (mean.low, mean.high), color=drawn.colour, lw=0.9)
    style = drawn.style(5) | {"ls": "-", "lw": 1.2}
    across = [degree * at for degree in means]
    axis.plot(across, [mean.mean for mean in means.values()], label=name, zorder=3, **style)
