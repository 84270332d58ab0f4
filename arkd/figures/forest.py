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
from arkd.figures.marks import HOLLOW, Mark
from arkd.figures.style import SMALL, foot
from arkd.paths import claims_path
from arkd.results.suite_results import observed
from arkd.tables.builder import Builder

LINE_IN = 0.36  # a claim has two lines of text
RATIO = "a / b − 1"
VERDICTS = {
    SUPPORTED: Mark("#0072B2", "o"),
    CONTRADICTED: Mark("#D55E00", "X"),
    EQUIVALENT: Mark("#009E73", "s"),
    INCONCLUSIVE: Mark("#000000", "D", HOLLOW),
}
CLAIMED = "0.88"
BAND = "#8CD3BC"  # a light tone of the mark of what is equivalent
WORDS = {"rouge": "ROUGE-L", "jsd": "JSD", "kl": "KL", "arkd": "ARKD", "alpha": "α", "018": "0.18"}
PHRASES = {  # names that need more than their words
    "never_forward": "Never chooses forward KL",
    "reward_reaches_figure": "Reward reaches that of Figure 6",
    "rouge_at_two": "ROUGE-L at temperature 2",
}
PLACES = {
    "fidelity_gold": "gold prefixes",
    "fidelity_student": "prefixes of the student",
    "fidelity_teacher": "prefixes of the teacher",
}


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
        unit = _unit(_decisive(judgement).comparison, f"{observed(make.suite)}s")
        units.setdefault(unit, []).append(judgement)
    lines = [len(judgements) for judgements in units.values()]
    figure = Figure(
        figsize=(9.0, LINE_IN * sum(lines) + 0.62 * len(lines) + 0.5), layout="constrained"
    )
    reasons = {judgement.provisional for judgement in shown}
    each = len(reasons) > 1  # else the foot says it of all
    grid = figure.subplots(len(lines), 1, squeeze=False, height_ratios=[n + 0.2 for n in lines])
    for axis, (unit, judgements) in zip(grid[:, 0], units.items(), strict=True):
        _panel(axis, judgements, len(make.pairs) > 1, each)
        axis.set_xlabel(unit, fontsize=SMALL)
    handles: list[Line2D | Patch] = [
        Line2D([], [], **mark.style(6), label=word)
        for word, mark in VERDICTS.items()
        if any(judgement.verdict == word for judgement in shown)
    ]
    handles.append(Patch(color=CLAIMED, label="claimed side"))
    if any(_decisive(judgement).comparison.band for judgement in shown):
        handles.append(Patch(color=BAND, label="too small to count"))
    handles.append(Line2D([], [], color="black", marker="|", ms=9, ls="none", label="boundary"))
    figure.legend(handles=handles, loc="outside upper left", ncols=6, fontsize=SMALL)
    if not each and (reason := reasons.pop()):
        foot(figure, f"every verdict that rests on these runs is provisional: {reason}")
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
    return _shown(comparison, comparison.boundaries)


def _shown(comparison: Comparison, ends: Sequence[float]) -> tuple[float, ...]:
    """Return values of a comparison on the scale on which it is shown."""
    return tuple(math.expm1(at) if comparison.kind == "ratio" else at for at in ends)


def _decisive(judgement: Judgement) -> Decided:
    assert judgement.decisive is not None
    return judgement.decisive


def _unit(comparison: Comparison, counted: str) -> str:
    return RATIO if comparison.kind == "ratio" else comparison.unit or f"share of {counted}"


def readable(test: str) -> str:
    """Return the name of a test as words: `rouge_on_rare` is "ROUGE-L on rare"."""
    if test in PHRASES:
        return PHRASES[test]
    text = " ".join(WORDS.get(word, word) for word in test.split("_"))
    return text[:1].upper() + text[1:] if text.isascii() else text


def _name(judgement: Judgement, several: bool) -> str:
    """Return the two lines that name a claim and the comparison that its verdict hangs on."""
    comparison = _decisive(judgement).comparison
    arms = describe(comparison).partition(": ")[2].partition(", ")[0]
    task = PLACES.get(comparison.task or "", (comparison.task or "").replace("_", " "))
    where = ", ".join(filter(None, (task, (comparison.group or "").replace("_", " "))))
    pair = f" ({judgement.pair})" if several else ""
    first = f"{judgement.claim.id}{pair}  {readable(comparison.test)}"
    return f"{first}\n{arms}" + (f" on {where}" if where else "")


def _panel(axis: Axes, judgements: Sequence[Judgement], several: bool, each: bool) -> None:
    """Draw the claims of one unit; `each` says of each verdict whether it is provisional."""
    names = []
    ends: list[float] = []
    for place, judgement in enumerate(judgements):
        decisive, mark = _decisive(judgement), VERDICTS[judgement.verdict]
        names.append(_name(judgement, several))
        assert decisive.effect is not None
        ends.append(decisive.effect)
        if decisive.low is not None and decisive.high is not None:
            axis.plot((decisive.low, decisive.high), (place, place), color=mark.colour, lw=1.4)
            ends += [decisive.low, decisive.high]
        axis.plot(decisive.effect, place, zorder=4, label=judgement.claim.id, **mark.style(7))
        compared = decisive.comparison
        ends += (*boundaries(compared), *_shown(compared, compared.band))
        text = judgement.verdict + (" (provisional)" if each and judgement.provisional else "")
        if decisive.level:
            text += f", {100 * decisive.level:.4g} %"
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
        if inside := _shown(comparison, comparison.band):
            axis.barh(place + 0.34, inside[-1] - inside[0], 0.12, inside[0], color=BAND, zorder=2)
        axis.plot(edges, [place] * len(edges), "|", color="black", ms=15, mew=1.2, zorder=2)
    axis.set(xlim=limits, ylim=(len(judgements) - 0.45, -0.55))
    axis.set_yticks(range(len(judgements)), names, fontsize=SMALL)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=SMALL)
    axis.grid(axis="y", visible=False)
