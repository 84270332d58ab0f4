"""Scores over runs and tasks agree with rliable's own numbers, with scipy and with hand counts."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from arkd.errors import ArkdError
from arkd.statistics.intervals import mean_interval
from arkd.statistics.resampling import (
    BOOTSTRAP_SEEDS,
    Estimate,
    Statistic,
    bootstrap,
    crossed_bootstrap,
    jackknife,
    seed_interval,
)
from arkd.statistics.scores import gap_closed, iqm, probability_of_improvement

# google-research/rliable, tests/rliable/metrics_test.py at f59f80b: matrices and expected values.
X = np.array([[1, 2], [2, 2], [1, 1], [2, 1]])
Y = np.array([[1, 1], [2, 2], [3, 3]])


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.6, 0.2, shape)


def mean(scores: np.ndarray) -> np.ndarray:
    return scores.mean(axis=(-2, -1))


def one_factor(draw: np.random.Generator, runs: int, tasks: int, shared: float) -> np.ndarray:
    """Scores of mean 0 and variance 1 whose tasks correlate, since they share their run."""
    common = draw.standard_normal((runs, 1))
    return np.sqrt(shared) * common + np.sqrt(1 - shared) * draw.standard_normal((runs, tasks))


# --- statistics -----------------------------------------------------------------------------------


def test_interquartile_means_are_those_of_rliables_tests() -> None:
    assert (iqm(X), iqm(Y)) == (1.5, 2.0)


def test_probability_of_improvement_is_that_of_rliables_test() -> None:
    assert probability_of_improvement(X, Y) == pytest.approx(1 / 3)


def test_uneven_scores_are_summed_up_as_by_rliable() -> None:
    # What the functions of rliable 1.2.0 return for these matrices.
    x = np.array([[0.5, 0.61, 0.57], [0.64, 0.34, 0.76], [0.67, 0.81, 0.52], [0.35, 0.6, 0.45]])
    y = np.array([[0.7, 0.61, 0.57], [0.38, 0.13, 0.51], [0.58, 0.02, 0.77], [0.0, 0.43, 0.26]])
    assert iqm(x) == pytest.approx(0.5733333333333334, rel=1e-14)
    assert probability_of_improvement(x, y) == 0.625


@pytest.mark.parametrize(("runs", "tasks"), [(1, 1), (3, 5), (10, 5), (7, 3)])
def test_interquartile_mean_is_scipys_trimmed_mean(runs: int, tasks: int) -> None:
    scores = draws(runs, tasks)
    assert iqm(scores) == pytest.approx(stats.trim_mean(scores, 0.25, axis=None), rel=1e-14)


def test_an_outlier_does_not_move_the_interquartile_mean() -> None:
    scores = draws(5, 4)
    spoilt = scores.copy()
    spoilt[np.unravel_index(scores.argmin(), scores.shape)] = -100.0
    assert iqm(spoilt) == iqm(scores)
    assert mean(spoilt) < mean(scores) - 4


@pytest.mark.parametrize("ties", [False, True])
def test_probability_of_improvement_is_mann_and_whitneys(ties: bool) -> None:
    x, y = draws(6, 3), draws(4, 3, seed=1)
    if ties:
        x, y = x.round(1), y.round(1)
    expected = np.mean(
        [stats.mannwhitneyu(x[:, t], y[:, t]).statistic / (len(x) * len(y)) for t in range(3)]
    )
    assert probability_of_improvement(x, y) == pytest.approx(expected, rel=1e-14)
    counted = sum(
        (x[i, t] > y[j, t]) + 0.5 * (x[i, t] == y[j, t])
        for i, j, t in product(range(6), range(4), range(3))
    )
    assert probability_of_improvement(x, y) == pytest.approx(counted / 72, rel=1e-14)
    assert probability_of_improvement(y, x) == pytest.approx(1 - counted / 72, rel=1e-14)


def test_stacks_of_matrices_pass_at_once() -> None:
    a, b = draws(7, 4, 3), draws(7, 5, 3, seed=1)
    assert iqm(a) == pytest.approx([iqm(part) for part in a])
    both = zip(a, b, strict=True)
    expected = [probability_of_improvement(x, y) for x, y in both]
    assert probability_of_improvement(a, b) == pytest.approx(expected)


def test_gap_closed_by_hand() -> None:
    # Task 1: starts 40 and 60, teacher 90; task 2 is an error: starts 0.8 and 0.6, teacher 0.2.
    values, start = np.array([[65.0, 0.5], [96.0, 0.6]]), np.array([[40.0, 0.8], [60.0, 0.6]])
    closed = gap_closed(values, start, [90.0, 0.2])
    assert closed == pytest.approx(np.array([[0.5, 0.5], [1.2, 0.0]]))


def test_gap_closed_does_not_ask_which_direction_is_better() -> None:
    values, start, teacher = draws(4, 3), draws(4, 3, seed=1) - 2, np.array([3.0, 4.0, 5.0])
    turned = gap_closed(-values, -start, -teacher)
    assert turned == pytest.approx(gap_closed(values, start, teacher), rel=1e-14)


def test_the_start_is_zero_and_the_teacher_one() -> None:
    start, teacher = draws(4, 3), np.array([3.0, 4.0, 5.0])
    assert not gap_closed(start, start, teacher).any()
    assert gap_closed(np.tile(teacher, (4, 1)), start, teacher) == pytest.approx(1.0)


def test_a_gap_that_is_none_is_refused() -> None:
    with pytest.raises(ArkdError, match="leave the task out"):
        gap_closed(np.ones((2, 1)), np.array([[0.0], [1.0]]), [1.0])
    with pytest.raises(ArkdError, match="equal shapes"):
        gap_closed(np.ones((2, 1)), np.ones((3, 1)), [2.0])


# --- intervals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 9])
def test_the_jackknife_of_a_mean_is_its_t_interval(n: int) -> None:
    scores = draws(n, 4)
    expected = mean_interval(scores.mean(axis=1))
    assert jackknife(mean, scores) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_the_jackknife_of_a_variance_by_hand() -> None:
    # Values 1 2 4 with variance 7/3; without one of them 2, 4.5 and 0.5. Pseudo-values
    # 3 · 7/3 − 2 · (2, 4.5, 0.5) = 3, −2, 6: sd 4.04145, times t(0.975, 2) / √3 = 2.48414.
    def variance(scores: np.ndarray) -> np.ndarray:
        return scores.var(axis=(-2, -1), ddof=1)

    low, high = jackknife(variance, np.array([[1.0], [2.0], [4.0]]))
    assert (low, high) == pytest.approx((7 / 3 - 10.03953, 7 / 3 + 10.03953), abs=1e-4)


def test_few_seeds_have_the_jackknife_and_enough_the_bootstrap() -> None:
    few, enough = draws(BOOTSTRAP_SEEDS - 1, 5), draws(BOOTSTRAP_SEEDS, 5)
    found = seed_interval(iqm, few, seed=7)
    assert (found.low, found.high) == jackknife(iqm, few)
    found = seed_interval(iqm, enough, seed=7)
    assert (found.low, found.high) == bootstrap(iqm, enough, seed=7)
    assert found.value == iqm(enough)


@pytest.mark.parametrize("n", [1, 3, BOOTSTRAP_SEEDS - 1])
def test_the_bootstrap_refuses_few_seeds(n: int) -> None:
    with pytest.raises(ArkdError, match="too few to bootstrap"):
        bootstrap(iqm, draws(n, 5), seed=1)
    with pytest.raises(ArkdError, match="too few to bootstrap"):
        crossed_bootstrap(draws(n, 5), seed=1)


def test_one_seed_has_a_value_and_no_interval() -> None:
    assert seed_interval(mean, np.array([[1.0, 2.0]]), seed=1) == Estimate(1.5, None, None, 1)


def test_runs_must_be_paired() -> None:
    with pytest.raises(ArkdError, match="the same runs"):
        seed_interval(probability_of_improvement, draws(3, 2), draws(4, 2), seed=1)
    with pytest.raises(ArkdError, match="the same runs"):
        seed_interval(iqm, np.empty((0, 2)), seed=1)


@pytest.mark.parametrize("n", [3, 10])
def test_a_share_at_its_bound_has_the_exact_binomial_interval(n: int) -> None:
    ahead, behind = draws(n, 5) + 9, draws(n, 5)
    found = seed_interval(probability_of_improvement, ahead, behind, seed=1, bounds=(0.0, 1.0))
    exact = stats.binomtest(n, n).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
    found = seed_interval(probability_of_improvement, behind, ahead, seed=1, bounds=(0.0, 1.0))
    exact = stats.binomtest(0, n).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_equal_methods_have_no_interval() -> None:
    scores = draws(10, 5)
    found = seed_interval(probability_of_improvement, scores, scores, seed=1, bounds=(0.0, 1.0))
    assert found == Estimate(0.5, None, None, 10)


def test_the_bootstrap_interval_is_that_of_scipys_resamples() -> None:
    scores = draws(12, 4)
    drawn = stats.bootstrap(
        (scores.mean(axis=1),), np.mean, n_resamples=50_000, rng=np.random.default_rng(5)
    ).bootstrap_distribution
    # Expanded: Φ(√(12/11) · t(0.025, 11)) = 0.01075 at each end.
    expected = np.quantile(drawn, [0.01075, 0.98925])
    width = expected[1] - expected[0]
    assert bootstrap(mean, scores, seed=1) == pytest.approx(tuple(expected), abs=0.03 * width)


def test_the_same_seed_gives_the_same_interval() -> None:
    scores = draws(10, 5)
    assert bootstrap(iqm, scores, seed=3) == bootstrap(iqm, scores, seed=3)
    assert bootstrap(iqm, scores, seed=3) != bootstrap(iqm, scores, seed=4)


def drawn_apart(statistic: Statistic, *scores: np.ndarray) -> tuple[float, float]:
    """Return the same interval with runs drawn anew in each task and each matrix, as rliable."""
    draw, n = np.random.default_rng(1), len(scores[0])
    drawn = [
        part[draw.integers(n, size=(4000, *part.shape)), np.arange(part.shape[1])]
        for part in scores
    ]
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf(0.025, n - 1))
    low, high = np.quantile(statistic(*drawn), [tail, 1 - tail])
    return float(low), float(high)


def test_runs_that_tasks_share_are_drawn_whole() -> None:
    scores = np.tile(draws(10, 1), (1, 5))  # every task says the same: 10 observations, not 50
    whole, apart = bootstrap(mean, scores, seed=1, resamples=4000), drawn_apart(mean, scores)
    single = bootstrap(mean, scores[:, :1], seed=1, resamples=4000)
    assert whole == pytest.approx(single)
    ratio = (whole[1] - whole[0]) / (apart[1] - apart[0])
    assert ratio == pytest.approx(5**0.5, rel=0.05)


def test_methods_that_share_seeds_are_drawn_in_pairs() -> None:
    draw = np.random.default_rng(4)
    seeds = draw.normal(0, 5, (12, 1))
    a, b = (seeds + draw.normal(0, 0.1, (12, 3)) for _ in range(2))
    low, high = bootstrap(lambda x, y: mean(x) - mean(y), a, b, seed=1)
    assert high - low < 0.3
    low, high = drawn_apart(lambda x, y: mean(x) - mean(y), a, b)
    assert high - low > 3


@pytest.mark.parametrize("n", [3, 5, 10])
def test_intervals_of_the_interquartile_mean_cover_it(n: int) -> None:
    draw = np.random.default_rng(n)
    covered = 0
    for _ in range(500):
        scores = one_factor(draw, n, 5, shared=0.5)  # symmetric: its interquartile mean is 0
        if n < BOOTSTRAP_SEEDS:
            low, high = jackknife(iqm, scores)
        else:
            low, high = bootstrap(iqm, scores, seed=1, resamples=500)
        covered += low <= 0 <= high
    assert 0.92 <= covered / 500 <= 0.98  # 95 % within three binomial errors of 500


@pytest.mark.parametrize("n", [5, 10])
def test_intervals_of_the_probability_of_improvement_cover_it(n: int) -> None:
    draw = np.random.default_rng(n)
    truth = stats.norm.cdf(0.5 / np.sqrt(2))  # X − Y is normal with mean 0.5 and variance 2
    covered = 0
    for _ in range(400):
        x, y = one_factor(draw, n, 5, 0.3) + 0.5, one_factor(draw, n, 5, 0.3)
        if n < BOOTSTRAP_SEEDS:
            low, high = jackknife(probability_of_improvement, x, y)
        else:
            low, high = bootstrap(probability_of_improvement, x, y, seed=1, resamples=500)
        covered += low <= truth <= high
    assert 0.917 <= covered / 400 <= 0.983


def test_new_items_widen_an_interval_by_what_items_differ() -> None:
    draw = np.random.default_rng(6)
    seeds, items = draw.normal(0, 1, (12, 1)), draw.normal(0, 6, (1, 60))
    low, high = crossed_bootstrap(seeds + items, seed=1)
    # Var of the mean: that of seeds and of items, each over its number, added.
    variance = seeds.var() / 12 + items.var() / 60
    tail = stats.norm.cdf(np.sqrt(12 / 11) * stats.t.ppf(0.025, 11))
    expected = 2 * stats.norm.ppf(1 - tail) * variance**0.5
    assert high - low == pytest.approx(expected, rel=0.05)
    assert (low + high) / 2 == pytest.approx((seeds + items).mean(), abs=0.1 * expected)


def test_intervals_for_new_seeds_and_items_cover_the_mean() -> None:
    draw = np.random.default_rng(8)
    covered = 0
    for _ in range(300):
        shape = (10, 30)
        gaps = draw.normal(0, 1, (10, 1)) + draw.normal(0, 3, (1, 30)) + draw.normal(0, 3, shape)
        low, high = crossed_bootstrap(gaps, seed=int(draw.integers(2**31)), resamples=500)
        covered += low <= 0 <= high
    assert covered / 300 >= 0.92  # wide by construction where seed and item interact
