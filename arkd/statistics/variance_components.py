"""Variance components: how much of a score's spread seeds, decodings and test items make.

The model of one method's scores on one test set, S training seeds, each decoded D times, I items:

    y[s, d, i] = μ + a[s] + b[s, d] + c[i] + (ac)[s, i] + e[s, d, i]

with independent effects of mean 0. Decoding seeds are nested in training seeds: decoding 1 of two
students shares nothing but its number. Items are crossed with both, since every student answers the
same ones. (ac) is what one student makes of one item, whatever the decoding; e is the rest, the
chance of one sampled answer. All effects are random: seeds, decodings and items stand for those
that could have been drawn instead.

The components are estimated by equating the mean squares of the balanced analysis of variance with
what they are expected to be (method of moments):

    E MS(seed)        = σ²e + D·σ²ac + I·σ²b + D·I·σ²a      S − 1 degrees of freedom
    E MS(decoding)    = σ²e          + I·σ²b                S(D − 1)
    E MS(item)        = σ²e + D·σ²ac + S·D·σ²c              I − 1
    E MS(seed × item) = σ²e + D·σ²ac                        (S − 1)(I − 1)
    E MS(rest)        = σ²e                                 S(D − 1)(I − 1)

The solutions have no bias and can fall below 0 where a component is small.

Source: S. R. Searle, G. Casella, C. E. McCulloch, Variance Components, 1992, chapters 4 and 5;
the same decomposition is a G study (L. J. Cronbach et al., The Dependability of Behavioral
Measurements, 1972), `one_more` its D study.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from arkd import exact
from arkd.errors import ArkdError


@dataclass(frozen=True)
class MeanSquares:
    """The mean squares of the balanced analysis of variance, in squared points."""

    training_seed: float
    decoding_seed: float
    item: float
    seed_item: float
    rest: float


@dataclass(frozen=True)
class Components:
    """Variances by source, in squared points of the metric.

    As estimated they may be negative; `cut` puts those at 0.
    """

    training_seed: float
    decoding_seed: float
    item: float
    seed_item: float
    rest: float

    def __iter__(self) -> Iterator[float]:
        """Yield the variances in the order of `SOURCES`."""
        return (getattr(self, name) for name in SOURCES)

    @property
    def total(self) -> float:
        """The variance of one score: of a random item, sampled once from a random student."""
        return math.fsum(self)

    def cut(self) -> Components:
        """Return the components with negative estimates put at 0."""
        return Components(*(max(0.0, value) for value in self))


SOURCES = tuple(field.name for field in fields(Components))
WORLD = "world"  # with its teacher: the source beyond those of one world


@dataclass(frozen=True)
class Design:
    """How many training seeds, decodings of each and test items a mean rests on."""

    seeds: int
    decodings: int
    items: int


def mean_squares(scores: np.ndarray) -> MeanSquares:
    """Return the mean squares of one method's scores.

    Args:
        scores: Shape [seeds, decodings, items], two or more of each, none missing.

    Raises:
        ArkdError: there are fewer, or a score is not finite.
    """
    y = np.asarray(scores, dtype=float)
    if y.ndim != 3 or min(y.shape) < 2 or not np.isfinite(y).all():
        raise ArkdError(
            f"variance components need two seeds, two decodings and two items or more, and finite "
            f"scores; got {' × '.join(map(str, y.shape))}"
        )
    s, d, i = y.shape
    grand = exact.mean(y)
    seed = exact.means(y, (1, 2), keepdims=True)
    decoding = exact.means(y, 2, keepdims=True)
    item = exact.means(y, (0, 1), keepdims=True)
    both = exact.means(y, 1, keepdims=True)  # of a seed and an item

    def square(residual: np.ndarray, repeats: int, freedom: int) -> float:
        return repeats * exact.square_sum(residual) / freedom

    return MeanSquares(
        training_seed=square(seed - grand, d * i, s - 1),
        decoding_seed=square(decoding - seed, i, s * (d - 1)),
        item=square(item - grand, s * d, i - 1),
        seed_item=square(both - seed - item + grand, d, (s - 1) * (i - 1)),
        rest=square(y - decoding - both + seed, 1, s * (d - 1) * (i - 1)),
    )


def components(scores: np.ndarray) -> Components:
    """Return the variance components of one method's scores, negative ones as they came out.

    Args:
        scores: Shape [seeds, decodings, items], two or more of each.

    Raises:
        ArkdError: see `mean_squares`.
    """
    s, d, i = np.shape(scores) if np.ndim(scores) == 3 else (0, 0, 0)
    ms = mean_squares(scores)
    return Components(
        training_seed=_less(ms.training_seed + ms.rest, ms.decoding_seed + ms.seed_item) / (d * i),
        decoding_seed=_less(ms.decoding_seed, ms.rest) / i,
        item=_less(ms.item, ms.seed_item) / (s * d),
        seed_item=_less(ms.seed_item, ms.rest) / d,
        rest=_less(ms.rest, 0.0),
    )


def _less(a: float, b: float) -> float:
    """Return a − b; 0 where they differ by rounding alone, whose sign would say nothing."""
    return 0.0 if exact.same(a, b) else a - b


def pooled(parts: Iterable[tuple[Components, int]]) -> Components:
    """Return the mean of several methods' components, weighted by seeds − 1.

    Estimates are averaged before any is cut, so that the mean stays without bias.

    Args:
        parts: Components as estimated, and the number of training seeds behind them.
    """
    known = list(parts)
    weights = [seeds - 1 for _, seeds in known]
    values = zip(*(part for part, _ in known), strict=True)
    return Components(*(exact.weighted_mean(estimates, weights) for estimates in values))


def variance_of_mean(parts: Components, design: Design) -> Components:
    """Return what each source adds to the variance of a method's mean over a design.

    σ²a/S + σ²b/SD + σ²c/I + σ²ac/SI + σ²e/SDI. The root of the total is the standard error where
    seeds, decodings and items could all have been others. The root of the total less `item` is the
    standard error over seeds, which the tables' intervals rest on: it holds for these items.

    Args:
        parts: Components; cut, unless the result is to be averaged further.
        design: What the mean rests on.
    """
    s, d, i = design.seeds, design.decodings, design.items
    counts = (s, s * d, i, s * i, s * d * i)
    return Components(*(value / count for value, count in zip(parts, counts, strict=True)))


def one_more(parts: Components, design: Design) -> dict[str, float]:
    """Return by which share the standard error falls with one more of each kind.

    Args:
        parts: Components, cut, not all 0.
        design: What the mean rests on now.

    Returns:
        For `seeds`, `decodings` and `items`: 1 − SE(one more) / SE(now), between 0 and 1.
    """
    now = variance_of_mean(parts, design).total
    larger = {kind: replace(design, **{kind: getattr(design, kind) + 1}) for kind in vars(design)}
    return {
        kind: 1 - math.sqrt(variance_of_mean(parts, more).total / now)
        for kind, more in larger.items()
    }


def of_worlds(worlds: Sequence[np.ndarray]) -> dict[str, float]:
    """Return the variance of a world's mean by source: the world itself, and `SOURCES` within it.

    Each world has components and a design of its own; what they add to the variance of its mean is
    averaged over the worlds, and what the means vary beyond that is the world's part. A part can
    fall below 0. None is cut here: the parts of several quantities are averaged first, and their
    sum is the variance of the means between worlds.

    Args:
        worlds: Scores of each, shape [seeds, decodings, items], two or more of each.

    Raises:
        ArkdError: see `mean_squares`.
    """
    each = [variance_of_mean(components(scores), Design(*np.shape(scores))) for scores in worlds]
    within = {source: exact.mean([getattr(part, source) for part in each]) for source in SOURCES}
    means = [exact.mean(scores) for scores in worlds]
    return {WORLD: between(means, math.fsum(within.values())), **within}


def between(means: Sequence[float], within: float) -> float:
    """Return the variance between groups beyond what varies within them; it can fall below 0.

    E s²(means) = σ²(between) + the variance of a group's mean, in a balanced one-way random-effects
    model.

    Args:
        means: Of each group, two or more.
        within: The variance of a group's mean around what is expected of its group.
    """
    return exact.deviation(means) ** 2 - within
