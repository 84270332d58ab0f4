"""A divergence over some tokens only: a model's top-k, and what becomes of the others' mass.

A loss that sees k of V tokens must do something with the mass of the others. `bucket` counts it as
one more outcome, so that the divergence is a true one, of coarser distributions, and never above
the whole one. `renormalised` takes the k tokens for all there are: what either model gives to the
rest goes unseen. `dropped` leaves the terms of the rest out; the sum is then no divergence and may
be negative.

Shapes: C tokens of a chunk, V vocabulary, k size of the support.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

By = Literal["teacher_top_k", "student_top_k"]
Tail = Literal["bucket", "renormalised", "dropped"]


def restricted(
    log_q_CV: Tensor, log_p_CV: Tensor, by: By, size: int, tail: Tail
) -> tuple[Tensor, Tensor]:
    """Return both log-probabilities over the support: [C, k], with a bucket [C, k + 1].

    The gradient runs through log q; which tokens are in the support carries none. A support of V
    tokens or more is the vocabulary, and nothing is changed.

    Args:
        log_q_CV: The student's log-probabilities.
        log_p_CV: The teacher's.
        by: Whose most probable tokens they are.
        size: k.
        tail: What becomes of the other tokens' mass.
    """
    if size >= log_q_CV.shape[-1]:
        return log_q_CV, log_p_CV
    ranked_CV = log_p_CV if by == "teacher_top_k" else log_q_CV.detach()
    index_CK = ranked_CV.topk(size, dim=-1).indices
    parts = []
    for log_x_CV in (log_q_CV, log_p_CV):
        kept_CK = log_x_CV.gather(-1, index_CK)
        if tail == "renormalised":
            kept_CK = kept_CK - kept_CK.logsumexp(-1, keepdim=True)
        elif tail == "bucket":
            rest_C1 = log_x_CV.scatter(-1, index_CK, -torch.inf).logsumexp(-1, keepdim=True)
            kept_CK = torch.cat([kept_CK, rest_C1], dim=-1)
        parts.append(kept_CK)
    return parts[0], parts[1]
