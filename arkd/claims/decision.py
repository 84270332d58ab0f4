"""The rule of decision: comparisons hold, are refuted or stay open, and claims get verdicts.

Pure: one difference a training seed in, intervals and words out. The rule itself is text in
`benchmarks/claims.yaml`, registered before the runs; each function says which part it follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from arkd import exact
from arkd.claims.kinds import Direction
from arkd.statistics.intervals import mean_interval
from arkd.statistics.power import p_value, smallest_effect

HOLDS, REFUTED, OPEN, UNTESTED = "holds", "refuted", "open", "not testable"
SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
EQUIVALENT = "equivalent"  # of a comparison, and of a claim that such comparisons settle


@dataclass(frozen=True)
class Comparison:
    """One comparison of a test: what was compared, and the difference in each training seed.

    Values are a − b, ln(a/b) for a ratio, or the statistic itself of a trajectory without `b`. A
    comparison without interval has its `outcome` and `printed` effect, one that cannot be tested
    the reason.
    """

    claim: str
    test: str
    role: Literal["primary", "secondary"]
    kind: str
    pair: str
    a: str
    b: str = ""
    task: str = ""
    metric: str = ""
    group: str = ""
    direction: Direction = "equal"
    margin: float = 0.0
    target: float = 0.0
    unit: str = ""
    equivalence: float = 0.0  # the smallest effect that counts as one; 0: not asked
    values: dict[int, float] = field(default_factory=dict)
    failed: tuple[int, ...] = ()  # seeds that left because a run of either arm failed
    rates: tuple[float, ...] = ()  # learning rates of the arms that are trained, in their order
    gaps: tuple[int, ...] | None = None  # seeds of the gap whose shares are compared, if any
    outcome: bool | None = None
    printed: float | None = None
    reason: str = ""
    note: str = ""

    @property
    def boundaries(self) -> tuple[float, ...]:
        """What the difference is held against, on the scale of `values` (`p_value`, `ratio`)."""
        ratio = self.kind == "ratio"
        upper = self.target + (math.log1p(self.margin) if ratio else self.margin)
        lower = self.target + (math.log1p(-self.margin) if ratio else -self.margin)
        return {"greater": (upper,), "less": (lower,), "equal": (lower, upper)}[self.direction]

    @property
    def band(self) -> tuple[float, ...]:
        """Between what an effect counts as none, on the scale of `values` (`equivalent`)."""
        if not self.equivalence:
            return ()
        return replace(self, direction="equal", margin=self.equivalence).boundaries


@dataclass(frozen=True)
class Decided:
    """A comparison with its decision; effect and interval as they are shown (ratios as a/b − 1)."""

    comparison: Comparison
    decision: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    p_value: float | None = None
    smallest: float | None = None  # the smallest effect beyond the boundary that could be seen


def beyond(effect: float, direction: Direction, margin: float) -> bool:
    """Compare a number without interval with the margin as it stands (`without_interval`)."""
    effect = round(effect, 9)  # 24.5 - 24.1 is 0.4
    return {
        "greater": effect > margin,
        "less": effect < -margin,
        "equal": abs(effect) <= margin,
    }[direction]


def step_down(
    family: Sequence[Comparison], level: float = 0.95, power: float = 0.8
) -> list[Decided]:
    """Decide a family by Holm's rule, in the family's own order.

    The k-th smallest p of m is held against (1 − level) / (m − k + 1) as long as all before it were
    decided, and has the interval of that level. From the first that fails on, all are open; they
    share the level at which the rule stopped, so that each open interval holds a boundary.

    Holm's rule lets a rejected hypothesis leave the count. A comparison with a band has two, and
    whichever is rejected, the other may be true: it stays in the count.
    """
    found: dict[int, Decided] = {}
    ps: dict[int, float] = {}
    for place, comparison in enumerate(family):
        if comparison.reason:
            found[place] = Decided(comparison, UNTESTED)
        elif comparison.outcome is not None:
            found[place] = Decided(
                comparison, HOLDS if comparison.outcome else REFUTED, comparison.printed
            )
        else:
            ps[place] = _p(comparison)
    stopped = False
    rate, left = 1 - level, len(ps)
    for place in sorted(ps, key=lambda place: ps[place]):
        if not stopped:
            rate = (1 - level) / left
            stopped = ps[place] > rate
            left -= not family[place].band
        decided = _interval(family[place], rate, open_=stopped)
        smallest = smallest_effect([*family[place].values.values()], (1 - level) / len(ps), power)
        if family[place].kind == "ratio":
            smallest = _of_shares(family[place], smallest)
        found[place] = replace(decided, p_value=ps[place], smallest=smallest)
    return [found[place] for place in range(len(family))]


def _of_shares(comparison: Comparison, distance: float) -> float:
    """Return a distance from a ratio's boundary, given in logarithms, in the ratio itself."""
    if comparison.direction == "less":
        return math.exp(comparison.boundaries[0]) * -math.expm1(-distance)
    return math.exp(comparison.boundaries[-1]) * math.expm1(distance)


def _p(comparison: Comparison) -> float:
    """Return the smallest rate at which a comparison is decided, either way (`p_value`).

    That it differs and that it is equivalent cannot both be false, so the two tests share a rate.
    """
    values = [*comparison.values.values()]
    found = p_value(values, comparison.boundaries)
    mean = exact.mean(values)
    if _within(comparison.band, mean, mean):
        found = min(found, p_value(values, comparison.band))
    return found


def _within(band: Sequence[float], low: float, high: float) -> bool:
    """Tell whether an interval lies inside a band; no band holds nothing."""
    return bool(band) and band[0] < low and high < band[-1]


def _interval(comparison: Comparison, rate: float, open_: bool) -> Decided:
    """Return a comparison with its adjusted interval and what that decides."""
    interval = mean_interval([*comparison.values.values()], level=1 - rate)
    low, high = interval.low, interval.high
    assert low is not None  # two seeds or more
    assert high is not None
    first, last = comparison.boundaries[0], comparison.boundaries[-1]
    holds = {
        "greater": low > last,
        "less": high < first,
        "equal": first < low and high < last,
    }[comparison.direction]
    decision = OPEN if open_ else HOLDS if holds else REFUTED
    if not open_ and _within(comparison.band, low, high):
        decision = EQUIVALENT
    effect = interval.mean
    if comparison.kind == "ratio":
        effect, low, high = (math.expm1(value) for value in (effect, low, high))
    return Decided(comparison, decision, effect, low, high, level=1 - rate)


def verdict(rule: Literal["all", "any", "majority"], decisions: Sequence[str]) -> str:
    """Return a claim's verdict from the decisions of its primary comparisons (`verdicts`).

    A rule that comparisons made impossible is contradicted if some of them lie on the other side,
    and settled as equivalent if all that fail it lie within the margin.
    """
    if UNTESTED in decisions or not decisions:
        return UNTESTED
    holding, refuted = decisions.count(HOLDS), decisions.count(REFUTED)
    failing = refuted + decisions.count(EQUIVALENT)
    total = len(decisions)
    if {"all": holding == total, "any": holding > 0, "majority": 2 * holding > total}[rule]:
        return SUPPORTED
    if {"all": failing > 0, "any": failing == total, "majority": 2 * failing >= total}[rule]:
        return CONTRADICTED if refuted else EQUIVALENT
    return INCONCLUSIVE


def decisive(word: str, decided: Sequence[Decided]) -> Decided | None:
    """Return the comparison that a verdict hangs on.

    Of a supported claim the weakest that holds, of a contradicted one the clearest refuted, of one
    settled as equivalent the weakest that is, of an inconclusive one the open one nearest to a
    decision, of an untested one the first without values.
    """

    def p(candidate: Decided) -> float:
        return 0.0 if candidate.p_value is None else candidate.p_value

    wanted = {SUPPORTED: HOLDS, CONTRADICTED: REFUTED, INCONCLUSIVE: OPEN, UNTESTED: UNTESTED}
    wanted[EQUIVALENT] = EQUIVALENT
    kept = [candidate for candidate in decided if candidate.decision == wanted.get(word)]
    if not kept:
        return None
    weakest = word in (SUPPORTED, EQUIVALENT)
    return max(kept, key=p) if weakest else min(kept, key=p)
