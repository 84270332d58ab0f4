"""What a step trained on: whole responses of the right sets, drawn from the right distribution.

Shapes: N response tokens, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arkd.conformance.case import Notes
from arkd.conformance.choices import CHOICES, SAMPLING, SETS, Moment
from arkd.conformance.method_under_test import Subject
from arkd.conformance.toy_models import EOS, Setting
from arkd.conformance.watched_step import Part, Trace
from arkd.method import FullStep
from arkd.suite.protocol import Distillation


def note_responses(
    subject: Subject,
    setting: Setting,
    settings: Distillation,
    index: int,
    trace: Trace,
    samples: list[int],
    notes: Notes,
) -> None:
    """Note each part of a step's loss that is of other responses than it should be.

    Args:
        subject: The method.
        setting: Models and response sets.
        settings: The protocol.
        index: The step's number, from 0.
        trace: What it did.
        samples: Rows of the training set that make the batch.
        notes: Of the run, which are filled in.
    """
    memory = notes.memory
    earlier: list[tuple[int, list[int]]] = memory.setdefault("drawn", [])
    for part in trace.parts:
        fault = _fault(part, setting, samples, earlier)
        if fault:
            notes.faults.append(f"step {index}: {fault}")
    sources = {part.source for part in trace.parts}
    losses, name = trace.measured.get("dev_nll", []), subject.name
    if subject.own_oracle:
        wanted = sources if isinstance(subject.method, FullStep) else {*subject.method.responses}
    elif name in CHOICES:
        moment = Moment(
            *(index, settings.steps, subject.method.params, losses, len(earlier), memory, {})
        )
        chances = CHOICES[name](moment)
        notes.log = moment.log
        wanted = {source for source, chance in chances.items() if chance > 0}
        if len(sources) == 1 and sources <= wanted:
            notes.chosen("responses", next(iter(sources)), chances)
            wanted = sources
    else:
        wanted = SETS.get(name, {"gold"})
    if sources != wanted:
        found = " and ".join(sorted(sources))
        notes.faults.append(
            f"step {index}: expected {' and '.join(sorted(wanted))} responses, got {found}"
        )
    earlier += trace.drawn


def _fault(
    part: Part,
    setting: Setting,
    samples: list[int],
    earlier: list[tuple[int, list[int]]],
) -> str:
    """Tell how a part's responses differ from those that its source gives; nothing if not."""
    responses = part.responses
    rows, answers = responses.samples, responses.answers
    if part.source == "unknown":
        return "responses that are not as the tools gave them"
    if part.source == "replayed":
        drawn = {(row, tuple(answer)) for row, answer in earlier}
        if not {(row, tuple(a)) for row, a in zip(rows, answers, strict=True)} <= drawn:
            return "replayed responses that no step has drawn"
        return ""
    if rows != samples:
        return f"responses to rows {rows} of the training set, expected {samples}"
    if part.source == "sampled":
        for answer in answers:
            whole = answer[-1] == EOS or len(answer) == setting.max_new_tokens
            if EOS in answer[:-1] or not whole:
                return "sampled responses that go on after EOS or end before it"
        return ""
    tokens = setting.sets[part.source].tokens  # type: ignore[index]
    if answers != [tokens.response(row) for row in rows]:
        return f"{part.source} responses that are not whole"
    return ""


def note_draws(
    subject: Subject, p_logits_NV: Tensor, q_logits_NV: Tensor, labels_N: Tensor, notes: Notes
) -> None:
    """Note where drawn tokens lie in the exact distribution that they should come from.

    Tokens stand in the order of their probability, and in a mixture in that of p/q: where another
    temperature, a nucleus or another share of the teacher would show.

    Args:
        subject: The method.
        p_logits_NV: The teacher's logits at the drawn tokens.
        q_logits_NV: The student's, as it was when it drew.
        labels_N: The drawn tokens.
        notes: Of the run, which are filled in.
    """
    if subject.name not in SAMPLING or subject.own_oracle:
        return
    law = SAMPLING[subject.name](subject.method.params)
    p_NV, q_NV = ((x_NV / law.temperature).softmax(-1) for x_NV in (p_logits_NV, q_logits_NV))
    mixed_NV = law(p_NV, q_NV)
    rank_NV = q_NV / p_NV if law.of_both else -q_NV
    label_N1 = labels_N[:, None]
    below_N = torch.where(rank_NV < rank_NV.gather(1, label_N1), mixed_NV, 0.0).sum(-1)
    notes.even("tokens", below_N, mixed_NV.gather(1, label_N1))
