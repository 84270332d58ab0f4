"""Sums are exact, rounded once, and so the same in every order."""

from __future__ import annotations

import math
import random
import statistics
from fractions import Fraction

import numpy as np
import pytest

from arkd import exact

# Numbers of very different size, whose sum in floats depends on the order.
AWKWARD = [1e16, 1.0, -1e16, 0.1, 3e-17, 2.0**53, -(2.0**53), 1 / 3, -7e9]


def exact_sum(values: list[float]) -> Fraction:
    return sum(map(Fraction, values), Fraction(0))


def drawn(key: int, n: int) -> list[float]:
    draw = random.Random(key)
    return [draw.gauss(50, 20) * 10 ** draw.randint(-6, 3) for _ in range(n)]


@pytest.mark.parametrize("values", [AWKWARD, drawn(1, 7), drawn(2, 1000)], ids=len)
def test_the_mean_is_the_exact_sum_rounded_once(values: list[float]) -> None:
    assert exact.mean(values) == float(exact_sum(values)) / len(values)


def test_no_order_changes_a_bit() -> None:
    draw = random.Random(3)
    values, weights = drawn(4, 500), [draw.randint(1, 9) for _ in range(500)]
    found = set()
    for _ in range(20):
        order = draw.sample(range(500), 500)
        own, of = [values[i] for i in order], [weights[i] for i in order]
        found.add((exact.mean(own), exact.deviation(own), exact.weighted_mean(own, of)))
    assert len(found) == 1
    assert len({float(np.sum(draw.sample(values, 500))) for _ in range(20)}) > 1  # as numpy's does


@pytest.mark.parametrize("n", [2, 3, 10, 500])
def test_the_deviation_is_that_of_the_sample(n: int) -> None:
    values = drawn(n, n)
    assert exact.deviation(values) == pytest.approx(statistics.stdev(values), rel=1e-15)


def test_the_deviation_of_close_values_is_not_lost_to_their_size() -> None:
    values = [1e8 + step for step in (0.0, 1.0, 2.0)]
    assert exact.deviation(values) == 1.0


def test_the_weighted_mean_is_that_of_repeated_values() -> None:
    repeated = [Fraction(v) for v, n in ((0.1, 3), (0.7, 5), (2.5, 2)) for _ in range(n)]
    expected = float(sum(repeated) / len(repeated))
    assert exact.weighted_mean([0.1, 0.7, 2.5], [3, 5, 2]) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, (0, 1), (1, 2), (0, 2), (2, 0), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_means_lie_where_numpy_has_them(axis: int | tuple[int, ...], keepdims: bool) -> None:
    array = np.random.default_rng(5).normal(size=(3, 4, 5))
    found = exact.means(array, axis, keepdims)
    expected = array.mean(axis=axis, keepdims=keepdims)
    assert found.shape == expected.shape
    assert found == pytest.approx(expected, rel=1e-12)


def test_means_over_an_axis_are_the_means_of_its_rows() -> None:
    array = np.array([AWKWARD, AWKWARD[::-1]])
    assert exact.means(array, 1).tolist() == [exact.mean(AWKWARD)] * 2


def test_on_the_grid_every_order_has_the_same_sum_and_little_is_lost() -> None:
    values = np.random.default_rng(6).normal(0, 10, size=2000)
    counts = np.random.default_rng(7).integers(0, 3, size=2000)
    own = exact.on_grid(values, 4000)
    assert np.abs(own - values).max() <= np.abs(values).max() * 4000 * 2.0**-52
    products = (own * counts).tolist()
    expected = exact_sum(products)
    assert exact_sum([float(own @ counts), -float(expected)]) == 0
    running = 0.0
    for product in random.Random(8).sample(products, len(products)):
        running += product
    assert Fraction(running) == expected


def test_the_grid_of_zeros_is_zero() -> None:
    assert exact.on_grid(np.zeros(3), 9).tolist() == [0.0] * 3


def test_numbers_are_the_same_that_differ_by_rounding_alone() -> None:
    assert exact.same(0.1 + 0.2, 0.3)
    assert exact.same(94.2 - 80.4 - 13.8, 0.0)
    assert exact.same(1e6, math.nextafter(1e6, 2e6))
    assert not exact.same(1e-9, 0.0)
    assert not exact.same(1.0, 1.0 + 1e-9)
