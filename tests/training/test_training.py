"""The optimisation loop: its schedule, and what it does when numbers end."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from arkd.errors import ArkdError
from arkd.suite.protocol import Optimisation, Selection
from arkd.training.checkpoint import Checkpoint, flatten
from arkd.training.loop import CLOCKS, learning_rate, optimise

SETTINGS = Optimisation(steps=10, batch_size=1, lr=0.1, warmup_share=0.2)


def test_the_rate_warms_up_and_falls_as_a_cosine() -> None:
    rates = [learning_rate(step, SETTINGS) for step in range(10)]
    expected = [0.05, 0.1] + [0.05 * (1 + math.cos(math.pi * i / 8)) for i in range(8)]
    assert rates == pytest.approx(expected)
    least = SETTINGS.model_copy(update={"min_lr": 0.02})
    ends = [learning_rate(step, least) for step in (1, 2, 6, 9)]
    assert ends == pytest.approx([0.1, 0.1, 0.06, 0.02 + 0.04 * (1 + math.cos(math.pi * 7 / 8))])
    linear = SETTINGS.model_copy(update={"schedule": "linear"})
    assert [learning_rate(step, linear) for step in (0, 1, 2, 6, 9)] == pytest.approx(
        [0.05, 0.1, 0.1, 0.05, 0.0125]
    )
    constant = SETTINGS.model_copy(update={"schedule": "constant"})
    assert [learning_rate(step, constant) for step in (0, 1, 9)] == pytest.approx([0.05, 0.1, 0.1])


def test_the_loop_is_adamw_with_clipping() -> None:
    """Against torch's own pieces, step by step."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    twin = nn.Linear(3, 1)
    twin.load_state_dict(model.state_dict())
    inputs, targets = torch.randn(10, 3), torch.randn(10, 1)

    def loss_of(network: nn.Module, step: int) -> torch.Tensor:
        return 100 * (network(inputs[step]) - targets[step]).square().sum()

    optimise(model, SETTINGS, lambda step: (loss_of(model, step), {}), "")
    groups = [
        {"params": [twin.weight], "weight_decay": 0.01},
        {"params": [twin.bias], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=0.1)
    for step in range(10):
        reference.zero_grad()
        loss_of(twin, step).backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        for group in reference.param_groups:
            group["lr"] = learning_rate(step, SETTINGS)
        reference.step()
    assert torch.allclose(model.weight, twin.weight, atol=1e-6)
    assert torch.allclose(model.bias, twin.bias, atol=1e-6)


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_a_run_that_leaves_the_finite_numbers_fails_with_finite_weights(poison: str) -> None:
    model = nn.Linear(2, 1, bias=False)

    def step_loss(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        value = model(torch.ones(2)).sum()
        if step < 3:
            return value.square(), {}
        # sqrt has no derivative at 0: the loss is finite, its gradient is not.
        return (value * math.nan if poison == "loss" else (value * 0).sqrt()), {}

    run = optimise(model, SETTINGS, step_loss, "")
    assert run.failed
    assert [row["step"] for row in run.rows] == [0, 1, 2]
    assert torch.isfinite(model.weight).all()


class Count:
    """A state that moves at every step."""

    def __init__(self) -> None:
        self.seen = 0

    def state_dict(self) -> dict:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict) -> None:
        self.seen = state["seen"]


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    def train(checkpoint: Checkpoint | None, stop: int | None = None) -> tuple[Any, Any]:
        torch.manual_seed(0)
        model, state = nn.Linear(3, 1), Count()
        inputs = torch.randn(10, 3)

        def step_loss(step: int) -> tuple[torch.Tensor, dict[str, float]]:
            if step == stop:
                raise KeyboardInterrupt
            state.seen += step
            return (model(inputs[step]) - state.seen).square().sum(), {"seen": float(state.seen)}

        return optimise(model, SETTINGS, step_loss, "", checkpoint, state), model

    straight, model = train(None)
    made_for = {"config": {"steps": 10}}
    with pytest.raises(KeyboardInterrupt):
        train(Checkpoint(tmp_path / "checkpoint", made_for, every_s=0), stop=6)
    kept = Checkpoint(tmp_path / "checkpoint", made_for).load()
    assert kept is not None
    resumed, again = train(Checkpoint(tmp_path / "checkpoint", made_for))
    assert resumed.rows == straight.rows
    assert all(resumed.spent[name] > kept["spent"][name] > 0 for name in CLOCKS)
    assert torch.equal(again.weight, model.weight)
    assert torch.equal(again.bias, model.bias)
    other = Checkpoint(tmp_path / "checkpoint", {"config": {"steps": 11}})
    assert other.load() is None  # of other settings


def test_the_dearer_a_save_the_longer_until_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("arkd.training.checkpoint.time.monotonic", lambda: now)
    checkpoint = Checkpoint(tmp_path / "checkpoint", {}, _last=now)

    def save(*_: object) -> None:
        nonlocal now
        now += 40.0

    monkeypatch.setattr("arkd.training.checkpoint.save_file", save)
    now = 61.0
    assert checkpoint.due()
    checkpoint.save({})
    now += 2399.0
    assert not checkpoint.due()
    now += 2.0
    assert checkpoint.due()


def test_a_state_of_a_strange_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="a state holds tensors, numbers, text"):
        flatten({"thing": object()}, {})


def test_epochs_are_whole_batches_over_the_rows() -> None:
    three = Optimisation(epochs=3, batch_size=16, lr=1.0)
    assert three.over(12_000).steps == 2250  # the paper's 12,000 rows
    assert three.over(35).steps == 6
    assert SETTINGS.over(7) is SETTINGS
    with pytest.raises(ArkdError, match="batch_size: 16 rows a step, and there are 5"):
        three.over(5)
    for both in ({}, {"steps": 3, "epochs": 2}):
        with pytest.raises(ValueError, match="either steps or epochs"):
            Optimisation(batch_size=1, lr=1.0, **both)


def drift(
    scores: list[float], checkpoint: Checkpoint | None = None, stop: int = 99
) -> tuple[list[float], Any]:
    """Descend x with unit slope from 0, a state scored at every second of eight steps."""
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.zero_()
    settings = Optimisation(
        steps=8,
        batch_size=1,
        lr=1.0,
        schedule="constant",
        warmup_share=0.0,
        weight_decay=0.0,
        selection=Selection(points=4),
    )
    left = iter(scores)
    seen: list[float] = []

    def judge() -> float:
        seen.append(model.weight.item())
        return next(left)

    def loss(step: int) -> tuple[torch.Tensor, dict[str, float]]:
        if step == stop:
            raise KeyboardInterrupt
        return model.weight.sum(), {}

    run = optimise(model, settings, loss, "", checkpoint, judge=judge)
    return [*seen, model.weight.item()], run


def test_the_state_of_the_best_score_is_kept_and_of_equals_the_first() -> None:
    *seen, kept = drift([0.1, 0.4, 0.2, 0.4])[0]
    assert seen == pytest.approx([-2, -4, -6, -8], abs=1e-4)  # Adam's unit steps
    assert kept == seen[1]
    values, run = drift([0.1, 0.2, 0.3, 0.4])
    assert values[-1] == values[-2]
    assert run.judged == {2: 0.1, 4: 0.2, 6: 0.3, 8: 0.4}


def test_a_killed_run_remembers_its_best_state(tmp_path: Path) -> None:
    saved = Checkpoint(tmp_path / "checkpoint", {}, every_s=0.0)
    with pytest.raises(KeyboardInterrupt):
        drift([0.1, 0.9], saved, stop=5)
    values, run = drift([0.2, 0.3], Checkpoint(tmp_path / "checkpoint", {}))
    assert values[-1] == pytest.approx(-4, abs=1e-4)
    assert run.judged == {2: 0.1, 4: 0.9, 6: 0.2, 8: 0.3}


def test_without_a_selection_nothing_is_scored() -> None:
    model = nn.Linear(1, 1)
    run = optimise(model, SETTINGS, lambda step: (model.weight.sum(), {}), "", judge=lambda: 1 / 0)
    assert run.judged == {}
