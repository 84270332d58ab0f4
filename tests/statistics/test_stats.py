"""Intervals and tests agree with scipy and with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as reference

from arkd.errors import ArkdError
from arkd.statistics.intervals import holm, mean_interval, paired_difference


def test_interval_of_three_seeds_by_hand() -> None:
    # Mean 2, standard deviation 1, t(0.975, 2) = 4.30265: half width 4.30265 / sqrt(3).
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.n == 3
    assert interval.half_width == pytest.approx(2.48414, abs=1e-5)
    assert (interval.low, interval.high) == pytest.approx((-0.48414, 4.48414), abs=1e-5)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_interval_is_scipys(n: int) -> None:
    values = np.random.default_rng(n).normal(20, 3, n)
    interval = mean_interval(values)
    expected = reference.t.interval(0.95, n - 1, values.mean(), reference.sem(values))
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-12)


def test_one_seed_has_a_mean_and_no_interval() -> None:
    interval = mean_interval([4.5])
    assert interval.mean == 4.5
    assert (interval.low, interval.high, interval.half_width, interval.n) == (None, None, None, 1)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_values_that_are_no_numbers_are_refused(values: list[float]) -> None:
    with pytest.raises(ArkdError):
        mean_interval(values)


def test_items_of_seeds_are_not_taken_for_observations() -> None:
    with pytest.raises(ArkdError, match=r"one for each observation, not shape \(2, 3\)"):
        mean_interval(np.ones((2, 3)))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_interval_covers_the_mean_at_the_stated_rate(n: int) -> None:
    draws = np.random.default_rng(100 + n).normal(7, 2, (1000, n))
    intervals = [mean_interval(row) for row in draws]
    covered = np.mean([i.low <= 7 <= i.high for i in intervals])
    assert 0.93 <= covered <= 0.97


def test_paired_difference_is_scipys_paired_t_test() -> None:
    draw = np.random.default_rng(3)
    a, b = draw.normal(1, 1, 8), draw.normal(0, 1, 8)
    difference = paired_difference(a, b)
    expected = reference.ttest_rel(a, b)
    assert difference.p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert difference.mean == pytest.approx(a.mean() - b.mean())
    low, high = expected.confidence_interval(0.95)
    assert (difference.low, difference.high) == pytest.approx((low, high), rel=1e-12)


def test_pairing_removes_what_seeds_share() -> None:
    seed_effect = np.array([0.0, 10.0, 20.0])
    a, b = seed_effect + np.array([1.0, 1.1, 0.9]), seed_effect
    p_value = paired_difference(a, b).p_value
    assert p_value is not None
    assert p_value < 0.01 < float(reference.ttest_ind(a, b).pvalue)


def test_identical_runs_do_not_differ() -> None:
    difference = paired_difference([1.0, 2.0], [1.0, 2.0])
    assert (difference.mean, difference.half_width, difference.p_value) == (0.0, 0.0, 1.0)


def test_a_constant_difference_is_certain() -> None:
    assert paired_difference([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]).p_value == 0.0


def test_what_differs_by_rounding_alone_does_not_differ() -> None:
    difference = paired_difference([0.1 + 0.2 + 0.3] * 3, [0.3 + 0.2 + 0.1] * 3)
    assert (difference.mean, difference.half_width, difference.p_value) == (0.0, 0.0, 1.0)


def test_one_pair_has_no_p_value() -> None:
    difference = paired_difference([2.0], [1.0])
    assert (difference.mean, difference.p_value, difference.half_width) == (1.0, None, None)


def test_unequal_seeds_are_refused() -> None:
    with pytest.raises(ArkdError, match="3 against 2"):
        paired_difference([1, 2, 3], [1, 2])


def test_holm_by_hand() -> None:
    # Sorted .005 .01 .03 .04 with factors 4 3 2 1: .02 .03 .06, then .04 is lifted to .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_is_capped_and_keeps_a_single_value() -> None:
    assert holm([0.7, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.03]) == pytest.approx([0.03])
    assert holm([]).size == 0


def test_holm_keeps_the_family_error() -> None:
    p_values = np.random.default_rng(5).uniform(size=(2000, 8))
    any_rejection = np.mean([holm(row).min() < 0.05 for row in p_values])
    assert any_rejection < 0.065


@pytest.mark.parametrize("bad", [[-0.1], [1.2], [float("nan")]])
def test_holm_refuses_what_is_no_probability(bad: list[float]) -> None:
    with pytest.raises(ArkdError):
        holm(bad)
