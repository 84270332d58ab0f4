"""Forest plot of the claims: the effect that each verdict hangs on, with its adjusted interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from arkd.claims.decision import (
    CONTRADICTED,
    EQUIVALENT,
    INCONCLUSIVE,
    SUPPORTED,
    Comparison,
    Decided,
)
from arkd.claims.judge import Judgement, judge
from arkd.claims.kinds import IN_PRINT
from arkd.claims.registered import load_claims
from arkd.claims.wording import describe
from arkd.figures.style import SMALL, Mark
from arkd.paths import claims_path
from arkd.tables.builder import Builder

LINE_IN = 0.36  # a claim has two lines of text
RATIO = "a / b − 1"
VERDICTS = {
    SUPPORTED: Mark("#0072B2", "o"),
    CONTRADICTED: Mark("#D55E00", "X"),
    EQUIVALENT: Mark("#009E73", "s"),
    INCONCLUSIVE: Mark("#000000", "D", hollow=True),
}
CLAIMED = "0.88"


def forest(make: Builder, partial: bool = False) -> Figure | None:
    """Draw every decided claim, in panels by unit; None where the suite decides none.

    Raises:
        ArkdError: results that the claims need are missing, and `partial` is not set.
    """
    registered = load_claims(claims_path(make.suite.claims))
    shown = [judgement for judgement in judge(make.tree, registered, partial) if drawn(judgement)]
    if not shown:
        return None
    units: dict[str, list[Judgement]] = {}
    for judgement in shown:
        units.setdefault(_unit(_decisive(judgement).comparison), []).append(judgement)
    lines = [len(judgements) for judgements in units.values()]
    figure = Figure(
        figsize=(9.0, LINE_IN * sum(lines) + 0.62 * len(lines) + 0.5), layout="constrained"
    )
    grid = figure.subplots(len(lines), 1, squeeze=False, height_ratios=[n + 0.2 for n in lines])
    for axis, (unit, judgements) in zip(grid[:, 0], units.items(), strict=True):
        _panel(axis, judgements, len(make.pairs) > 1)
        axis.set_xlabel(unit, fontsize=SMALL)
    handles: list[Line2D | Patch] = [
        Line2D([], [], **mark.style(6), label=word) for word, mark in VERDICTS.items()
    ]
    handles.append(Patch(color=CLAIMED, label="where the claim holds"))
    handles.append(Line2D([], [], color="black", marker="|", ms=9, ls="none", label="boundary"))
    figure.legend(handles=handles, loc="outside upper left", ncols=5, fontsize=SMALL)
    return figure


def drawn(judgement: Judgement) -> bool:
    """Tell whether a verdict rests on a number that the suite measured."""
    decisive = judgement.decisive
    return (
        judgement.verdict in VERDICTS
        and decisive is not None
        and decisive.effect is not None
        and decisive.comparison.kind not in IN_PRINT
    )


def boundaries(comparison: Comparison) -> tuple[float, ...]:
    """Return what the effect is held against, on the scale on which it is shown."""
    if comparison.kind == "identity":
        return (1.0,)
    return tuple(
        math.expm1(at) if comparison.kind == "ratio" else at for at in comparison.boundaries
    )


def _decisive(judgement: Judgement) -> Decided:
    assert judgement.decisive is not None
    return judgement.decisive


def _unit(comparison: Comparison) -> str:
    return RATIO if comparison.kind == "ratio" else comparison.unit or "share of seeds"


def _panel(axis: Axes, judgements: Sequence[Judgement], several: bool) -> None:
    names = []
    ends: list[float] = []
    for place, judgement in enumerate(judgements):
        decisive, mark = _decisive(judgement), VERDICTS[judgement.verdict]
        test, _, what = describe(decisive.comparison).partition(": ")
        names.append(
            f"{judgement.claim.id}{f' ({judgement.pair})' if several else ''}  {test}\n{what}"
        )
        assert decisive.effect is not None
        ends.append(decisive.effect)
        if decisive.low is not None and decisive.high is not None:
            axis.plot((decisive.low, decisive.high), (place, place), color=mark.colour, lw=1.4)
            ends += [decisive.low, decisive.high]
        axis.plot(decisive.effect, place, zorder=4, label=judgement.claim.id, **mark.style(7))
        ends += boundaries(decisive.comparison)
        text = judgement.verdict + (" (provisional)" if judgement.provisional else "")
        axis.annotate(
            text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=SMALL
        )
    reach = 0.07 * (max(ends) - min(ends)) or 0.1
    limits = (min(ends) - reach, max(ends) + reach)
    for place, judgement in enumerate(judgements):
        comparison = _decisive(judgement).comparison
        edges = boundaries(comparison)
        left = edges[0] if comparison.direction != "less" else limits[0]
        right = edges[-1] if comparison.direction != "greater" else limits[1]
        axis.barh(place, right - left, 0.8, left, color=CLAIMED, zorder=1, lw=0)
        axis.plot(edges, [place] * len(edges), "|", color="black", ms=15, mew=1.2, zorder=2)
    axis.set(xlim=limits, ylim=(len(judgements) - 0.45, -0.55))
    axis.set_yticks(range(len(judgements)), names, fontsize=SMALL)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=SMALL)
    axis.grid(axis="y", visible=False)
