"""What a t test of differences can decide: its p-value, and the smallest effect it would see."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import stats

from arkd import exact
from arkd.statistics.intervals import t_quantile


def p_value(values: Sequence[float], boundaries: Sequence[float]) -> float:
    """Return the smallest a at which the two-sided 1 − a t interval contains no boundary.

    Args:
        values: One difference a seed, two or more.
        boundaries: One or two; the nearer one decides.
    """
    effect = exact.mean(values)
    error = exact.deviation(values) / math.sqrt(len(values))
    scale = exact.NOISE * max(1.0, *map(abs, values))
    if error <= scale:
        return 1.0 if any(abs(effect - boundary) <= scale for boundary in boundaries) else 0.0
    return max(
        float(2 * stats.t.sf(abs(effect - boundary) / error, len(values) - 1))
        for boundary in boundaries
    )


def smallest_effect(values: Sequence[float], error_rate: float, power: float) -> float:
    """Return the effect beyond the boundary that these seeds would have seen with this power.

    sd / √n · (t[1 − a/2] + t[power]) with n − 1 degrees of freedom.
    """
    n = len(values)
    quantiles = sum(t_quantile(at, n - 1) for at in (1 - error_rate / 2, power))
    return exact.deviation(values) / math.sqrt(n) * quantiles
