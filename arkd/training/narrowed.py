"""What a row's divergence sees of both models, where it is less than two whole distributions."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from arkd import ranks
from arkd.divergence.sparse import Sparse, sparse_target
from arkd.divergence.support import restricted
from arkd.method import Responses
from arkd.seeding import derive_seed
from arkd.suite.protocol import Distillation


@dataclass(eq=False)
class Narrowed:
    """The support of a row, or the sparse teacher that it reads, over a step's tokens.

    Args:
        settings: The row's.
        seed: Of the training, whose sparse teacher is drawn once.
        step: From 0; only responses that are drawn at it depend on it.
    """

    settings: Distillation
    seed: int
    step: int
    _entries: dict[int, Tensor] = field(default_factory=dict, init=False)  # of each token [N]
    _uniforms: dict[int, Tensor] = field(default_factory=dict, init=False)

    def __call__(
        self, log_q_CV: Tensor, log_p_CV: Tensor, responses: Responses, source: str, rows: slice
    ) -> tuple[Tensor, Tensor]:
        """Return both log-probabilities of some rows, over what the divergence sees.

        Args:
            log_q_CV: The student's, over the vocabulary.
            log_p_CV: The teacher's.
            responses: Whose tokens they are of.
            source: The set of the responses; "" if they were drawn at this step.
            rows: Which of the responses' tokens.
        """
        settings = self.settings
        if settings.support != "vocabulary":
            size, tail = settings.support_size, settings.support_tail
            return restricted(log_q_CV, log_p_CV, settings.support, size, tail)
        if settings.teacher_support == "exact":
            return log_q_CV, log_p_CV
        sparse = Sparse(
            settings.teacher_support, settings.teacher_support_size, settings.teacher_support_mass
        )
        uniforms_CN = None
        if sparse.draws:
            if id(responses) not in self._uniforms:
                drawn = uniforms(responses, sparse.draws, source, self.seed, self.step)
                self._uniforms[id(responses)] = drawn
            uniforms_CN = self._uniforms[id(responses)][rows]
        log_q_CV, log_p_CV, entries_C = sparse_target(log_q_CV, log_p_CV, sparse, uniforms_CN)
        if id(responses) not in self._entries:
            entries_N = entries_C.new_zeros(len(responses.labels_N))
            self._entries[id(responses)] = entries_N
        self._entries[id(responses)][rows] = entries_C
        return log_q_CV, log_p_CV

    @property
    def log(self) -> dict[str, float]:
        """The mean number of entries that a token of this step takes, if the teacher is sparse."""
        ranks.complete(*self._entries.values())
        entries = [*self._entries.values()]
        return {"entries": float(torch.cat(entries).mean())} if entries else {}


def uniforms(responses: Responses, draws: int, source: str, seed: int, step: int) -> Tensor:
    """Return the uniform numbers of each token's draws [N tokens, draws], float64.

    A stored cache is drawn once: those of a set depend on the training's seed, the set, the row and
    the place in the answer, so that a token has the same whenever it is visited. Another training
    has another cache, so that what the draw does is part of the spread over seeds. Responses that
    were drawn at a step are in no cache; theirs depend on the step and the place in the batch.

    Args:
        responses: Whose tokens they are for.
        draws: Of a token.
        source: The set of the responses; "" if they were drawn at this step.
        seed: Of the training.
        step: From 0.
    """
    parts = []
    for place, (sample, length) in enumerate(
        zip(responses.samples, responses.lengths, strict=True)
    ):
        axes = (source, sample) if source else (step, place)
        generator = torch.Generator().manual_seed(derive_seed("teacher_support", seed, *axes))
        parts.append(torch.rand(length, draws, generator=generator, dtype=torch.float64))
    return torch.cat(parts)
