"""Who can be told from the best, and who cannot: groups in the place of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arkd import exact
from arkd.statistics.intervals import holm, paired_difference, welch_p

LEVEL = 0.05


@dataclass(frozen=True)
class Ranked:
    """A row of a board in one measure: its effects to forward KL by seed, larger the better."""

    run: str
    effects: dict[int, float]

    @property
    def mean(self) -> float:
        """The mean effect."""
        return exact.mean([*self.effects.values()])


def groups(rows: Sequence[Ranked]) -> list[int | None]:
    """Return each row's group: 1 has the best and all that cannot be told from it, 2 the next.

    Two rows of one run are compared paired by training seed, two of different runs by Welch's test
    of their effects, since nothing but the seeds' numbers pairs them. Holm's rule corrects the
    tests of one best row against all that are left. That two rows cannot be told apart is no proof
    that they are equal.

    Args:
        rows: The rows of a board; one with fewer than two seeds has no group.
    """
    found: list[int | None] = [None] * len(rows)
    left = [place for place, row in enumerate(rows) if len(row.effects) > 1]
    left.sort(key=lambda place: -rows[place].mean)
    group = 0
    while left:
        group += 1
        best, others = left[0], left[1:]
        found[best] = group
        raw = {place: _p_value(rows[best], rows[place]) for place in others}
        tested = [place for place in others if raw[place] is not None]
        adjusted = holm([p for p in raw.values() if p is not None])
        apart = {place for place, p in zip(tested, adjusted, strict=True) if p <= LEVEL}
        for place in others:
            if place not in apart:
                found[place] = group
        left = [place for place in others if place in apart]
    return found


def _p_value(a: Ranked, b: Ranked) -> float | None:
    """Return the p-value of two rows' difference; None where their seeds give none."""
    if a.run == b.run:
        seeds = sorted(a.effects.keys() & b.effects.keys())
        if len(seeds) < 2:
            return None
        return paired_difference(
            [a.effects[s] for s in seeds], [b.effects[s] for s in seeds]
        ).p_value
    return welch_p([*a.effects.values()], [*b.effects.values()])
