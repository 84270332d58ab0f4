"""Bridge-Garden hybrids: what weighs both parts."""

from __future__ import annotations

from typing import Any

import oracles
import pytest
from tiny_steps import ROWS, SETTINGS, Dense, V, assert_same, make_step

from arkd.suite.registry import method_class


def of_teacher(step: Any) -> Dense:
    tokens = step.sources.sets["teacher"].tokens
    return Dense(step, ROWS, [list(tokens.response(row)) for row in ROWS])


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("scheme", ["confidence", "entropy"])
def test_the_teachers_certainty_at_temperature_1_weighs_the_parts(
    scheme: str, temperature: float
) -> None:
    step = make_step("bridge_garden", {"scheme": scheme}, temperature=temperature)
    loss, _ = step(0, ROWS)
    dense = of_teacher(step)
    p, _ = dense.both(1.0)
    if scheme == "confidence":
        soft = 1 - dense.of_labels(dense.teacher)
    else:
        soft = ((p**0.1).sum(-1) - 1) / (V**0.9 - 1)
    softened = dense.both(temperature)
    hard = -dense.of_labels(dense.student).log()
    assert_same(loss, step, (soft * oracles.kl(*softened) + (1 - soft) * hard).mean(), dense)


@pytest.mark.parametrize(("at", "share"), [(0, 0.0), (3, 0.75), (4, 1.0), (9, 1.0)])
def test_the_curriculum_rises_linearly_to_its_greatest_weight(at: int, share: float) -> None:
    params = {"scheme": "curriculum", "warmup": 0.4, "soft_weight": 0.6}
    step = make_step("bridge_garden", params, steps=10)
    loss, _ = step(at, ROWS)
    dense = of_teacher(step)
    soft = 0.6 * share
    hard = -dense.of_labels(dense.student).log()
    p, q = dense.both(SETTINGS.temperature)
    assert_same(loss, step, (soft * oracles.kl(p, q) + (1 - soft) * hard).mean(), dense)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"scheme": "risk"}, "scheme must be confidence, entropy or curriculum"),
        ({"exponent": 1.0}, "exponent must lie in"),
        ({"warmup": 0.0}, "warmup must lie in"),
        ({"soft_weight": 1.5}, "soft_weight must lie in"),
    ],
)
def test_bad_settings_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method_class("bridge_garden")(**params)
