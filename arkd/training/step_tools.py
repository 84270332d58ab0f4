"""What a method may measure at a step: states, divergences, losses; see `arkd.method.Tools`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from arkd import ranks
from arkd.data.tokens import Batch, TokenSet
from arkd.divergence.losses import (
    Divergences,
    Teacher,
    by_token,
    divergences,
    label_log_probs,
    token_divergence,
    token_values,
    weighted_divergences,
)
from arkd.divergence.reduction import token_scale
from arkd.errors import ArkdError
from arkd.method import (
    ChunkLoss,
    Responses,
    Signals,
    WeightedDivergences,
    Weights,
)
from arkd.models.model import head, hidden_states, padding
from arkd.objectives import forward_kl, reverse_kl
from arkd.training import dev_scores as development
from arkd.training.method_errors import check_losses
from arkd.training.narrowed import Narrowed
from arkd.training.step_responses import StepResponses

REWARD_ITEMS = 32  # development prompts that a reward is sampled on


@dataclass(eq=False)
class StepTools(StepResponses):
    """The tools of one step of one run; each set of states is computed once."""

    tokens: int = field(default=0, init=False)  # that this process has run the student over
    padding: int = field(default=0, init=False)  # positions beside them in its passes
    _states: dict[int, tuple[Responses, Tensor]] = field(default_factory=dict, init=False)
    _measured: dict[tuple[float, bool], Divergences] = field(default_factory=dict, init=False)

    @cached_property
    def temperature(self) -> float:
        """What softens both models, unless a call names another."""
        softened = self.method.softened and self.method.reads_teacher
        return self.settings.temperature if softened else 1.0

    @cached_property
    def narrowed(self) -> Narrowed:
        """What the row's divergences see of both models."""
        return Narrowed(self.settings, self.seed, self.step)

    def states(self, responses: Responses) -> Tensor:
        """Return the student's states [B·T, H], with gradient."""
        if id(responses) not in self._states:
            batch: Batch = responses.batch
            states = hidden_states(self.model, batch.ids_BT.to(self.device), batch.packed)
            self.tokens += batch.tokens
            self.padding += padding(self.model, batch)
            self._states[id(responses)] = responses, states  # kept alive: an id is an address
        return self._states[id(responses)][1]

    def predicting(self, responses: Responses) -> Tensor:
        """Return the student's states that predict the response tokens [N, H]."""
        return self.states(responses)[responses.batch.positions_N.to(self.device)]

    def teacher(self, responses: Responses) -> Teacher:
        """Return the teacher's values over the response tokens.

        Raises:
            ArkdError: the method does not declare the teacher's values, or not on these responses.
        """
        self._must_need("teacher_logits")
        if responses.hidden_NG is None or self.sources.teacher_head is None:
            raise ArkdError(
                f"method {type(self.method).__name__}: asks for the teacher's values on responses "
                "that it does not declare; add their set to its `responses`"
            )
        return Teacher(responses.hidden_NG.to(self.device), self.sources.teacher_head)

    def signals(self, *, temperature: float | None = None, gaps: bool = False) -> Signals:
        """Measure the responses that the row's divergence is taken on."""
        key = temperature or self.temperature, gaps
        if key not in self._measured:
            prefixes, method = self.prefixes, self.method
            self._measured[key] = divergences(
                self.predicting(prefixes),
                head(self.model),
                self.teacher(prefixes),
                prefixes.labels_N,
                prefixes.sequence_N,
                temperature=key[0],
                variance=self.settings.variance,
                head_mass=self.settings.head_mass if gaps else None,
                batch_weights=isinstance(method, WeightedDivergences)
                and method.batch_weights
                and key[0] == self.temperature
                and self.settings.reduction != "sequences"
                and not self.settings.narrowed,
            )
        return self._measured[key].signals

    def weighted_loss(self, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
        """Return the loss of weighted divergences on the prefixes, and FKL and RKL, each [N].

        Raises:
            ArkdError: the method promises weights of the batch, and gives some of single tokens.
        """
        of_tokens = any(torch.as_tensor(x).numel() > 1 for x in (weights.fkl, weights.rkl))
        if of_tokens and isinstance(self.method, WeightedDivergences) and self.method.batch_weights:
            raise ArkdError(
                f"method {type(self.method).__name__}: weights of single tokens, where its "
                "`batch_weights` promises one number for all; leave `batch_weights` out"
            )
        prefixes = self.prefixes
        if self.settings.narrowed:
            return self._narrowed_loss(weights)
        scale = token_scale(self.settings.reduction, prefixes)
        fkl, rkl = (x if scale is None else x * scale for x in (weights.fkl, weights.rkl))
        for (temperature, _), found in self._measured.items():
            if temperature == self.temperature:  # measured already: the weights came late
                signals = found.signals
                return found.loss(fkl, rkl), signals.fkl_N, signals.rkl_N
        return weighted_divergences(
            self.predicting(prefixes),
            head(self.model),
            self.teacher(prefixes),
            fkl,
            rkl,
            temperature=self.temperature,
        )

    def _narrowed_loss(self, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `weighted_loss` does, of what the row's divergences see of both models."""
        fkl_N = torch.zeros(len(self.prefixes.labels_N), device=self.device)
        rkl_N = torch.zeros_like(fkl_N)
        a_N, b_N = by_token(fkl_N, weights.fkl, weights.rkl)

        def loss(log_q: Tensor, log_p: Tensor, rows: slice) -> Tensor:
            fkl_C, rkl_C = forward_kl(log_q, log_p), reverse_kl(log_q, log_p)
            fkl_N[rows], rkl_N[rows] = fkl_C.detach(), rkl_C.detach()
            return a_N[rows] * fkl_C + b_N[rows] * rkl_C

        total = self.mean_loss(self.prefixes, loss)
        return total, self.everywhere(fkl_N), self.everywhere(rkl_N)

    def log_probs(self, responses: Responses, *, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return log q and log p of each label, each [N], without gradient."""
        teacher, student_head = self.teacher(responses), head(self.model)
        vocabulary = min(len(student_head), len(teacher.head))
        labels_N = responses.batch.labels_N.to(self.device)
        log_q_N, log_p_N = (
            label_log_probs(states, projection.cut(vocabulary), labels_N, temperature=temperature)
            for states, projection in (
                (self.predicting(responses), student_head),
                (teacher.hidden_NG, teacher.head),
            )
        )
        return log_q_N, log_p_N

    def measure(
        self, responses: Responses, value: ChunkLoss, *, temperature: float | None = None
    ) -> Tensor:
        """Return a value of each token [N], without gradient."""
        return token_values(
            self.predicting(responses),
            head(self.model),
            self.teacher(responses) if self.method.reads_teacher else None,
            value,
            temperature=temperature or self.temperature,
        )

    def mean_loss(
        self, responses: Responses, loss: ChunkLoss, *, temperature: float | None = None
    ) -> Tensor:
        """Return the mean over tokens of a loss, or the suite's reduction of it, differentiable."""
        scale = token_scale(self.settings.reduction, responses)
        source = next((s for s, kept in self._responses.items() if kept is responses), "")

        def scaled(log_q_CV: Tensor, log_p_CV: Tensor, rows: slice) -> Tensor:
            if self.settings.narrowed:
                log_q_CV, log_p_CV = self.narrowed(log_q_CV, log_p_CV, responses, source, rows)
            losses_C = loss(log_q_CV, log_p_CV, rows)
            check_losses(self.method, losses_C, log_q_CV)
            if scale is None:
                return losses_C
            return losses_C * (scale[rows] if scale.ndim else scale)

        return token_divergence(
            self.predicting(responses),
            head(self.model),
            self.teacher(responses) if self.method.reads_teacher else None,
            scaled,
            temperature=temperature or self.temperature,
        )

    def everywhere(self, values_N: Tensor) -> Tensor:
        """Return what a loss noted of its rows [N], with what other processes noted."""
        ranks.complete(values_N)
        return values_N

    def loss_scale(self) -> float | Tensor:
        """Return what multiplies the losses of the tokens in the mean that is descended."""
        squared = self.temperature**2 if self.settings.square_temperature else 1.0
        scale = token_scale(self.settings.reduction, self.prefixes)
        return squared if scale is None else squared * scale

    def dev_nll(self) -> float:
        """Return the student's −log q of the development responses, mean over tokens."""
        self._must_need("rewards")
        return development.nll(self.model, self._dev())

    def rouge_l(self, model: Literal["student", "teacher"] = "student") -> float:
        """Return the ROUGE-L (0–1) of a model's sampled answers to some development prompts."""
        self._must_need("rewards")
        dev = self._dev().head(REWARD_ITEMS)
        answerer = self.model if model == "student" else self.sources.teacher
        drawn = self._draw(answerer, [dev.prompt(row) for row in range(len(dev))], 1.0)
        return development.mean_rouge_l(drawn, dev, self.sources.decoder, self.sources.rouge)

    def _dev(self) -> TokenSet:
        assert self.sources.dev is not None
        return self.sources.dev
