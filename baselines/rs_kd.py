"""Random sampling distillation: forward KL to a sparse target drawn from the teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from arkd.method import Axis, Context, FullStep, Memory, Reference, Responses, Run, Tools
from arkd.objectives import forward_kl
from arkd.seeding import derive_seed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RandomSamplingKD(FullStep):
    """KL(t‖q), t the frequencies of some tokens that were drawn from p at this position."""

    rounds: int = 50

    varies: ClassVar[Axis] = "support"
    summary: ClassVar[str] = "forward KL to tokens drawn from the teacher: sparse and unbiased"
    equation: ClassVar[str] = (
        "L = Σ t_i·log(t_i/q_i), t_i = c_i/N, c_i how often N draws from p, with replacement, "
        "gave token i; E ∇L = ∇KL(p‖q)"
    )
    reference: ClassVar[Reference] = Reference(
        title="Sparse Logit Sampling: Accelerating Knowledge Distillation in LLMs",
        authors="Anshumann, Zaidi, Kedia, Ahn, Kwon, Lee, Lee, Lee",
        year=2025,
        url="https://arxiv.org/abs/2503.16870",
        bibtex="""@inproceedings{anshumann2025sparse,
  title     = {Sparse Logit Sampling: Accelerating Knowledge Distillation in {LLM}s},
  author    = {Anshumann, Anshumann and Zaidi, Mohd Abbas and Kedia, Akhil and Ahn, Jinwoo and
               Kwon, Taehwak and Lee, Kangwook and Lee, Haejun and Lee, Joohyung},
  booktitle = {Proceedings of the 63rd Annual Meeting of the Association for Computational
               Linguistics (Volume 1: Long Papers)},
  pages     = {18085--18108},
  year      = {2025},
  publisher = {Association for Computational Linguistics},
  note      = {arXiv:2503.16870}
}""",
    )
    deviations: ClassVar[tuple[str, ...]] = (
        "Written from the authors' poster and slides (akhilkedia/RandomSamplingKD@9d0f381, which "
        "holds no code); of the paper the abstract was read.",
        "The tokens are drawn from p itself. The paper also draws from a sharper or flatter p "
        "with weights, which changes the variance alone.",
        "The draws of a training sample are the same whenever it comes up, as with the authors' "
        "cache; they are made anew from the teacher's values, so that nothing is saved here.",
        "The value keeps the target's own entropy. It is no estimate of KL(p‖q): at q = p it is "
        "above 0. The gradient is unbiased.",
        "Drawn and compared at the suite's temperature; no cross-entropy beside it.",
    )
    defaults: ClassVar[dict[str, str]] = {
        "rounds": "the poster's: 50 draws give about 12 tokens of a vocabulary of 100,000"
    }

    def __post_init__(self) -> None:
        """Refuse a target of no draw."""
        if self.rounds < 1:
            raise ValueError(f"rounds must be at least 1, found {self.rounds}")

    def start(self, run: Run) -> Memory:
        """Keep the seed: a sample's draws depend on it and on the sample alone."""
        return Memory(seed=run.seed)

    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Draw each token's target, then take the forward KL to it."""
        responses = tools.responses()
        places_NR = uniform(responses, self.rounds, context.state.seed).to(
            responses.labels_N.device
        )
        kept = 0.0

        def token_loss(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            nonlocal kept
            target_CV = frequencies(log_p_CV, places_NR[rows])
            kept += float((target_CV > 0).sum())
            return forward_kl(log_q_CV, target_CV.log())

        loss = tools.mean_loss(responses, token_loss)
        return loss, {"kept_tokens": kept / len(responses.labels_N)}


def uniform(responses: Responses, rounds: int, seed: int) -> Tensor:
    """Return numbers in [0, 1) [N, rounds] that a training sample has whatever its batch."""
    import torch

    lengths = responses.sequence_N.bincount(minlength=len(responses.samples)).tolist()
    drawn = []
    for sample, length in zip(responses.samples, lengths, strict=True):
        generator = torch.Generator().manual_seed(derive_seed("rs_kd", seed, sample))
        drawn.append(torch.rand(length, rounds, generator=generator, dtype=torch.float64))
    return torch.cat(drawn)


def frequencies(log_p_CV: Tensor, places_CR: Tensor) -> Tensor:
    """Return how often each token was drawn [C, V], as a share: places in p's cumulative mass."""
    import torch

    mass_CV = log_p_CV.double().exp().cumsum(-1)
    drawn_CR = torch.searchsorted(mass_CV, places_CR * mass_CV[:, -1:], right=True)
    drawn_CR = drawn_CR.clamp_max(log_p_CV.shape[-1] - 1)
    ones_CR = log_p_CV.new_ones(drawn_CR.shape)
    counts_CV = log_p_CV.new_zeros(log_p_CV.shape).scatter_add_(-1, drawn_CR, ones_CR)
    return counts_CV / places_CR.shape[-1]
