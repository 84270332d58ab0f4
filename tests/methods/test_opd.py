"""On-policy reverse KL: its formula, and that the sampled estimators have its gradient in mean."""

from __future__ import annotations

from typing import Any

import oracles
import pytest
import torch
from arkd_baselines.opd import discounted
from tiny_steps import ROWS, Dense, V, assert_same, make_step, of_responses, tools_of

from arkd.errors import ArkdError
from arkd.method import Context, FullStep, Responses
from arkd.suite import rows
from arkd.suite.protocol import MethodEntry
from arkd.training.distill import Step


def test_over_the_vocabulary_it_is_the_reverse_kl_of_the_students_samples() -> None:
    step = make_step("opd")
    responses = tools_of(step, at=5).sample()
    loss, log = step(5, ROWS)
    dense = of_responses(step, responses)
    p, q = dense.both(1.0)
    assert log["mean_length"] == len(dense.labels) / len(ROWS)
    assert_same(loss, step, oracles.kl(q, p).mean(), dense)


def answered(step: Step, row: list[int], token: int) -> torch.Tensor:
    """The loss of a step whose student has answered one row by one token."""
    tools = tools_of(step, 0, row)
    tools.sample = lambda: tools.replay(row, [[token]])  # type: ignore[method-assign]
    assert isinstance(step.method, FullStep)
    return step.method.loss(Context(0, 1), tools)[0]


@pytest.mark.parametrize("baseline", ["none", "closed_form"])
def test_the_mean_over_all_tokens_is_the_gradient_of_the_reverse_kl(baseline: str) -> None:
    """Every next token in turn, weighed by its probability: an expectation without a draw."""
    params = {"estimator": "sampled", "baseline": baseline}
    row = [ROWS[0]]
    dense = Dense(make_step("opd", params), row, [[2]])
    p, q = dense.both(1.0)
    exact = oracles.kl(q, p).mean()
    exact.backward()
    means: list[Any] = [torch.zeros_like(w).double() for w in dense.model.parameters()]
    value = 0.0
    for token in range(V):
        step = make_step("opd", params)
        loss = answered(step, row, token)
        loss.backward()
        share = q[0, token].item()
        value += share * loss.item()
        for mean, weight in zip(means, step.model.parameters(), strict=True):
            mean += share * weight.grad.double()
    assert value == pytest.approx(exact.item() if baseline == "none" else 0.0, abs=1e-5)
    for mean, weight in zip(means, dense.model.parameters(), strict=True):
        assert torch.allclose(mean, weight.grad, atol=2e-5)


@pytest.mark.parametrize("baseline", ["none", "batch", "closed_form"])
@pytest.mark.parametrize("discount", [0.0, 0.9])
def test_the_sampled_gradient_is_the_advantage_times_that_of_the_log_probability(
    baseline: str, discount: float
) -> None:
    params = {"estimator": "sampled", "baseline": baseline, "discount": discount}
    step = make_step("opd", params)
    responses = tools_of(step, at=2).sample()
    loss, log = step(2, ROWS)
    dense = of_responses(step, responses)
    p, q = dense.both(1.0)
    ratio = (dense.of_labels(dense.student) / dense.of_labels(dense.teacher)).log()
    costs, at = [], 0
    for answer in responses.answers:
        own = ratio[at : at + len(answer)].tolist()
        at += len(answer)
        costs += [
            sum(discount ** (u - t) * own[u] for u in range(t, len(own))) for t in range(len(own))
        ]
    cost = torch.tensor(costs, dtype=torch.float64)
    if baseline == "batch":
        cost = cost - cost.mean()
    elif baseline == "closed_form":
        cost = cost - oracles.kl(q, p).detach()
    log_q = dense.of_labels(dense.student).log()
    expected = (cost * (log_q - log_q.detach()).exp()).mean()
    assert log["log_ratio"] == pytest.approx(ratio.mean().item(), abs=1e-5)
    assert_same(loss, step, expected, dense)


def test_discounted_sums_end_with_their_response() -> None:
    sequence = torch.tensor([0, 0, 0, 1, 1])
    responses = Responses([0, 1], torch.zeros(5, dtype=torch.long), sequence, None, None)
    found = discounted(torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]), responses, 0.5)
    assert found.tolist() == [3.0, 4.0, 4.0, 16.0, 16.0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"discount": 1.5, "estimator": "sampled"}, "discount must lie in"),
        ({"baseline": "batch"}, "go with estimator: sampled"),
        ({"discount": 0.5}, "go with estimator: sampled"),
    ],
)
def test_settings_without_effect_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ArkdError, match=message):
        rows.build(MethodEntry(name="opd", params=params))
