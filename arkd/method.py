"""The contract of a method: one frozen dataclass in one file.

A method is either

- a `WeightedDivergences`: it says, at each step, how much forward and reverse KL weigh; or
- a `TokenDivergence`: it says what each response token costs, given both models' log-probabilities.

It declares where its responses come from and what it needs. Its parameters are dataclass fields and
never change; whatever must survive an interrupted run lives in the state that `start` returns. A
method never touches the model, the data order or the optimiser.

This module imports no torch, and neither does a method's file at its top: listing methods is fast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Source = Literal["gold", "teacher", "student"]


@dataclass(frozen=True)
class Reference:
    """Where a method comes from."""

    title: str
    authors: str
    year: int
    url: str
    bibtex: str
    code: str | None = None  # "github.com/owner/name@commit" that was read


@dataclass(frozen=True)
class Run:
    """What a method may know of the run it is started for."""

    seed: int
    steps: int
    temperature: float


@dataclass(frozen=True)
class Signals:
    """What one sweep over a batch's N response tokens measured; nothing carries a gradient.

    Entropies, variances and divergences are those of the softened distributions (temperature T of
    the suite); divergences in nats. `head_gap_N` and `tail_gap_N` are Σ|p − q| over the teacher's
    head (its most probable tokens up to the suite's head mass) and over the rest; they are measured
    only for a method that asks with `needs_gaps`.
    """

    fkl_N: Tensor
    rkl_N: Tensor
    entropy_teacher_N: Tensor
    entropy_student_N: Tensor
    variance_teacher_N: Tensor
    variance_student_N: Tensor
    head_gap_N: Tensor | None = None
    tail_gap_N: Tensor | None = None


@dataclass(frozen=True)
class Weights:
    """Weights of forward and reverse KL: numbers, or one number a token (shape N)."""

    fkl: float | Tensor
    rkl: float | Tensor
    log: dict[str, float] = field(default_factory=dict)  # further columns of trajectory.csv


class State(Protocol):
    """State of a method that must survive a resume."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


@dataclass(frozen=True)
class Method(ABC):
    """What all methods share. Subclass one of the two kinds below, not this."""

    summary: ClassVar[str]
    equation: ClassVar[str]
    reference: ClassVar[Reference]
    deviations: ClassVar[tuple[str, ...]] = ()
    responses: ClassVar[tuple[Source, ...]] = ("gold",)
    needs_teacher: ClassVar[bool] = True

    def start(self, run: Run) -> State | None:
        """Return the state of a new run; none for a method that keeps none."""
        return None

    @property
    def params(self) -> dict[str, Any]:
        """The method's parameters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class WeightedDivergences(Method):
    """A loss of the form mean over tokens of a·FKL + b·RKL with detached weights a and b."""

    reads_signals: ClassVar[bool] = True  # false: weights known before the forward, one sweep less
    needs_gaps: ClassVar[bool] = False

    @abstractmethod
    def weights(self, step: int, steps: int, signals: Signals | None, state: Any) -> Weights:
        """Return the weights of step `step` (from 0) of `steps`; may advance `state`.

        Args:
            step: The current step, from 0.
            steps: The run's number of steps.
            signals: What this batch measured; none if `reads_signals` is false.
            state: What `start` returned.
        """


@dataclass(frozen=True)
class TokenDivergence(Method):
    """A loss that is a mean over tokens of a function of both log-probabilities."""

    softened: ClassVar[bool] = True  # false: the log-probabilities are those at temperature 1

    @abstractmethod
    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, source: Source
    ) -> Tensor:
        """Return the loss of each token, shape [N].

        Args:
            log_q_NV: The student's log-probabilities.
            log_p_NV: The teacher's, without gradient; none if `needs_teacher` is false.
            labels_N: The response's own tokens.
            source: The response set these tokens belong to. The losses of a method's sets are each
                averaged over their tokens, then over the sets: every method weighs 1 in all.
        """
