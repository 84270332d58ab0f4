"""Methods that are wrong where a first step on a small batch does not show it.

Half of them are methods of this project, each altered in one place, under its own name.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from wrong_methods import Declared, forward

from arkd.method import (
    Context,
    FullStep,
    Memory,
    Method,
    Need,
    Responses,
    Source,
    TokenDivergence,
    Tools,
    WeightedDivergences,
    Weights,
)
from arkd.methods._policy import FEATURES, Units, policy_loss
from arkd.methods.arkd import Arkd
from arkd.models.model import head, response_states
from arkd.objectives import label_cross_entropy, skew_kl
from arkd.suite import rows
from arkd.suite.protocol import MethodEntry


def shipped(name: str) -> type[Any]:
    """Return the class of a method in `baselines/`."""
    return type(rows.build(MethodEntry(name=name)))


# What only other sizes or later steps show.


@dataclass(frozen=True)
class MostProbable(Declared, TokenDivergence):
    """Forward KL over the teacher's first hundred tokens alone."""

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        top = log_p.topk(min(100, log_p.shape[-1]), dim=-1)
        return (top.values.exp() * (top.values - log_q.gather(-1, top.indices))).sum(-1)


@dataclass(frozen=True)
class TrainingTeacher(Declared, FullStep):
    """Asks the teacher anew, with its dropout on."""

    def loss(self, context: Context, tools: Any) -> tuple[Tensor, dict[str, float]]:
        gold, teacher = tools.responses(), tools.sources.teacher.train()
        with torch.no_grad():
            hidden = response_states(teacher, gold.batch)
            wrong = hidden @ head(teacher).weight_VH[: len(head(tools.model))].T

        def kl(log_q: Tensor, log_p: Tensor, rows: slice) -> Tensor:
            return forward(log_q, (wrong[rows] / tools.temperature).log_softmax(-1))

        return tools.mean_loss(gold, kl), {}


@dataclass(frozen=True)
class EvaluatedStudent(Declared, WeightedDivergences):
    """Turns the student's dropout off while its loss is taken."""

    def weights(self, context: Context, tools: Any) -> Weights:
        was = tools.model.training
        tools.model.eval()
        tools.states(tools.responses())
        tools.model.train(was)
        return Weights(1.0, 0.0)


def places(responses: Responses) -> Tensor:
    """Return each token's place in its response, from 0 [N]."""
    return torch.cat([torch.arange(len(answer)) for answer in responses.answers])


@dataclass(frozen=True)
class FirstTokens(Declared, FullStep):
    """Drops what comes after the sixteenth token of a response."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        gold = tools.responses()
        kept = (places(gold) < 16).float()
        mean = tools.mean_loss(gold, lambda q, p, rows: kept[rows] * forward(q, p))
        return mean / kept.mean(), {}


@dataclass(frozen=True)
class HalvedGradient(Declared, WeightedDivergences):
    """Halves the gradient of the tokens after the two-hundredth, and keeps the value."""

    def weights(self, context: Context, tools: Any) -> Weights:
        gold = tools.responses()
        states, late = tools.states(gold), gold.batch.positions_N[places(gold) >= 200]
        factor = torch.ones(len(states), 1)
        factor[late] = 0.5
        if states.requires_grad and len(late):
            states.register_hook(lambda slope: slope * factor)
        return Weights(1.0, 0.0)


@dataclass(frozen=True)
class AlphaLater(Declared, WeightedDivergences):
    """The mix in the first four steps, forward KL from then on."""

    alpha: float = 0.5

    def weights(self, context: Context, tools: Tools) -> Weights:
        alpha = self.alpha if context.step < 4 else 1.0
        return Weights(alpha, 1 - alpha)


@dataclass(frozen=True)
class Clamped(Declared, TokenDivergence):
    """No logarithm is below −20."""

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        return forward(log_q.clamp_min(-20), log_p.clamp_min(-20))


@dataclass(frozen=True)
class Padded(Declared, TokenDivergence):
    """Takes the logarithm of q + 1e-8."""

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        return forward((log_q.exp() + 1e-8).log(), (log_p.exp() + 1e-8).log())


# What a formula alone would show, where there is none.


@dataclass(frozen=True)
class SofterTeacher(Declared, TokenDivergence):
    """Softens the teacher alone."""

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        return forward(log_q, (log_p / 2).log_softmax(-1))


@dataclass(frozen=True)
class SequenceMeans(Declared, FullStep):
    """Averages over the tokens of each response, then over responses."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        gold = tools.responses()
        share_N = len(gold.labels_N) / (len(gold.samples) * gold.sequence_N.bincount())
        weight_N = share_N[gold.sequence_N]
        return tools.mean_loss(gold, lambda q, p, rows: weight_N[rows] * forward(q, p)), {}


@dataclass(frozen=True)
class SmoothedLabels(Declared, TokenDivergence):
    """Cross-entropy with a tenth of the mass spread over all tokens."""

    needs: ClassVar[tuple[Need, ...]] = ("labels",)
    softened: ClassVar[bool] = False

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        return 0.9 * label_cross_entropy(log_q, labels) - 0.1 * log_q.mean(-1)


@dataclass(frozen=True)
class SmoothedTeacher(Declared, TokenDivergence):
    """Forward KL to a teacher with a tenth of the mass spread over all tokens."""

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        smooth = 0.9 * log_p.exp() + 0.1 / log_p.shape[-1]
        return forward(log_q, smooth.log())


# Methods of this project, altered.


@dataclass(frozen=True)
class AlteredArkd(Arkd):
    """ARKD with its reward, in one piece, and places to alter it."""

    advantage_sign: ClassVar[float] = 1.0
    entropy_sign: ClassVar[float] = 1.0
    learns: ClassVar[bool] = True
    order: ClassVar[tuple[str, ...]] = FEATURES
    exchanged: ClassVar[bool] = False

    def weights(self, context: Context, tools: Tools) -> Weights:
        agent, signals = context.state, tools.signals()
        units = Units.of(signals, "batch")
        values = [units.mean(getattr(signals, f"{name}_N")) for name in self.order]
        logit = agent.act(torch.stack(values, -1))
        alpha = torch.sigmoid(logit.detach())
        fkl, rkl = units.mean(signals.fkl_N), units.mean(signals.rkl_N)
        reward = -(alpha * fkl + (1 - alpha) * rkl)
        baseline = agent.baseline_for(float(reward))
        gain = self.advantage_sign * (reward - baseline)
        loss = policy_loss(logit, gain, self.entropy_sign * self.entropy_weight)
        log = {"reward": float(reward), "baseline": baseline}
        log["policy_loss"] = agent.learn(loss) if self.learns else float(loss.detach())
        a, b = float(alpha), 1 - float(alpha)
        return Weights(b, a, log) if self.exchanged else Weights(a, b, log)


class FlippedAdvantage(AlteredArkd):
    """Learns from b − r."""

    advantage_sign = -1.0


class FlippedEntropy(AlteredArkd):
    """Is rewarded for certainty."""

    entropy_sign = -1.0


class NeverLearns(AlteredArkd):
    """Takes no step of its optimiser."""

    learns = False


class ExchangedState(AlteredArkd):
    """Sees reverse KL where forward KL belongs."""

    order = (*FEATURES[:4], "rkl", "fkl")


class ExchangedWeights(AlteredArkd):
    """Puts α on reverse KL."""

    exchanged = True


class FewSamples(shipped("gkd")):  # type: ignore[misc]
    """Draws in one step of fifty, whatever λ is."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        return super(FewSamples, replace(self, on_policy_share=0.02)).loss(context, tools)


class HotSamples(shipped("gkd")):  # type: ignore[misc]
    """Draws at temperature 5, whatever is set."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        return super(HotSamples, replace(self, sample_temperature=5.0)).loss(context, tools)


class NeverDraws(shipped("distillm")):  # type: ignore[misc]
    """Moves its threshold, and trains on gold responses."""

    def choose(self, context: Context, tools: Tools) -> Literal["fresh", "replay", "gold"]:
        super().choose(context, tools)
        return "gold"


class GoldSeqKD(shipped("seqkd")):  # type: ignore[misc]
    """Trains on the gold responses."""

    responses: ClassVar[tuple[Source, ...]] = ("gold",)


@dataclass(frozen=True)
class SkewOnStudents(Declared, TokenDivergence):
    """Skew KL on the student's responses."""

    skew: float = 0.1
    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "student_samples")
    responses: ClassVar[tuple[Source, ...]] = ("student",)

    def token_loss(self, log_q: Tensor, log_p: Tensor, labels: Tensor, c: Context) -> Tensor:
        return skew_kl(log_q, log_p, self.skew)


class Altered:
    """Tools of a step, to be altered in one place."""

    def __init__(self, tools: Any) -> None:
        self.tools = tools

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tools, name)


class Unmixed(Altered):
    """Tools that draw from the student alone."""

    def sample(self, *, temperature: float = 1.0, **options: Any) -> Responses:
        drawn: Responses = self.tools.sample(temperature=temperature)
        return drawn


class UnmixedMiniLLM(shipped("minillm")):  # type: ignore[misc]
    """Draws from the student, and weighs as if the teacher had taken part."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        return super().loss(context, Unmixed(tools))


class StricterSkd(shipped("skd")):  # type: ignore[misc]
    """Lets a proposal stand among the teacher's five best tokens alone."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        return super(StricterSkd, replace(self, teacher_top_k=5)).loss(context, tools)


class LastingVeto(shipped("veto")):  # type: ignore[misc]
    """Holds the target back to the end as at the start."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        return super(LastingVeto, replace(self, beta_end=self.beta)).loss(context, tools)


class Negated(Altered):
    """Tools that measure the opposite."""

    def measure(self, *arguments: Any, **named: Any) -> Tensor:
        return -self.tools.measure(*arguments, **named)


class SuppressesTheProbable(shipped("fixed_advantage")):  # type: ignore[misc]
    """Pushes down the tokens that are the most probable."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        return super().loss(context, Negated(tools))


class MeanOfAll(shipped("fixed_advantage")):  # type: ignore[misc]
    """Divides by all tokens, those that are left alone among them."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        loss, log = super().loss(context, tools)
        return loss * self.share, log


class OtherSkewLater(shipped("contrastive")):  # type: ignore[misc]
    """Has another skew from the sixth step on."""

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        later = replace(self, skew=0.3) if context.step >= 5 else self
        return super(OtherSkewLater, later).loss(context, tools)


class FrozenTaid(shipped("taid")):  # type: ignore[misc]
    """Leaves t where it is after the fourth step."""

    def observe(self, context: Context, loss: float) -> None:
        if context.step < 3:
            super().observe(context, loss)


@dataclass(frozen=True)
class LooksUniform(Declared, WeightedDivergences):
    """Draws α from the middle of the interval alone."""

    def start(self, run: Any) -> Memory:
        return Memory(seed=run.seed)

    def weights(self, context: Context, tools: Tools) -> Weights:
        draw = random.Random(f"{context.state.seed} {context.step}").random()
        alpha = 0.25 + 0.5 * draw
        return Weights(alpha, 1 - alpha)


NAMELESS = "no_method_of_this_name"
GKD = shipped("gkd")
ALTERED: list[tuple[Method, str, set[str]]] = [
    (MostProbable(), "forward_kl", {"at scale"}),
    (TrainingTeacher(), "forward_kl", {"at scale"}),
    (EvaluatedStudent(), "forward_kl", {"at scale"}),
    (FirstTokens(), "forward_kl", {"at scale"}),
    (HalvedGradient(), "forward_kl", {"at scale"}),
    (Clamped(), "forward_kl", {"at scale"}),
    (Padded(), "forward_kl", {"at scale"}),
    (AlphaLater(), "fixed_mix", {"value", "gradient", "state"}),
    (SofterTeacher(), NAMELESS, {"rest at agreement"}),
    (SmoothedTeacher(), NAMELESS, {"rest at agreement", "rest at certainty"}),
    (SmoothedLabels(), NAMELESS, {"rest at certainty"}),
    (SequenceMeans(), NAMELESS, {"equal tokens"}),
    (FlippedAdvantage(), "arkd", {"state"}),
    (FlippedEntropy(), "arkd", {"state"}),
    (NeverLearns(), "arkd", {"state"}),
    (ExchangedState(), "arkd", {"state"}),
    (ExchangedWeights(), "arkd", {"state"}),
    (FewSamples(), "gkd", {"distributions"}),
    (HotSamples(), "gkd", {"distributions"}),
    (GKD(on_policy_share=0.02), "gkd", {"published defaults"}),
    (GKD(sample_temperature=5.0), "gkd", {"published defaults"}),
    (NeverDraws(), "distillm", {"distributions"}),
    (GoldSeqKD(), "seqkd", {"sources"}),
    (SkewOnStudents(), "skew_kl", {"sources"}),
    (UnmixedMiniLLM(), "minillm", {"distributions"}),
    (StricterSkd(), "skd", {"distributions"}),
    (LastingVeto(), "veto", {"value", "gradient", "state"}),
    (SuppressesTheProbable(), "fixed_advantage", {"gradient"}),
    (MeanOfAll(), "fixed_advantage", {"value", "gradient"}),
    (OtherSkewLater(), "contrastive", {"value"}),
    (FrozenTaid(), "taid", {"value"}),
    (LooksUniform(), "random_alpha", {"distributions"}),
]
