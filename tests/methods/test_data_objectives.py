"""Methods that sample while they train, against their papers' formulas in float64."""

from __future__ import annotations

import copy
import itertools
import json
import random
from types import SimpleNamespace
from typing import Any

import oracles
import pytest
import torch
from tiny_steps import (
    EOS,
    ROWS,
    Dense,
    V,
    assert_same,
    gpt2,
    llama,
    make_step,
    of_responses,
    tools_of,
)
from torch import Tensor

from arkd.errors import ArkdError
from arkd.method import Context, Memory
from arkd.models import generate
from arkd.suite import jobs as workflow
from arkd.suite.protocol import MethodEntry
from arkd.suite.rows import build
from arkd.training.checkpoint import flatten, restore
from arkd.training.distill import Step

# MiniLLM


def advantages(rewards: list[float], lengths: list[int], gamma: float) -> list[float]:
    """By the definition: all rewards from t on, over how many they are."""
    found, start = [], 0
    for length in lengths:
        own = rewards[start : start + length]
        for t in range(length):
            later = [gamma ** (u - t) * own[u] for u in range(t, length)]
            found.append(sum(later) / len(later))
        start += length
    return found


@pytest.mark.parametrize("gamma", [1.0, 0.95, 0.0])
def test_reward_to_go_is_the_mean_of_what_is_left_within_a_sequence(gamma: float) -> None:
    from arkd_baselines.minillm import rewards_to_go

    lengths = [3, 1, 5]
    rewards = [random.Random(n).uniform(-2, 2) for n in range(9)]
    sequences = [0, 0, 0, 1, 2, 2, 2, 2, 2]
    assert rewards_to_go(rewards, sequences, gamma) == pytest.approx(
        advantages(rewards, lengths, gamma)
    )


def test_minillm_descends_the_papers_policy_gradient() -> None:
    params = {"epochs": 1, "gamma": 1.0, "whiten": False, "clip": 1.0}
    step = make_step("minillm", params)
    loss, _ = step(0, ROWS)
    dense = Dense(step, step.state.samples, step.state.answers)
    q, p = dense.of_labels(dense.student), dense.of_labels(dense.teacher)
    weight = (q / (0.8 * q + 0.2 * p)).detach()  # of samples from the mixture
    reward = (p.log() - q.log()).tolist()
    advantage = torch.tensor(advantages(reward, dense.lengths, 1.0), dtype=torch.float64)
    policy_gradient = -(weight * advantage * q.log()).mean()  # has the gradient, not the value
    single_step = oracles.rkl(dense.student, dense.teacher).mean()
    value = -(weight * advantage).mean() + single_step
    expected = policy_gradient + single_step
    assert_same(loss, step, expected + (value - expected).detach(), dense)


def test_minillm_weighs_by_the_mixture_and_whitens_over_the_response_tokens() -> None:
    step = make_step("minillm")
    step(0, ROWS)
    dense = Dense(step, step.state.samples, step.state.answers)
    q, p = dense.of_labels(dense.student), dense.of_labels(dense.teacher)
    assert torch.allclose(step.state.weight_N.double(), q / (0.8 * q + 0.2 * p), atol=1e-5)
    assert torch.allclose(step.state.old_N.double(), q.log(), atol=1e-5)
    raw = torch.tensor(advantages((p / q).log().tolist(), dense.lengths, 0.95))
    white = (raw - raw.mean()) / raw.std(correction=0)
    assert torch.allclose(step.state.advantage_N, white, atol=1e-4)


def test_minillm_takes_clipped_steps_on_the_responses_it_has() -> None:
    step = make_step("minillm")
    step(0, ROWS)
    kept = copy.deepcopy(step.state)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in step.model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    loss, _ = step(1, [4, 5, 6, 7])
    assert step.state.samples == kept.samples == ROWS
    assert step.state.answers == kept.answers
    dense = Dense(step, kept.samples, kept.answers)
    ratio = dense.of_labels(dense.student) / kept.old_N.double().exp() * kept.weight_N.double()
    advantage = kept.advantage_N.double()
    worse = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    assert 0 < (worse != ratio * advantage).sum() < len(worse)  # both branches are taken
    expected = (oracles.rkl(dense.student, dense.teacher) - worse).mean()
    assert_same(loss, step, expected, dense)


def test_minillm_draws_anew_every_epochs_steps() -> None:
    step = make_step("minillm", {"epochs": 2})
    drawn = []
    for at in range(4):
        step(at, [at, at + 1])
        drawn.append(step.state.samples)
    assert drawn == [[0, 1], [0, 1], [2, 3], [2, 3]]


# GKD


def jensen_shannon(p: Tensor, q: Tensor, beta: float) -> Tensor:
    m = beta * p + (1 - beta) * q
    return (beta * oracles.kl(p, m) + (1 - beta) * oracles.kl(q, m)).mean()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_gkd_is_the_divergence_on_the_responses_its_coin_chose(share: float) -> None:
    step = make_step("gkd", {"on_policy_share": share, "beta": 0.3})
    tools = tools_of(step, at=7)
    responses = tools.sample() if share else tools.responses()
    loss, log = step(7, ROWS)
    dense = of_responses(step, responses)
    assert log["on_policy"] == share
    assert log["tokens"] == len(responses.batch.lm_labels_M) + len(ROWS)
    assert_same(loss, step, jensen_shannon(*dense.both(), 0.3), dense)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("beta", [0, 1])
def test_gkds_ends_are_forward_and_reverse_kl(beta: float, share: float) -> None:
    step = make_step("gkd", {"on_policy_share": share, "beta": beta})
    responses = tools_of(step, at=7).sample() if share else tools_of(step, at=7).responses()
    loss, _ = step(7, ROWS)
    dense = of_responses(step, responses)
    p, q = dense.both()
    assert_same(loss, step, (oracles.kl(q, p) if beta else oracles.kl(p, q)).mean(), dense)


def test_gkds_coins_have_their_share_and_depend_on_seed_and_step_alone() -> None:
    def coins(seed: int, steps: range) -> list[float]:
        step = make_step("gkd", {"on_policy_share": 0.25}, seed)
        step.sources.max_new_tokens = 1
        return [step(at, [0])[1]["on_policy"] for at in steps]

    thrown = coins(1, range(200))
    assert abs(sum(thrown) - 50) < 4 * (200 * 0.25 * 0.75) ** 0.5
    assert coins(1, range(20, 40)) == thrown[20:40]
    assert coins(2, range(40)) != thrown[:40]


# DistiLLM


def test_distillms_threshold_rises_with_the_dev_loss_of_its_last_rise() -> None:
    method: Any = build(MethodEntry(name="distillm", params={"checks": 4}))
    nll = iter([1.0, 1.05, 1.125, 1.2, 0.9, 1.25, 1.4, 1.4])
    tools: Any = SimpleNamespace(dev_nll=lambda: next(nll))
    state = Memory(seed=1, threshold=0.0, dev_nll=None, buffer=[])
    thresholds = []
    for at in range(16):  # checks at every second step: 4 in 8 of them
        method.choose(Context(at % 8, 8, state), tools)
        thresholds.append(round(state.threshold, 9))
    assert thresholds[::2] == [0.0, 0.0, 0.1, 0.1, 0.1, 0.2, 0.3, 0.3]
    assert thresholds[1::2] == thresholds[::2]
    state.threshold, state.dev_nll = 0.95, 0.0
    tools.dev_nll = lambda: 5.0
    method.choose(Context(0, 8, state), tools)
    assert state.threshold == 1.0


@pytest.mark.parametrize(
    ("step", "kept", "fresh", "replay"),
    [
        (1, 2, 0.6, 0.0),  # until the buffer is full, nothing is replayed
        (98, 2, 0.6, 0.0),
        (49, 3, 0.3, 0.3),  # φ·(1 − 50/100)
        (24, 3, 0.45, 0.15),
        (99, 3, 0.0, 0.6),
    ],
)
def test_distillms_fresh_share_falls_to_zero_once_the_buffer_is_full(
    step: int, kept: int, fresh: float, replay: float
) -> None:
    params = {"capacity": 3, "checks": 1}
    method: Any = build(MethodEntry(name="distillm", params=params))
    tools: Any = None
    n, counts = 2000, {"fresh": 0, "replay": 0, "gold": 0}
    for seed in range(n):
        state = Memory(seed=seed, threshold=0.6, dev_nll=0.0, buffer=[[0, [1]]] * kept)
        counts[method.choose(Context(step, 100, state), tools)] += 1
    for name, share in (("fresh", fresh), ("replay", replay), ("gold", 0.4)):
        assert abs(counts[name] - n * share) <= 4 * (n * share * (1 - share)) ** 0.5


def test_distillms_buffer_drops_the_oldest_and_is_what_is_replayed() -> None:
    params = {"threshold": 1.0, "capacity": 5, "loss_rise": 100.0}
    step = make_step("distillm", params, steps=4)
    drawn = []
    for at, rows in ((0, [0, 1, 2]), (1, [3, 4, 5])):
        responses = tools_of(step, at, rows).sample()
        drawn += [list(pair) for pair in zip(responses.samples, responses.answers, strict=True)]
        _, log = step(at, rows)
        assert log["fresh"] == 1
    assert step.state.buffer == drawn[-5:]
    loss, log = step(3, [6, 7])  # the last step never draws
    assert (log["fresh"], log["replay"], log["buffer"]) == (0, 1, 5)
    assert step.state.buffer == drawn[-5:]
    losses = []
    for pair in itertools.permutations(drawn[-5:], 2):  # without replacement
        samples, answers = zip(*pair, strict=True)
        p, q = Dense(step, list(samples), list(answers)).both()
        losses.append(oracles.kl(p, 0.1 * p + 0.9 * q).mean().item())
    assert min(abs(loss.item() - other) for other in losses) < 1e-5


@pytest.mark.parametrize("divergence", ["skew_kl", "skew_rkl"])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_distillm_is_the_skewed_divergence_on_its_responses(
    divergence: str, threshold: float
) -> None:
    step = make_step("distillm", {"divergence": divergence, "threshold": threshold, "skew": 0.2})
    tools = tools_of(step)
    dense = of_responses(step, tools.sample() if threshold else tools.responses())
    loss, _ = step(0, ROWS)
    p, q = dense.both()
    forward, reverse = oracles.kl(p, 0.2 * p + 0.8 * q), oracles.kl(q, 0.8 * p + 0.2 * q)
    assert_same(loss, step, (forward if divergence == "skew_kl" else reverse).mean(), dense)


# DistiLLM-2


def parts(step: Step) -> dict[str, Dense]:
    tools = tools_of(step)
    return {source: of_responses(step, tools.responses(source)) for source in step.method.responses}


def gaps(dense: Dense) -> Tensor:
    """p̂ − q̂ of each sequence, the means of its tokens' probabilities being geometric."""
    found = [
        torch.stack([x.log().mean().exp() for x in dense.of_labels(logits).split(dense.lengths)])
        for logits in (dense.teacher, dense.student)
    ]
    return (found[0] - found[1]).detach()


def contrast(found: dict[str, Dense], skews: dict[str, Tensor], beta: float) -> list[Tensor]:
    """The two halves of the loss, each with a skew of every sequence."""
    a, b = (
        skews[source].repeat_interleave(torch.tensor(found[source].lengths))[:, None]
        for source in ("teacher", "student")
    )
    p, q = found["teacher"].both()
    skl = oracles.kl(p, a * p + (1 - a) * q).mean()
    p, q = found["student"].both()
    srkl = oracles.kl(q, (1 - b) * p + b * q).mean()
    return [(2 - beta) * skl / 2, beta * srkl / 2]


@pytest.mark.parametrize("adaptive", [True, False])
def test_contrastive_has_a_skew_for_every_response(adaptive: bool) -> None:
    step = make_step("contrastive", {"adaptive": adaptive, "beta": 0.8}, steps=10)
    found = parts(step)
    sign = {"teacher": 1, "student": -1}
    gap = {source: sign[source] * gaps(dense) for source, dense in found.items()}
    # D̄ a little above the largest gap: of that response the skew lies within its bounds
    anchor = {source: (x.max() / 0.95).item() for source, x in gap.items()}
    assert all(value > 0 for value in anchor.values())
    for source, value in anchor.items():
        setattr(step.state, source, [0.5 * value, 1.5 * value])
    skew = {
        source: (1 - 0.9 * anchor[source] / (x + 1e-5)).clamp(0.01, 0.1)
        if adaptive
        else torch.full_like(x, 0.1)
        for source, x in gap.items()
    }
    loss, log = step(5, ROWS)
    for source in sign:
        if adaptive:
            assert ((skew[source] > 0.011) & (skew[source] < 0.099)).sum() == 1
        assert log[f"skew_{source}"] == pytest.approx(skew[source].mean().item(), abs=1e-4)
    halves = contrast(found, skew, 0.8)
    assert loss.item() == pytest.approx(sum(halves).item(), abs=1e-5)
    loss.backward()
    for half in halves:
        half.backward()
    models = [dense.model.parameters() for dense in found.values()]
    for own, teacher_part, student_part in zip(step.model.parameters(), *models, strict=True):
        assert torch.allclose(own.grad.double(), teacher_part.grad + student_part.grad, atol=2e-5)


def test_contrastives_anchor_is_the_mean_gap_of_the_first_steps() -> None:
    step = make_step("contrastive", {"anchor_share": 0.2}, steps=10)
    found = parts(step)
    for at in range(4):
        _, log = step(at, ROWS)
        assert at > 1 or log["skew_teacher"] == pytest.approx(0.1)
    expected = {"teacher": gaps(found["teacher"]), "student": -gaps(found["student"])}
    for source, gap in expected.items():
        assert getattr(step.state, source) == pytest.approx([gap.mean().item()] * 2, abs=1e-5)


# Sampling


@pytest.mark.parametrize("build", [llama, gpt2])
@pytest.mark.parametrize("temperature", [1.0, 1.5])
def test_the_mixture_is_exact_at_every_position_of_left_padded_prompts(
    build: Any, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = build(2, 8), build(1, 12).eval()
    prompts = [[5], [2, 3, 4, 5, 6, 7], [9, 8, 2]] * 3
    seen: list[tuple[Tensor, Tensor]] = []
    original = generate.Mixture.__call__

    def record(self: Any, ids: Tensor, scores: Tensor) -> Tensor:
        mixed = original(self, ids, scores)
        seen.append((ids.clone(), mixed.clone()))
        return mixed

    monkeypatch.setattr(generate.Mixture, "__call__", record)
    generate.sample(
        student,
        prompts,
        seed=3,
        max_new_tokens=5,
        temperature=temperature,
        mixed_with=teacher,
        share=0.3,
        padded=True,
        label="",
    )
    assert student.training  # as it came
    student64, teacher64 = student.double().eval(), teacher.double()
    compared = 0
    for ids, mixed in seen:
        for row, prompt in enumerate(prompts):
            own = torch.tensor(ids[row, 6 - len(prompt) :].tolist())
            assert own[: len(prompt)].tolist() == prompt
            if EOS in own.tolist():
                continue  # finished: what is drawn is not used
            q, p = (
                oracles.probabilities(model(own[None]).logits[0, -1], temperature).detach()
                for model in (student64, teacher64)
            )
            assert torch.allclose(mixed[row].exp().double(), 0.7 * q + 0.3 * p, atol=1e-6)
            compared += 1
    assert compared >= 8


@pytest.mark.parametrize("temperature", [1.0, 1.5])
def test_what_is_drawn_has_the_mixtures_frequencies(temperature: float) -> None:
    student, teacher, n = llama(2, 8), llama(1, 12).eval(), 3000
    drawn = generate.sample(
        student,
        [[4, 2]] * n,
        seed=1,
        max_new_tokens=1,
        temperature=temperature,
        batch_size=n,
        mixed_with=teacher,
        share=0.2,
        padded=True,
        label="",
    )
    logits = [model(torch.tensor([[4, 2]])).logits[0, -1].detach() for model in (student, teacher)]
    q, p = (oracles.probabilities(x, temperature) for x in logits)
    expected = n * (0.8 * q + 0.2 * p)
    counts = torch.tensor([token for (token,) in drawn]).bincount(minlength=V)
    statistic = ((counts - expected).square() / expected).sum().item()
    assert statistic < 29.6  # the 99.9 % point of χ² with 10 degrees of freedom


# State


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("gkd", {}),
        ("distillm", {"threshold": 0.8, "capacity": 6, "checks": 3, "loss_rise": -1.0}),
        ("minillm", {"epochs": 4}),
        ("contrastive", {"anchor_share": 0.5}),
    ],
)
def test_a_resumed_run_goes_on_identically(name: str, params: dict[str, Any]) -> None:
    def go(step: Step, steps: range) -> list[float]:
        losses = []
        for at in steps:
            loss, _ = step(at, [at % 8, (at + 3) % 8, (at + 5) % 8])
            step.model.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in step.model.parameters():
                    parameter -= 0.1 * parameter.grad
            losses.append(loss.item())
        return losses

    whole = make_step(name, params, steps=8)
    expected = go(whole, range(8))
    first, second = make_step(name, params, steps=8), make_step(name, params, steps=8)
    assert go(first, range(3)) == expected[:3]
    tensors: dict[str, Tensor] = {}
    tree = json.loads(json.dumps(flatten(first.state.state_dict(), tensors)))
    second.state.load_state_dict(restore(tree, tensors))
    second.model.load_state_dict(first.model.state_dict())
    assert go(second, range(3, 8)) == expected[3:]


# Parameters


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("gkd", {"on_policy_share": 1.1}),
        ("gkd", {"beta": -0.1}),
        ("gkd", {"sample_temperature": 0.0}),
        ("distillm", {"skew": -0.1}),
        ("distillm", {"threshold": 2}),
        ("distillm", {"checks": 0}),
        ("distillm", {"capacity": 0}),
        ("distillm", {"sample_temperature": -1}),
        ("minillm", {"teacher_share": 1.5}),
        ("minillm", {"epochs": 0}),
        ("minillm", {"reward_clip": 0}),
        ("contrastive", {"beta": 2.5}),
        ("contrastive", {"skew": 2}),
        ("contrastive", {"skew_min": 0.2}),
        ("contrastive", {"anchor_share": 0}),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(name: str, params: dict[str, Any]) -> None:
    (parameter,) = params
    with pytest.raises(ArkdError, match=rf"method '{name}': {parameter} must .*, found"):
        build(MethodEntry(name=name, params=params))


@pytest.mark.parametrize("name", ["gkd", "distillm", "minillm", "contrastive"])
def test_every_default_says_where_it_comes_from(name: str) -> None:
    method = build(MethodEntry(name=name))
    assert list(method.defaults) == list(method.params)
    assert not set(method.params) & {"lr", "seeds", "temperature", "lm_weight"}


def test_no_token_beyond_the_students_vocabulary_is_drawn() -> None:
    teacher, prompts = llama(2, 16), [[3, 4], [5, 6, 7]] * 8
    options: dict[str, Any] = {"seed": 1, "max_new_tokens": 8, "padded": True, "label": ""}
    whole = generate.sample(teacher, prompts, **options)
    cut = generate.sample(teacher, prompts, vocabulary=6, **options)
    assert max(token for answer in whole for token in answer) >= 6
    assert max(token for answer in cut for token in answer) < 6


@pytest.mark.parametrize(
    ("needs", "asks"),
    [
        (("labels",), False),
        (("student_samples",), False),
        (("teacher_logits",), True),
        (("teacher_samples",), True),
        (("rewards",), True),
    ],
)
def test_a_training_waits_for_a_teacher_that_it_asks(needs: Any, asks: bool) -> None:
    method = SimpleNamespace(required=needs)
    assert workflow.asks_teacher(method) is asks  # type: ignore[arg-type]
