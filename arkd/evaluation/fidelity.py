"""Fidelity of a student to its teacher on prefixes: gold, sampled by the teacher, or its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arkd.data.tokens import TokenSet
from arkd.divergence.head import Head
from arkd.evaluation.value import Value
from arkd.metrics.token_fidelity import measure_tokens
from arkd.models.model import head
from arkd.suite.settings import TailSettings
from arkd.teacher.cache import Evidence, hidden_responses

DIVERGENCES = ("fkl", "rkl", "jsd", "tvd")
SET_METRICS = (*DIVERGENCES, "tail_overlap")  # also told apart by test set
BAND_METRICS = (*DIVERGENCES, "nll")  # and by how frequent the label is
# On its own samples a model is calibrated by construction: nothing that needs labels is measured.
SAMPLED_LABELS = ("fidelity_student",)


@dataclass(frozen=True)
class Items:
    """What is known of each sample of an evidence set: its test set and popularity band."""

    sets: list[str]
    bands: list[str]


# Tokens by how often the students' training responses have them. Half of all their occurrences are
# of the head, two fifths of the torso, a tenth of the tail, which also has what never occurs.
TOKEN_BANDS = ("token_head", "token_torso", "token_tail")
BAND_ENDS = (0.5, 0.9)


def frequency_bands(trained: TokenSet, vocabulary: int) -> Tensor:
    """Return each token's band of frequency, as its place in `TOKEN_BANDS` [V].

    Args:
        trained: The responses that the students are trained on.
        vocabulary: How many tokens there are.
    """
    counts_V = trained.response_labels.bincount(minlength=vocabulary)
    order_V = counts_V.argsort(descending=True, stable=True)
    sorted_V = counts_V[order_V].double()
    before_V = (sorted_V.cumsum(0) - sorted_V) / sorted_V.sum().clamp_min(1)
    bands_V = torch.empty_like(order_V)
    bands_V[order_V] = sum((before_V >= end).long() for end in BAND_ENDS)
    return bands_V.masked_fill(counts_V == 0, len(BAND_ENDS))


@torch.inference_mode()
def fidelity(
    model: Any,
    evidence: Evidence,
    teacher_head: Head,
    items: Items,
    bands_V: Tensor,
    settings: TailSettings,
    task: str,
) -> Iterator[Value]:
    """Yield every fidelity measure of a model on one evidence set, as a whole and by group.

    Args:
        model: The student.
        evidence: The samples, with the teacher's hidden states of their responses.
        teacher_head: Makes logits of those states.
        items: Test set and popularity band of each sample.
        bands_V: Each token's band of frequency (`frequency_bands`).
        settings: What counts as tail, and the bins of calibration.
        task: The name of the evidence set in the records.

    Raises:
        ArkdError: a measure is not declared.
    """
    assert evidence.hidden is not None
    device = next(model.parameters()).device
    tokens = evidence.tokens
    student_NH = hidden_responses(model, tokens, task)
    labels_N, owners_N = tokens.response_labels, tokens.response_owners
    measures, calibration = measure_tokens(
        student_NH.to(device),
        head(model),
        evidence.hidden,
        teacher_head.to(device),
        labels_N.to(device),
        settings,
    )
    groups = {"": torch.ones(len(owners_N), dtype=torch.bool)}
    for names in (items.bands, items.sets):
        for name in sorted(set(names) - {"none"}):
            of_sample = torch.tensor([sample_name == name for sample_name in names])
            groups[name] = of_sample[owners_N]
    if task not in SAMPLED_LABELS:  # what a model samples itself is no fixed set of labels
        bands_N = bands_V[labels_N]
        groups |= {name: bands_N == place for place, name in enumerate(TOKEN_BANDS)}
    for (metric, own_group), (sums_N, weights_N) in measures.items():
        if metric == "nll" and task in SAMPLED_LABELS:
            continue
        for group, chosen in groups.items():
            if group and (own_group or not _told_apart(metric, group, items)):
                continue
            weight = math.fsum(weights_N[chosen].tolist())
            if weight > 0:
                value = math.fsum(sums_N[chosen].tolist()) / weight
                yield Value(task, metric, own_group or group, value, int(chosen.sum()))
    if task in SAMPLED_LABELS:
        return
    for metric, value in calibration.errors().items():
        yield Value(task, metric, "", value, len(owners_N))


def _told_apart(metric: str, group: str, items: Items) -> bool:
    """Tell whether a metric is recorded for a group; all are for the bands of popularity."""
    if group in TOKEN_BANDS:
        return metric in BAND_METRICS
    return group not in items.sets or metric in SET_METRICS
