"""Distillation: every method runs through this one step, on the same batches of a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from arkd import ranks
from arkd.data.tokens import batch_order
from arkd.divergence.losses import cross_entropy
from arkd.method import Context, FullStep, Method, Run, TokenDivergence, WeightedDivergences
from arkd.models.device import seed_draws
from arkd.models.model import head, hidden_states
from arkd.suite.protocol import Distillation
from arkd.training.checkpoint import Checkpoint
from arkd.training.loop import Trained, optimise
from arkd.training.method_errors import check_state, check_step, check_weights
from arkd.training.sources import Sources
from arkd.training.step_tools import StepTools
from arkd.training.tracking import Tracker


class Step(torch.nn.Module):
    """Computes the loss of a batch for one method.

    Several processes may each run a step of their own on the same batch; see `arkd.ranks`.

    Args:
        model: The student.
        method: Its loss, whose state starts here.
        sources: Response sets, teacher and what else the method reads.
        settings: The row's, with the number of steps known.
        seed: Of the training; all draws and orders derive from it.
    """

    def __init__(
        self, model: Any, method: Method, sources: Sources, settings: Distillation, seed: int
    ) -> None:
        super().__init__()
        self.model = model
        self.method = method
        self.sources = sources
        self.settings = settings
        self.seed = seed
        self.corpus_order: list[list[int]] = []
        if settings.lm_weight > 0 and settings.lm_corpus == "corpus" and method.reads_teacher:
            assert sources.corpus is not None
            rows, steps = len(sources.corpus), settings.steps
            order = batch_order(rows, steps, settings.batch_size, "corpus", seed)
            self.corpus_order = list(order)
        self.device = next(model.parameters()).device
        if sources.teacher_head is not None:
            sources.teacher_head = sources.teacher_head.to(self.device)
        self.state = method.start(Run(seed, settings.steps, settings.temperature, sources.replayed))
        check_state(method, self.state)

    def forward(self, step: int, samples: list[int]) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch of samples (differentiable) and what to log of it."""
        seed_draws(self.device, "step", self.seed, step)
        tools = StepTools(
            self.model, self.method, self.sources, self.settings, self.seed, step, samples
        )
        context = Context(step, self.settings.steps, self.state)
        if isinstance(self.method, WeightedDivergences):
            loss, log = self._weighted(self.method, context, tools)
        elif isinstance(self.method, TokenDivergence):
            loss, log = self._token_losses(self.method, context, tools)
        else:
            assert isinstance(self.method, FullStep)
            loss, log = check_step(self.method, self.method.loss(context, tools))
        log["distil"] = float(loss.detach())
        self.method.observe(context, log["distil"])
        if self.settings.square_temperature:
            loss = loss * tools.temperature**2
        if self.method.reads_teacher and self.settings.lm_weight > 0:  # λ·L_pt, to no other method
            lm = self._language_model(step, tools)
            loss = loss + self.settings.lm_weight * lm
            log["lm"] = float(lm.detach())
        log |= tools.narrowed.log
        tokens, padding = ranks.total(float(tools.tokens), float(tools.padding))
        log |= {"tokens": tokens, "padding": padding}
        return loss, log

    def _language_model(self, step: int, tools: StepTools) -> Tensor:
        """Return L_pt: the cross-entropy of every token of the batch's gold rows, or of D_p's."""
        if self.corpus_order:
            assert self.sources.corpus is not None
            pad = self.model.config.pad_token_id
            batch = self.sources.corpus.own_batch(self.corpus_order[step], pad)
            states = hidden_states(self.model, batch.ids_BT.to(self.device), batch.packed)
        else:
            gold = tools.responses()
            batch, states = gold.batch, tools.states(gold)
        return cross_entropy(
            states[batch.lm_positions_M.to(self.device)],
            head(self.model),
            batch.lm_labels_M.to(self.device),
        )

    def _weighted(
        self, method: WeightedDivergences, context: Context, tools: StepTools
    ) -> tuple[Tensor, dict[str, float]]:
        weights = method.weights(context, tools)
        logged = check_weights(method, weights, len(tools.prefixes.labels_N))
        loss, fkl_N, rkl_N = tools.weighted_loss(weights)
        log = {
            "fkl": float(fkl_N.mean()),
            "rkl": float(rkl_N.mean()),
            "alpha": float(torch.as_tensor(weights.fkl).mean()),
        }
        return loss, log | logged

    def _token_losses(
        self, method: TokenDivergence, context: Context, tools: StepTools
    ) -> tuple[Tensor, dict[str, float]]:
        losses = []
        if self.settings.prefixes is None:
            sets = {source: tools.responses(source) for source in method.responses}
        else:
            sets = {"gold": tools.prefixes}
        for source, responses in sets.items():
            source_context = replace(context, source=source)

            def loss(
                log_q_CV: Tensor,
                log_p_CV: Tensor | None,
                rows: slice,
                labels_N: Tensor = responses.labels_N,
                source_context: Context = source_context,
            ) -> Tensor:
                return method.token_loss(log_q_CV, log_p_CV, labels_N[rows], source_context)

            losses.append(tools.mean_loss(responses, loss))
        return torch.stack(losses).mean(), {}


def rows_of(split: str, samples: int) -> range:
    """Return the rows of the training set that a split has: all, or one half of them."""
    half = samples // 2
    return {"all": range(samples), "first": range(half), "second": range(half, samples)}[split]


def distill(
    model: Any,
    method: Method,
    sources: Sources,
    settings: Distillation,
    seed: int,
    label: str,
    checkpoint: Checkpoint | None = None,
    judge: Callable[[], float] | None = None,
    tracker: Tracker | None = None,
) -> Trained:
    """Train a student by one method; the data order depends on the seed alone.

    Args:
        model: The student.
        method: Its loss.
        sources: Response sets, teacher and what else the method reads.
        settings: The row's; which split it trains on, for how many steps or epochs.
        seed: Of the training.
        label: Of the progress bar.
        checkpoint: Where to go on from, and to save to.
        judge: Scores the student as it is, higher is better, where the settings select a state.
        tracker: Shows each step while the run goes on.
    """
    rows = rows_of(settings.split, len(next(iter(sources.sets.values())).tokens))
    settings = settings.over(len(rows))
    step = Step(model, method, sources, settings, seed)
    order = list(batch_order(len(rows), settings.steps, settings.batch_size, "distill", seed))
    return optimise(
        model,
        settings,
        lambda index: step(index, [rows[sample] for sample in order[index]]),
        label,
        checkpoint,
        step.state,
        judge,
        tracker,
    )
