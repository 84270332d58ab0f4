"""Tail-probability recall and precision as a module of Hugging Face `evaluate`."""

from __future__ import annotations

from typing import Any

import evaluate

from arkd.metrics import hf_evaluate as logits_metric

_DESCRIPTION = """
How much of the teacher's tail a student keeps. The head of a token's distribution is the smallest
set of the teacher's most probable tokens that holds the mass `tail_mass`; the rest is the tail. A
tail token counts if the teacher gives it p >= epsilon_scale / V. Recall is the share of counted
tail tokens to which the student gives q >= recall_ratio * p; precision is the share of the
student's tail mass that lies on counted tokens. Both are micro-averages over all tokens, and
recall should not be read without precision: a flat student has high recall and low precision.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: the student's logits or log-probabilities, a row of V numbers for each token.
    references: the teacher's, at the same tokens.
    tail_mass (`float`): the mass of the head. Default 0.9.
    epsilon_scale (`float`): a tail token counts from p = epsilon_scale / V on. Default 0.1.
    recall_ratio (`float`): a counted token is recalled from q = recall_ratio * p on. Default 0.5.
Returns:
    tail_recall (`float`): from 0 to 1, more is better; nan if no tail token counts.
    tail_precision (`float`): from 0 to 1, more is better.
    tail_mass_ratio (`float`): the student's mass on the teacher's tail over the teacher's own;
        above 1, the student is too flat; below 1, too sharp.
    tail_tokens (`int`): how many tail tokens count.
"""


class TailRecall(logits_metric.LogitsMetric):
    """Recall and precision of the teacher's tail."""

    options = ("tail_mass", "epsilon_scale", "recall_ratio")

    def _info(self) -> evaluate.MetricInfo:
        return self.card(_DESCRIPTION, _KWARGS_DESCRIPTION, logits_metric.CITATION)

    def _compute(self, predictions: Any, references: Any, settings: Any) -> dict[str, float]:
        found = logits_metric.sums(predictions, references, settings)
        names = ("tail_recall", "tail_precision", "tail_mass_ratio")
        measured = {name: logits_metric.ratio(found[name, ""]) for name in names}
        return measured | {"tail_tokens": int(found["tail_recall", ""][1])}
