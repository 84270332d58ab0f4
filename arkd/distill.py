"""Distillation: every method runs through this one step, on the same batches of a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arkd.cache import Evidence
from arkd.data.tokens import Batch, batch_order
from arkd.divergence import (
    Teacher,
    cross_entropy,
    measure,
    token_divergence,
    weighted_divergences,
)
from arkd.method import Method, Run, Source, TokenDivergence, WeightedDivergences
from arkd.models import head, hidden_states
from arkd.suite import Distillation
from arkd.training import Trained, optimise


@dataclass(frozen=True)
class Sources:
    """The response sets of a run, row for row over the same prompts, and the teacher's head."""

    sets: dict[Source, Evidence]
    teacher_head: Tensor | None


class Step:
    """Computes the loss of a batch for one method."""

    def __init__(
        self, model: Any, method: Method, sources: Sources, settings: Distillation, seed: int
    ) -> None:
        self.model = model
        self.method = method
        self.sources = sources
        self.settings = settings
        self.device = next(model.parameters()).device
        self.teacher_head = (
            None if sources.teacher_head is None else sources.teacher_head.to(self.device)
        )
        self.state = method.start(Run(seed, settings.steps, settings.temperature))

    def loss(self, step: int, samples: list[int]) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch of samples (differentiable) and what to log of it."""
        batches = {
            source: self.sources.sets[source].tokens.batch(samples, self.model.config.pad_token_id)
            for source in self._read_sources()
        }
        states = {
            source: hidden_states(self.model, batch.ids_BT.to(self.device))
            for source, batch in batches.items()
        }
        if isinstance(self.method, WeightedDivergences):
            loss, log = self._weighted(step, states["gold"], batches["gold"])
        else:
            loss, log = self._token_losses(states, batches)
        if self.method.needs_teacher and self.settings.square_temperature:
            loss = loss * self.settings.temperature**2
        log["distil"] = float(loss.detach())
        if self._has_lm_term():
            gold = batches["gold"]
            lm = cross_entropy(
                states["gold"][gold.lm_positions_M.to(self.device)],
                head(self.model),
                gold.lm_labels_M.to(self.device),
            )
            loss = loss + self.settings.lm_weight * lm
            log["lm"] = float(lm.detach())
        log["tokens"] = float(sum(batch.tokens for batch in batches.values()))
        return loss, log

    def _has_lm_term(self) -> bool:
        """λ·L_pt goes to every method that reads the teacher, and to no other."""
        return self.method.needs_teacher and self.settings.lm_weight > 0

    def _read_sources(self) -> list[Source]:
        gold_for_lm: list[Source] = ["gold"] if self._has_lm_term() else []
        return list(dict.fromkeys([*self.method.responses, *gold_for_lm]))

    def _teacher(self, source: Source, batch: Batch) -> Teacher:
        hidden = self.sources.sets[source].hidden
        assert hidden is not None
        assert self.teacher_head is not None
        return Teacher(hidden[batch.hidden_rows_N].to(self.device), self.teacher_head)

    def _weighted(self, step: int, states: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        method = self.method
        assert isinstance(method, WeightedDivergences)
        hidden_NH = states[batch.positions_N.to(self.device)]
        teacher = self._teacher("gold", batch)
        temperature = self.settings.temperature
        signals = None
        if method.reads_signals:
            signals = measure(
                hidden_NH.detach(),
                head(self.model).detach(),
                teacher,
                temperature=temperature,
                variance=self.settings.variance,
                head_mass=self.settings.head_mass if method.needs_gaps else None,
            )
        weights = method.weights(step, self.settings.steps, signals, self.state)
        loss, fkl_N, rkl_N = weighted_divergences(
            hidden_NH,
            head(self.model),
            teacher,
            weights.fkl,
            weights.rkl,
            temperature=temperature,
        )
        log = {
            "fkl": float(fkl_N.mean()),
            "rkl": float(rkl_N.mean()),
            "alpha": float(torch.as_tensor(weights.fkl).mean()),
        }
        return loss, log | weights.log

    def _token_losses(
        self, states: dict[Source, Tensor], batches: dict[Source, Batch]
    ) -> tuple[Tensor, dict[str, float]]:
        method = self.method
        assert isinstance(method, TokenDivergence)
        losses = [
            token_divergence(
                states[source][batches[source].positions_N.to(self.device)],
                head(self.model),
                self._teacher(source, batches[source]) if method.needs_teacher else None,
                batches[source].labels_N.to(self.device),
                method,
                source,
                temperature=self.settings.temperature,
            )
            for source in method.responses
        ]
        return torch.stack(losses).mean(), {}


def distill(
    model: Any,
    method: Method,
    sources: Sources,
    settings: Distillation,
    lr: float,
    seed: int,
    label: str,
) -> Trained:
    """Train a student by one method; the data order depends on the seed alone."""
    step = Step(model, method, sources, settings, seed)
    samples = len(next(iter(sources.sets.values())).tokens)
    batches = batch_order(samples, settings.steps, settings.batch_size, "distill", seed)
    return optimise(model, settings, lr, lambda index: step.loss(index, next(batches)), label)
