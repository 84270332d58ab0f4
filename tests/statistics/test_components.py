"""Variance components against sums worked out by hand, nested regressions and planted effects."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from arkd.errors import ArkdError
from arkd.statistics.variance_components import (
    SOURCES,
    WORLD,
    Components,
    Design,
    components,
    mean_squares,
    of_worlds,
    one_more,
    pooled,
    variance_of_mean,
)

PLANTED = Components(training_seed=4.0, decoding_seed=1.0, item=9.0, seed_item=6.0, rest=16.0)


def planted(
    draw: np.random.Generator, parts: Components, s: int, d: int, i: int, mean: float = 50.0
) -> np.ndarray:
    """Scores [seeds, decodings, items] with independent normal effects."""
    shapes = ((s, 1, 1), (s, d, 1), (1, 1, i), (s, 1, i), (s, d, i))
    return mean + sum(v**0.5 * draw.normal(size=n) for v, n in zip(parts, shapes, strict=True))


def test_components_by_hand() -> None:
    # Seeds 1, 2; two decodings each; two items. Cell means: seed 1: 3 and 5, seed 2: 7 and 13.
    scores = np.array([[[2.0, 4.0], [4.0, 6.0]], [[6.0, 13.0], [8.0, 13.0]]])
    ms = mean_squares(scores)
    # Means: all 7; seeds 4, 10; decodings 3, 5, 9.5, 10.5; items 5, 9.
    assert ms.training_seed == pytest.approx(4 * (9 + 9) / 1)
    assert ms.decoding_seed == pytest.approx(2 * (1 + 1 + 0.25 + 0.25) / 2)
    assert ms.item == pytest.approx(4 * (4 + 4) / 1)
    assert ms.seed_item == pytest.approx(2 * (1 + 1 + 1 + 1) / 1)
    # Rest: y − decoding − cell + seed = 0 four times in seed 1, then ∓0.5, ±0.5.
    assert ms.rest == pytest.approx(4 * 0.25 / 2)
    found = components(scores)
    assert found.rest == pytest.approx(0.5)
    assert found.seed_item == pytest.approx((8 - 0.5) / 2)
    assert found.item == pytest.approx((32 - 8) / 4)
    assert found.decoding_seed == pytest.approx((2.5 - 0.5) / 2)
    assert found.training_seed == pytest.approx((72 - 2.5 - 8 + 0.5) / 4)


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 3, 7), (5, 2, 4)])
def test_mean_squares_are_those_of_nested_regressions(shape: tuple[int, int, int]) -> None:
    """Each sum of squares is what the residual loses as the next effect enters least squares."""
    s, d, i = shape
    scores = planted(np.random.default_rng(s), PLANTED, s, d, i)
    cells = list(product(range(s), range(d), range(i)))

    def indicators(label: object) -> np.ndarray:
        kinds = sorted({label(cell) for cell in cells})  # type: ignore[operator]
        return np.array([[label(cell) == kind for kind in kinds] for cell in cells], float)  # type: ignore[operator]

    effects = [
        ("training_seed", lambda c: c[0]),
        ("item", lambda c: c[2]),
        ("decoding_seed", lambda c: (c[0], c[1])),
        ("seed_item", lambda c: (c[0], c[2])),
    ]
    y, design = scores.ravel(), np.ones((len(cells), 1))

    def fit() -> tuple[float, int]:
        solution, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
        return float(((y - design @ solution) ** 2).sum()), int(rank)

    found = mean_squares(scores)
    left, rank = fit()
    for name, label in effects:
        design = np.hstack([design, indicators(label)])
        next_left, next_rank = fit()
        expected = (left - next_left) / (next_rank - rank)
        assert getattr(found, name) == pytest.approx(expected, rel=1e-8), name
        left, rank = next_left, next_rank
    assert found.rest == pytest.approx(left / (len(cells) - rank), rel=1e-8)


def test_sums_of_squares_by_loops_add_up_to_the_total() -> None:
    s, d, i = 3, 4, 5
    y = planted(np.random.default_rng(9), PLANTED, s, d, i)
    total = sum((y[a, b, c] - y.mean()) ** 2 for a, b, c in product(range(s), range(d), range(i)))
    ms = mean_squares(y)
    freedom = (s - 1, s * (d - 1), i - 1, (s - 1) * (i - 1), s * (d - 1) * (i - 1))
    assert sum(freedom) == s * d * i - 1
    parts = [getattr(ms, name) * df for name, df in zip(SOURCES, freedom, strict=True)]
    assert sum(parts) == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("shape", [(3, 3, 60), (10, 3, 20)])
def test_planted_components_are_found_without_bias(shape: tuple[int, int, int]) -> None:
    draw = np.random.default_rng(shape[0])
    found = np.array([[*components(planted(draw, PLANTED, *shape))] for _ in range(2000)])
    error = found.std(axis=0, ddof=1) / len(found) ** 0.5
    assert (np.abs(found.mean(axis=0) - [*PLANTED]) < 4 * error).all()


@pytest.mark.parametrize("absent", SOURCES)
def test_an_absent_source_is_estimated_around_zero(absent: str) -> None:
    parts = Components(**{name: 0.0 if name == absent else 4.0 for name in SOURCES})
    draw = np.random.default_rng(1)
    shape = (5, 3, 12)
    found = np.array(
        [getattr(components(planted(draw, parts, *shape)), absent) for _ in range(1000)]
    )
    assert abs(found.mean()) <= 4 * found.std(ddof=1) / 1000**0.5 + 1e-9
    if absent != "rest":
        assert (found < 0).any()


def test_what_rounding_alone_makes_is_no_component() -> None:
    items = np.random.default_rng(4).uniform(0, 100, size=50)
    found = components(np.broadcast_to(items, (3, 3, 50)))  # all answer each item alike
    assert found == Components(0.0, 0.0, found.item, 0.0, 0.0)
    assert found.item == pytest.approx(items.var(ddof=1), rel=1e-12)


def test_no_order_of_seeds_decodings_or_items_changes_a_bit() -> None:
    draw = np.random.default_rng(5)
    scores = planted(draw, PLANTED, 4, 3, 30)
    for _ in range(5):
        turned = scores[draw.permutation(4)][:, draw.permutation(3)][..., draw.permutation(30)]
        assert components(turned) == components(scores)


def test_what_is_estimated_below_zero_is_cut() -> None:
    parts = Components(-0.5, 1.0, 2.0, -0.1, 3.0)
    assert parts.cut() == Components(0.0, 1.0, 2.0, 0.0, 3.0)
    assert parts.cut().total == 6.0


def test_pooling_weighs_by_seeds_less_one_and_cuts_nothing() -> None:
    first, second = Components(4, 1, 0, 2, 8), Components(-2, 1, 6, 2, 2)
    assert pooled([(first, 10), (second, 4)]) == Components(2.5, 1.0, 1.5, 2.0, 6.5)
    assert pooled([(second, 3)]) == second


def test_the_error_of_a_mean_by_hand() -> None:
    found = variance_of_mean(PLANTED, Design(seeds=10, decodings=3, items=60))
    assert found == Components(4 / 10, 1 / 30, 9 / 60, 6 / 600, 16 / 1800)


@pytest.mark.parametrize("world", [0.0, 1.5])
@pytest.mark.parametrize("parts", [PLANTED, Components(0.0, 0.0, 9.0, 6.0, 16.0)])
def test_sources_of_a_worlds_mean_are_found_without_bias(parts: Components, world: float) -> None:
    """Cut before it is averaged, seed and decoding would come out too large, the world too small.

    The third world has lost a training seed, so its mean rests on fewer than the others'.
    """
    draw = np.random.default_rng(3)
    shapes = [(4, 2, 12), (4, 2, 12), (3, 2, 12), (4, 2, 12)]
    found = []
    for _ in range(1500):
        means = 50 + world**0.5 * draw.normal(size=len(shapes))
        worlds = [
            planted(draw, parts, *shape, mean=mean)
            for shape, mean in zip(shapes, means, strict=True)
        ]
        sources = of_worlds(worlds)
        of_means = np.var([scores.mean() for scores in worlds], ddof=1)
        assert sum(sources.values()) == pytest.approx(of_means)
        found.append([*sources.values()])
    within = [[*variance_of_mean(parts, Design(*shape))] for shape in shapes]
    expected = [world, *np.mean(within, axis=0)]
    assert [*sources] == [WORLD, *SOURCES]
    error = np.std(found, axis=0, ddof=1) / len(found) ** 0.5
    assert (np.abs(np.mean(found, axis=0) - expected) < 4 * error).all()


@pytest.mark.parametrize("over_items", [True, False])
def test_the_error_of_a_mean_is_that_of_repeated_experiments(over_items: bool) -> None:
    draw = np.random.default_rng(2)
    s, d, i = 4, 3, 10
    fixed = draw.normal(size=(1, 1, i)) * 3
    parts = PLANTED if over_items else Components(4.0, 1.0, 0.0, 6.0, 16.0)
    means = [
        (planted(draw, parts, s, d, i) + (0 if over_items else fixed)).mean() for _ in range(4000)
    ]
    expected = variance_of_mean(parts, Design(s, d, i)).total
    assert np.var(means, ddof=1) == pytest.approx(expected, rel=4 * (2 / 4000) ** 0.5)


def test_without_items_it_is_the_error_of_an_interval_over_seeds() -> None:
    draw = np.random.default_rng(3)
    s, d, i = 6, 3, 20
    squares = [
        planted(draw, PLANTED, s, d, i).mean(axis=(1, 2)).var(ddof=1) / s for _ in range(2000)
    ]
    of_mean = variance_of_mean(PLANTED, Design(s, d, i))
    error = np.std(squares) / 2000**0.5
    assert np.mean(squares) == pytest.approx(of_mean.total - of_mean.item, abs=4 * error)


def test_one_more_of_each_by_hand() -> None:
    # Only seeds and items differ: variance 4/4 + 9/3 = 4, SE 2.
    parts = Components(4.0, 0.0, 9.0, 0.0, 0.0)
    gain = one_more(parts, Design(seeds=4, decodings=2, items=3))
    assert gain["seeds"] == pytest.approx(1 - (4 / 5 + 3) ** 0.5 / 2)
    assert gain["items"] == pytest.approx(1 - (1 + 9 / 4) ** 0.5 / 2)
    assert gain["decodings"] == 0.0


def test_more_decodings_never_reach_below_the_seeds() -> None:
    huge = variance_of_mean(PLANTED, Design(3, 10**9, 10**9)).total
    assert huge == pytest.approx(PLANTED.training_seed / 3, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 3, 4), (3, 1, 4), (3, 3, 1), (3, 4)])
def test_a_design_that_cannot_part_the_sources_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArkdError, match="two seeds, two decodings and two items"):
        components(np.arange(float(np.prod(shape))).reshape(shape))


def test_a_score_that_is_no_number_is_refused() -> None:
    scores = np.ones((2, 2, 2))
    scores[0, 1, 1] = np.nan
    with pytest.raises(ArkdError, match="finite"):
        components(scores)
