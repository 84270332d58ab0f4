"""One of several processes that train students together; run by test_parallel.py.

usage: parallel_worker.py FOLDER CASE…, with a case as JSON: a row, and settings of the protocol
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from arkd import ranks
from arkd.conformance.toy_models import MAX_NEW_TOKENS, SETTINGS, Setting, usual
from arkd.data.tokens import TokenSet
from arkd.suite.protocol import Distillation, MethodEntry
from arkd.suite.registry import build
from arkd.training import dev_scores, distill
from arkd.training.checkpoint import flatten

STEPS = 20
# Five responses a step, of unequal lengths: two processes have two and three of them.
PROTOCOL = {**SETTINGS.model_dump(), "steps": STEPS, "batch_size": 5}


def float64(setting: Setting) -> Setting:
    """The same with both models in float64; the teacher's cached states stay as they are."""
    setting.student.double()
    setting.teacher.double()
    return setting


def train(case: dict[str, Any]) -> dict[str, Any]:
    """Train a student; return its steps, and all that it and its method's state end in."""
    entry = MethodEntry.model_validate(case["row"])
    settings = Distillation.model_validate(PROTOCOL | case.get("settings", {}) | entry.changes)
    setting, method, states = float64(usual()), build(entry), []
    sources, model = setting.sources(method), setting.fresh()
    prompts = sources.sets["gold"].tokens
    sources.corpus = TokenSet.of([(prompts.prompt(i)[:1], prompts.prompt(i)[1:]) for i in range(9)])

    class Watched(distill.Step):
        """The step, whose state is kept in view."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            states.append(self.state)

    decoding = {"max_new_tokens": MAX_NEW_TOKENS, "label": ""}
    kept, distill.Step = distill.Step, Watched  # type: ignore[misc]
    try:
        judge = dev_scores.judge(
            model, settings.selection, setting.dev, sources.decoder, decoding, "selection"
        )
        ran = distill.distill(model, method, sources, settings, 1, "", judge=judge)
    finally:
        distill.Step = kept  # type: ignore[misc]
    assert not ran.failed
    tensors: dict[str, Tensor] = {}
    state = flatten(states[0].state_dict(), tensors) if states[0] else None
    return {
        "rows": ran.rows,
        "judged": list(ran.judged.values()),
        "state": [state, {name: value.flatten().tolist() for name, value in tensors.items()}],
        "weights": torch.cat([p.detach().flatten() for p in model.parameters()]).tolist(),
    }


def main(folder: Path, cases: list[str]) -> None:
    """Train by each row; every process writes what came of it."""
    torch.set_default_dtype(torch.float64)  # of policies, too
    ranks.start()
    for place, case in enumerate(cases):
        found = json.dumps(train(json.loads(case)))
        (folder / f"{place}-{ranks.number()}.json").write_text(found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
