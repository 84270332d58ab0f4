"""Fidelity of a student to its teacher on prefixes: gold, sampled by the teacher, or its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arkd.cache import Evidence
from arkd.models import head, hidden_states
from arkd.suite import TailSettings
from arkd.tail import HIGHER_IS_BETTER, measure_tokens

SET_METRICS = ("fkl", "rkl", "jsd", "tvd")  # also told apart by test set
BATCH_TOKENS = 8192


@dataclass(frozen=True)
class Value:
    """One measured number of a task, before it has a place in the records."""

    task: str
    metric: str
    group: str
    value: float
    n: int
    higher_is_better: bool | None


@dataclass(frozen=True)
class Items:
    """What is known of each sample of an evidence set: its test set and popularity band."""

    sets: list[str]
    bands: list[str]


@torch.inference_mode()
def states(model: Any, evidence: Evidence) -> tuple[Tensor, Tensor, Tensor]:
    """Return the model's states at the response positions, their labels and their samples [N]."""
    tokens = evidence.tokens
    device = next(model.parameters()).device
    starts = tokens.response_starts
    out = torch.empty(int(starts[-1]), head(model).shape[1])
    labels = torch.empty(int(starts[-1]), dtype=torch.int64)
    width = int(tokens.starts.diff().max())
    size = max(1, BATCH_TOKENS // width)
    for first in range(0, len(tokens), size):
        samples = range(first, min(first + size, len(tokens)))
        batch = tokens.batch(samples, model.config.pad_token_id)
        out[batch.hidden_rows_N] = hidden_states(model, batch.ids_BT.to(device))[
            batch.positions_N.to(device)
        ].cpu()
        labels[batch.hidden_rows_N] = batch.labels_N
    owners = torch.repeat_interleave(torch.arange(len(tokens)), starts.diff())
    return out, labels, owners


@torch.inference_mode()
def fidelity(
    model: Any,
    evidence: Evidence,
    teacher_head: Tensor,
    items: Items,
    settings: TailSettings,
    task: str,
) -> Iterator[Value]:
    """Yield every fidelity measure of a model on one evidence set, as a whole and by group."""
    assert evidence.hidden is not None
    device = next(model.parameters()).device
    student_NH, labels_N, owners_N = states(model, evidence)
    measures, calibration = measure_tokens(
        student_NH.to(device),
        head(model),
        evidence.hidden.to(device),
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
        for group, chosen in groups.items():
            if group and (own_group or (group in items.sets and metric not in SET_METRICS)):
                continue
            weight = float(weights_N[chosen].sum())
            if weight > 0:
                value = float(sums_N[chosen].sum()) / weight
                better = HIGHER_IS_BETTER.get(metric)
                yield Value(task, metric, own_group or group, value, int(chosen.sum()), better)
    for metric, value in calibration.errors().items():
        yield Value(task, metric, "", value, len(owners_N), HIGHER_IS_BETTER[metric])
