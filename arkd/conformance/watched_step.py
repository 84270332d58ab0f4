"""One training step, watched: which responses it scored, with which weights, from which states.

A check may also change what the step sees (labels, padding, states) and look at what follows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from arkd.conformance.toy_models import SETTINGS, Setting
from arkd.data.tokens import Batch
from arkd.method import ChunkLoss, FullStep, Method, Responses, Source, Weights
from arkd.suite.protocol import Distillation
from arkd.training import distill
from arkd.training.step_tools import StepTools


@dataclass(frozen=True)
class Part:
    """A mean over the tokens of some responses, one of those that a loss is made of."""

    responses: Responses
    source: str  # a response set, "sampled" or "replayed"
    temperature: float
    weight: float


@dataclass
class Trace:
    """What a step did, and what is changed of what it sees."""

    parts: list[Part] = field(default_factory=list)
    states: list[tuple[Responses, Tensor]] = field(default_factory=list)
    weights: tuple[Tensor, Tensor] | None = None
    drawn: list[tuple[int, list[int]]] = field(default_factory=list)  # row and answer
    measured: dict[str, list[float]] = field(
        default_factory=dict
    )  # what the tools measured, by name
    loss: Any = None
    log: dict[str, float] = field(default_factory=dict)
    widen: int = 0  # columns of padding added on the right
    alter_labels: Callable[[Tensor], Tensor] | None = None
    alter_states: Callable[[Responses, Tensor], Tensor] | None = None
    dev_nll: float | None = None  # what the development loss is said to be

    @property
    def sampled(self) -> bool:
        """Whether responses were drawn."""
        return bool(self.drawn)

    @property
    def distil(self) -> float:
        """The method's own loss, λ·L_pt left out."""
        return self.log["distil"]


class WatchedTools(StepTools):
    """The tools of a step; they note what is asked of them."""

    def __init__(self, trace: Trace, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.trace = trace
        self._origins: dict[int, tuple[Responses, str]] = {}
        self._watched: dict[int, Tensor] = {}

    def origin(self, responses: Responses) -> str:
        """Return where responses came from."""
        return self._origins[id(responses)][1] if id(responses) in self._origins else "unknown"

    def responses(self, source: Source = "gold") -> Responses:
        """Return a response set's part of the batch, and note its name."""
        return self._note(super().responses(source), source)

    def sample(self, **options: Any) -> Responses:
        """Draw responses, and note it."""
        drawn = super().sample(**options)
        self.trace.drawn += zip(drawn.samples, drawn.answers, strict=True)
        return self._note(drawn, "sampled")

    def replay(self, samples: list[int], answers: list[list[int]]) -> Responses:
        """Return earlier answers, and note it."""
        return self._note(super().replay(samples, answers), "replayed")

    def dev_nll(self) -> float:
        """Return the development loss, or what the trace says it is, and note it."""
        return self._tell("dev_nll", self.trace.dev_nll or super().dev_nll())

    def rouge_l(self, model: Literal["student", "teacher"] = "student") -> float:
        """Return a ROUGE-L, and note it."""
        return self._tell(model, super().rouge_l(model))

    def weighted_loss(self, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss of weighted divergences, and note the weights."""
        loss, fkl_N, rkl_N = super().weighted_loss(weights)
        a_N, b_N = (
            torch.as_tensor(w).detach().expand_as(fkl_N).clone() for w in (weights.fkl, weights.rkl)
        )
        self.trace.weights = a_N, b_N
        return loss, fkl_N, rkl_N

    def mean_loss(
        self, responses: Responses, loss: ChunkLoss, *, temperature: float | None = None
    ) -> Tensor:
        """Return the mean of a loss, and note which responses and temperature it was asked for."""
        softened = temperature or self.temperature
        self.trace.parts.append(Part(responses, self.origin(responses), softened, 1.0))
        return super().mean_loss(responses, loss, temperature=temperature)

    def states(self, responses: Responses) -> Tensor:
        """Return the student's states, changed if the trace says so."""
        key = id(responses)
        if key not in self._watched:
            states = super().states(responses)
            if self.trace.alter_states is not None:
                states = self.trace.alter_states(responses, states)
            states.retain_grad()
            self._watched[key] = states
            self.trace.states.append((responses, states))
        return self._watched[key]

    def _tell(self, name: str, value: float) -> float:
        self.trace.measured.setdefault(name, []).append(value)
        return value

    def _note(self, responses: Responses, origin: str) -> Responses:
        self._origins[id(responses)] = responses, origin  # kept alive: an id is an address
        return responses

    def _pack(
        self, samples: list[int], answers: list[list[int]], batch: Batch, hidden: Tensor | None
    ) -> Responses:
        pad = self.model.config.pad_token_id
        packed = super()._pack(samples, answers, widened(batch, self.trace.widen, pad), hidden)
        if self.trace.alter_labels is None:
            return packed
        return replace(packed, labels_N=self.trace.alter_labels(packed.labels_N))


def widened(batch: Batch, columns: int, pad: int) -> Batch:
    """Return a batch with more padding on its right."""
    if not columns:
        return batch
    width = batch.ids_BT.shape[1]

    def moved(positions: Tensor) -> Tensor:
        return positions + columns * torch.div(positions, width, rounding_mode="floor")

    return replace(
        batch,
        ids_BT=torch.nn.functional.pad(batch.ids_BT, (0, columns), value=pad),
        positions_N=moved(batch.positions_N),
        lm_positions_M=moved(batch.lm_positions_M),
    )


def new_step(
    setting: Setting, method: Method, settings: Distillation = SETTINGS, *, shared_seed: int = 0
) -> distill.Step:
    """Return the step of a new run of training seed 1, on a fresh student.

    Args:
        setting: Models and response sets.
        method: What the run is of.
        settings: The protocol.
        shared_seed: Where the shared random generators stand: no run may depend on them, and a
            method that does should fail the checks of that alone.
    """
    random.seed(shared_seed)
    np.random.seed(shared_seed)
    torch.manual_seed(shared_seed)
    return distill.Step(setting.fresh(), method, setting.sources(method), settings, 1)


def watched(
    step: distill.Step, index: int, samples: list[int], trace: Trace | None = None
) -> Trace:
    """Run the loss of one step and return what it did.

    Args:
        step: The loss to run.
        index: The step's number, from 0.
        samples: Rows of the training set that make the batch.
        trace: What to change of what the step sees; none: nothing. It is filled in and returned.
    """
    trace = trace or Trace()

    with swapped(distill, "StepTools", partial(WatchedTools, trace)):
        trace.loss, trace.log = step(index, samples)
    if trace.weights is not None:
        gold = trace.states[0][0]
        temperature = step.settings.temperature if step.method.softened else 1.0
        trace.parts = [Part(gold, "gold", temperature, 1.0)]
    elif not isinstance(step.method, FullStep):
        share = 1 / len(trace.parts)
        trace.parts = [replace(part, weight=share) for part in trace.parts]
    return trace


@contextmanager
def swapped(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    """Replace a name of a module for a while."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
