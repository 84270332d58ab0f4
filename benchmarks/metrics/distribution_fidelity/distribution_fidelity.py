"""Divergences of a student from its teacher as a module of Hugging Face `evaluate`."""

from __future__ import annotations

from typing import Any

import evaluate

from arkd.metrics import hf_evaluate as logits_metric

_DESCRIPTION = """
How far a student's next-token distributions q are from its teacher's p, each a mean over tokens,
in nats where it is a divergence: forward KL, reverse KL, Jensen-Shannon, total variation, both
KLs parted into head and tail of the teacher, agreement of the most probable tokens, the gap of
entropies, and the acceptance rate of speculative sampling. The parts of a KL are the generalised
divergences p*log(p/q) - p + q and q*log(q/p) - q + p: none is negative, and they add up to the
whole.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: the student's logits or log-probabilities, a row of V numbers for each token.
    references: the teacher's, at the same tokens.
    tail_mass (`float`): the mass of the teacher's head; the rest is the tail. Default 0.9.
    top_k (`int`): size of the sets whose overlap is `agreement_topk`. Default 5.
Returns:
    fkl, rkl, jsd (`float`): KL(p||q), KL(q||p) and Jensen-Shannon divergence, in nats.
    tvd (`float`): total variation, half of sum|p - q|, from 0 to 1.
    fkl_head, fkl_tail, rkl_head, rkl_tail (`float`): parts of `fkl` and `rkl`, in nats.
    agreement_top1 (`float`): how often both models' most probable token is the same.
    agreement_topk (`float`): mean overlap of both models' k most probable tokens, from 0 to 1.
    entropy_gap (`float`): entropy of q minus entropy of p, in nats.
    acceptance (`float`): 1 - tvd, how often speculative sampling takes the student's draft.
"""

_CITATION = """
@inproceedings{wu2025rethinking,
  title     = {Rethinking {K}ullback-{L}eibler Divergence in Knowledge Distillation
               for Large Language Models},
  author    = {Wu, Taiqiang and Tao, Chaofan and Wang, Jiahao and Yang, Runming
               and Zhao, Zhe and Wong, Ngai},
  booktitle = {Proceedings of the 31st International Conference on Computational Linguistics},
  pages     = {5737--5755},
  year      = {2025}
}

@inproceedings{leviathan2023fast,
  title     = {Fast Inference from Transformers via Speculative Decoding},
  author    = {Leviathan, Yaniv and Kalman, Matan and Matias, Yossi},
  booktitle = {Proceedings of the 40th International Conference on Machine Learning},
  pages     = {19274--19286},
  year      = {2023}
}
"""

_MEASURES = (
    *("fkl", "rkl", "jsd", "tvd", "fkl_head", "fkl_tail", "rkl_head", "rkl_tail"),
    *("agreement_top1", "entropy_gap", "acceptance"),
)


class DistributionFidelity(logits_metric.LogitsMetric):
    """Divergences, their head and tail, agreement, entropy gap and acceptance."""

    options = ("tail_mass", "top_k")

    def _info(self) -> evaluate.MetricInfo:
        return self.card(_DESCRIPTION, _KWARGS_DESCRIPTION, _CITATION)

    def _compute(self, predictions: Any, references: Any, settings: Any) -> dict[str, float]:
        found = logits_metric.sums(predictions, references, settings)
        measured = {name: logits_metric.ratio(found[name, ""]) for name in _MEASURES}
        overlap = found[f"agreement_top{settings.top_k}", ""]
        return measured | {"agreement_topk": logits_metric.ratio(overlap)}
