"""What each test item in distribution stands for: its share of the data, by its chance of a draw.

Test items are drawn without replacement, so popular questions come at most once and the plain mean
over items is one over more rare questions than the data has. The weighted mean (Hájek's
estimator) is that over a question of the students' data.
"""

from __future__ import annotations

import random

import numpy as np

from arkd.data.longtail.drawn_world import make_world
from arkd.data.longtail.held_out import TEST_SETS
from arkd.data.longtail.questions import LongtailSpec, Question, pick, usual_questions
from arkd.seeding import derive_seed
from arkd.statistics.inclusion import inclusion_probabilities
from arkd.suite.suite import Suite


def item_weights(suite: Suite) -> np.ndarray | None:
    """Return the weights of the items of a suite's test set in distribution, with sum 1: [items].

    None where the chance of an item is not known: in data that were not generated.
    """
    spec = suite.data
    if not isinstance(spec, LongtailSpec) or suite.test_sets[0] != TEST_SETS[0]:
        return None
    shares = usual_questions(spec, make_world(spec))
    chances = inclusion_probabilities(np.array([*shares.values()]), spec.test_items)
    chance = dict(zip(shares, chances, strict=True))
    weights = np.array([shares[question] / chance[question] for question in drawn(spec, shares)])
    return weights / weights.sum()


def drawn(spec: LongtailSpec, shares: dict[Question, float]) -> list[Question]:
    """Return the questions of the test set in distribution in its order, which a seed decides."""
    rng = random.Random(derive_seed("longtail", spec.world_seed, TEST_SETS[0]))
    return pick(rng, shares, spec.test_items)
