"""The one optimisation loop: teacher, SFT start and every student run through it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from arkd import ranks
from arkd.data.tokens import TokenSet, batch_order
from arkd.divergence.losses import cross_entropy
from arkd.method import State
from arkd.models import shards
from arkd.models.device import seed_draws
from arkd.models.model import head, padding, response_states
from arkd.progress import progress
from arkd.suite.protocol import Optimisation
from arkd.training.checkpoint import Checkpoint
from arkd.training.termination import TERMINATED, told_to_end
from arkd.training.tracking import Tracker

# By which a training is timed: the wall's, and the processor's over all threads of this process.
CLOCKS = {"train_s": time.monotonic, "train_processor_s": time.process_time}

# What one step computes: the loss to descend, and what to log of it.
StepLoss = Callable[[int], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class Trained:
    """How a run went: one row a step, and its cost."""

    rows: list[dict[str, float]]
    spent: dict[str, float]  # seconds, by the clocks of CLOCKS
    failed: bool  # loss or gradient left the finite numbers; the weights before are kept
    judged: dict[int, float] = field(default_factory=dict)  # score after so many steps


def learning_rate(step: int, optimisation: Optimisation) -> float:
    """Return the rate of a step: linear warm-up, then constant, linear to zero, or a cosine."""
    steps, peak = optimisation.steps, optimisation.lr
    warmup = int(optimisation.warmup_share * steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    if optimisation.schedule == "constant":
        return peak
    decay_steps = max(1, steps - warmup)
    if optimisation.schedule == "linear":
        return peak * (1 - (step - warmup) / decay_steps)
    least = optimisation.min_lr
    return least + (peak - least) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / decay_steps))


def optimise(
    model: Any,
    settings: Optimisation,
    step_loss: StepLoss,
    label: str,
    checkpoint: Checkpoint | None = None,
    state: State | None = None,
    judge: Callable[[], float] | None = None,
    tracker: Tracker | None = None,
) -> Trained:
    """Descend `step_loss` with AdamW; a loss that is not finite ends the run as failed.

    On SIGTERM the run saves its state after the step at hand and ends.

    Args:
        model: What is trained.
        settings: Steps, rate, schedule and AdamW's settings.
        step_loss: The loss of a step.
        label: Of the progress bar.
        checkpoint: Where to go on from, and to save to; a resumed run ends in the same bytes.
        state: What the loss keeps from step to step and must survive with the model.
        judge: Scores the model as it is, higher is better, where the settings select a state.
        tracker: Shows each step while the run goes on.

    Raises:
        SystemExit: SIGTERM came.
    """
    shards.release(model)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    # Norms and biases are not decayed, by the usual convention.
    decayed = [p for p in trained.values() if p.ndim > 1]
    rest = [p for p in trained.values() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed},
        {"params": rest, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(
        groups,
        lr=settings.lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    model.train()
    rows: list[dict[str, float]] = []
    before = dict.fromkeys(CLOCKS, 0.0)  # spent by the run before the kill
    best = Best(settings, trained)
    if checkpoint and (saved := checkpoint.load(shards.mesh_of(model))):
        rows, before = saved["rows"], saved["spent"]
        copy_into(trained, saved["model"])
        best.judged, best.kept = saved["judged"], saved["best"]
        optimiser.load_state_dict(saved["optimiser"])
        if state is not None:
            state.load_state_dict(saved["state"])
    started = {name: clock() - before[name] for name, clock in CLOCKS.items()}

    def spent() -> dict[str, float]:
        return {name: clock() - started[name] for name, clock in CLOCKS.items()}

    if ranks.number() > 0:
        tracker = None
    with ExitStack() as ending:
        terminated = ending.enter_context(told_to_end())
        if tracker:
            tracker.start(rows)
            ending.callback(tracker.close)
        for step in progress(range(len(rows), settings.steps), label):
            loss, log = step_loss(step)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if not shards.is_sharded(model):  # which sums as it goes backward
                ranks.sum_gradients(model.parameters())
            norm = shards.clip_gradients(model.parameters(), settings.clip_norm)
            if not bool(torch.isfinite(loss) & torch.isfinite(norm)):
                return Trained(rows, spent(), failed=True)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, settings)
            optimiser.step()
            taken = {"step": step, "loss": float(loss.detach()), **log, "grad_norm": float(norm)}
            rows.append(taken)
            if tracker:
                tracker.add(taken)
            if judge and best.asked(step + 1):
                best.add(step + 1, judge())
            due = checkpoint is not None and ranks.number() == 0 and checkpoint.due()
            ends, saves = ranks.total(terminated(), due)  # several processes after the same step
            writes = ranks.number() == 0 or shards.is_sharded(model)
            if checkpoint and writes and (ends or saves):
                checkpoint.save(
                    {
                        "rows": rows,
                        "spent": spent(),
                        "model": trained,
                        "judged": best.judged,
                        "best": best.kept,
                        "optimiser": optimiser.state_dict(),
                        "state": state.state_dict() if state is not None else None,
                    }
                )
            if ends:
                raise SystemExit(TERMINATED)
    shards.release(model)
    best.restore()
    model.eval()
    return Trained(rows, spent(), failed=False, judged=best.judged)


class Best:
    """The best state of a run so far, of those that its settings compare."""

    def __init__(self, settings: Optimisation, trained: dict[str, Any]) -> None:
        chosen, steps = settings.selection, settings.steps
        points = chosen.points if chosen else 0
        self.points = {round((place + 1) * steps / points) for place in range(points)}
        self.trained = trained
        self.judged: dict[int, float] = {}
        self.kept: dict[str, Tensor] = {}

    def asked(self, steps: int) -> bool:
        """Tell whether the state after so many steps is one to compare."""
        return steps in self.points

    def add(self, steps: int, score: float) -> None:
        """Keep the state of now if none had a better score; of equals the first stays."""
        if score > max(self.judged.values(), default=-math.inf):
            self.kept = {name: p.detach().clone() for name, p in self.trained.items()}
        self.judged[steps] = score

    def restore(self) -> None:
        """Go back to the best state, if any were compared."""
        if self.kept:
            copy_into(self.trained, self.kept)


@torch.no_grad()
def copy_into(parameters: dict[str, Any], values: dict[str, Tensor]) -> None:
    """Give parameters the values of their names."""
    for name, parameter in parameters.items():
        shards.local(parameter).copy_(shards.local(values[name]))


def fit_language_model(
    model: Any,
    tokens: TokenSet,
    optimisation: Optimisation,
    label: str,
    *axes: str | int,
    checkpoint: Checkpoint | None = None,
    judge: Callable[[], float] | None = None,
    tracker: Tracker | None = None,
) -> Trained:
    """Train by cross-entropy on the responses of a token set, in the order of the named axes.

    Args:
        model: What is trained.
        tokens: Prompts and responses; only these have a loss.
        optimisation: Steps or epochs, batch size and AdamW's settings.
        label: Of the progress bar.
        *axes: What order and draws are for; see `derive_seed`.
        checkpoint: Where to go on from, and to save to.
        judge: Scores the model as it is, higher is better, where the settings select a state.
        tracker: Shows each step while the run goes on.
    """
    optimisation = optimisation.over(len(tokens))
    device = next(model.parameters()).device
    batches = list(
        batch_order(
            len(tokens),
            optimisation.steps,
            optimisation.batch_size,
            *axes,
            lengths=tokens.starts.diff(),
        )
    )

    def step_loss(step: int) -> tuple[Tensor, dict[str, float]]:
        seed_draws(device, "step", *axes, step)
        batch = tokens.own_batch(batches[step], model.config.pad_token_id)
        hidden_NH = response_states(model, batch)
        loss = cross_entropy(hidden_NH, head(model), batch.labels_N.to(device))
        counts = ranks.total(float(batch.tokens), float(padding(model, batch)))
        return loss, dict(zip(("tokens", "padding"), counts, strict=True))

    return optimise(model, optimisation, step_loss, label, checkpoint, judge=judge, tracker=tracker)
