"""Methods that are wrong, each in one way, and the checks that must notice."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from arkd.method import (
    Context,
    FullStep,
    Memory,
    Method,
    Need,
    Reference,
    Run,
    TokenDivergence,
    Tools,
    WeightedDivergences,
    Weights,
)
from arkd.objectives import drkl, tvd

PAPER = Reference("t", "a", 2026, "https://example.org", "@misc{t}")


@dataclass(frozen=True)
class Declared:
    """What every method below says of itself."""

    summary: ClassVar[str] = "wrong"
    equation: ClassVar[str] = "L = ?"
    reference: ClassVar[Reference] = PAPER
    deviations: ClassVar[tuple[str, ...]] = ()


def forward(log_q: Tensor, log_p: Tensor) -> Tensor:
    return (log_p.exp() * (log_p - log_q)).sum(-1)


@dataclass(frozen=True)
class Reversed(Declared, TokenDivergence):
    """Exchanges teacher and student."""

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        return forward(log_p, log_q)


@dataclass(frozen=True)
class Unshifted(Declared, FullStep):
    """Scores a token at its own position, where it has been read already."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        gold = tools.responses()
        own = replace(gold, batch=replace(gold.batch, positions_N=gold.batch.positions_N + 1))
        return tools.mean_loss(own, lambda q, p, rows: forward(q, p)), {}


@dataclass(frozen=True)
class Sum(Declared, FullStep):
    """Sums over tokens in place of the mean."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        gold = tools.responses()
        mean = tools.mean_loss(gold, lambda q, p, rows: forward(q, p))
        return mean * len(gold.labels_N), {}


@dataclass(frozen=True)
class ChunkMean(Declared, TokenDivergence):
    """Divides each token's loss by the mean of those it happens to be computed with."""

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        losses = forward(log_q, log_p)
        return losses / losses.mean().detach()


@dataclass(frozen=True)
class TimesT(Declared, TokenDivergence):
    """Multiplies by T on its own account."""

    def start(self, run: Run) -> Memory:
        return Memory(temperature=run.temperature)

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        return c.state.temperature * forward(log_q, log_p)


@dataclass(frozen=True)
class AtOne(Declared, FullStep):
    """Works at temperature 1 and does not say so."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        gold = tools.responses()
        return tools.mean_loss(gold, lambda q, p, rows: forward(q, p), temperature=1.0), {}


@dataclass(frozen=True)
class Filled(Declared, FullStep):
    """Lets the teacher's padding tokens take part in its softmax."""

    def loss(self, context: Context, tools: Any) -> tuple[Tensor, dict[str, float]]:
        gold = tools.responses()
        teacher = tools.teacher(gold)

        def kl(log_q: Tensor, log_p: Tensor, rows: slice) -> Tensor:
            whole = (teacher.head.logits(teacher.hidden_NG[rows]) / 2).log_softmax(-1)
            return forward(log_q, whole[:, : log_q.shape[1]])

        return tools.mean_loss(gold, kl), {}


@dataclass(frozen=True)
class ByPlace(Declared, FullStep):
    """Weighs tokens by their place in the batch."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        gold = tools.responses()
        place = torch.linspace(0.5, 1.5, len(gold.labels_N))
        return tools.mean_loss(gold, lambda q, p, rows: place[rows] * forward(q, p)), {}


@dataclass(frozen=True)
class HiddenLabels(Declared, TokenDivergence):
    """DRKL, with its look at the labels undeclared."""

    gamma: float = 1.0

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        return drkl(log_q, log_p, labels, self.gamma)


@dataclass(frozen=True)
class SharedDraws(Declared, WeightedDivergences):
    """Draws α from the generator that everyone shares."""

    def weights(self, context: Context, tools: Tools) -> Weights:
        alpha = random.random()  # torch's own is seeded by each step
        return Weights(alpha, 1 - alpha)


class Forgetful(Memory):
    """Loses what it holds when it is saved."""

    def state_dict(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Forgets(Declared, WeightedDivergences):
    """α falls at each step, and starts again after an interruption."""

    def start(self, run: Run) -> Memory:
        return Forgetful(alpha=1.0)

    def weights(self, context: Context, tools: Tools) -> Weights:
        context.state.alpha *= 0.9
        return Weights(context.state.alpha, 1 - context.state.alpha)


@dataclass(frozen=True)
class Unsaved(Declared, WeightedDivergences):
    """Keeps something that cannot be saved."""

    def start(self, run: Run) -> Memory:
        return Memory(seen={1, 2})

    def weights(self, context: Context, tools: Tools) -> Weights:
        return Weights(1.0, 0.0)


@dataclass(frozen=True)
class Uphill(Declared, WeightedDivergences):
    """Drives the student away from the teacher."""

    def weights(self, context: Context, tools: Tools) -> Weights:
        return Weights(-1.0, 0.0)

    @staticmethod
    def oracle(p: Tensor, q: Tensor, labels: Tensor) -> Tensor:
        return -(p * (p / q).log()).sum(-1)


@dataclass(frozen=True)
class GivesUp(Declared, TokenDivergence):
    """Has no gradient at a token that nearly agrees."""

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        loss_N = tvd(log_q, log_p)
        return torch.where(loss_N < 0.01, loss_N.detach(), loss_N)


@dataclass(frozen=True)
class Meddles(Declared, FullStep):
    """Trains the student itself."""

    def loss(self, context: Context, tools: Any) -> tuple[Tensor, dict[str, float]]:
        loss = tools.mean_loss(tools.responses(), lambda q, p, rows: forward(q, p))
        with torch.no_grad():
            next(tools.model.parameters()).mul_(0.999)
        return loss, {}


@dataclass(frozen=True)
class NoTeacherDeclared(Declared, WeightedDivergences):
    """Reads the teacher without saying so."""

    needs: ClassVar[tuple[Need, ...]] = ()

    def weights(self, context: Context, tools: Tools) -> Weights:
        return Weights(1.0, 0.0)


class Undecorated(Reversed):
    """No frozen dataclass of its own."""


@dataclass(frozen=True)
class HalfExplained(Declared, WeightedDivergences):
    """Says where one default comes from and not the other."""

    a: float = 1.0
    b: float = 0.0
    defaults: ClassVar[dict[str, str]] = {"a": "the paper"}

    def weights(self, context: Context, tools: Tools) -> Weights:
        return Weights(self.a, self.b)


BY_FORMULA = {"value", "gradient", "direction", "temperature", "at scale"}
WRONG: list[tuple[Method, str, set[str]]] = [
    (Reversed(), "forward_kl", BY_FORMULA),
    (
        Unshifted(),
        "forward_kl",
        {*BY_FORMULA, "causal mask", "zero at agreement", "sources"} - {"direction"},
    ),
    (Sum(), "forward_kl", {*BY_FORMULA, "batch split"}),
    (
        ChunkMean(),
        "forward_kl",
        {*BY_FORMULA, "zero at agreement"}
        | {"chunk size", "single tokens", "batch split", "one position"},
    ),
    (TimesT(), "forward_kl", BY_FORMULA),
    (AtOne(), "forward_kl", {"temperature"}),
    (Filled(), "forward_kl", {*BY_FORMULA, "zero at agreement", "vocabulary padding"}),
    (
        ByPlace(),
        "forward_kl",
        {*BY_FORMULA, "sample order", "batch split"} - {"direction"},
    ),
    (HiddenLabels(), "drkl", {"undeclared labels"}),
    (SharedDraws(), "random_alpha", {"repeats", "resumes"}),
    (Forgets(), "random_alpha", {"resumes", "distributions"}),
    (Unsaved(), "forward_kl", {"resumes"}),
    (Uphill(), "uphill", {"zero at agreement", "progress"}),
    (GivesUp(), "tvd", {"zero at agreement"}),
    (Meddles(), "forward_kl", {"value", "gradient", "leaves alone"}),
    (Undecorated(), "reverse_kl", {"declarations"}),
    (HalfExplained(), "forward_kl", {"declarations"}),
]
