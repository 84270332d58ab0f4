"""Fidelity of a student to its teacher on prefixes: gold, sampled by the teacher, or its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from arkd.cache import Evidence, hidden_responses
from arkd.heads import Head
from arkd.models import head
from arkd.records import Value
from arkd.settings import TailSettings
from arkd.tail import higher_is_better, measure_tokens

SET_METRICS = ("fkl", "rkl", "jsd", "tvd")  # also told apart by test set
# On its own samples a model is calibrated by construction: nothing that needs labels is measured.
SAMPLED_LABELS = ("fidelity_student",)


@dataclass(frozen=True)
class Items:
    """What is known of each sample of an evidence set: its test set and popularity band."""

    sets: list[str]
    bands: list[str]


@torch.inference_mode()
def fidelity(
    model: Any,
    evidence: Evidence,
    teacher_head: Head,
    items: Items,
    settings: TailSettings,
    task: str,
) -> Iterator[Value]:
    """Yield every fidelity measure of a model on one evidence set, as a whole and by group."""
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
            of_sample = torch.tensor([own == name for own in names])
            groups[name] = of_sample[owners_N]
    for (metric, own_group), (sums_N, weights_N) in measures.items():
        if metric == "nll" and task in SAMPLED_LABELS:
            continue
        for group, chosen in groups.items():
            if group and (own_group or (group in items.sets and metric not in SET_METRICS)):
                continue
            weight = float(weights_N[chosen].sum())
            if weight > 0:
                value = float(sums_N[chosen].sum()) / weight
                better = higher_is_better(metric)
                yield Value(task, metric, own_group or group, value, int(chosen.sum()), better)
    if task in SAMPLED_LABELS:
        return
    for metric, value in calibration.errors().items():
        yield Value(task, metric, "", value, len(owners_N), higher_is_better(metric))
