"""Cross-entropy beside KD: the temperature softens the second part alone."""

from __future__ import annotations

import oracles
import pytest
from tiny_steps import ROWS, assert_same, make_step, of_gold

from arkd.suite.registry import method_class


@pytest.mark.parametrize("weight", [0.5, 0.2])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_it_is_the_weighed_sum_of_cross_entropy_at_1_and_forward_kl_at_t(
    weight: float, temperature: float
) -> None:
    step = make_step("ce_kd", {"gold_weight": weight}, temperature=temperature)
    loss, _ = step(0, ROWS)
    dense = of_gold(step, ROWS)
    p, q = dense.both(temperature)
    cross_entropy = -dense.of_labels(dense.student).log()
    expected = weight * cross_entropy.mean() + (1 - weight) * oracles.kl(p, q).mean()
    assert_same(loss, step, expected, dense)


@pytest.mark.parametrize("weight", [0.0, 1.0, -0.5])
def test_a_weight_that_leaves_a_part_out_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="gold_weight must lie in"):
        method_class("ce_kd")(gold_weight=weight)
