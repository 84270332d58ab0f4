"""Who is shown to be better than whom: groups in the place of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

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
    """Return each row's group: 1 holds the rows that none is shown to beat.

    A row is behind each row that is shown to beat it, so group 2 is behind rows of group 1 only,
    and so on. Two rows of one run are compared paired by training seed, two of different runs by
    Welch's test of their effects, since nothing but the seeds' numbers pairs them. Holm's rule
    corrects the tests of a row against all others: one that none is better than is put behind
    with a chance of at most 5 %. That rows cannot be told apart does not prove that they are equal.

    Args:
        rows: The rows of a board; one with fewer than two seeds has no group.
    """
    found: list[int | None] = [None] * len(rows)
    places = [place for place, row in enumerate(rows) if len(row.effects) > 1]
    places.sort(key=lambda place: -rows[place].mean)
    p_values: dict[tuple[int, int], float | None] = {}
    for place, other in combinations(places, 2):
        p_values[place, other] = p_values[other, place] = _p_value(rows[place], rows[other])
    for number, place in enumerate(places):
        others = [other for other in places if p_values.get((place, other)) is not None]
        adjusted = holm([p for other in others if (p := p_values[place, other]) is not None])
        apart = {other for other, p in zip(others, adjusted, strict=True) if p <= LEVEL}
        better = [b for b in places[:number] if b in apart and _ahead(rows[b], rows[place])]
        found[place] = 1 + max((found[b] or 0 for b in better), default=0)
    return found


def _ahead(a: Ranked, b: Ranked) -> bool:
    """Tell whether a row is ahead of another in what `_p_value` compares of them."""
    if a.run != b.run:
        return a.mean > b.mean
    return (
        exact.mean([a.effects[s] - b.effects[s] for s in a.effects.keys() & b.effects.keys()]) > 0
    )


def _p_value(a: Ranked, b: Ranked) -> float | None:
    """Return the p-value of two rows' difference; None where their seeds give none."""
    if a.run != b.run:
        return welch_p([*a.effects.values()], [*b.effects.values()])
    seeds = sorted(a.effects.keys() & b.effects.keys())
    if len(seeds) < 2:
        return None
    first, second = ([row.effects[s] for s in seeds] for row in (a, b))
    return paired_difference(first, second).p_value
