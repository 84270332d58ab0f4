"""Intervals of statistics that are no mean: jackknife for few seeds, bootstrap for enough.

Every draw comes from a generator of its own, seeded by the caller with `arkd.seeding.derive_seed`,
so that a table has the same bytes on every run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from arkd import exact
from arkd.errors import ArkdError
from arkd.statistics.intervals import LEVEL, t_quantile

# Fewer are too few to bootstrap. A resample draws from the n seeds themselves, so its spread is too
# small by (n − 1)/n and its tails end at the outermost seed: of three seeds there are ten different
# resamples, and the percentile interval of a mean covers it in three cases of four instead of 95 %.
BOOTSTRAP_SEEDS = 10
RESAMPLES = 10_000

Statistic = Callable[..., np.ndarray]  # of arrays [..., runs, tasks], a number for each leading row


@dataclass(frozen=True)
class Estimate:
    """A statistic of all runs with its interval, which need not be symmetric.

    `low` and `high` are None where a single seed, or seeds without any spread, give no interval.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def seed_interval(
    statistic: Statistic,
    *scores: np.ndarray,
    seed: int,
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    """Return a statistic with the 95 % interval that the number of seeds allows.

    From `BOOTSTRAP_SEEDS` on it is the bootstrap over seeds, below that the t interval of the
    jackknife, which of a mean is the t interval of the seeds' means.

    A share (a statistic with `bounds`) that stands at its bound has no spread to estimate an
    interval from: every seed says the same. It has the exact binomial bound of n successes in n
    trials, (a/2)^(1/n) away from the other end (Clopper and Pearson, 1934).

    Args:
        statistic: Of one or several score matrices [..., runs, tasks].
        scores: The matrices, paired by row: row k of each belongs to the same training seed.
        seed: Of the resamples.
        bounds: The smallest and the largest value that the statistic can have.

    Raises:
        ArkdError: the matrices differ in their runs, or have none.
    """
    n = _runs(scores)
    value = float(statistic(*scores))
    if n == 1:
        return Estimate(value, None, None, 1)
    if bounds and value in bounds:
        reach = ((1 - LEVEL) / 2) ** (1 / n) * (bounds[1] - bounds[0])
        low = bounds[0] + (reach if value == bounds[1] else 0.0)
        high = bounds[1] - (reach if value == bounds[0] else 0.0)
        return Estimate(value, low, high, n)
    if n < BOOTSTRAP_SEEDS:
        low, high = jackknife(statistic, *scores)
    else:
        low, high = bootstrap(statistic, *scores, seed=seed)
    if exact.same(low, high):  # a share of few pairs that by chance no seed moves still has error
        return Estimate(value, None, None, n)
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Estimate(value, low, high, n)


def jackknife(statistic: Statistic, *scores: np.ndarray) -> tuple[float, float]:
    """Return the 95 % t interval of a statistic from its values without each seed in turn.

    The pseudo-value of a seed is n·θ − (n − 1)·θ', with θ' the statistic without it. Their spread
    stands for that of the seeds, with n − 1 degrees of freedom. Of a mean they are the seeds' own
    values.

    Source: J. W. Tukey, Bias and confidence in not-quite large samples, 1958; for trimmed means
    Tukey and McLaughlin, 1963.

    Raises:
        ArkdError: fewer than two runs, or the matrices differ in their runs.
    """
    n = _runs(scores)
    if n < 2:
        raise ArkdError("a jackknife needs two runs or more")
    value = float(statistic(*scores))
    without = [
        float(statistic(*(np.delete(part, run, axis=0) for part in scores))) for run in range(n)
    ]
    pseudo = n * value - (n - 1) * np.array(without)
    half = t_quantile(0.5 + LEVEL / 2, n - 1) * exact.deviation(pseudo) / math.sqrt(n)
    return value - half, value + half


def bootstrap(
    statistic: Statistic, *scores: np.ndarray, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a statistic over runs.

    Here a run is one student that sits every test, and both methods of a comparison have the same
    seeds. So a run is drawn as a whole, with its row in every task and in every matrix. rliable
    draws anew in each task and each matrix, since its runs on two games are two trainings. For our
    runs that is too narrow for one method, which is good or bad on several tests together, and too
    wide for two methods that share their seeds.

    The percentiles are expanded: at the normal tail of √(n/(n − 1))·t[a/2, n − 1] instead of a/2,
    which makes good the resamples' lack of spread and of tails in small samples.

    Args:
        statistic: Of one or several matrices [..., runs, tasks].
        scores: The matrices, of equal runs.
        seed: Of the generator.
        resamples: How many.

    Raises:
        ArkdError: fewer than `BOOTSTRAP_SEEDS` runs, or the matrices differ in their runs.

    Source: T. C. Hesterberg, What Teachers Should Know About the Bootstrap, 2015, section 5.3
    (expanded percentiles).
    """
    arrays = [np.asarray(part, dtype=float) for part in scores]
    n = _runs(arrays)
    _enough(n)
    rows = np.random.default_rng(seed).integers(n, size=(resamples, n))
    return _expanded(statistic(*(part[rows] for part in arrays)), n)


def crossed_bootstrap(
    differences: np.ndarray, *, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the 95 % interval of a paired difference for new seeds and new items at once.

    Rows and columns are drawn independently (the pigeonhole bootstrap): a difference that a few
    items make, or a few seeds, has a wide interval. What is left between seed and item counts
    more than once, so the interval errs on the wide side.

    Args:
        differences: a − b of each seed and item, decoding seeds averaged, shape [seeds, items].
        seed: Of the generator.
        resamples: How many.

    Raises:
        ArkdError: fewer than `BOOTSTRAP_SEEDS` seeds.

    Source: A. B. Owen, The pigeonhole bootstrap, Annals of Applied Statistics, 2007.
    """
    array = np.asarray(differences, dtype=float)
    seeds, items = array.shape
    # A hundred million products: BLAS may order their sums as it likes if none of them is rounded.
    array = exact.on_grid(array, seeds * items)
    _enough(seeds)
    draw = np.random.default_rng(seed)
    # How often each seed and each item is drawn, which is all that a mean needs to know.
    rows = draw.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
    columns = draw.multinomial(items, np.full(items, 1 / items), size=resamples)
    means = ((rows @ array) * columns).sum(axis=1) / (seeds * items)
    return _expanded(means, seeds)


def _expanded(values: np.ndarray, n: int) -> tuple[float, float]:
    """Return the expanded percentiles of resampled values of a statistic of n runs."""
    tail = float(stats.norm.cdf(math.sqrt(n / (n - 1)) * t_quantile((1 - LEVEL) / 2, n - 1)))
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _runs(scores: tuple[np.ndarray, ...] | list[np.ndarray]) -> int:
    """Return the number of runs that all matrices share."""
    counts = {len(part) for part in scores}
    if len(counts) != 1 or counts == {0}:
        raise ArkdError(f"score matrices need the same runs, one at least: {sorted(counts)}")
    return counts.pop()


def _enough(n: int) -> None:
    if n < BOOTSTRAP_SEEDS:
        raise ArkdError(f"{n} seeds are too few to bootstrap, {BOOTSTRAP_SEEDS} are needed")
