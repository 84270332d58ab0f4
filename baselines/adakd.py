"""AdaKD: the hardest tokens alone, each at a temperature of its own, lower the harder it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Axis, Context, FullStep, Memory, Reference, Run, Tools
from arkd.objectives import LOG_ZERO, reverse_kl

if TYPE_CHECKING:
    from torch import Tensor

LEAST_SHARE = 0.1  # of the tokens, in the code


@dataclass(frozen=True)
class TokenAdaptive(FullStep):
    """Reverse KL of the r·N hardest tokens; r falls while the loss falls, and rises with it."""

    temperature_scale: float = 0.5
    share_step: float = 0.05
    tolerance: float = 0.05
    smoothing: float = 0.99
    warmup: float = 0.05

    varies: ClassVar[Axis] = "adaptive"
    summary: ClassVar[str] = "reverse KL of the hardest tokens, at a temperature for each"
    equation: ClassVar[str] = (
        "L = mean over the r·N tokens of largest d of τ²·KL(q_τ‖p_τ), x_τ ∝ x^(1/τ), "
        "d² = ½·Σ(√p − √q)², τ = exp(−c·tanh(log(d/median d))); r ← r·(1 ∓ σ), within [0.1, 1], "
        "each time that the smoothed loss has fallen or risen by the share ε"
    )
    reference: ClassVar[Reference] = Reference(
        title="LLM-Oriented Token-Adaptive Knowledge Distillation",
        authors="Xie, Xue, Wu, Li, Wang, Hu, Liu, Zhang",
        year=2026,
        url="https://arxiv.org/abs/2510.11615",
        code="github.com/SassyRong/AdaKD@3b9be1b",
        bibtex="""@inproceedings{xie2026adakd,
  title     = {{LLM}-Oriented Token-Adaptive Knowledge Distillation},
  author    = {Xie, Xurong and Xue, Zhucun and Wu, Jiafu and Li, Jian and Wang, Yabiao and
               Hu, Xiaobin and Liu, Yong and Zhang, Jiangning},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  year      = {2026},
  note      = {arXiv:2510.11615}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the authors' code, its functions of this name; of the paper the abstract was "
        "read. The released script asks for a type of loss that the released code does not know "
        "by that name.",
        "The loss is the script's reverse KL; the code puts others in its place as well.",
        "Difficulty is measured at the suite's temperature, and τ comes on top of it; the code "
        "is at 1.",
        "r follows the loss that is descended here, of one batch a step.",
        "Where the median of d is below 10⁻⁸ it counts as that; the code divides by 0 there.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "temperature_scale": "c of the authors' `AdaKD.sh` for GPT-2",
        "share_step": "σ of the same script",
        "tolerance": "ε of the same script",
        "smoothing": "the code's decay of the loss's moving average",
        "warmup": "of the same script: r stays 1 for this share of the steps",
    }

    def __post_init__(self) -> None:
        """Refuse settings outside of their ranges."""
        for name in ("share_step", "tolerance", "smoothing", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), found {getattr(self, name)}")
        if not 0 <= self.temperature_scale <= 10:
            raise ValueError(
                f"temperature_scale must lie in [0, 10], found {self.temperature_scale}"
            )

    def start(self, run: Run) -> Memory:
        """Return r, the moving average of the loss, and what it is compared with."""
        return Memory(share=1.0, average=None, compared=None)

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Measure how hard each token is, then distil the hardest."""
        responses = tools.responses()
        distance_N = tools.measure(responses, hellinger)
        count = max(1, int(len(distance_N) * context.state.share))
        hardest = distance_N.topk(count)
        median = hardest.values.median().clamp_min(1e-8)
        relative_N = (distance_N / median).clamp_min(1e-8)
        tau_N = (-self.temperature_scale * relative_N.log().tanh()).exp()
        weight_N = distance_N.new_zeros(len(distance_N))
        weight_N[hardest.indices] = len(distance_N) / count
        weight_N = weight_N * tau_N.square()

        def token_loss(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            tau_C1 = tau_N[rows, None]
            log_q_CV, log_p_CV = (
                (log_x_CV.clamp_min(LOG_ZERO) / tau_C1).log_softmax(-1)
                for log_x_CV in (log_q_CV, log_p_CV)
            )
            return weight_N[rows] * reverse_kl(log_q_CV, log_p_CV)

        loss = tools.mean_loss(responses, token_loss)
        return loss, {
            "share": context.state.share,
            "mean_tau": float(tau_N[hardest.indices].mean()),
        }

    def observe(self, context: Context, loss: float) -> None:
        """Move r for the next step where the average of the loss has moved far enough."""
        memory = context.state
        if memory.average is None:
            memory.average = loss
        else:
            memory.average = self.smoothing * memory.average + (1 - self.smoothing) * loss
        if memory.compared is None:
            if context.step + 1 > self.warmup * context.steps:
                memory.compared = memory.average
            return
        risen = memory.average - memory.compared
        if abs(risen) > self.tolerance * memory.compared:
            factor = 1 + self.share_step if risen > 0 else 1 - self.share_step
            memory.share = min(1.0, max(LEAST_SHARE, memory.share * factor))
            memory.compared = memory.average


def hellinger(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
    """Return the Hellinger distance of both models at each token, 0–1."""
    roots_CV = (log_q_CV / 2).exp() - (log_p_CV / 2).exp()
    return (roots_CV.square().sum(-1) / 2).sqrt()
