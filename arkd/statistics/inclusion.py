"""How probable it is that an item is in a sample that is drawn without replacement by weight."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq


def inclusion_probabilities(weights: np.ndarray, count: int) -> np.ndarray:
    """Return the probability of each item to be among `count` drawn, each in proportion to weight.

    Drawing one after the other is a race of exponential clocks with the weights as rates, which
    ends with the `count`-th arrival: an item of rate w is in with probability 1 - exp(-w t). The
    random time t is replaced by the one at which `count` arrivals are expected; the error falls
    as 1 / count. Source: Rosén, "Asymptotic theory for order sampling", 1997.

    Args:
        weights: Positive, shape [items].
        count: How many are drawn; all of them if there are no more.

    Returns:
        Shape [items], with sum `count`.
    """
    if count >= weights.size:
        return np.ones(weights.size)
    rates = weights / weights.sum()

    def surplus(time: float) -> float:
        return float(-np.expm1(-rates * time).sum()) - count

    latest = float(count)
    while surplus(latest) < 0:
        latest *= 2
    return -np.expm1(-rates * brentq(surplus, 0.0, latest, xtol=1e-15 * latest))
