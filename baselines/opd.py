"""On-policy distillation: reverse KL on the student's own responses, whole or by one token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from arkd.method import Context, FullStep, Need, Reference, Responses, Source, Tools
from arkd.objectives import reverse_kl, sampled_cost
from arkd.papers import GKD

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class OnPolicy(FullStep):
    """KL(q‖p) at each token of y ~ q, over the vocabulary or estimated from y_t alone."""

    estimator: Literal["vocabulary", "sampled"] = "vocabulary"
    baseline: Literal["none", "batch", "closed_form"] = "none"
    discount: float = 0.0

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "student_samples")
    responses: ClassVar[tuple[Source, ...]] = ()
    softened: ClassVar[bool] = False
    summary: ClassVar[str] = "reverse KL on the student's own responses, drawn at each step"
    equation: ClassVar[str] = (
        "L = KL(q‖p) on y ~ q; sampled: ∇L = (Σ_{u ≥ t} γ^(u − t)·r_u − b)·∇log q(y_t), "
        "r = log q(y) − log p(y)"
    )
    reference: ClassVar[Reference] = replace(GKD, code="github.com/huggingface/trl@f2cd577")
    deviations: ClassVar[tuple[str, ...]] = (
        "All is at temperature 1, that of the samples; `{name: reverse_kl, prefixes: student}` is "
        "the same divergence at the suite's temperature.",
        "The sampled estimator has one gradient step a draw, so that no ratio to an older student "
        "is needed and none is clipped.",
        "The batch baseline is the mean over the batch's tokens, the own one among them.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "estimator": "the exact gradient; trainers of large models see the sampled token alone",
        "baseline": "none, as the practice of 2025 has it",
        "discount": "0: a token answers for its own log-ratio, not for those that follow",
    }

    def __post_init__(self) -> None:
        """Refuse settings that have no effect or lie outside of their ranges."""
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must lie in [0, 1], found {self.discount}")
        if self.estimator == "vocabulary" and (self.discount or self.baseline != "none"):
            raise ValueError("baseline and discount go with estimator: sampled")

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Draw a response to each prompt, then descend the reverse KL at its tokens."""
        responses = tools.sample()
        labels_N = responses.labels_N
        log = {"mean_length": len(labels_N) / len(responses.samples)}
        if self.estimator == "vocabulary":
            whole = tools.mean_loss(
                responses, lambda log_q, log_p, rows: reverse_kl(log_q, log_p), temperature=1.0
            )
            return whole, log
        log_q_N, log_p_N = tools.log_probs(responses)
        cost_N = discounted(log_q_N - log_p_N, responses, self.discount)
        if self.baseline == "batch":
            cost_N = cost_N - cost_N.mean()

        def token_loss(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            advantage_C = cost_N[rows]
            if self.baseline == "closed_form":
                advantage_C = advantage_C - reverse_kl(log_q_CV.detach(), log_p_CV)
            log_q_C = log_q_CV.gather(-1, labels_N[rows, None]).squeeze(-1)
            return sampled_cost(advantage_C, log_q_C)

        loss = tools.mean_loss(responses, token_loss, temperature=1.0)
        return loss, log | {"log_ratio": float((log_q_N - log_p_N).mean())}


def discounted(reward_N: Tensor, responses: Responses, discount: float) -> Tensor:
    """Return each token's discounted sum of rewards from it to the end of its response."""
    if discount == 0:
        return reward_N
    total, sums = 0.0, []
    sequences, rewards = responses.sequence_N.tolist(), reward_N.tolist()
    for at in reversed(range(len(rewards))):
        ends = at + 1 == len(rewards) or sequences[at + 1] != sequences[at]
        total = rewards[at] + (0.0 if ends else discount * total)
        sums.append(total)
    return reward_N.new_tensor(sums[::-1])
