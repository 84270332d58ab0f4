"""Methods that return what no loss is, or raise: one line with name, file and line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from arkd.conformance import toy_models as setting
from arkd.conformance.method_under_test import SAMPLES
from arkd.conformance.watched_step import new_step
from arkd.errors import ArkdError
from arkd.method import (
    Context,
    FullStep,
    Memory,
    Method,
    TokenDivergence,
    Tools,
    WeightedDivergences,
)
from arkd.method import Weights as W
from arkd.suite import rows
from arkd.suite.protocol import MethodEntry
from arkd.training.method_errors import named

Result = Callable[..., Any]


@dataclass(frozen=True)
class Token(TokenDivergence):
    result: ClassVar[Result]

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, context: Context) -> Any:
        return type(self).result(log_q, log_p)


@dataclass(frozen=True)
class Weighted(WeightedDivergences):
    result: ClassVar[Result]

    def weights(self, context: Context, tools: Tools) -> Any:
        return type(self).result(tools.signals().fkl_N)


@dataclass(frozen=True)
class Whole(FullStep):
    result: ClassVar[Result]

    def loss(self, context: Context, tools: Tools) -> Any:
        kl = tools.mean_loss(tools.responses(), lambda q, p, _: (p.exp() * (p - q)).sum(-1))
        return type(self).result(kl)


CASES: dict[str, tuple[type[Method], Result, str]] = {
    "token: None": (Token, lambda q, p: None, "a tensor of losses is wanted, not None"),
    "token: a pair": (Token, lambda q, p: (q.sum(-1), {}), "not a tuple of 2"),
    "token: a number": (Token, lambda q, p: 1.0, "a tensor of losses is wanted, not float"),
    "token: a mean": (Token, lambda q, p: (p - q).mean(), "one loss a token is wanted, shape ["),
    "token: not summed": (Token, lambda q, p: p - q, "one loss a token is wanted, shape ["),
    "token: one of many": (Token, lambda q, p: (p - q).sum(-1)[:1], "one loss a token is wanted"),
    "token: a column": (Token, lambda q, p: (p - q).sum(-1, True), "one loss a token is wanted"),
    "token: no gradient": (Token, lambda q, p: p.sum(-1), "no gradient leads to it"),
    "token: whole numbers": (Token, lambda q, p: q.argmax(-1), "no gradient leads to it"),
    "weights: None": (Weighted, lambda f: None, "`Weights` are wanted, not None"),
    "weights: a pair": (Weighted, lambda f: (0.5, 0.5), "not a tuple of 2"),
    "weights: text": (Weighted, lambda f: W("1", 0.5), "weight fkl: a number or a tensor"),
    "weights: of half": (Weighted, lambda f: W(f[:2], 0.5), "or one a token, ["),
    "weights: a table": (Weighted, lambda f: W(0.5, f[:, None]), "weight rkl: one number, or one"),
    "weights: a wrong log": (Weighted, lambda f: W(0.5, 0.5, log={"f": f}), "log f: one number"),
    "weights: the loop's own log": (
        Weighted,
        lambda f: W(0.5, 0.5, log={"loss": 1.0}),
        "log loss: the",
    ),
    "weights: a log of what is measured": (
        Weighted,
        lambda f: W(0.5, 0.5, log={"fkl": 1.0}),
        "log fkl: it is measured and logged anyway",
    ),
    "step: None": (Whole, lambda kl: None, "a pair of loss and log is wanted, not None"),
    "step: no log": (Whole, lambda kl: kl, "a pair of loss and log is wanted, not Tensor"),
    "step: three": (Whole, lambda kl: (kl, {}, {}), "not a tuple of 3"),
    "step: a list of losses": (Whole, lambda kl: (kl[None], {}), "not shape [1]"),
    "step: a number": (Whole, lambda kl: (float(kl.detach()), {}), "of shape [], not float"),
    "step: no gradient": (Whole, lambda kl: (kl.detach(), {}), "no gradient leads to it"),
    "step: a log of text": (Whole, lambda kl: (kl, {"a": "x"}), "log a: one number is wanted"),
    "step: no mapping": (Whole, lambda kl: (kl, [1.0]), "a mapping of numbers, not a list of 1"),
}


@pytest.mark.parametrize(("kind", "result", "said"), CASES.values(), ids=CASES.keys())
def test_what_no_loss_is_is_refused_with_the_place(
    kind: type[Method], result: Result, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "result", staticmethod(result), raising=False)
    step = new_step(setting.usual(), kind(), shared_seed=1)
    with pytest.raises(ArkdError) as caught:
        step(0, SAMPLES)
    message = str(caught.value)
    name = {Token: "token_loss", Weighted: "weights", Whole: "loss"}[kind]
    line = inspect.getsourcelines(getattr(kind, name))[1]
    assert message.startswith(f"method 'test_hostile_methods': {__file__}:{line}: ")
    assert said in message
    assert "\n" not in message


RIGHT: list[tuple[type[Method], Result]] = [
    (Token, lambda q, p: (p.exp() * (p - q)).sum(-1)),
    (Weighted, lambda f: W(0.5, torch.tensor([0.5]))),
    (Weighted, lambda f: W(torch.full_like(f, 0.5), 0, log={"a": 1})),
    (Whole, lambda kl: (kl, {"a": 1.0})),
]


@pytest.mark.parametrize(("kind", "result"), RIGHT)
def test_what_is_a_loss_is_not(
    kind: type[Method], result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "result", staticmethod(result), raising=False)
    loss, _ = new_step(setting.usual(), kind(), shared_seed=1)(0, SAMPLES)
    assert torch.isfinite(loss)


STATES: list[tuple[Any, str]] = [
    ({"t": 0.4}, "needs `state_dict` and `load_state_dict`, not dict"),
    (
        Memory(seen={1, 2}),
        "a state holds tensors, numbers, text, lists and dictionaries, not {1, 2}",
    ),
]


@pytest.mark.parametrize(("state", "said"), STATES, ids=["no state", "a set"])
def test_a_state_that_no_checkpoint_holds_is_refused_before_the_first_step(
    state: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Token, "start", lambda self, run: state)
    with pytest.raises(ArkdError) as caught:
        new_step(setting.usual(), Token(), shared_seed=1)
    assert "Token.start: " in str(caught.value)
    assert said in str(caught.value)


def fails(*_: Any) -> None:
    raise KeyError("alpha\nbeta")


def deeper(q: Tensor, p: Tensor) -> Tensor:
    return q.view(3)


@pytest.mark.parametrize(
    ("result", "said"), [(fails, "KeyError: 'alpha\\nbeta'"), (deeper, "RuntimeError: ")]
)
def test_an_error_of_the_methods_own_is_one_line(
    result: Result, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Token, "result", staticmethod(result), raising=False)
    step = new_step(setting.usual(), Token(), shared_seed=1)
    with pytest.raises(ArkdError) as caught, named(step.method, "mine@alpha=1"):
        step(0, SAMPLES)
    line = inspect.getsourcelines(result)[1] + 1
    assert str(caught.value).startswith(f"method 'mine@alpha=1': {__file__}:{line}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_error_passes_as_it_is() -> None:
    other = rows.build(MethodEntry(name="fixed_mix"))
    with pytest.raises(ZeroDivisionError), named(other, "fixed_mix"):
        _ = 1 / 0
