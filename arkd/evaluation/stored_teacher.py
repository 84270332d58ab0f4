"""What it costs to store some entries of the teacher: forward KL and its gradient, against exact.

Measured at the trained student, on its suite's gold prefixes and at its row's temperature τ. The
gradient is that with respect to the logits over τ, whose exact form is q − p.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from arkd.divergence.chunked import chunks
from arkd.divergence.head import Head
from arkd.divergence.sparse import Sparse, sparse_target
from arkd.evaluation.value import Value
from arkd.models.model import head
from arkd.seeding import derive_seed
from arkd.suite.protocol import Distillation
from arkd.teacher.cache import Evidence, hidden_responses

DRAWS = 64  # stores of a sampled teacher, over which the bias of its gradient is averaged


def stored_teacher(
    model: Any, evidence: Evidence, teacher_head: Head, settings: Distillation, seed: int
) -> Iterator[Value]:
    """Yield the entries a token takes, and what they do to forward KL and to its gradient.

    Args:
        model: The student.
        evidence: The samples, with the teacher's hidden states of their responses.
        teacher_head: Makes logits of those.
        settings: The row's, of a teacher that is not exact.
        seed: Of the training, from which the draws derive.
    """
    assert evidence.hidden is not None
    assert settings.teacher_support != "exact"
    sparse = Sparse(
        settings.teacher_support, settings.teacher_support_size, settings.teacher_support_mass
    )
    student_head = head(model)
    vocabulary = min(len(student_head), len(teacher_head))
    student_head, teacher_head = student_head.cut(vocabulary), teacher_head.cut(vocabulary)
    with torch.inference_mode():
        student_NH = hidden_responses(model, evidence.tokens, "fidelity_gold")
    device = student_head.weight_VH.device
    generator = torch.Generator().manual_seed(derive_seed("stored_teacher", seed))
    sums: dict[str, list[Tensor]] = {}
    for rows in chunks(len(student_NH), vocabulary, device.type == "cpu"):
        logits = (
            student_head.logits(student_NH[rows].clone().to(device)),
            teacher_head.logits(evidence.hidden[rows].to(device)),
        )
        z_CV, log_p_CV = (x.float() / settings.temperature for x in logits)
        for name, values_C in _compare(z_CV, log_p_CV.log_softmax(-1), sparse, generator).items():
            sums.setdefault(name, []).append(values_C.double().cpu())
    for name, parts in sums.items():
        values = torch.cat(parts).tolist()
        mean = math.fsum(values) / len(values)
        yield Value("fidelity_gold", f"stored_{name}", "", mean, len(values))


def _compare(
    z_CV: Tensor, log_p_CV: Tensor, sparse: Sparse, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return entries, error of the value, and error and bias of the gradient, of each token [C].

    Errors are those of a single store; a bias is that of the mean of all. A gradient's distance is
    half the sum of its absolute differences, as total variation is.
    """
    exact_CV = z_CV.softmax(-1) - log_p_CV.exp()
    value_C = (log_p_CV.exp() * (log_p_CV - z_CV.log_softmax(-1))).sum(-1)
    stores = DRAWS if sparse.draws else 1
    mean_CV = torch.zeros_like(z_CV)
    names = ("entries", "value_error", "gradient_error")
    found = {name: z_CV.new_zeros(len(z_CV)) for name in names}
    for _ in range(stores):
        z = z_CV.clone().requires_grad_()
        uniforms = None
        if sparse.draws:
            shape = len(z_CV), sparse.draws
            uniforms = torch.rand(shape, generator=generator, dtype=torch.float64)
        with torch.enable_grad():
            log_q, log_t, entries_C = sparse_target(z.log_softmax(-1), log_p_CV, sparse, uniforms)
            loss_C = (log_t.exp() * (log_t - log_q)).sum(-1)
            (gradient_CV,) = torch.autograd.grad(loss_C.sum(), z)
        mean_CV += gradient_CV / stores
        found["entries"] += entries_C / stores
        found["value_error"] += (loss_C.detach() - value_C) / stores
        found["gradient_error"] += 0.5 * (gradient_CV - exact_CV).abs().sum(-1) / stores
    return {**found, "gradient_bias": 0.5 * (mean_CV - exact_CV).abs().sum(-1)}
