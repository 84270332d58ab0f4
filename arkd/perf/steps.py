"""The steps' part of the benchmark: the cache against a live teacher, ARKD against a fixed mix.

A step here is the loss and its backward pass; clipping and the optimiser, which are the same for
all, are timed apart. Every run takes the same batches, one step on each.

Shapes: N response tokens of a batch, V vocabulary, G teacher's hidden size, C tokens of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from arkd.data.tokens import TokenSet
from arkd.divergence.chunked import chunks
from arkd.divergence.head import Head
from arkd.method import Context, Method, Tools, WeightedDivergences, Weights
from arkd.models.model import head, response_states
from arkd.perf.pair import Ready
from arkd.perf.timing import interleave
from arkd.suite.protocol import MethodEntry
from arkd.suite.rows import build
from arkd.teacher.cache import Evidence, hidden_responses
from arkd.training.distill import Step
from arkd.training.sources import Sources

LABELS = {
    "student": "student alone, cross-entropy",
    "floor": "student alone + the teacher's head",
    "cached": "fixed_mix, early path, cached teacher",
    "live": "fixed_mix, early path, live teacher",
    "late": "fixed_mix, late path, cached teacher",
    "arkd": "arkd, late path, cached teacher",
    "optimiser": "clipping and AdamW, part of every step",
}
CACHE_SAMPLES = 128  # that the building of the cache is timed on


@dataclass(frozen=True)
class LateMix(WeightedDivergences):
    """An even mix that asks for the signals first, as adaptive methods do."""

    @property
    def batch_weights(self) -> bool:
        """One number for all tokens."""
        return True

    def weights(self, context: Context, tools: Tools) -> Weights:
        """Return the constant weights, late."""
        tools.signals()
        return Weights(0.5, 0.5)


class Live:
    """The cached states of a batch, computed by the teacher at each step instead."""

    def __init__(self, ready: Ready) -> None:
        self.ready = ready
        self.hidden_NG = torch.zeros(ready.evidence.hidden.shape)
        self.evidence = Evidence(ready.evidence.tokens, self.hidden_NG)

    def fill(self, samples: list[int]) -> Tensor:
        """Run the teacher over a batch; return the rows whose states are new."""
        teacher = self.ready.teacher
        batch = self.evidence.tokens.batch(samples, teacher.config.pad_token_id)
        with torch.inference_mode():
            self.hidden_NG[batch.hidden_rows_N] = response_states(teacher, batch)
        return batch.hidden_rows_N


def make_step(ready: Ready, method: Method, evidence: Evidence) -> Step:
    """Return the project's own step of a method, on the pair's student."""
    sources = Sources({"gold": evidence}, head(ready.teacher).detach())
    return Step(ready.student, method, sources, ready.settings, ready.seed)


def backward(ready: Ready, step: Step, before: Callable[[list[int]], Any] | None = None) -> None:
    """Run loss and backward pass on each batch, `before` first if it is given."""
    for index, samples in enumerate(ready.batches):
        if before is not None:
            before(samples)
        loss, _ = step(index, samples)
        ready.student.zero_grad(set_to_none=True)
        loss.backward()


def project(ready: Ready, samples: list[int]) -> None:
    """Turn a batch's cached states into logits, chunk by chunk, in one buffer."""
    rows_N = ready.evidence.tokens.batch(samples, 0).hidden_rows_N
    hidden_NG, teacher_head = ready.evidence.hidden[rows_N], head(ready.teacher).detach()
    buffer_CV: Tensor | None = None
    for rows in chunks(len(hidden_NG), len(teacher_head)):
        if buffer_CV is None:
            buffer_CV = hidden_NG.new_empty(rows.stop - rows.start, len(teacher_head))
        teacher_head.logits(hidden_NG[rows], out=buffer_CV[: rows.stop - rows.start])


def contenders(ready: Ready) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name: see LABELS."""

    def made(name: str) -> Method:
        return build(MethodEntry(name=name))

    cached, live = ready.evidence, Live(ready)
    alone = make_step(ready, made("sft"), cached)
    early = make_step(ready, made("fixed_mix"), cached)
    # A rate of zero: the weights stay, so that every repeat does the same work.
    optimiser = torch.optim.AdamW(ready.student.parameters(), lr=0.0, fused=True)

    def update() -> None:
        for parameter in ready.student.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for _ in ready.batches:
            torch.nn.utils.clip_grad_norm_(ready.student.parameters(), ready.settings.clip_norm)
            optimiser.step()

    return {
        "student": partial(backward, ready, alone),
        "floor": partial(backward, ready, alone, partial(project, ready)),
        "cached": partial(backward, ready, early),
        "live": partial(
            backward, ready, make_step(ready, made("fixed_mix"), live.evidence), live.fill
        ),
        "late": partial(backward, ready, make_step(ready, LateMix(), cached)),
        "arkd": partial(backward, ready, make_step(ready, made("arkd"), cached)),
        "optimiser": update,
    }


@torch.no_grad()
def largest_gap(ready: Ready) -> float:
    """Return the largest difference of log p between cached and live teacher, at temperature 1."""
    live, teacher_head = Live(ready), head(ready.teacher).detach()
    gaps = [0.0]
    for samples in ready.batches:
        rows_N = live.fill(samples)
        pair = ready.evidence.hidden[rows_N], live.hidden_NG[rows_N]
        for rows in chunks(len(rows_N), len(teacher_head)):
            log_p, log_p_live = (_log_probs(teacher_head, hidden_NG[rows]) for hidden_NG in pair)
            gaps.append(float((log_p - log_p_live).abs().max()))
    return max(gaps)


def _log_probs(teacher_head: Head, hidden_CG: Tensor) -> Tensor:
    return teacher_head.logits(hidden_CG).log_softmax(-1)


def measure_steps(
    ready: Ready, repeats: int, threads: int, tick: Callable[[str], None]
) -> dict[str, Any]:
    """Time the steps and the building of the cache, and compare cached and live values.

    Args:
        ready: Models, cache and batches to step on.
        repeats: How often each contender is timed, after one run to warm up.
        threads: Of torch.
        tick: Called with what was just done, `step_ticks` times.
    """
    torch.set_num_threads(threads)
    tokens: TokenSet = ready.evidence.tokens
    some = min(len(tokens), CACHE_SAMPLES)
    pairs = [(tokens.prompt(row), tokens.response(row)) for row in range(some)]
    sample = TokenSet.of(pairs)
    runs = contenders(ready) | {"cache": lambda: hidden_responses(ready.teacher, sample, "")}
    times = interleave(runs, repeats, lambda name: tick(f"step: {LABELS.get(name, name)}"))
    build_s = times.pop("cache")
    answered, states_NG = int(sample.response_starts[-1]), ready.evidence.hidden
    of_batch = [len(tokens.batch(samples, 0).labels_N) for samples in ready.batches]
    return {
        "batches": len(ready.batches),
        "batch_tokens": sum(of_batch) / len(of_batch),
        "rows": {
            name: {"label": LABELS[name], "times_s": [t / len(ready.batches) for t in spent]}
            for name, spent in times.items()
        },
        "log_prob_gap": largest_gap(ready),
        "cache": {
            "times_s": build_s,
            "tokens": len(sample.ids),
            "response_tokens": answered,
            "bytes_per_token": ready.cache_bytes / len(states_NG),
            "logits_bytes_per_token": 4 * len(head(ready.teacher)),
        },
    }


def step_ticks(repeats: int) -> int:
    """Return how often `measure_steps` ticks."""
    return (repeats + 1) * (len(LABELS) + 1)
