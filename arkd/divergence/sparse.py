"""A teacher of whom some entries a token are stored: the target that a divergence then sees.

Unlike `arkd.divergence.support`, which narrows both models, the student keeps its softmax over the
whole vocabulary here: tokens that are not stored are tokens to which the target gives no
probability, and the student is taught to give them none. Only a bucket says how much they have.

- `top_k`: the k most probable tokens, divided by their sum;
- `top_k_bucket`: the k most probable tokens as they are, and one more outcome for all others;
- `top_p`: the fewest of the most probable tokens whose mass reaches a share, divided by their sum;
- `sampled`: the shares of N tokens drawn with replacement from the distribution itself, whose mean
  over all draws is that distribution (random sampling, arXiv 2503.16870, proposal temperature 1).

Shapes: C tokens of a chunk, V vocabulary, k or N entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from arkd.divergence.support import restricted
from arkd.objectives import LOG_ZERO

Kind = Literal["top_k", "top_k_bucket", "top_p", "sampled"]


@dataclass(frozen=True)
class Sparse:
    """Which entries of a distribution are stored.

    Attributes:
        kind: By what they are chosen.
        size: k of a top-k, N of a draw.
        mass: That the entries of a top-p reach, 0–1.
    """

    kind: Kind
    size: int = 64
    mass: float = 0.9

    @property
    def draws(self) -> int:
        """How many uniform numbers a token takes."""
        return self.size if self.kind == "sampled" else 0


def sparse_target(
    log_q_CV: Tensor, log_p_CV: Tensor, sparse: Sparse, uniforms_CN: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return log q and log p as a divergence sees them, and how many entries are stored [C].

    Both are [C, V], the target's log 0 being LOG_ZERO; with a bucket both are [C, k + 1]. A top-k
    of V tokens or more is the whole distribution.

    Args:
        log_q_CV: The student's log-probabilities, through which the gradient runs.
        log_p_CV: The teacher's.
        sparse: Which of the teacher's entries are stored.
        uniforms_CN: Numbers in [0, 1), one a draw; only `sampled` reads them.
    """
    vocabulary = log_p_CV.shape[-1]
    entries_C = log_p_CV.new_full(log_p_CV.shape[:1], min(sparse.size, vocabulary))
    if sparse.kind == "top_p":
        log_t_CV, entries_C = top_p(log_p_CV, sparse.mass)
        return log_q_CV, log_t_CV, entries_C
    if sparse.kind == "sampled":
        assert uniforms_CN is not None
        log_t_CV, entries_C = sampled(log_p_CV, uniforms_CN)
        return log_q_CV, log_t_CV, entries_C
    if sparse.kind == "top_k_bucket":
        found = restricted(log_q_CV, log_p_CV, "teacher_top_k", sparse.size, "bucket")
        return *found, entries_C
    if sparse.size >= vocabulary:
        return log_q_CV, log_p_CV, entries_C
    kept_CK, index_CK = log_p_CV.topk(sparse.size, dim=-1)
    return log_q_CV, _renormalised(log_p_CV, index_CK, kept_CK), entries_C


def top_p(log_p_CV: Tensor, mass: float) -> tuple[Tensor, Tensor]:
    """Return the log-target [C, V] of the smallest set with a mass, and its size [C]."""
    sorted_CV, order_CV = log_p_CV.sort(dim=-1, descending=True, stable=True)
    up_to_CV = sorted_CV.exp().cumsum(-1, dtype=torch.float64)
    short_CV = up_to_CV < mass * up_to_CV[:, -1:]
    inside_CV = torch.cat([torch.ones_like(short_CV[:, :1]), short_CV[:, :-1]], dim=-1)
    kept_CV = sorted_CV.masked_fill(~inside_CV, -torch.inf)
    return _renormalised(log_p_CV, order_CV, kept_CV), inside_CV.sum(-1).to(log_p_CV.dtype)


def sampled(log_p_CV: Tensor, uniforms_CN: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-target [C, V] of N draws from p, and how many distinct tokens it has [C]."""
    p_CV = log_p_CV.exp()
    tokens_CN = inverse_cdf(p_CV, uniforms_CN)
    counts_CV = torch.zeros_like(p_CV).scatter_add_(
        -1, tokens_CN, torch.ones_like(tokens_CN, dtype=p_CV.dtype)
    )
    shares_CV = counts_CV / tokens_CN.shape[-1]
    return shares_CV.log().clamp_min(LOG_ZERO), (counts_CV > 0).sum(-1).to(p_CV.dtype)


def inverse_cdf(p_CV: Tensor, uniforms_CN: Tensor) -> Tensor:
    """Return the tokens [C, N] at which a row's cumulated mass passes each uniform number.

    The rows need not sum to 1; no token without mass is found.
    """
    mass_CV = p_CV.cumsum(-1, dtype=torch.float64)
    total_C1 = mass_CV[:, -1:]
    # Strictly below the total, so that the token found always has mass.
    below_CN = torch.minimum(
        uniforms_CN.to(mass_CV.device) * total_C1, total_C1.nextafter(torch.zeros_like(total_C1))
    )
    return torch.searchsorted(mass_CV, below_CN, right=True)


def _renormalised(log_p_CV: Tensor, index_CK: Tensor, kept_CK: Tensor) -> Tensor:
    """Return log-probabilities [C, V] of the kept tokens alone, divided by their sum."""
    kept_CK = (kept_CK - kept_CK.logsumexp(-1, keepdim=True)).clamp_min(LOG_ZERO)
    return torch.full_like(log_p_CV, LOG_ZERO).scatter_(-1, index_CK, kept_CK)
