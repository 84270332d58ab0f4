"""TAID: the target moves from the student towards the teacher as the training goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Axis, Context, Memory, Reference, Run, TokenDivergence
from arkd.objectives import forward_kl, interpolated

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Taid(TokenDivergence):
    """Forward KL to an interpolated teacher p_t; t rises linearly or faster."""

    t_start: float = 0.4
    t_end: float = 1.0
    alpha: float = 5e-4
    beta: float = 0.99

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "forward KL to a teacher interpolated from student to teacher"
    equation: ClassVar[str] = (
        "L = KL(p_t‖q), p_t = softmax((1 − t)·sg z_S + t·z_T); "
        "m ← β·m + (1 − β)·(L' − L)/L' with L' the loss before; "
        "t ← min(t_end, max(t_start + (t_end − t_start)·n/N, t + α·σ(m)·(1 − t)))"
    )
    reference: ClassVar[Reference] = Reference(
        title="TAID: Temporally Adaptive Interpolated Distillation for Efficient Knowledge "
        "Transfer in Language Models",
        authors="Shing, Misaki, Bao, Yokoi, Akiba",
        year=2025,
        url="https://arxiv.org/abs/2501.16937",
        code="github.com/SakanaAI/TAID@a062892",
        bibtex="""@inproceedings{shing2025taid,
  title     = {{TAID}: Temporally Adaptive Interpolated Distillation for Efficient Knowledge
               Transfer in Language Models},
  author    = {Shing, Makoto and Misaki, Kou and Bao, Han and Yokoi, Sho and Akiba, Takuya},
  booktitle = {The Thirteenth International Conference on Learning Representations},
  year      = {2025},
  note      = {arXiv:2501.16937}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "The value keeps the entropy of p_t, so that it is a divergence; the code drops it, which "
        "changes no gradient but the relative change that moves t.",
        "t moves once a training step, from the loss of the whole batch; the code's also moves at "
        "every micro-batch and, an oversight, at validation batches.",
        "At the suite's temperature; the code trains at 1.",
        "Under about 4,000 steps α·σ(m) never overtakes the linear rise at the default α: such a "
        "run is the linear schedule, here as in the code.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "t_start": "the authors' code; two of their three scripts set 0.2",
        "t_end": "the authors' code",
        "alpha": "the authors' code and scripts",
        "beta": "the authors' code and scripts",
    }

    def __post_init__(self) -> None:
        """Refuse a t that would not rise and rates outside [0, 1]."""
        if not 0 <= self.t_start < self.t_end <= 1:
            raise ValueError(
                f"0 ≤ t_start < t_end ≤ 1 must hold, found {self.t_start} and {self.t_end}"
            )
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in [0, 1], found {value}")

    @property
    def allows_zeros(self) -> bool:
        """Whether the teacher is in p_t from the start, which then lies where p does."""
        return self.t_start > 0

    def start(self, run: Run) -> Memory:
        """Return t at its start, and no loss seen yet."""
        return Memory(t=self.t_start, momentum=0.0, last_loss=None)

    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return forward KL to the interpolated teacher, which carries no gradient."""
        assert log_p_NV is not None
        return forward_kl(log_q_NV, interpolated(log_q_NV, log_p_NV, context.state.t))

    def observe(self, context: Context, loss: float) -> None:
        """Move t for the next step; the first loss is only remembered."""
        memory = context.state
        if memory.last_loss is not None:
            change = (memory.last_loss - loss) / (memory.last_loss + 1e-15)
            memory.momentum = self.beta * memory.momentum + (1 - self.beta) * change
            sigmoid = (1 + math.tanh(memory.momentum / 2)) / 2
            linear = self.t_start + (self.t_end - self.t_start) * context.step / context.steps
            faster = memory.t + self.alpha * sigmoid * (1 - memory.t)
            memory.t = min(self.t_end, max(linear, faster))
        memory.last_loss = loss
