"""AdaKD: which tokens it takes, at which temperature, and how their share follows the loss."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from arkd_baselines.adakd import hellinger
from tiny_steps import ROWS, assert_same, make_step, of_gold, tools_of

from arkd.method import Context, Run
from arkd.suite.registry import method_class


def test_difficulty_is_the_hellinger_distance() -> None:
    p = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64)
    q = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.3, 0.5]], dtype=torch.float64)
    found = hellinger(q.log(), p.log(), slice(None))
    expected = torch.tensor([math.sqrt(1 - math.sqrt(0.5)), 1.0, 0.0], dtype=torch.float64)
    assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_the_hardest_tokens_are_distilled_each_at_its_temperature(
    share: float, scale: float
) -> None:
    """Token by token, the distances and the softened models from the logits."""
    step = make_step("adakd", {"temperature_scale": scale}, temperature=2.0)
    step.state.share = share
    loss, log = step(0, ROWS)
    dense = of_gold(step, ROWS)
    p, q = dense.both(2.0)
    overlap = (p * q).sqrt().sum(-1).detach()
    distances = [math.sqrt(1 - x) for x in overlap.tolist()]
    hardest = sorted(range(len(distances)), key=lambda i: -distances[i])
    hardest = hardest[: max(1, int(share * len(distances)))]
    ordered = sorted(distances[i] for i in hardest)
    median = ordered[(len(ordered) - 1) // 2]
    terms, temperatures = [], []
    for i in hardest:
        t = math.exp(-scale * math.tanh(math.log(distances[i] / median)))
        log_q, log_p = (
            (logits[i] / (2.0 * t)).log_softmax(-1) for logits in (dense.student, dense.teacher)
        )
        terms.append(t**2 * (log_q.exp() * (log_q - log_p)).sum())
        temperatures.append(t)
    assert log["share"] == share
    assert log["mean_tau"] == pytest.approx(sum(temperatures) / len(temperatures), rel=1e-4)
    assert_same(loss, step, torch.stack(terms).mean(), dense)


def test_tokens_that_are_left_out_have_no_gradient() -> None:
    step = make_step("adakd")
    step.state.share = 0.1
    tools = tools_of(step)
    loss, _ = step.method.loss(Context(0, 10, step.state), tools)
    states = tools.states(tools.responses())
    states.retain_grad()
    loss.backward()
    tokens = len(tools.responses().labels_N)
    assert int((states.grad.abs().sum(-1) > 0).sum()) == max(1, int(0.1 * tokens))


SHARES: list[tuple[dict[str, Any], list[float], list[float]]] = [
    # the first loss is compared with; a change of 5 % moves the share, less does not
    ({"smoothing": 0.0}, [1.0, 0.9, 0.86, 0.8], [1.0, 0.95, 0.95, 0.95**2]),
    # a rise moves it back, and never above 1
    ({"smoothing": 0.0}, [1.0, 0.9, 1.0, 1.2], [1.0, 0.95, 0.9975, 1.0]),
    # compared are means: 1, then 0.75, 0.625
    ({"smoothing": 0.5, "tolerance": 0.2}, [1.0, 0.5, 0.5], [1.0, 0.95, 0.95]),
    # nothing is compared during the warm-up, a half of the ten steps
    ({"smoothing": 0.0, "warmup": 0.5}, [9, 8, 7, 6, 5, 4, 3], [1.0] * 6 + [0.95]),
    ({"smoothing": 0.0, "share_step": 0.9}, [1.0, 0.5, 0.2], [1.0, 0.1, 0.1]),
]


@pytest.mark.parametrize(("params", "losses", "expected"), SHARES)
def test_the_share_falls_as_the_loss_falls(
    params: dict[str, Any], losses: list[float], expected: list[float]
) -> None:
    method = method_class("adakd")(**{"warmup": 0.0, **params})
    memory = method.start(Run(seed=1, steps=10, temperature=1.0))
    found = []
    for index, loss in enumerate(losses):
        method.observe(Context(index, 10, memory), loss)
        found.append(memory.share)
    assert found == pytest.approx(expected)


def test_a_student_that_is_the_teacher_has_no_loss_and_a_finite_gradient() -> None:
    step = make_step("adakd")
    step.model = copy.deepcopy(step.sources.teacher).train()
    loss, log = step(0, ROWS)
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert math.exp(-0.5) <= log["mean_tau"] <= math.exp(0.5)
    assert max(float(x.grad.abs().max()) for x in step.model.parameters()) < 1e-4


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"share_step": 1.0}, "share_step must lie in"),
        ({"smoothing": -0.1}, "smoothing must lie in"),
        ({"warmup": float("nan")}, "warmup must lie in"),
        ({"tolerance": 1.5}, "tolerance must lie in"),
        ({"temperature_scale": -1.0}, "temperature_scale must lie in"),
    ],
)
def test_bad_settings_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method_class("adakd")(**params)
