"""Intervals and tests over training seeds: arrays in, numbers out.

The unit of observation is one training seed. Decoding seeds and test items are averaged within a
seed before they come here, because three checkpoints are three observations however often each
of them is decoded.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from arkd import exact
from arkd.errors import ArkdError

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its confidence interval, in the unit of the values.

    `low`, `high` and `half_width` are None where a single seed gives no interval.
    """

    mean: float
    low: float | None
    high: float | None
    half_width: float | None
    n: int


@dataclass(frozen=True)
class PairedDifference:
    """The mean of `a - b` paired by seed, its interval and the two-sided p-value.

    The interval and `p_value` are None where a single pair gives neither.
    """

    mean: float
    low: float | None
    high: float | None
    half_width: float | None
    n: int
    p_value: float | None


@functools.cache
def t_quantile(share: float, freedom: int) -> float:
    """Return the quantile of Student's t distribution; tables ask for few of them, often."""
    return float(stats.t.ppf(share, freedom))


def mean_interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> Interval:
    """Return the mean of one value per seed and its Student's t interval.

    Args:
        values: One finite number per seed, shape [n], n >= 1.
        level: Coverage of the interval, between 0 and 1.

    Raises:
        ArkdError: If there is no value or one of them is not finite.
    """
    array = _finite(values)
    n = array.size
    mean = exact.mean(array)
    if n == 1:
        return Interval(mean, None, None, None, 1)
    standard_error = exact.deviation(array) / math.sqrt(n)
    half = t_quantile(0.5 + level / 2, n - 1) * standard_error
    return Interval(mean, mean - half, mean + half, half, n)


def paired_difference(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray
) -> PairedDifference:
    """Compare two methods seed by seed with the paired t test.

    Two runs that agree in every seed have p = 1; a difference that is constant and not zero has
    the limit of the test, p = 0. Values that differ by rounding alone agree.

    Args:
        a: One value per seed, shape [n].
        b: The other method's values in the same order of seeds, shape [n].

    Raises:
        ArkdError: If the lengths differ, or a value is missing or not finite.
    """
    first, second = _finite(a), _finite(b)
    if first.size != second.size:
        raise ArkdError(f"paired comparison needs equal seeds: {first.size} against {second.size}")
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    difference = [0.0 if exact.same(x, y) else x - y for x, y in pairs]
    interval = mean_interval(difference)
    p_value: float | None = None
    if interval.n > 1:
        standard_error = exact.deviation(difference) / math.sqrt(interval.n)
        if standard_error == 0.0:
            p_value = 1.0 if interval.mean == 0.0 else 0.0
        else:
            statistic = abs(interval.mean) / standard_error
            p_value = float(2.0 * stats.t.sf(statistic, interval.n - 1))
    return PairedDifference(
        interval.mean, interval.low, interval.high, interval.half_width, interval.n, p_value
    )


def welch_p(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float | None:
    """Return the two-sided p-value of Welch's t test, of samples that nothing pairs.

    Two samples without any spread have p = 1 where they agree and 0 where they do not.

    Args:
        a: Finite numbers, shape [n].
        b: Finite numbers, shape [m].

    Returns:
        The p-value; None where either sample is a single number.

    Raises:
        ArkdError: a value is missing or not finite.

    Source: B. L. Welch, The generalization of 'Student's' problem, 1947.
    """
    first, second = _finite(a), _finite(b)
    if min(first.size, second.size) < 2:
        return None
    errors = [exact.deviation(sample) ** 2 / sample.size for sample in (first, second)]
    gap, total = exact.mean(first) - exact.mean(second), errors[0] + errors[1]
    if total == 0.0:
        return 1.0 if exact.same(exact.mean(first), exact.mean(second)) else 0.0
    sizes = (first.size - 1, second.size - 1)
    freedom = total**2 / sum(e**2 / size for e, size in zip(errors, sizes, strict=True))
    return float(2.0 * stats.t.sf(abs(gap) / math.sqrt(total), freedom))


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return p-values adjusted for multiple comparisons by Holm's step-down rule.

    Rejecting where the adjusted value is at most 0.05 keeps the chance of any false rejection in
    the family at 5 %, whatever the dependence between the comparisons.

    Args:
        p_values: The family's raw p-values, shape [m]; m = 0 gives an empty array.

    Raises:
        ArkdError: If a value lies outside 0 to 1.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    raw = np.asarray(p_values, dtype=float)
    if raw.size and not (np.isfinite(raw).all() and (raw >= 0).all() and (raw <= 1).all()):
        raise ArkdError("p-values must lie between 0 and 1")
    order = np.argsort(raw, kind="stable")
    factors = np.arange(raw.size, 0, -1)
    stepped = np.minimum(np.maximum.accumulate(raw[order] * factors), 1.0)
    adjusted = np.empty_like(raw)
    adjusted[order] = stepped
    return adjusted


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the values [n] in float64, or say why they cannot be used."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1:
        raise ArkdError(f"values to average: one for each observation, not shape {array.shape}")
    if array.size == 0:
        raise ArkdError("no values to average")
    if not np.isfinite(array).all():
        raise ArkdError("values to average must be finite numbers")
    return array
