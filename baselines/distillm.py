"""DistiLLM: a skewed divergence, with more of the student's responses once overfitting shows."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from arkd.method import Context, FullStep, Memory, Need, Reference, Responses, Run, Tools
from arkd.objectives import skew_kl, skew_rkl
from arkd.papers import DISTILLM
from arkd.seeding import derive_seed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DistiLLM(FullStep):
    """SKL or SRKL on fresh, replayed or gold responses, chosen by an adaptive threshold φ."""

    divergence: Literal["skew_kl", "skew_rkl"] = "skew_kl"
    skew: float = 0.1
    threshold: float = 0.0
    threshold_step: float = 0.1
    loss_rise: float = 0.1
    checks: int = 20
    capacity: int = 1000
    sample_temperature: float = 1.0

    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits", "student_samples", "rewards")
    summary: ClassVar[str] = "skew KL, on the student's responses as far as the dev loss asks for"
    equation: ClassVar[str] = (
        "L = KL(p‖αp + (1 − α)q) or KL(q‖(1 − α)p + αq), on y ~ q with probability φ, else gold; "
        "φ ← φ + 0.1 where the development loss has risen"
    )
    reference: ClassVar[Reference] = replace(DISTILLM, code="github.com/jongwooko/distillm@d47e77f")
    deviations: ClassVar[tuple[str, ...]] = (
        "The rules of the code are followed: φ moves where the loss exceeds that of its last move "
        "(at first: of the start), not that of the last check; until the buffer is full, what "
        "would be replayed is drawn afresh. In a short run both may never happen: the log shows φ.",
        "One coin falls for a whole step and one buffer serves the run; theirs are per process.",
        "Every response token counts; on sampled responses their mask misses the first one, which "
        "the data's own mask does not.",
        "The divergence keeps the teacher's entropy and is softened by the suite's temperature.",
        "Their cross-entropy on web text is the suite's λ·L_pt, on the batch's gold sequences.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "divergence": "the script for the 120M student; those for 340M and 760M have skew_rkl",
        "skew": "code: 0.1",
        "threshold": "scripts for GPT-2: 0",
        "threshold_step": "code: 0.1, up to 1",
        "loss_rise": "scripts for GPT-2: 0.1 nats",
        "checks": "theirs are one an epoch of 20, the one before the training not counted; here "
        "the run's steps are divided by their number",
        "capacity": "scripts: 1000 responses",
        "sample_temperature": "scripts: 1",
    }

    def __post_init__(self) -> None:
        """Refuse parameters outside of their ranges."""
        for name in ("skew", "threshold", "threshold_step"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], found {getattr(self, name)}")
        for name in ("checks", "capacity"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        if self.sample_temperature <= 0:
            raise ValueError(f"sample_temperature must be above 0, found {self.sample_temperature}")

    def start(self, run: Run) -> Memory:
        """Start with an empty buffer and no reference loss."""
        return Memory(seed=run.seed, threshold=self.threshold, dev_nll=None, buffer=[])

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Check the development loss where it is time, then choose the responses by a coin."""
        memory, choice = context.state, self.choose(context, tools)
        divergence = skew_kl if self.divergence == "skew_kl" else skew_rkl
        loss = tools.mean_loss(
            self._responses(choice, context, tools),
            lambda log_q, log_p, rows: divergence(log_q, log_p, self.skew),
        )
        chosen = {name: float(choice == name) for name in ("fresh", "replay")}
        return loss, {"threshold": memory.threshold, **chosen, "buffer": float(len(memory.buffer))}

    def choose(self, context: Context, tools: Tools) -> Literal["fresh", "replay", "gold"]:
        """Return what the step trains on; P(fresh) falls linearly to 0 once the buffer is full."""
        memory = context.state
        if context.step % max(1, context.steps // self.checks) == 0:
            dev_nll = tools.dev_nll()
            if memory.dev_nll is None:
                memory.dev_nll = dev_nll
            elif dev_nll >= memory.dev_nll + self.loss_rise:
                memory.threshold = min(1.0, memory.threshold + self.threshold_step)
                memory.dev_nll = dev_nll
        coin = self._random("coin", context).random()
        fresh = memory.threshold * (1 - (context.step + 1) / context.steps)
        full = len(memory.buffer) >= self.capacity
        if coin < fresh or (coin < memory.threshold and not full):
            return "fresh"
        return "replay" if coin < memory.threshold else "gold"

    def _responses(self, choice: str, context: Context, tools: Tools) -> Responses:
        buffer = context.state.buffer
        if choice == "fresh":
            drawn = tools.sample(temperature=self.sample_temperature)
            buffer += [
                [row, answer] for row, answer in zip(drawn.samples, drawn.answers, strict=True)
            ]
            del buffer[: -self.capacity]  # the oldest go first
            return drawn
        gold = tools.responses()
        if choice == "gold":
            return gold
        size = min(len(gold.samples), len(buffer))
        rows, answers = zip(*self._random("replay", context).sample(buffer, size), strict=True)
        return tools.replay(list(rows), list(answers))

    def _random(self, name: str, context: Context) -> random.Random:
        return random.Random(derive_seed("distillm", name, context.state.seed, context.step))
