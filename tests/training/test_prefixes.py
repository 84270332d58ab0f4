"""A row's prefixes and support: the loss in float64 on the responses and tokens it names."""

from __future__ import annotations

from collections import Counter
from typing import Any

import oracles
import pytest
import torch
from tiny_steps import ROWS, Dense, assert_same, make_step, of_responses, token_set, tools_of
from torch import Tensor

from arkd.errors import ArkdError
from arkd.method import Signals
from arkd.suite import rows
from arkd.suite.load import load_suite
from arkd.suite.protocol import MethodEntry

KL = {
    "forward_kl": lambda p, q: oracles.kl(p, q).mean(),
    "reverse_kl": lambda p, q: oracles.kl(q, p).mean(),
    "fixed_mix": lambda p, q: 0.5 * (oracles.kl(p, q) + oracles.kl(q, p)).mean(),
    "jsd": lambda p, q: 0.5 * (oracles.kl(p, (p + q) / 2) + oracles.kl(q, (p + q) / 2)).mean(),
}


@pytest.mark.parametrize("source", ["gold", "teacher", "student"])
@pytest.mark.parametrize("method", KL)
def test_a_divergence_is_taken_on_the_prefixes_that_the_row_names(method: str, source: str) -> None:
    step = make_step(method, prefixes=source)
    if source == "student":
        answers = tools_of(step, at=3).prefixes.answers
    else:
        tokens = token_set({"gold": 1, "teacher": 2}[source])
        whole = [tokens.ids[tokens.starts[r] : tokens.starts[r + 1]].tolist() for r in ROWS]
        answers = [ids[len(tokens.prompt(r)) :] for ids, r in zip(whole, ROWS, strict=True)]
    loss, log = step(3, ROWS)
    dense = Dense(step, ROWS, answers)
    assert_same(loss, step, KL[method](*dense.both(step.settings.temperature)), dense)
    assert log["tokens"] >= len(dense.labels)


def test_students_prefixes_follow_the_student_of_the_step() -> None:
    """Each step draws anew, from the softened and cut distribution of the model as it is."""
    settings: dict[str, Any] = {"prefixes": "student", "prefix_temperature": 1.7}
    step = make_step("forward_kl", prefix_top_p=0.8, **settings)
    step.sources.max_new_tokens = 1
    prompt = step.sources.sets["gold"].tokens.prompt(0)
    logits_V = step.model(torch.tensor([prompt])).logits[0, -1].detach().double()
    q_V = (logits_V / 1.7).softmax(-1)
    order = q_V.argsort(descending=True)
    kept = order[: int((q_V[order].cumsum(0) - q_V[order] < 0.8).sum())]
    expected = (q_V[kept] / q_V[kept].sum()).tolist()
    draws = 2000
    drawn = Counter(
        answer[0]
        for at in range(draws // 4)
        for answer in tools_of(step, at, [0] * 4).prefixes.answers
    )
    assert set(drawn) <= set(kept.tolist())
    chi2 = sum(
        (drawn[int(token)] - draws * share) ** 2 / (draws * share)
        for token, share in zip(kept, expected, strict=True)
    )
    freedom = len(kept) - 1
    assert chi2 < freedom + 5 * (2 * freedom) ** 0.5


def test_mixed_prefixes_throw_a_coin_of_their_share_a_step() -> None:
    step = make_step("forward_kl", prefixes="mixed", prefix_share=0.25)
    step.sources.max_new_tokens = 1
    gold = tools_of(step, 0, [0]).responses().answers
    on_policy = [tools_of(step, at, [0]).prefixes.answers != gold for at in range(200)]
    assert abs(sum(on_policy) - 50) < 4 * (200 * 0.25 * 0.75) ** 0.5
    assert on_policy[:40] == [tools_of(step, at, [0]).prefixes.answers != gold for at in range(40)]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_the_share_are_gold_and_student(share: float) -> None:
    mixed = make_step("reverse_kl", prefixes="mixed", prefix_share=share)
    end = make_step("reverse_kl", prefixes="student" if share else "gold")
    for at in range(5):
        assert mixed(at, ROWS)[0].item() == end(at, ROWS)[0].item()


def test_a_policys_state_is_measured_on_the_students_prefixes() -> None:
    step = make_step("arkd", prefixes="student")
    tools = tools_of(step, at=1)
    signals: Signals = tools.signals()
    dense = of_responses(step, tools.prefixes)
    p, q = dense.both(step.settings.temperature)
    assert torch.allclose(signals.fkl_N.double(), oracles.kl(p, q), atol=1e-5)
    assert torch.allclose(signals.nll_N.double(), -dense.of_labels(dense.student).log(), atol=1e-5)


def on_top(p: Tensor, q: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Teacher's top tokens and one outcome for the rest."""
    kept = p.argsort(-1, descending=True)[:, :size]
    parts = []
    for x in (p, q):
        top = x.gather(1, kept)
        parts.append(torch.cat([top, 1 - top.sum(1, keepdim=True)], 1))
    return parts[0], parts[1]


@pytest.mark.parametrize("source", ["gold", "student"])
@pytest.mark.parametrize("method", KL)
def test_a_support_limits_weighted_and_token_divergences(method: str, source: str) -> None:
    step = make_step(method, prefixes=source, support="teacher_top_k", support_size=3)
    answers = tools_of(step, at=2).prefixes.answers
    loss, _ = step(2, ROWS)
    dense = Dense(step, ROWS, answers)
    p, q = on_top(*dense.both(step.settings.temperature), 3)
    assert_same(loss, step, KL[method](p, q), dense)


@pytest.mark.parametrize("reduction", ["sequences", "sums"])
def test_a_reduction_counts_the_sequences_of_the_prefixes(reduction: str) -> None:
    step = make_step("forward_kl", prefixes="student", reduction=reduction)
    responses = tools_of(step, at=0).prefixes
    dense = of_responses(step, responses)
    p, q = dense.both(step.settings.temperature)
    parts = oracles.kl(p, q).split([len(answer) for answer in responses.answers])
    each = torch.stack([x.mean() if reduction == "sequences" else x.sum() for x in parts])
    assert_same(step(0, ROWS)[0], step, each.mean(), dense)


def check(**row: Any) -> None:
    suite, entry = load_suite("smoke"), MethodEntry.model_validate(row)
    rows.check_row(entry, rows.build(entry), suite.settings(entry))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"name": "sft", "prefixes": "student"}, "reads no teacher"),
        ({"name": "seqkd", "prefixes": "gold"}, "reads no teacher"),
        ({"name": "gkd", "prefixes": "student"}, "composes its loss itself"),
        ({"name": "drkl", "prefixes": "student"}, "looks at the gold tokens"),
        ({"name": "drkl", "support": "teacher_top_k"}, "looks at the gold tokens"),
        ({"name": "minillm", "support": "teacher_top_k"}, "composes its loss itself"),
        ({"name": "forward_kl", "prefix_share": 0.3}, "no effect without prefixes: mixed"),
        (
            {"name": "forward_kl", "prefixes": "student", "prefix_share": 0.3},
            "no effect without prefixes: mixed",
        ),
        ({"name": "forward_kl", "prefix_top_p": 0.9}, "no effect without prefixes: student"),
        ({"name": "jsd", "support_size": 8}, "no effect without a support"),
        ({"name": "jsd", "support_tail": "dropped"}, "no effect without a support"),
    ],
)
def test_a_setting_that_a_row_cannot_follow_is_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(ArkdError, match=message):
        check(**row)


def test_rows_that_can_follow_are_not_refused() -> None:
    check(name="arkd", prefixes="mixed", prefix_share=0.3, prefix_top_p=0.9)
    check(name="jsd", prefixes="teacher", support="student_top_k", support_tail="dropped")


def test_the_policys_reward_is_scaled_as_the_loss_on_the_prefixes_is() -> None:
    step = make_step("arkd", prefixes="student", reduction="sequences", square_temperature=True)
    tools = tools_of(step, at=0)
    lengths = [len(answer) for answer in tools.prefixes.answers]
    each = [step.settings.temperature**2 * sum(lengths) / (len(lengths) * n) for n in lengths]
    expected = [scale for scale, n in zip(each, lengths, strict=True) for _ in range(n)]
    found = torch.as_tensor(tools.loss_scale())
    assert torch.allclose(found, torch.tensor(expected))
