"""Random sampling KD: its targets are draws from p, the same for a sample whatever its batch."""

from __future__ import annotations

import pytest
import torch
from arkd_baselines.rs_kd import frequencies, uniform
from tiny_steps import ROWS, V, assert_same, make_step, of_gold, tools_of

from arkd.suite.registry import method_class


def test_places_that_fill_the_unit_interval_evenly_give_the_teacher_back() -> None:
    p = torch.randn(6, V, generator=torch.Generator().manual_seed(1)).softmax(-1)
    rounds = 20_000
    places = ((torch.arange(rounds, dtype=torch.float64) + 0.5) / rounds).expand(6, -1)
    found = frequencies(p.log(), places.contiguous())
    assert (found - p).abs().max() < 1.01 / rounds  # of each token's interval one end is cut
    assert torch.allclose(found.sum(-1), torch.ones(6))


def test_a_token_without_mass_is_never_drawn() -> None:
    log_p = torch.tensor([[-torch.inf, 0.5, -torch.inf, 0.5, -torch.inf]]).log_softmax(-1)
    places = torch.tensor([[0.0, 0.25, 0.5, 0.75, 1 - 2**-53]], dtype=torch.float64)
    assert torch.allclose(frequencies(log_p, places), torch.tensor([[0, 0.4, 0, 0.6, 0]]))


def test_draws_belong_to_the_sample_and_the_seed() -> None:
    step = make_step("rs_kd")
    whole, part = (tools_of(step, rows=rows).responses() for rows in (ROWS, ROWS[1:3]))
    kept = torch.isin(whole.sequence_N, torch.tensor([1, 2]))
    assert torch.equal(uniform(whole, 4, 1)[kept], uniform(part, 4, 1))
    assert not torch.equal(uniform(part, 4, 1), uniform(part, 4, 2))


@pytest.mark.parametrize("rounds", [1, 7])
def test_the_gradient_on_the_logits_is_q_minus_the_frequencies(rounds: int) -> None:
    temperature = 2.0
    step = make_step("rs_kd", {"rounds": rounds}, temperature=temperature)
    loss, log = step(0, ROWS)
    dense = of_gold(step, ROWS)
    p, q = dense.both(temperature)
    target = torch.zeros_like(p)
    places = uniform(tools_of(step).responses(), rounds, step.seed)
    for at, (row, draws) in enumerate(zip(p.cumsum(-1).tolist(), places.tolist(), strict=True)):
        for draw in draws:
            target[at, sum(mass <= draw for mass in row)] += 1 / rounds
    slope = (q - target).detach() / temperature / len(p)
    value = torch.where(target > 0, target * (target / q).log(), 0.0).sum(-1).mean().detach()
    pulled = (slope * dense.student).sum()
    assert log["kept_tokens"] == pytest.approx((target > 0).sum().item() / len(p))
    assert_same(loss, step, value + pulled - pulled.detach(), dense)


def test_no_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="rounds must be at least 1"):
        method_class("rs_kd")(rounds=0)
