"""Generalised knowledge distillation: on the student's responses or the gold ones, by a coin."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, FullStep, Memory, Need, Reference, Run, Tools
from arkd.objectives import forward_kl, jsd, reverse_kl
from arkd.papers import GKD
from arkd.seeding import derive_seed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Gkd(FullStep):
    """JSD(β) on responses drawn now from the student, with probability λ, else on the gold ones."""

    on_policy_share: float = 0.5
    beta: float = 0.5
    sample_temperature: float = 1.0

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "student_samples")
    summary: ClassVar[str] = "generalised Jensen–Shannon on fresh student responses or gold ones"
    equation: ClassVar[str] = (
        "L = β·KL(p‖m) + (1 − β)·KL(q‖m), m = βp + (1 − β)q, on y ~ q with probability λ, else gold"
    )
    reference: ClassVar[Reference] = replace(GKD, code="github.com/huggingface/trl@f2cd577")
    deviations: ClassVar[tuple[str, ...]] = (
        "The authors published no code; TRL's trainer is followed. One coin falls for a whole "
        "step; TRL throws one for each micro-batch of each process.",
        "The divergence is softened by the suite's temperature; TRL's loss is at 1, and its "
        "temperature is that of sampling alone.",
        "A loss is the mean over the tokens it is computed on; TRL divides by the number of gold "
        "tokens even where sampled ones take their place.",
        "At β = 0 and 1, where the formula is 0, the loss is KL(p‖q) and KL(q‖p), as in TRL: the "
        "limits of the formula over β and over 1 − β.",
        "DistiLLM's baseline of this name (β = 0.1) trains on a replay buffer; its successor's and "
        "ABKD's take β = 0.9.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "on_policy_share": "TRL: lmbda 0.5",
        "beta": "TRL: 0.5",
        "sample_temperature": "1, so that responses come from q itself, as in DistiLLM's scripts "
        "of this method; TRL's is 0.9",
    }

    def __post_init__(self) -> None:
        """Refuse shares outside of their ranges."""
        if not 0 <= self.on_policy_share <= 1:
            raise ValueError(f"on_policy_share must lie in [0, 1], found {self.on_policy_share}")
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta must lie in [0, 1], found {self.beta}")
        if self.sample_temperature <= 0:
            raise ValueError(f"sample_temperature must be above 0, found {self.sample_temperature}")

    def start(self, run: Run) -> Memory:
        """Keep the seed: a resumed run throws the same coins."""
        return Memory(seed=run.seed)

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Throw the step's coin, then compare the models on the responses it chose."""
        coin = random.Random(derive_seed("gkd", context.state.seed, context.step)).random()
        on_policy = coin < self.on_policy_share
        if on_policy:
            responses = tools.sample(temperature=self.sample_temperature)
        else:
            responses = tools.responses()
        loss = tools.mean_loss(responses, lambda log_q, log_p, rows: self._divergence(log_q, log_p))
        return loss, {"on_policy": float(on_policy)}

    def _divergence(self, log_q_CV: Tensor, log_p_CV: Tensor) -> Tensor:
        if self.beta in (0, 1):
            return (reverse_kl if self.beta else forward_kl)(log_q_CV, log_p_CV)
        return jsd(log_q_CV, log_p_CV, self.beta)
