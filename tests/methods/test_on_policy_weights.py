"""vOPD and IW-OPD: the sampled gradient with a baseline, and with weights along a response."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import oracles
import pytest
import torch
from arkd_baselines.iw_opd import disputed
from tiny_steps import ROWS, Dense, V, assert_same, make_step, of_responses, tools_of
from torch import Tensor

from arkd.method import Responses
from arkd.suite.registry import method_class
from arkd.training.step_tools import StepTools


def log_ratios(dense: Dense) -> tuple[Tensor, Tensor]:
    """log q(y), and log q(y) − log p(y) without gradient."""
    log_q = dense.of_labels(dense.student).log()
    return log_q, (log_q - dense.of_labels(dense.teacher).log()).detach()


@pytest.mark.parametrize("top_k", [None, 1, 4, 50])
def test_vopd_descends_the_log_ratio_less_its_closed_form_mean(top_k: int | None) -> None:
    step = make_step("vopd", {"baseline_top_k": top_k})
    responses = tools_of(step, at=2).sample()
    loss, _ = step(2, ROWS)
    dense = of_responses(step, responses)
    p, q = dense.both(1.0)
    kept = q.argsort(descending=True)[:, : top_k or V]
    q_k, p_k = (x.gather(1, kept) for x in (q, p))
    baseline = oracles.kl(q_k / q_k.sum(-1, keepdim=True), p_k / p_k.sum(-1, keepdim=True)).detach()
    log_q, ratio = log_ratios(dense)
    expected = ratio + (ratio - baseline) * (log_q - log_q.detach())
    assert_same(loss, step, expected.mean(), dense)


@pytest.mark.parametrize("top_k", [None, 3])
def test_vopd_has_the_gradient_of_the_reverse_kl_in_mean(
    top_k: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every next token in turn, weighed by its probability: the baseline adds no bias."""
    params = {"baseline_top_k": top_k}
    dense = Dense(make_step("vopd", params), [ROWS[0]], [[2]])
    p, q = dense.both(1.0)
    exact = oracles.kl(q, p).mean()
    exact.backward()
    means: list[Any] = [torch.zeros_like(w).double() for w in dense.model.parameters()]
    value = 0.0
    for token in range(V):
        monkeypatch.setattr(StepTools, "_draw", lambda *_, token=token, **__: [[token]])
        step = make_step("vopd", params)
        loss, _ = step(0, [ROWS[0]])
        loss.backward()
        share = q[0, token].item()
        value += share * loss.item()
        for mean, weight in zip(means, step.model.parameters(), strict=True):
            mean += share * weight.grad.double()
    assert value == pytest.approx(exact.item(), abs=1e-5)
    for mean, weight in zip(means, dense.model.parameters(), strict=True):
        assert torch.allclose(mean, weight.grad, atol=2e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 4.0])
def test_iw_opd_weighs_by_the_share_of_disagreement_still_to_come(gamma: float) -> None:
    step = make_step("iw_opd", {"gamma": gamma})
    responses = tools_of(step, at=2).sample()
    loss, log = step(2, ROWS)
    dense = of_responses(step, responses)
    log_q, ratio = log_ratios(dense)
    weights = []
    for own in ratio.abs().split(dense.lengths):
        to_come = own.flip(0).cumsum(0).flip(0)  # a token's own included
        weights.append(1 + gamma * to_come / own.sum())
    weight = torch.cat(weights)
    assert log["mean_weight"] == pytest.approx(weight.mean().item(), abs=1e-5)
    assert_same(loss, step, (weight * ratio * (1 + log_q - log_q.detach())).mean(), dense)


def test_the_disputed_share_starts_at_0_and_rises_within_each_response() -> None:
    sequence = torch.tensor([0, 0, 0, 1, 1, 2])
    responses = Responses([0, 1, 2], torch.zeros(6, dtype=torch.long), sequence, None, None)
    found = disputed(torch.tensor([1.0, 2.0, 1.0, 0.0, 0.0, 5.0]), responses)
    assert found.tolist() == [0.0, 0.25, 0.75, 0.0, 0.0, 0.0]
    assert all(a <= b for a, b in pairwise(found[:3].tolist()))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("vopd", {"baseline_top_k": 0}, "baseline_top_k must be at least 1"),
        ("iw_opd", {"gamma": -0.1}, "gamma must be 0 or more"),
        ("iw_opd", {"gamma": float("nan")}, "gamma must be 0 or more"),
    ],
)
def test_bad_settings_are_refused(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method_class(name)(**params)
