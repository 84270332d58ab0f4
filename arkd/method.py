"""The contract of a method: one frozen dataclass in one file.

A method is one of three kinds:

- `WeightedDivergences`: it says, at each step, how much forward and reverse KL weigh;
- `TokenDivergence`: it says what each response token costs, given both models' log-probabilities;
- `FullStep`: it composes the loss of a step itself, for instance from responses it has sampled.

It declares where its responses come from and what it needs. Its parameters are dataclass fields and
never change; whatever must survive an interrupted run lives in the state that `start` returns. A
method never touches the model, the data order or the optimiser.

This module imports no torch, and neither does a method's file at its top: listing methods is fast.

Shapes: N response tokens of a batch, V vocabulary, C tokens of a chunk.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Source = Literal["gold", "teacher", "student"]
Need = Literal["teacher_logits", "teacher_samples", "student_samples", "labels", "rewards"]
Axis = Literal["divergence", "adaptive", "support", "prefix", "sequence level"]


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
    replayed: tuple[float, ...] = ()  # α at each step of the row that the method `replays`


@dataclass(frozen=True)
class Context:
    """Where a run stands."""

    step: int  # from 0
    steps: int  # of the whole run
    state: Any = None  # what `start` returned; a method may change it
    source: Source = "gold"  # the response set that a token loss is asked for

    @property
    def share(self) -> float:
        """How far the run is: 0 at the first step, 1 at the last."""
        return self.step / max(1, self.steps - 1)


@dataclass(frozen=True)
class Signals:
    """What one sweep over a batch's N response tokens measured; nothing carries a gradient.

    Entropies, variances and divergences (nats) are those of the softened distributions, but for
    variances over the logits (`distillation.variance`), which are not softened. `nll_N` is
    the student's −log q of the label at temperature 1. `head_gap_N` and `tail_gap_N` are Σ|p − q|
    over the teacher's head (its most probable tokens up to the suite's head mass) and over the
    rest; they are measured only when asked for.
    """

    fkl_N: Tensor
    rkl_N: Tensor
    entropy_teacher_N: Tensor
    entropy_student_N: Tensor
    variance_teacher_N: Tensor
    variance_student_N: Tensor
    nll_N: Tensor
    sequence_N: Tensor  # which of the batch's sequences a token belongs to, from 0
    head_gap_N: Tensor | None = None
    tail_gap_N: Tensor | None = None


@dataclass(frozen=True)
class Weights:
    """Weights of forward and reverse KL: numbers, or one number a token (shape N)."""

    fkl: float | Tensor
    rkl: float | Tensor
    log: dict[str, float] = field(default_factory=dict)  # further columns of trajectory.csv


class State(Protocol):
    """State of a method that must survive a resume.

    A state is made of tensors, numbers, text, none, and lists and dictionaries of them.
    """

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


class Memory(SimpleNamespace):
    """The simplest state: named values. `Memory(t=0.4).t` is 0.4, and may be changed."""

    def state_dict(self) -> dict[str, Any]:
        """Return all values by name."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up saved values."""
        vars(self).update(state)


@dataclass(frozen=True)
class Responses:
    """One response to each of some of the training prompts, with what is known of its N tokens."""

    samples: list[int]  # rows of the training set whose prompts are answered
    labels_N: Tensor  # the answers' tokens, one answer after another
    sequence_N: Tensor  # which answer a token belongs to, from 0
    batch: Any = field(repr=False)  # how both models read it; not for methods
    hidden_NG: Tensor | None = field(repr=False)  # the teacher's states; not for methods

    @property
    def answers(self) -> list[list[int]]:
        """The token ids of each answer."""
        return [answer.tolist() for answer in self.labels_N.split(self.lengths)]

    @property
    def lengths(self) -> list[int]:
        """How many tokens each answer has."""
        return self.sequence_N.bincount(minlength=len(self.samples)).tolist()


# (log q [C, V], log p [C, V], the chunk's rows among the N tokens) → loss of each token [C]
ChunkLoss = Callable[["Tensor", "Tensor", slice], "Tensor"]


class Tools(Protocol):
    """What a method may do at a step. Every draw depends on the run's seed and the step alone."""

    def signals(self, *, temperature: float | None = None, gaps: bool = False) -> Signals:
        """Measure the batch's own responses; at the suite's temperature unless another is given."""

    def responses(self, source: Source = "gold") -> Responses:
        """Return the batch's responses of a set that the method declares."""

    def sample(
        self, *, teacher_share: float = 0.0, teacher_top_k: int = 0, temperature: float = 1.0
    ) -> Responses:
        """Draw a response to each prompt of the batch from teacher_share·p + (1 − teacher_share)·q.

        With `teacher_top_k`, in the share's place, a token that q proposes stands if it is among
        the k most probable of p; otherwise one is drawn from p. The temperature softens both; no
        nucleus.
        """

    def replay(self, samples: list[int], answers: list[list[int]]) -> Responses:
        """Return earlier answers as responses, the teacher's values computed anew."""

    def log_probs(self, responses: Responses, *, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return log q and log p of each label, each [N], without gradient."""

    def measure(
        self, responses: Responses, value: ChunkLoss, *, temperature: float | None = None
    ) -> Tensor:
        """Return a value of each token [N], without gradient: what a loss must know beforehand.

        `value` is called as the loss of `mean_loss` is, in a sweep of its own; without log p where
        the method reads no teacher.
        """

    def mean_loss(
        self, responses: Responses, loss: ChunkLoss, *, temperature: float | None = None
    ) -> Tensor:
        """Return the mean over tokens of a loss, differentiable in the student.

        `loss` is called chunk by chunk with log-probabilities softened by the suite's temperature
        unless another is given.
        """

    def everywhere(self, values_N: Tensor) -> Tensor:
        """Return what a loss noted of its rows [N], 0 elsewhere, with what other processes noted.

        Of several processes that train together each calls a loss with rows of its own alone.
        """

    def loss_scale(self) -> float | Tensor:
        """Return what multiplies the losses of the tokens in the mean that is descended.

        T² where the suite squares the temperature, times what its reduction makes of a mean over
        tokens: 1 if neither is set, otherwise one number or one a token [N].
        """

    def dev_nll(self) -> float:
        """Return the student's −log q of the development responses, mean over tokens, in nats."""

    def rouge_l(self, model: Literal["student", "teacher"] = "student") -> float:
        """Return the ROUGE-L (0–1) of a model's sampled answers to some development prompts."""


@dataclass(frozen=True)
class Method(ABC):
    """What all methods share. Subclass one of the three kinds below, not this."""

    summary: ClassVar[str]
    equation: ClassVar[str]
    reference: ClassVar[Reference]
    deviations: ClassVar[tuple[str, ...]] = ()  # from paper and code, each with its reason
    defaults: ClassVar[dict[str, str]] = {}  # where each parameter's default comes from
    responses: ClassVar[tuple[Source, ...]] = ("gold",)  # sets drawn before the training
    needs: ClassVar[tuple[Need, ...]] = ("teacher_logits",)
    softened: ClassVar[bool] = True  # false: it works at temperature 1, and T² is not for it
    varies: ClassVar[Axis | None] = None  # what listings group it by; none: as it declares itself
    reads: ClassVar[tuple[str, ...]] = ()  # files below benchmarks/ whose content sets the loss

    def start(self, run: Run) -> State | None:
        """Return the state of a new run; none for a method that keeps none."""
        return None

    def observe(self, context: Context, loss: float) -> None:
        """Learn the method's own loss after a step, λ·L_pt left out; may change the state."""
        return None

    @property
    def required(self) -> tuple[Need, ...]:
        """What it needs as its parameters are set; override it where a parameter adds a need."""
        return self.needs

    @property
    def replays(self) -> str | None:
        """The row of the suite whose α, from the run of the same seed, `Run.replayed` holds."""
        return None

    @property
    def reads_teacher(self) -> bool:
        """Whether it looks at the teacher's values."""
        return "teacher_logits" in self.required

    @property
    def allows_zeros(self) -> bool:
        """Whether its loss is finite where the teacher gives a token no probability.

        Reverse KL is not. Rows of a method that does not say so refuse targets with zeros.
        """
        return False

    @property
    def params(self) -> dict[str, Any]:
        """The method's parameters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class WeightedDivergences(Method):
    """A loss of the form mean over tokens of a·FKL + b·RKL with detached weights a and b."""

    @property
    def batch_weights(self) -> bool:
        """Whether weights that follow from the signals are one number each for all tokens.

        A promise that saves time: both gradients may then be formed while the signals are measured.
        """
        return False

    @abstractmethod
    def weights(self, context: Context, tools: Tools) -> Weights:
        """Return the weights of this step; `tools.signals()` tells what the batch looks like."""


@dataclass(frozen=True)
class TokenDivergence(Method):
    """A loss that is a mean over tokens of a function of both log-probabilities.

    Of a method that reads no teacher the log-probabilities are those at temperature 1.

    The losses of a method's response sets are each averaged over their tokens, then over the sets:
    every method weighs 1 in all.
    """

    @abstractmethod
    def token_loss(
        self, log_q_NV: Tensor, log_p_NV: Tensor | None, labels_N: Tensor, context: Context
    ) -> Tensor:
        """Return the loss of each token, shape [N].

        Args:
            log_q_NV: The student's log-probabilities; at temperature 1 unless `softened`.
            log_p_NV: The teacher's, without gradient; none unless `needs` has teacher_logits.
            labels_N: The response's own tokens.
            context: Step, state and response set.
        """


@dataclass(frozen=True)
class FullStep(Method):
    """A loss that the method composes itself, by way of its tools."""

    @abstractmethod
    def loss(self, context: Context, tools: Tools) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of this step, differentiable in the student, and what to log of it."""
