"""What a model believes against what is true in a generated world, at the level of answers.

A probe is a question whose every right answer, and every wording of it, has a known probability.
The model's belief in an answer is the probability it gives to any of the answer's wordings, ended
by any of the tokens that end a sample; what it gives to none of them is left over.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from arkd.data.tokenizer import end_ids
from arkd.data.tokens import encode
from arkd.divergence.losses import label_log_probs
from arkd.evaluation.value import Value
from arkd.models.model import head
from arkd.teacher.cache import hidden_responses


@torch.inference_mode()
def text_log_probabilities(model: Any, tokenizer: Any, pairs: list[tuple[str, str]]) -> list[float]:
    """Return log P(response, then any end token | prompt) in nats of each (prompt, response)."""
    rows = [{"prompt": prompt, "response": response} for prompt, response in pairs]
    tokens, too_long = encode(tokenizer, rows, max_tokens=10**9)
    assert too_long == 0
    states_NH = hidden_responses(model, tokens, "truth")
    labels_N, owners_N = tokens.response_labels, tokens.response_owners
    states_NH = states_NH.to(next(model.parameters()).device)

    def log_q(states_NH: Tensor, labels_N: Tensor) -> Tensor:
        labels_N = labels_N.to(states_NH.device)
        return label_log_probs(states_NH, head(model), labels_N, temperature=1.0)

    log_q_N = log_q(states_NH, labels_N)
    first, *others = end_ids(tokenizer)
    if others:  # `encode` ends each response by the first, and no text holds it
        last_N = labels_N == first
        ends = [log_q(states_NH[last_N], labels_N[last_N].fill_(end)) for end in others]
        log_q_N[last_N] = torch.stack([log_q_N[last_N], *ends]).logsumexp(0)
    totals = torch.zeros(len(pairs), dtype=torch.float64)
    totals.index_add_(0, owners_N, log_q_N.cpu().double())
    return [float(total) for total in totals]


def truth(model: Any, tokenizer: Any, probes: list[dict[str, Any]]) -> Iterator[Value]:
    """Yield error, entropy gap and accuracy against the truth, by kind of probe.

    `truth_error` is the total variation between belief and truth, what is left over counted as an
    answer that is never true; `truth_entropy_gap` is the entropy of the belief (left-over mass as
    one answer) minus the truth's, in nats; `truth_accuracy` says how often the most believed answer
    is a most probable one and more believed than all that is left over. Of a question with one
    answer that is more than half of the belief; where its tail is listed too, less may do.

    Args:
        model: The model whose belief it is.
        tokenizer: The model's.
        probes: The questions, each with its answers, their wordings and their probability.
    """
    pairs = [
        (probe["prompt"], text)
        for probe in probes
        for answer in probe["answers"]
        for text in answer["texts"]
    ]
    log_probabilities = iter(text_log_probabilities(model, tokenizer, pairs))
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for probe in probes:
        true = [answer["truth"] for answer in probe["answers"]]
        belief = [
            sum(math.exp(next(log_probabilities)) for _ in answer["texts"])
            for answer in probe["answers"]
        ]
        left_over = max(0.0, 1 - sum(belief))
        error = 0.5 * (sum(abs(q - t) for q, t in zip(belief, true, strict=True)) + left_over)
        gap = _entropy([*belief, left_over]) - _entropy(true)
        best = belief.index(max(belief))
        hit = float(belief[best] > left_over and math.isclose(true[best], max(true)))
        kind = probe["kind"]
        groups = ["", kind] + ([f"certain_{probe['band']}"] if kind == "certain" else [])
        for group in groups:
            found["truth_error", group].append(error)
            found["truth_entropy_gap", group].append(gap)
            found["truth_accuracy", group].append(hit)
    for (metric, group), values in sorted(found.items()):
        mean = sum(values) / len(values)
        yield Value("truth", metric, group, mean, len(values))


def _entropy(probabilities: list[float]) -> float:
    return -sum(p * math.log(p) for p in probabilities if p > 0)
