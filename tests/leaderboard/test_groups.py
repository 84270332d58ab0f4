"""Groups of rows that none is shown to be better than, against SciPy's own tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from arkd.leaderboard.groups import Ranked, groups
from arkd.statistics.intervals import welch_p

SEEDS = range(1, 11)


def row(level: float, draw: np.random.Generator, run: str = "a", sd: float = 1.0) -> Ranked:
    return Ranked(run, {seed: level + sd * draw.standard_normal() for seed in SEEDS})


def test_welch_is_scipys() -> None:
    draw = np.random.default_rng(1)
    for sizes in ((2, 2), (3, 10), (10, 4)):
        a, b = (draw.normal(scale=scale, size=n) for n, scale in zip(sizes, (1, 3), strict=True))
        expected = stats.ttest_ind(a, b, equal_var=False).pvalue
        assert welch_p(a, b) == pytest.approx(expected, rel=1e-9)
    assert welch_p([1.0], [1.0, 2.0]) is None
    assert welch_p([0.0, 0.0], [0.0, 0.0]) == 1.0
    assert welch_p([0.0, 0.0], [1.0, 1.0]) == 0.0
    zeros, effects = np.zeros(5), draw.normal(1, 1, 5)  # forward KL beside another run's row
    assert welch_p(zeros, effects) == pytest.approx(stats.ttest_1samp(effects, 0).pvalue)


def test_far_levels_are_steps_and_near_ones_share_one() -> None:
    draw = np.random.default_rng(2)
    levels = [0.0, 0.1, -20.0, -20.2, -60.0]
    assert groups([row(level, draw) for level in levels]) == [1, 1, 2, 2, 3]


def test_the_order_of_the_rows_is_of_no_account() -> None:
    draw = np.random.default_rng(3)
    rows = [row(level, draw) for level in (3.0, 0.0, -2.0, -9.0, -9.5)]
    found = groups(rows)
    for order in ([4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        assert groups([rows[place] for place in order]) == [found[place] for place in order]


def test_rows_of_equal_worth_are_hardly_ever_put_behind() -> None:
    """Nobody is better than anybody: of each row's chance of 5 %, Holm's rule leaves less."""
    draw = np.random.default_rng(4)
    behind = [
        group for _ in range(60) for group in groups([row(0.0, draw) for _ in range(6)])
        if group != 1
    ]  # fmt: skip
    assert len(behind) <= 0.05 * 60 * 6


def test_pairing_within_a_run_sees_what_runs_apart_do_not() -> None:
    """A shared swing of seeds hides a small difference from Welch's test, not from the paired."""
    draw = np.random.default_rng(5)
    swing = {seed: 30 * draw.standard_normal() for seed in SEEDS}
    better = Ranked("a", {s: v + 2 + 0.1 * draw.standard_normal() for s, v in swing.items()})
    paired = Ranked("a", {s: v + 0.1 * draw.standard_normal() for s, v in swing.items()})
    assert groups([better, paired]) == [1, 2]
    assert groups([better, Ranked("b", paired.effects)]) == [1, 1]


def test_no_row_is_put_behind_one_that_it_beats_on_the_seeds_of_both() -> None:
    """Of ten seeds the first has the higher mean; on the three that both have it is the worse."""
    first = Ranked("a", {s: 0.0 if s <= 3 else 5.7 for s in range(1, 11)})
    second = Ranked("a", {1: 1.0, 2: 1.01, 3: 0.99})
    assert first.mean > second.mean
    assert groups([first, second]) == [1, 1]


def test_one_seed_has_no_group_and_puts_nobody_behind() -> None:
    draw = np.random.default_rng(6)
    rows = [Ranked("a", {1: 100.0}), row(0.0, draw), row(0.0, draw, "b")]
    assert groups(rows) == [None, 1, 1]
    assert groups([Ranked("a", {1: 1.0})]) == [None]
    assert groups([]) == []
