"""Is a model as unsure as the truth is: the entropy of its belief against that of the truth."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arkd.figures.marks import mark
from arkd.figures.style import SMALL, broken, foot, main_rows
from arkd.statistics.intervals import Interval, mean_interval
from arkd.suite.folders import INIT, TEACHER
from arkd.tables.builder import Builder, Source

COLUMNS = 6  # panels side by side
LETTER_IN = 0.067  # inches of a title
CERTAIN = "certain"  # kind of question with one true answer
RATIO = "ratio"  # of the kinds with two, before the per cent of the first

Curve = list[tuple[float, Interval]]  # entropy of the truth and of the belief, nats


def reliability(make: Builder) -> Figure | None:
    """Draw a panel a row, the other rows' curves in grey behind; on the diagonal is faithful."""
    kinds = entropies([*make.records.groups("truth", "truth_entropy_gap")])
    if len(kinds) < 2:
        return None
    choice = main_rows(make, make.methods, plain=True)
    rows = [TEACHER, INIT, *choice.rows]
    lines: list[list[tuple[str, str]]] = []
    curves: dict[tuple[str, str], Curve] = {}
    for pair in make.pairs:
        found = {(pair, row): curve(make, pair, row, kinds) for row in rows}
        curves |= {key: points for key, points in found.items() if points}
        keys = [key for key in found if found[key]]
        lines += [keys[start : start + COLUMNS] for start in range(0, len(keys), COLUMNS)]
    if not curves:
        return None
    across = max(map(len, lines))
    letters = max(len(part) for _, row in curves for part in broken(row).split("\n"))
    wide = max(1.75, LETTER_IN * letters)
    figure = Figure(figsize=(max(wide * across, 5.0), 1.8 * len(lines) + 0.6), layout="constrained")
    grid = figure.subplots(len(lines), across, squeeze=False, sharex=True, sharey=True)
    for place, (axes, line) in enumerate(zip(grid, lines, strict=True)):
        for column, axis in enumerate(axes[len(line) :], len(line)):
            axis.set_axis_off()
            if place:
                grid[place - 1, column].tick_params(labelbottom=True)
        for axis, key in zip(axes, line, strict=False):
            axis.axline((0, 0), slope=1, color="0.4", lw=0.8, ls="--", zorder=1)
            for other, points in curves.items():
                if other[0] == key[0] and other != key:
                    axis.plot(*_means(points), color="0.82", lw=0.6, zorder=1)
            _draw(axis, key[1], curves[key])
            lead = [key[0]] * (len(make.pairs) > 1)
            axis.set_title("\n".join([*lead, broken(key[1])]), fontsize=SMALL)
            axis.tick_params(labelsize=SMALL)
    for axis in grid[:, 0]:
        axis.set_ylabel("entropy of belief (nats)", fontsize=SMALL)
    shares = ", ".join("100" if name == CERTAIN else name.removeprefix(RATIO) for name in kinds)
    foot(
        figure,
        f"horizontal: entropy of the truth (nats), from left: one answer has {shares} % of it",
        "dashed: as uncertain as the truth; grey: the other rows; bars: 95 % t",
        choice.note,
    )
    return figure


def entropies(kinds: list[str]) -> dict[str, float]:
    """Return the entropy of the truth, in nats, of the kinds of question that have a known one.

    Args:
        kinds: Names of kinds, as `certain`, or `ratio90` for two answers in the ratio 90:10.
    """
    found = {CERTAIN: 0.0} if CERTAIN in kinds else {}
    for kind in kinds:
        share = kind.removeprefix(RATIO)
        if kind != share and share.isdigit():
            p = int(share) / 100
            found[kind] = -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def curve(make: Builder, pair: str, row: str, kinds: dict[str, float]) -> Curve:
    """Return the entropy of the belief, mean and interval over seeds, by that of the truth.

    The records hold the gap between the two, belief less truth.

    Args:
        make: The suite's records.
        pair: Name of teacher and student in the suite.
        row: A method's label, or a control.
        kinds: The entropy of the truth by kind of question, nats.
    """
    found = []
    for kind, truth in kinds.items():
        source = Source("truth", "truth_entropy_gap", "", group=kind)
        values = [truth + gap for gap in make.values(source, pair, row).values()]
        if values:
            found.append((truth, mean_interval(values)))
    return found


def _means(points: Curve) -> tuple[list[float], list[float]]:
    return [truth for truth, _ in points], [belief.mean for _, belief in points]


def _draw(axis: Axes, row: str, points: Curve) -> None:
    drawn = mark(row)
    for truth, belief in points:
        if belief.low is not None and belief.high is not None:
            axis.plot((truth, truth), (belief.low, belief.high), color=drawn.colour, lw=1.0)
    style = drawn.style(5) | {"ls": "-", "lw": 1.2}
    axis.plot(*_means(points), label=row, zorder=3, **style)
