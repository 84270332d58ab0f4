"""Both models run once more, plainly: logits at the response tokens, and the gradients of a run.

Shapes: S responses of at most T positions, N response tokens, V shared vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from arkd.conformance.formulas import cross_entropy
from arkd.conformance.toy_models import Setting


def dense_logits(
    model: Any, setting: Setting, samples: Sequence[int], answers: Sequence[list[int]]
) -> Tensor:
    """Return a model's logits at the response tokens [N, V], one response after another.

    In a causal model nothing reads what stands to its right, so zeros fill the shorter rows.

    Args:
        model: Student or teacher.
        setting: Whose gold set holds the prompts.
        samples: Rows of the gold set, one for each answer.
        answers: Token ids of each response.
    """
    gold = setting.sets["gold"].tokens
    prompts = [gold.prompt(sample) for sample in samples]
    rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    width = max(map(len, rows))
    ids_ST = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    logits_STV = model(ids_ST).logits[..., : setting.vocabulary]
    spans = zip(logits_STV, prompts, rows, strict=True)
    return torch.cat([x_TV[len(prompt) - 1 : len(row) - 1] for x_TV, prompt, row in spans])


def language_modelling(student: Any, setting: Setting, samples: Sequence[int]) -> Tensor:
    """L_pt: the mean cross-entropy of every token after the first of the gold sequences."""
    gold = setting.sets["gold"].tokens
    rows = [gold.prompt(sample) + gold.response(sample) for sample in samples]
    ids_ST = torch.tensor([row + [0] * (max(map(len, rows)) - len(row)) for row in rows])
    q_STV = student(ids_ST).logits.softmax(-1)
    losses = [
        cross_entropy(q_TV[: len(row) - 1], torch.tensor(row[1:]))
        for q_TV, row in zip(q_STV, rows, strict=True)
    ]
    return torch.cat(losses).mean()


def descend(model: Any, rate: float = 0.1) -> None:
    """Take one plain step along the gradients, and forget them."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= rate * parameter.grad
    model.zero_grad(set_to_none=True)


def flat_gradient(model: Any) -> Tensor:
    """Return the gradients of all parameters as one float64 vector."""
    return torch.cat(
        [
            (torch.zeros_like(p) if p.grad is None else p.grad).flatten().double()
            for p in model.parameters()
        ]
    )
