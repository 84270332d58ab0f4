"""Calibration of next-token distributions as a module of Hugging Face `evaluate`."""

from __future__ import annotations

from typing import Any

import evaluate
import torch

from arkd.divergence.chunked import chunks
from arkd.metrics import hf_evaluate as logits_metric
from arkd.metrics.token_fidelity import Calibration

_DESCRIPTION = """
Calibration of a language model against the tokens that followed. ECE looks at the most probable
token alone: over bins of its probability, the gap between how often it is right and how probable
it was. Full ECE looks at every token of the vocabulary in the same way, N*V probabilities of
which N are hits, so that the tail counts too. Both are sums over bins of |hits - probabilities|
divided by N.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: the model's logits or log-probabilities, a row of V numbers for each token.
    references: the label of each token, a whole number from 0 to V - 1.
    ece_bins (`int`): bins of equal width from 0 to 1. Default 15.
Returns:
    ece (`float`): expected calibration error of the most probable token, from 0 to 1.
    full_ece (`float`): the same over every token's probability, from 0 to 2.
"""

_CITATION = """
@misc{liu2024fullece,
  title         = {{Full-ECE}: A Metric For Token-level Calibration on Large Language Models},
  author        = {Liu, Han and Zhang, Yupeng and Wang, Bingning and Chen, Weipeng and Hu, Xiaolin},
  year          = {2024},
  eprint        = {2406.11345},
  archivePrefix = {arXiv}
}
"""


class FullEce(logits_metric.LogitsMetric):
    """ECE of the most probable token, and full ECE."""

    references = "labels"
    options = ("ece_bins",)

    def _info(self) -> evaluate.MetricInfo:
        return self.card(_DESCRIPTION, _KWARGS_DESCRIPTION, _CITATION)

    def _compute(self, predictions: Any, references: Any, settings: Any) -> dict[str, float]:
        calibration = Calibration(settings.ece_bins)
        labels_N = torch.as_tensor(references, dtype=torch.long)
        for rows in chunks(len(predictions), predictions.shape[1]):
            calibration.add(torch.from_numpy(predictions[rows]), labels_N[rows])
        return calibration.errors()
