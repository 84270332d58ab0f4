"""Where in the teacher's ranks a student errs, as a module of Hugging Face `evaluate`."""

from __future__ import annotations

from typing import Any

import evaluate

from arkd.metrics import hf_evaluate as logits_metric

_DESCRIPTION = """
The error of a student by the teacher's rank of the token: rank 1, 2 to 10, 11 to 100, 101 to
1,000 and beyond. In each bin the sum over its ranks of |p - q|, of forward KL's part p*log(p/q) -
p + q and of reverse KL's part q*log(q/p) - q + p, each a mean over tokens. Over all bins they add
up to twice the total variation, to forward KL and to reverse KL. A last bin that would hold fewer
ranks than lie before it joins its neighbour.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: the student's logits or log-probabilities, a row of V numbers for each token.
    references: the teacher's, at the same tokens.
Returns:
    abs_gap_rank_1, abs_gap_rank_2_10, ... (`float`): sum of |p - q| over the bin, from 0 to 2.
    fkl_rank_1, fkl_rank_2_10, ... (`float`): the bin's part of KL(p||q), in nats.
    rkl_rank_1, rkl_rank_2_10, ... (`float`): the bin's part of KL(q||p), in nats.
"""


class RankBins(logits_metric.LogitsMetric):
    """Absolute gap and parts of both KLs in bins of the teacher's ranks."""

    def _info(self) -> evaluate.MetricInfo:
        return self.card(_DESCRIPTION, _KWARGS_DESCRIPTION, logits_metric.CITATION)

    def _compute(self, predictions: Any, references: Any, settings: Any) -> dict[str, float]:
        found = logits_metric.sums(predictions, references, settings)
        return {
            f"{metric}_{group}": logits_metric.ratio(value)
            for name in ("abs_gap", "fkl", "rkl")
            for (metric, group), value in found.items()
            if group and metric == name
        }
