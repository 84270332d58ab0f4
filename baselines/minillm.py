"""MiniLLM: policy gradient of the sequence-level reverse KL, over responses of both models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Context, FullStep, Memory, Need, Reference, Responses, Run, Source, Tools
from arkd.objectives import reverse_kl
from arkd.papers import MINILLM

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MiniLLM(FullStep):
    """PPO on r = log p − log q, plus the reverse KL of each single step over the vocabulary."""

    teacher_share: float = 0.2
    epochs: int = 4
    clip: float = 0.2
    reward_clip: float = 50.0
    gamma: float = 0.95
    whiten: bool = True

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "teacher_samples", "student_samples")
    responses: ClassVar[tuple[Source, ...]] = ()
    softened: ClassVar[bool] = False
    summary: ClassVar[str] = "policy gradient of reverse KL over the student's own responses"
    equation: ClassVar[str] = (
        "L = −min(ρA, clip(ρ, 1 ± ε)·A) + KL(q‖p), ρ = w·q/q_old, w = q_old/((1 − s)q_old + sp), "
        "A_t = Σ_u γ^u·r_{t+u}/(R − t), r = log p − log q_old, y ~ (1 − s)q_old + sp"
    )
    reference: ClassVar[Reference] = replace(MINILLM, code="github.com/microsoft/LMOps@4f2a9de")
    deviations: ClassVar[tuple[str, ...]] = (
        "Where code and paper differ the code is followed: a discount, whitening, an advantage "
        "that contains the step's own reward, clipping of the ratio times w, and no w before the "
        "single-step term.",
        "Responses are drawn to one batch's prompts and serve that step and the next ones, whose "
        "own prompts are left out: of the run's prompts, one in `epochs` is answered. The code "
        "draws 256 at a time, one global batch.",
        "Whitening runs over response tokens; theirs counts padding in, so that it depends on the "
        "width of the batch.",
        "All is at temperature 1, that of the samples, whatever softens the suite's divergences.",
        "Their loss on web text (half cross-entropy, half distillation) is the suite's λ·L_pt.",
        "Optimiser, rate and batch are the suite's; theirs: constant 5e-6, β₂ = 0.95, no dropout.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "teacher_share": "scripts: 0.2",
        "epochs": "scripts: 4 PPO epochs",
        "clip": "code: 0.2",
        "reward_clip": "scripts: 100 after a division by 0.5, which whitening undoes",
        "gamma": "code: 0.95, which no script changes",
        "whiten": "code: always",
    }

    def __post_init__(self) -> None:
        """Refuse parameters outside of their ranges."""
        for name in ("teacher_share", "clip", "gamma"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], found {getattr(self, name)}")
        for name in ("epochs", "reward_clip"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, found {getattr(self, name)}")

    def start(self, run: Run) -> Memory:
        """Start without responses: the first step draws some."""
        return Memory(
            samples=[], answers=[], old_N=None, advantage_N=None, weight_N=None, reward=0.0
        )

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Draw responses where it is time, then take one step on those at hand."""
        memory = context.state
        if context.step % self.epochs == 0:
            responses = tools.sample(teacher_share=self.teacher_share)
            self._judge(memory, responses, tools)
        else:
            responses = tools.replay(memory.samples, memory.answers)
        labels_N = responses.labels_N
        old_N, advantage_N, weight_N = (
            values.to(labels_N.device)
            for values in (memory.old_N, memory.advantage_N, memory.weight_N)
        )

        def token_loss(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            log_q_C = log_q_CV.gather(-1, labels_N[rows, None]).squeeze(-1)
            ratio_C = (log_q_C - old_N[rows]).exp() * weight_N[rows]
            clipped_C = ratio_C.clamp(1 - self.clip, 1 + self.clip)
            gain_C = (ratio_C * advantage_N[rows]).minimum(clipped_C * advantage_N[rows])
            return reverse_kl(log_q_CV, log_p_CV) - gain_C

        loss = tools.mean_loss(responses, token_loss, temperature=1.0)
        mean_length = len(labels_N) / len(responses.samples)
        return loss, {"reward": memory.reward, "mean_length": mean_length}

    def _judge(self, memory: Memory, responses: Responses, tools: Tools) -> None:
        """Keep new responses with their advantages and importance weights."""
        log_q_N, log_p_N = tools.log_probs(responses)
        ratio_N = log_p_N - log_q_N
        reward_N = ratio_N.clamp(-self.reward_clip, self.reward_clip)
        togo = rewards_to_go(reward_N.tolist(), responses.sequence_N.tolist(), self.gamma)
        advantage_N = reward_N.new_tensor(togo)
        if self.whiten:
            spread_N = advantage_N.var(correction=0) + 1e-8
            advantage_N = (advantage_N - advantage_N.mean()) * spread_N.rsqrt()
        share = self.teacher_share
        memory.samples, memory.answers = responses.samples, responses.answers
        memory.old_N, memory.advantage_N = log_q_N, advantage_N
        memory.weight_N = 1 / (1 - share + share * ratio_N.exp())
        memory.reward = float(ratio_N.mean())


def rewards_to_go(rewards: list[float], sequences: list[int], gamma: float) -> list[float]:
    """Return each token's discounted sum of rewards from it on, by the number of tokens left.

    Args:
        rewards: Of the tokens, one sequence after another.
        sequences: Which sequence a token belongs to.
        gamma: Discount a token.
    """
    total, left = 0.0, 0
    means: list[float] = []
    for at in reversed(range(len(rewards))):
        if at + 1 == len(rewards) or sequences[at + 1] != sequences[at]:
            total, left = 0.0, 0
        total, left = rewards[at] + gamma * total, left + 1
        means.append(total / left)
    return means[::-1]
