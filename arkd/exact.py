"""Sums that are the same on every processor: exact, and rounded once.

A sum of floats depends on the order of its additions, which numpy, pandas and BLAS choose by the
processor's vectors. `math.fsum` rounds the exact sum, so that no order matters. What is published
is summed by these functions; the single operations between (−, ×, ÷, √) are rounded the same way
everywhere (IEEE 754). What is left are `exp`, `log` and the quantiles of scipy, whose last bit may
differ: values are written with fewer digits than that reaches (`arkd.storage.records.significant`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Numbers = Sequence[float] | np.ndarray

# Of numbers near 1: what differs by less differs by rounding alone. Sums, differences and means of
# a few numbers are off by some 1e-16 of the largest of them.
NOISE = 1e-12


def mean(values: Numbers) -> float:
    """Return the mean of all values, whatever their shape."""
    numbers = _flat(values)
    return math.fsum(numbers) / len(numbers)


def means(values: Numbers, axis: int | tuple[int, ...], keepdims: bool = False) -> np.ndarray:
    """Return the means over one axis or several, as `numpy.mean` does."""
    array = np.asarray(values, dtype=float)
    axes = (axis,) if isinstance(axis, int) else axis
    moved = np.moveaxis(array, axes, range(-len(axes), 0))
    kept, summed = moved.shape[: -len(axes)], moved.shape[-len(axes) :]
    rows = moved.reshape(math.prod(kept), math.prod(summed)).tolist()
    found = np.array([math.fsum(row) / len(row) for row in rows]).reshape(kept)
    return np.expand_dims(found, axes) if keepdims else found[()]  # of no axis, a number


def weighted_mean(values: Numbers, weights: Numbers) -> float:
    """Return Σ wᵢxᵢ / Σ wᵢ."""
    numbers, counts = _flat(values), _flat(weights)
    products = [value * weight for value, weight in zip(numbers, counts, strict=True)]
    return math.fsum(products) / math.fsum(counts)


def square_sum(values: Numbers) -> float:
    """Return the sum of squares of all values."""
    return math.fsum(value * value for value in _flat(values))


def deviation(values: Numbers) -> float:
    """Return the standard deviation of a sample of two values or more (n − 1 below)."""
    numbers = _flat(values)
    centre = mean(numbers)
    return math.sqrt(square_sum([value - centre for value in numbers]) / (len(numbers) - 1))


def on_grid(values: np.ndarray, terms: int) -> np.ndarray:
    """Return values with so few bits that every sum of `terms` of them is exact in any order.

    For sums too many for `math.fsum`, which numpy and BLAS then do without rounding. Of n terms
    each value loses what lies below n · 2⁻⁵² of the largest.
    """
    largest = float(np.abs(values).max(initial=0.0))
    step = math.ldexp(1.0, math.frexp(largest * terms)[1] - 52)
    return np.asarray(np.rint(values / step) * step)


def same(a: float, b: float) -> bool:
    """Tell whether two numbers differ by rounding alone, if at all."""
    return abs(a - b) <= NOISE * max(1.0, abs(a), abs(b))


def _flat(values: Numbers) -> list[float]:
    numbers: list[float] = np.asarray(values, dtype=float).ravel().tolist()
    return numbers
