"""On what a step is trained: responses from the cache, or drawn from the present student."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from arkd.data.tokens import Batch, TokenSet
from arkd.errors import ArkdError
from arkd.method import Method, Need, Responses, Source
from arkd.models.generate import sample
from arkd.models.model import head, response_states
from arkd.seeding import derive_seed
from arkd.suite.protocol import Distillation
from arkd.training.sources import Sources


@dataclass(eq=False)
class StepResponses:
    """The responses of one step of one run, with the teacher's values where they are read.

    Args:
        model: The student.
        method: Whose declarations say what may be asked for.
        sources: Response sets, teacher and what else the method reads.
        settings: The row's.
        seed: Of the training; draws derive from it and the step.
        step: From 0.
        samples: Rows of the training set that make the batch.
    """

    model: Any
    method: Method
    sources: Sources
    settings: Distillation
    seed: int
    step: int
    samples: list[int]
    _draws: int = field(default=0, init=False)
    _responses: dict[Source, Responses] = field(default_factory=dict, init=False)

    @cached_property
    def device(self) -> torch.device:
        """Where the student lies."""
        return next(self.model.parameters()).device

    def responses(self, source: Source = "gold") -> Responses:
        """Return the batch's responses of a set.

        Raises:
            ArkdError: the method does not declare the set.
        """
        if source != "gold" and source not in self.method.responses:
            raise ArkdError(
                f"method {type(self.method).__name__}: reads the {source}'s responses without "
                f"declaring them; add '{source}' to its `responses`"
            )
        return self._cached(source)

    @cached_property
    def prefixes(self) -> Responses:
        """The responses that the row's divergence is taken on, as its settings choose them.

        `mixed` throws one coin for the whole step, as GKD does (arXiv 2306.13649, algorithm 1).
        """
        chosen, settings = self.settings.prefixes or "gold", self.settings
        if chosen == "mixed":
            coin = random.Random(derive_seed("prefixes", self.seed, self.step)).random()
            chosen = "student" if coin < settings.prefix_share else "gold"
        if chosen != "student":
            return self._cached(chosen)
        prompts, temperature = self._prompts(self.samples), settings.prefix_temperature
        answers = self._draw(self.model, prompts, temperature, top_p=settings.prefix_top_p)
        return self.replay(self.samples, answers)

    def sample(
        self, *, teacher_share: float = 0.0, teacher_top_k: int = 0, temperature: float = 1.0
    ) -> Responses:
        """Draw a response to each prompt of the batch."""
        self._must_need("student_samples")
        if teacher_share > 0 or teacher_top_k > 0:
            self._must_need("teacher_samples")
        prompts = self._prompts(self.samples)
        answers = self._draw(self.model, prompts, temperature, teacher_share, teacher_top_k)
        return self.replay(self.samples, answers)

    def replay(self, samples: list[int], answers: list[list[int]]) -> Responses:
        """Return answers as responses, with the teacher's values if the method reads them."""
        prompts = self._prompts(samples)
        tokens = TokenSet.of(zip(prompts, answers, strict=True))
        batch = tokens.own_batch(range(len(tokens)), self.model.config.pad_token_id)
        hidden = None
        if self.method.reads_teacher:
            with torch.inference_mode():
                hidden = response_states(self.sources.teacher, batch).float()
            hidden = hidden.clone()  # of a kind that autograd may keep
        return self._pack(list(samples), answers, batch, hidden)

    def _draw(
        self,
        model: Any,
        prompts: list[list[int]],
        temperature: float,
        teacher_share: float = 0.0,
        teacher_top_k: int = 0,
        top_p: float = 1.0,
    ) -> list[list[int]]:
        self._draws += 1
        return sample(
            model,
            prompts,
            seed=derive_seed("on_policy", self.seed, self.step, self._draws),
            max_new_tokens=self.sources.max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            vocabulary=min(len(head(self.model)), self.sources.vocabulary or len(head(model))),
            mixed_with=self.sources.teacher if teacher_share > 0 or teacher_top_k > 0 else None,
            share=teacher_share,
            vetted_by=teacher_top_k,
            padded=True,
            batch_size=max(1, len(prompts)),
            label="",
        )

    def _cached(self, source: Source) -> Responses:
        """Return the batch's responses of a set that was drawn before the training."""
        if source not in self._responses:
            evidence = self.sources.sets[source]
            batch = evidence.tokens.own_batch(self.samples, self.model.config.pad_token_id)
            hidden = None if evidence.hidden is None else evidence.hidden[batch.hidden_rows_N]
            answers = [evidence.tokens.response(row) for row in self.samples]
            self._responses[source] = self._pack(self.samples, answers, batch, hidden)
        return self._responses[source]

    def _prompts(self, samples: list[int]) -> list[list[int]]:
        """Return the prompts of rows of the training set."""
        tokens = self.sources.sets["gold"].tokens
        return [tokens.prompt(row) for row in samples]

    def _pack(
        self, samples: list[int], answers: list[list[int]], batch: Batch, hidden: Tensor | None
    ) -> Responses:
        tokens, lengths = itertools.chain(*answers), [len(answer) for answer in answers]
        labels_N = torch.tensor([*tokens], dtype=torch.int64)
        sequence_N = torch.arange(len(answers)).repeat_interleave(torch.tensor(lengths))
        labels_N, sequence_N = labels_N.to(self.device), sequence_N.to(self.device)
        return Responses(samples, labels_N, sequence_N, batch, hidden)

    def _must_need(self, need: Need) -> None:
        """Refuse what the method has not declared: a listing of needs must be true.

        Raises:
            ArkdError: the method does not declare the need.
        """
        if need not in self.method.required:
            raise ArkdError(
                f"method {type(self.method).__name__}: uses {need} without declaring it; "
                f"add '{need}' to its `needs`"
            )
