"""Checks that a loss is what it is however its tokens are laid out, padded, cut or ordered."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from arkd.conformance import toy_models as setting
from arkd.conformance.both_values import Formula
from arkd.conformance.dense import flat_gradient
from arkd.conformance.method_under_test import (
    SAMPLES,
    Failure,
    NotApplicable,
    Subject,
    expect_close,
    expect_same_direction,
)
from arkd.conformance.toy_models import REPLAYED, SETTINGS, VOCABULARY
from arkd.conformance.values import WITHOUT_LM
from arkd.conformance.watched_step import Trace, new_step, swapped, watched
from arkd.divergence import chunked as sweeps
from arkd.method import Context, FullStep, Run, TokenDivergence
from arkd.models.model import head


def _run(subject: Subject, samples: list[int], trace: Trace | None = None) -> tuple[Trace, Tensor]:
    """Return what the first step did without λ·L_pt, and its gradient."""
    step = new_step(setting.usual(), subject.method, WITHOUT_LM)
    done = watched(step, 0, samples, trace)
    done.loss.backward()
    return done, flat_gradient(step.model)


def _expect_same(what: str, found: tuple[Trace, Tensor], expected: tuple[Trace, Tensor]) -> None:
    expect_close(f"loss {what}", found[0].distil, expected[0].distil)
    expect_same_direction(f"gradient {what}", found[1], expected[1])


def padding_width(subject: Subject) -> None:
    """More padding on the right of a batch changes nothing."""
    _expect_same(
        "with 5 more columns of padding",
        _run(subject, SAMPLES, Trace(widen=5)),
        _run(subject, SAMPLES),
    )


def chunk_size(subject: Subject) -> None:
    """The size of the chunks that the tokens are cut into changes nothing."""
    whole = _run(subject, SAMPLES)
    with swapped(sweeps, "CHUNK_BYTES", 4 * VOCABULARY * 3):
        _expect_same("in chunks of 3 tokens", _run(subject, SAMPLES), whole)


def sample_order(subject: Subject) -> None:
    """The order of the samples within a batch changes nothing.

    Raises:
        Failure: loss or gradient is another.
        NotApplicable: the method draws responses.
    """
    forward = _run(subject, SAMPLES)
    if forward[0].sampled:
        raise NotApplicable("it draws responses, and draws depend on the order")
    _expect_same("with the batch in reverse order", _run(subject, SAMPLES[::-1]), forward)


def single_tokens(subject: Subject) -> None:
    """A token's loss depends on that token alone, not on the others of its chunk.

    Raises:
        Failure: the losses have another shape than [N], or change with the other tokens.
        NotApplicable: the method is no `TokenDivergence`.
    """
    method = subject.method
    if not isinstance(method, TokenDivergence):
        raise NotApplicable("its losses are not asked for token by token")
    g = torch.Generator().manual_seed(11)
    log_q, log_p = (torch.randn(9, VOCABULARY, generator=g).log_softmax(-1) for _ in range(2))
    labels = torch.randint(0, VOCABULARY, (9,), generator=g)
    order = torch.randperm(9, generator=g)
    run = Run(1, SETTINGS.steps, SETTINGS.temperature, REPLAYED)
    for source in method.responses:

        def losses(rows: Tensor, source: Any = source) -> Tensor:
            context = Context(0, SETTINGS.steps, method.start(run), source)
            seen = log_p[rows] if subject.reads_teacher else None
            return method.token_loss(log_q[rows], seen, labels[rows], context)

        straight = losses(torch.arange(9))
        if straight.shape != (9,):
            raise Failure(f"token_loss of 9 tokens: expected shape [9], got {list(straight.shape)}")
        for what, rows in (("in another order", order), ("among fewer tokens", order[:4])):
            worst = float((losses(rows) - straight[rows]).abs().max())
            expect_close(f"largest change of a token's loss {what}", worst, 0.0, absolute=1e-5)


def batch_split(subject: Subject) -> None:
    """Four batches of 2, weighted by their tokens, give the gradient of one batch of 8.

    Raises:
        Failure: loss or gradient is another.
        NotApplicable: the method draws responses, or its loss looks at the batch as a whole.
    """
    whole, expected = _run(subject, SAMPLES)
    if whole.sampled:
        raise NotApplicable("it draws responses, and draws depend on the batch")
    if isinstance(subject.method, FullStep) and (subject.oracle is None or len(whole.parts) != 1):
        raise NotApplicable("a full step may relate the sequences of a batch")
    one_set = len(whole.parts) == 1
    # Of two sets only batches with as many tokens in each set add up.
    pairs = [[i, i + 4] if one_set else [2 * i, 2 * i + 1] for i in range(4)]
    if isinstance(subject.method, FullStep) and not _formula_adds_up(subject, pairs):
        raise NotApplicable("its formula looks at the batch as a whole")
    total = torch.zeros_like(expected)
    loss, tokens = 0.0, sum(len(part.responses.labels_N) for part in whole.parts)
    for pair in pairs:
        part, gradient = _run(subject, [SAMPLES[place] for place in pair])
        if whole.weights is not None and part.weights is not None:
            rows = torch.isin(whole.parts[0].responses.sequence_N, torch.tensor(pair))
            for mine, all_N in zip(part.weights, whole.weights, strict=True):
                if not torch.allclose(mine, all_N[rows], atol=1e-5):
                    raise NotApplicable("its weights look at the whole batch")
        share = sum(len(p.responses.labels_N) for p in part.parts) / tokens
        total += share * gradient
        loss += share * part.distil
    expect_close("token-weighted loss of four batches of 2", loss, whole.distil)
    expect_same_direction("token-weighted gradient of four batches of 2", total, expected)


def _formula_adds_up(subject: Subject, pairs: list[list[int]]) -> bool:
    """Tell whether the formula's own loss of a batch is the token-weighted one of its pairs."""

    def sum_over_tokens(samples: list[int]) -> Tensor:
        step = new_step(setting.usual(), subject.method, WITHOUT_LM)
        formula = Formula.of(subject, setting.usual(), WITHOUT_LM, step)
        formula.see(step.model)
        trace = watched(step, 0, samples)
        distil, _ = formula.losses_of(0, trace, samples)
        return distil.detach() * sum(len(part.responses.labels_N) for part in trace.parts)

    parts = [sum_over_tokens([SAMPLES[place] for place in pair]) for pair in pairs]
    whole = sum_over_tokens(SAMPLES)
    return bool(torch.isclose(whole, torch.stack(parts).sum(), rtol=1e-9, atol=0))


def vocabulary_padding(subject: Subject) -> None:
    """The teacher's tokens beyond the student's vocabulary are cut: their logits change nothing.

    Raises:
        Failure: the loss is another.
        NotApplicable: the method reads no teacher.
    """
    if not subject.reads_teacher:
        raise NotApplicable("it looks at no teacher")
    usual = setting.usual()
    other = replace(usual, teacher=_noisy_padding(usual.teacher))
    losses = [
        watched(new_step(values, subject.method, WITHOUT_LM), 0, SAMPLES).distil
        for values in (usual, other)
    ]
    if losses[0] != losses[1]:
        raise Failure(
            "loss with other logits of the teacher's padding tokens: "
            f"expected {losses[0]:.9g}, got {losses[1]:.9g}"
        )


def _noisy_padding(teacher: Any) -> Any:
    """Return a teacher that finds its padding tokens very likely."""
    changed = copy.deepcopy(teacher)
    with torch.no_grad():
        head(changed).weight_VH[VOCABULARY:] += 5.0
    return changed


CHECKS = (
    padding_width,
    chunk_size,
    sample_order,
    single_tokens,
    batch_split,
    vocabulary_padding,
)
