"""The published order of methods against the order measured here, by ROUGE-L."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from arkd import exact
from arkd.figures.marks import by_renown, mark
from arkd.figures.style import SMALL, foot, spread
from arkd.results.published import SETS, of_paper
from arkd.results.records import SeedValues
from arkd.tables.builder import Builder
from arkd.tables.quantities import quality
from arkd.tables.write import number

IN, OUT = "in distribution", "out of distribution"
LEAST = 3  # methods that have an order worth the name
HERE = "here"
GAP = 0.55  # ranks between two names, at least

Ranks = dict[str, float]  # 1 is the best; equal scores share their mean rank


def published(make: Builder) -> Figure | None:
    """Draw a line a method over the paper's pairs to this suite's rank, a panel for each kind."""
    panels = {
        (pair, kind): found
        for pair in make.pairs
        for kind, key in ((IN, "rouge_l"), (OUT, "outside"))
        if (found := columns(make, pair, kind, key))
    }
    if not panels:
        return None
    pairs = [pair for pair in make.pairs if any(pair == key[0] for key in panels)]
    most = max(len(ranks) for found in panels.values() for ranks in found[0].values())
    figure = Figure(figsize=(10.5, (0.27 * most + 1.1) * len(pairs) + 0.2), layout="constrained")
    grid = figure.subplots(len(pairs), 2, squeeze=False)
    for line, pair in zip(grid, pairs, strict=True):
        for axis, kind in zip(line, (IN, OUT), strict=True):
            if (pair, kind) not in panels:
                axis.set_axis_off()
                continue
            _panel(axis, *panels[pair, kind])
            lead = f"{pair}\n" if len(make.pairs) > 1 else ""
            axis.set_title(f"{lead}ROUGE-L {kind}", fontsize=9)
        line[0].set_ylabel("rank", fontsize=SMALL)
    several = len(make.suite.seeds) > 1 or make.suite.worlds
    barred = several and any(ends for _, ends in panels.values())
    foot(
        figure,
        f"bars: the lowest and the highest rank in a single {make.suite.observation}"
        * bool(barred),
    )
    return figure


def columns(
    make: Builder, pair: str, kind: str, key: str
) -> tuple[dict[str, Ranks], dict[str, tuple[float, float]]] | None:
    """Return ranks by column, the paper's pairs and then this suite, and the ends over seeds.

    Ranks are those among the methods that all columns have; a pair of the paper that has too few of
    them is left out.

    Args:
        make: The suite's records.
        pair: Name of teacher and student in the suite.
        kind: `IN` or `OUT`, which of the paper's sets are meant.
        key: What `quality` calls the suite's own score of that kind.
    """
    ours = {row: v for row in make.methods if (v := quality(make, pair, row).get(key))}
    scores = _scores(kind)
    shared = {name: printed.keys() & ours.keys() for name, printed in scores.items()}
    kept = [name for name, rows in shared.items() if len(rows) >= LEAST]
    if not kept:
        return None
    rows = by_renown(sorted(set.intersection(*(set(shared[name]) for name in kept))))
    if len(rows) < LEAST:
        return None
    found = {name: ranks({row: scores[name][row] for row in rows}) for name in kept}
    found[HERE] = ranks({row: exact.mean([*ours[row].values()]) for row in rows})
    return found, _ends({row: ours[row] for row in rows})


def ranks(scores: Mapping[str, float]) -> Ranks:
    """Return the rank of each row by its score, the largest first."""
    places = stats.rankdata([-score for score in scores.values()])
    return dict(zip(scores, places.tolist(), strict=True))


def _ends(ours: Mapping[str, SeedValues]) -> dict[str, tuple[float, float]]:
    """Return the best and the worst rank of each row in the seeds that all rows have, if any."""
    seeds = sorted(set.intersection(*(set(values) for values in ours.values())))
    by_seed = [ranks({row: values[seed] for row, values in ours.items()}) for seed in seeds]
    if not by_seed:
        return {}
    return {row: (min(r[row] for r in by_seed), max(r[row] for r in by_seed)) for row in ours}


def _scores(kind: str) -> dict[str, dict[str, float]]:
    """Return the paper's ROUGE-L by pair and method, the mean over the sets of a kind."""
    sets = SETS[:1] if kind == IN else SETS[1:]
    cells: dict[str, dict[str, dict[str, float]]] = {}
    for row in of_paper():
        if row.metric == "rouge_l" and row.dataset in sets and not row.repeated:
            cells.setdefault(row.pair, {}).setdefault(row.method, {})[row.dataset] = row.value
    return {
        pair: {
            method: exact.mean([*values.values()])
            for method, values in methods.items()
            if len(values) == len(sets)
        }
        for pair, methods in cells.items()
    }


def _panel(axis: Axes, found: dict[str, Ranks], ends: Mapping[str, tuple[float, float]]) -> None:
    names = [*found]
    last = len(names) - 1
    for row in found[HERE]:
        drawn = mark(row)
        heights = [found[name][row] for name in names]
        style = drawn.style(6) | {"ls": "-", "lw": 1.2}
        axis.plot(range(len(names)), heights, label=row, zorder=3, **style)
        if row in ends:
            offset = 0.05 + 0.02 * list(found[HERE]).index(row)
            axis.plot((last + offset,) * 2, ends[row], color=drawn.colour, lw=1.1)
    _names(axis, found[HERE], last)
    agreement = [
        "" if name == HERE else f"\nτ = {number(_agreement(found[name], found[HERE]), 2)}"
        for name in names
    ]
    titles = [name.replace("-1.5B-", "\n1.5B → ").replace("-13B-", "\n13B → ") for name in names]
    axis.set_xticks(
        range(len(names)), [a + b for a, b in zip(titles, agreement, strict=True)], fontsize=SMALL
    )
    axis.set_yticks(range(1, len(found[HERE]) + 1))
    axis.set_ylim(len(found[HERE]) + 0.5, 0.5)
    axis.set_xlim(-0.2, last + 0.25)
    axis.grid(axis="x", visible=False)


def _names(axis: Axes, places: Ranks, last: int) -> None:
    """Write each method beside its rank here, names of equal ranks moved apart."""
    rows = sorted(places, key=lambda row: places[row])
    for row, at in zip(rows, spread([places[r] for r in rows], GAP, len(rows) + 0.4), strict=True):
        axis.annotate(
            row,
            (last + 0.28, at),
            xycoords="data",
            va="center",
            fontsize=SMALL,
            annotation_clip=False,
        )


def _agreement(first: Ranks, second: Ranks) -> float:
    """Return Kendall's τ-b of two orders of the same rows; 1 is the same order."""
    rows: Sequence[str] = [*first]
    tau = stats.kendalltau([first[r] for r in rows], [second[r] for r in rows]).statistic
    return float(np.nan_to_num(tau))
